"""Play hunts with known labels as the person: how strategies are compared and how a hunt is tested."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np

from discovery.errors import HuntError
from discovery.hunts.candidates.nearby import Nearby, Searchable, searchable
from discovery.hunts.candidates.turn import Turn
from discovery.hunts.models.ranking import Embeddings, TrainingSet, round_seed
from discovery.hunts.models.rescorer import RescorerConfig
from discovery.hunts.settings import checked_stopper
from discovery.hunts.stoppers import History, parse_stopper
from discovery.hunts.strategies import HuntStrategy, parse_strategy

MOST_NOISE = 0.5


class ArrayEmbeddings:
    """Vectors in memory, (N, D), with the methods of a release that a round needs."""

    def __init__(self, vectors: np.ndarray) -> None:
        self._vectors = vectors.astype(np.float32, copy=False)

    @property
    def count(self) -> int:
        """Number of objects."""
        return len(self._vectors)

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Vectors of ``rows``, (n, D) float32."""
        return self._vectors[rows]

    def chunks(self, rows_per_chunk: int = 65536) -> Iterator[tuple[int, np.ndarray]]:
        """All vectors in pieces, with the row at which each starts."""
        for start in range(0, len(self._vectors), rows_per_chunk):
            yield start, self._vectors[start : start + rows_per_chunk]

    def nearest_many(
        self, vectors: np.ndarray, k: int, allowed: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the k allowed rows nearest to each vector (q, D) by comparing with all; see `Release.nearest_many`."""
        products = vectors @ self._vectors.T  # (q, N)
        if allowed is not None:
            products[:, ~allowed] = -np.inf
        rows = np.argsort(-products, axis=1, kind="stable")[:, :k]
        similarity = np.take_along_axis(products, rows, axis=1)
        return np.where(np.isfinite(similarity), rows, -1), similarity


@dataclass(frozen=True, kw_only=True, eq=False)
class PlayedHunt:
    """A simulated hunt.

    Attributes
    ----------
    shown : numpy.ndarray
        (n,) int64 rows in the order in which they were labelled.
    found : numpy.ndarray
        (n,) bool: was it a target, and did the person answer so?
    answers : numpy.ndarray
        (n,) bool: the clicks, right or wrong.
    strategies : tuple of str
        What each round did.
    ranking : numpy.ndarray
        (N,) float32 scores of the last model, trained on all labels.
    examples : numpy.ndarray
        (s,) rows that started the hunt; they are not among ``shown``.
    seconds : numpy.ndarray
        (rounds,) float64: the time from the labels to the next page.
    stopped : int or None
        Labels given when the stopper first advised to stop; the hunt goes on all the same.
    """

    shown: np.ndarray
    found: np.ndarray
    answers: np.ndarray
    strategies: tuple[str, ...]
    ranking: np.ndarray
    examples: np.ndarray
    seconds: np.ndarray
    stopped: int | None


def play_hunt(
    embeddings: Embeddings,
    truth: np.ndarray,
    *,
    strategy: str | HuntStrategy = "alpha",
    examples: int = 5,
    negative_examples: int = 0,
    rounds: int = 5,
    page_size: int = 20,
    alpha: float = 0.5,
    noise: float = 0.0,
    seed: int = 0,
    config: RescorerConfig | None = None,
    negative_classes: np.ndarray | None = None,
    stopper: str = "never",
) -> PlayedHunt:
    """Play one hunt with the true labels as the person.

    Parameters
    ----------
    embeddings : Embeddings
        Of N objects, each there once.
    truth : numpy.ndarray
        (N,) bool, True for targets.
    strategy : str or HuntStrategy
        As `discovery.hunts.strategies.parse_strategy` reads it; ``alpha`` is what `Hunt` does.
    examples, negative_examples : int
        Examples of each class to start from, drawn with ``seed``; they do not count as found and are right.
    alpha : float
        Of an alpha rule that does not name its own.
    noise : float
        Chance, 0 to 0.5, that a click is wrong. Which objects would be clicked wrongly depends on ``seed`` alone, so
        that strategies meet the same person.
    config : RescorerConfig, optional
        Of the MLP, when ``strategy`` is a text.
    negative_classes : numpy.ndarray, optional
        (N,) str: what the person calls an object that is no target; ``""`` is a plain no.
    stopper : str
        As `discovery.hunts.stoppers.parse_stopper` reads it; one that needs a control sample is refused.

    Raises
    ------
    HuntError
        Unknown strategy, wrong shape of ``truth``, noise out of range, or fewer targets than examples.
    """
    parts = parse_strategy(strategy, alpha=alpha, config=config) if isinstance(strategy, str) else strategy
    _check(embeddings, truth, examples, negative_examples, noise)
    rule, stopped = parse_stopper(checked_stopper(stopper)), None
    rng = np.random.default_rng(seed)
    given = np.concatenate(
        [
            rng.choice(np.flatnonzero(truth), examples, replace=False),
            rng.choice(np.flatnonzero(~truth), negative_examples, replace=False),
        ]
    )
    clicks = truth ^ (rng.random(len(truth)) < noise)
    clicks[given] = truth[given]
    labelled, pages, did, seconds = np.sort(given), [np.empty(0, dtype=np.int64)], [], []
    nearby = Nearby(cast("Searchable", embeddings)) if searchable(embeddings) else None
    for number in range(1, rounds + 1):
        candidates = np.ones(embeddings.count, dtype=bool)
        candidates[labelled] = False
        if not candidates.any():
            break
        started, turn_seed = time.perf_counter(), round_seed(seed, number)
        page = parts.play(
            Turn(
                embeddings=embeddings,
                training=_training(embeddings, clicks, labelled, negative_classes),
                candidates=candidates,
                positives=int(clicks[pages[-1]].sum()),
                negatives=int((~clicks[pages[-1]]).sum()),
                page_size=page_size,
                seed=turn_seed,
                latest=pages[-1],
                nearby=nearby,
            )
        )
        seconds.append(time.perf_counter() - started)
        pages.append(page.rows)
        did.append(page.did)
        labelled = np.sort(np.concatenate([labelled, page.rows]))
        if stopped is None and rule.stop(
            History(pages=[clicks[rows] for rows in pages[1:]], objects=embeddings.count - len(given))
        ):
            stopped = sum(map(len, pages))
    shown = np.concatenate(pages)
    training = _training(embeddings, clicks, labelled, negative_classes)
    last = parts.rank(embeddings, training, round_seed(seed, len(pages)))
    return PlayedHunt(
        shown=shown,
        found=truth[shown] & clicks[shown],
        answers=clicks[shown],
        strategies=tuple(did),
        ranking=last.order_scores,
        examples=given,
        seconds=np.array(seconds),
        stopped=stopped,
    )


def check_noise(noise: float) -> None:
    """Raise HuntError unless noise lies between 0 and 0.5."""
    if not 0.0 <= noise <= MOST_NOISE:
        raise HuntError(f"noise is {noise}; the share of wrong clicks must lie between 0 and {MOST_NOISE}")


def _training(
    embeddings: Embeddings, clicks: np.ndarray, labelled: np.ndarray, names: np.ndarray | None
) -> TrainingSet:
    negatives = labelled[~clicks[labelled]]
    return TrainingSet(
        positives=embeddings.take(labelled[clicks[labelled]]),
        negatives=embeddings.take(negatives),
        negative_classes=() if names is None else tuple(names[negatives].tolist()),
    )


def _check(
    embeddings: Embeddings, truth: np.ndarray, examples: int, negative_examples: int, noise: float
) -> None:
    check_noise(noise)
    if truth.shape != (embeddings.count,) or truth.dtype != np.bool_:
        raise HuntError(f"truth is {truth.dtype} {truth.shape}; it must be bool ({embeddings.count},)")
    targets = int(truth.sum())
    if targets < examples or len(truth) - targets < negative_examples:
        raise HuntError(
            f"{targets} targets and {len(truth) - targets} others are too few for"
            f" {examples} positive and {negative_examples} negative examples"
        )
