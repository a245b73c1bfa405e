"""Score every object of a release from the labels of a hunt: by similarity first, then by the rescorer."""

from __future__ import annotations

import hashlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from threadpoolctl import ThreadpoolController, threadpool_limits  # type: ignore[import-untyped]
from tqdm import tqdm

from discovery.errors import HuntError
from discovery.hunts.models.rescorer import RescorerConfig, train_rescorer
from discovery.processes.cores import usable_cores

if TYPE_CHECKING:
    import torch

ROWS_PER_CHUNK = 16384
ROWS_PER_TASK = 2048
MOST_WORKERS = 8

LARGE = 250_000_000
"""Objects times dimensions up to which a round can score every object in about a second on two cores: 10^6 of 256."""


class Embeddings(Protocol):
    """Where the unit vectors of all objects come from: a release, or an array in a simulation."""

    @property
    def count(self) -> int:
        """Number of objects N."""
        ...

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Return the embeddings of some rows, (n, D) float32."""
        ...

    def chunks(self, rows_per_chunk: int = 65536) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the first row of each chunk and its embeddings, (n, D), in order."""
        ...


class FittedScorer(Protocol):
    """Anything that scores vectors one by one: (n, D) float32 -> (n,) float32.

    Attributes
    ----------
    parameters : list of numpy.ndarray
        What was fitted.
    """

    parameters: list[np.ndarray]

    def scores(self, vectors: np.ndarray) -> np.ndarray:
        """Return the score of each vector, (n,) float32."""
        ...


@dataclass(frozen=True, kw_only=True)
class TrainingSet:
    """The labelled vectors: (n, D) float32 each, sorted by row, so that who labelled first does not matter.

    Attributes
    ----------
    negative_classes : tuple of str
        What each negative is, ``""`` where nobody named it; empty when no negative has a class.
    """

    positives: np.ndarray
    negatives: np.ndarray
    negative_classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse classes that do not belong to the negatives."""
        if self.negative_classes and len(self.negative_classes) != len(self.negatives):
            raise HuntError(f"{len(self.negative_classes)} negative classes for {len(self.negatives)} negatives")

    @property
    def trainable(self) -> bool:
        """Whether both classes have labels."""
        return len(self.positives) > 0 and len(self.negatives) > 0


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """A score for every object of the release, or for a candidate pool of it.

    Attributes
    ----------
    order_scores : numpy.ndarray
        (N,) float32 that decide the order: similarity, or the rescorer's logit (a probability would
        saturate and make ties). (m,) where only ``rows`` were scored.
    trained : bool
        True for the rescorer.
    model : dict
        Name and settings of what ranked, to be recorded.
    spread : numpy.ndarray or None
        (N,) float32 standard deviations of the scores, by models that know how sure they are.
    calibration : tuple of float
        Slope and offset that make a trained score the logit of a chance.
    rows : numpy.ndarray or None
        (m,) int64, ascending: the rows that were scored; None for every one.
    """

    order_scores: np.ndarray
    trained: bool
    model: dict[str, Any]
    spread: np.ndarray | None = None
    calibration: tuple[float, float] = (1.0, 0.0)
    rows: np.ndarray | None = None

    def shown(self, rows: np.ndarray) -> np.ndarray:
        """Scores of ``rows``, which were scored, for people, (n,) float32: the probability, or the similarity as it is."""
        places = rows if self.rows is None else np.searchsorted(self.rows, rows)
        picked = self.order_scores[places].astype(np.float64)
        slope, offset = self.calibration
        return (0.5 * (1.0 + np.tanh(0.5 * (slope * picked + offset))) if self.trained else picked).astype(np.float32)

    @property
    def digest(self) -> str:
        """SHA-256 over ``order_scores`` as little-endian float32, behind ``rows`` as int64 where not every row was scored."""
        summed = hashlib.sha256(b"" if self.rows is None else np.ascontiguousarray(self.rows, dtype="<i8").tobytes())
        summed.update(np.ascontiguousarray(self.order_scores, dtype="<f4").data)
        return summed.hexdigest()


@dataclass(frozen=True, kw_only=True, eq=False)
class LearnedModel:
    """What a model has learned from the labels: it scores any objects, one by one.

    Attributes
    ----------
    scorer : FittedScorer
        What was fitted.
    trained, model, calibration
        As in `Ranking`.
    """

    scorer: FittedScorer
    trained: bool
    model: dict[str, Any]
    calibration: tuple[float, float] = (1.0, 0.0)

    def rank(self, embeddings: Embeddings) -> Ranking:
        """Score every object of ``embeddings`` on one BLAS thread, so that it repeats itself."""
        with one_blas_thread():
            scores = _score_all(embeddings, self.scorer.scores)
            measured = getattr(self.scorer, "spreads", None)
            spread = None if measured is None else _score_all(embeddings, measured)
        return Ranking(
            order_scores=scores,
            trained=self.trained,
            model=self.model,
            spread=spread,
            calibration=self.calibration,
        )

    @property
    def directions(self) -> np.ndarray:
        """Vectors (q, D) float32 whose largest inner products lie near the largest scores; none for a scorer without."""
        found = getattr(self.scorer, "directions", None)
        return np.empty((0, 0), dtype=np.float32) if found is None else np.asarray(found, dtype=np.float32)


class ScoringModel(ABC):
    """A ranking model whose scores follow from a `LearnedModel`: it can score some objects as well as all."""

    @abstractmethod
    def learn(self, embeddings: Embeddings, training: TrainingSet, seed: int) -> LearnedModel:
        """Fit the labels; ``embeddings`` show what is ordinary."""

    def rank(self, embeddings: Embeddings, training: TrainingSet, seed: int) -> Ranking:
        """Fit the labels and score every object."""
        return self.learn(embeddings, training, seed).rank(embeddings)


def rank(
    embeddings: Embeddings,
    training: TrainingSet,
    *,
    seed: int,
    config: RescorerConfig | None = None,
    train: bool = True,
) -> Ranking:
    """Score every object: by the rescorer once both classes have labels, by similarity until then; see `learn`."""
    return learn(embeddings, training, seed=seed, config=config, train=train).rank(embeddings)


def learn(
    embeddings: Embeddings,
    training: TrainingSet,
    *,
    seed: int,
    config: RescorerConfig | None = None,
    train: bool = True,
) -> LearnedModel:
    """Fit the rescorer once both classes have labels; until then take the similarity.

    Parameters
    ----------
    seed : int
        Of the rescorer.
    train : bool
        False takes the similarity throughout.

    Raises
    ------
    HuntError
        There is neither a positive nor a negative to start from.
    """
    if not (training.trainable and train):
        return learned_model(lambda: SimilarityScorer(training), trained=False, model={"name": "mean-similarity"})
    settings = config or RescorerConfig()

    def fit() -> FittedScorer:
        ordinary = background(embeddings, settings.background)
        return train_rescorer(training.positives, training.negatives, ordinary, seed, settings)

    return learned_model(fit, trained=True, model={"name": "mlp", **asdict(settings)})


def learned_model(fit: Callable[[], FittedScorer], *, trained: bool, model: dict[str, Any]) -> LearnedModel:
    """Fit on one BLAS thread; the model's record gets ``weights``, the SHA-256 over the fitted parameters."""
    with one_blas_thread():
        scorer = fit()
    weights = hashlib.sha256()
    for array in scorer.parameters:
        weights.update(np.ascontiguousarray(array, dtype="<f4").tobytes())
    return LearnedModel(scorer=scorer, trained=trained, model={**model, "weights": weights.hexdigest()})


class SimilarityScorer:
    """Mean cosine to the positives, minus mean cosine to the negatives where there are any."""

    def __init__(self, training: TrainingSet) -> None:
        if not len(training.positives) and not len(training.negatives):
            raise HuntError(
                "the hunt has no example to start from; label an object positive or add an example"
            )
        direction = np.zeros(training.positives.shape[1], dtype=np.float64)  # (D,)
        if len(training.positives):
            direction += training.positives.astype(np.float64).mean(axis=0)
        if len(training.negatives):
            direction -= training.negatives.astype(np.float64).mean(axis=0)
        self._direction = direction.astype(np.float32)
        self.parameters = [self._direction]
        self.directions = self._direction[None]

    def scores(self, vectors: np.ndarray) -> np.ndarray:
        """Score (n, D) unit vectors, (n,) float32."""
        return vectors @ self._direction

    def to_torch(self) -> torch.nn.Module:
        """Return the same as a torch module, for an engine that scores every object."""
        from discovery.hunts.models.modules import linear_module

        return linear_module(self._direction, 0.0)


def is_large(embeddings: Embeddings, dimension: int) -> bool:
    """Whether scoring every object would take a round longer than people wait."""
    return embeddings.count * dimension > LARGE


def use_threads(most: int) -> None:
    """Score on at most so many threads in this process; several hunts beside one another share the cores."""
    global MOST_WORKERS
    MOST_WORKERS = max(1, most)


def round_seed(seed: int, number: int) -> int:
    """Derive the seed of one round from the hunt's, so that rounds differ and each can be replayed."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def background(embeddings: Embeddings, count: int) -> np.ndarray:
    """Vectors spread evenly over the release, (n, D): what is ordinary there."""
    return embeddings.take(np.unique(np.linspace(0, embeddings.count - 1, count).astype(np.int64)))


def _score_all(embeddings: Embeddings, measure: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Measure every object, (N,) float32, in pieces of a fixed size on several threads."""
    scores = np.empty(embeddings.count, dtype=np.float32)
    with ThreadPoolExecutor(min(usable_cores(), MOST_WORKERS)) as pool:
        chunks = -(-embeddings.count // ROWS_PER_CHUNK)
        shown = tqdm(
            embeddings.chunks(ROWS_PER_CHUNK), total=chunks, desc="scoring", unit="chunk", delay=3, leave=False, disable=None
        )
        for start, vectors in shown:
            pieces = [vectors[at : at + ROWS_PER_TASK] for at in range(0, len(vectors), ROWS_PER_TASK)]
            scores[start : start + len(vectors)] = np.concatenate(list(pool.map(measure, pieces)))
    return scores


class _OneThread:
    """The process's limit to one BLAS thread: the first user sets it, the last one takes it back.

    A thread of its own does both, because threadpoolctl from 3.8 on ignores the restoring of limits that another thread set.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._limits = ExitStack()
        self._keeper: ThreadPoolExecutor | None = None
        self._users = self._libraries = 0

    def enter(self) -> None:
        """Count a user in; libraries that were loaded since the first one came are limited too."""
        with self._lock:
            self._keeper = self._keeper or ThreadPoolExecutor(1, thread_name_prefix="blas-limit")
            self._keeper.submit(self._limit).result()
            self._users += 1

    def leave(self) -> None:
        """Count a user out."""
        with self._lock:
            self._users -= 1
            if self._users or self._keeper is None:
                return
            with self._keeper as keeper:
                self._keeper, self._libraries = None, 0
                keeper.submit(self._limits.close).result()

    def _limit(self) -> None:
        found = ThreadpoolController()
        if len(found.lib_controllers) > self._libraries:
            self._limits.enter_context(found.limit(limits=1, user_api="blas"))
            self._libraries = len(found.lib_controllers)


_one_thread = _OneThread()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Multiply matrices on one thread: the last digits would depend on how many there are, and a replay with them.

    The limit is the process's. Any number of threads may be inside at once, and it holds until the last has left.
    """
    _one_thread.enter()
    try:
        with threadpool_limits(limits=1, user_api="blas"):  # for libraries that keep a limit for each thread
            yield
    finally:
        _one_thread.leave()
