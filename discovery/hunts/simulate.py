"""Play hunts with known labels as the person: how strategies are compared and how a hunt is tested."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from discovery.errors import HuntError
from discovery.hunts.ranking import Embeddings, Ranking, TrainingSet, rank, round_seed
from discovery.hunts.rescorer import RescorerConfig
from discovery.hunts.rounds import propose

PlayStrategy = Literal["rescorer", "similarity", "random"]


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


@dataclass(frozen=True, kw_only=True)
class PlayedHunt:
    """A simulated hunt.

    Attributes
    ----------
    shown : numpy.ndarray
        (n,) int64 rows in the order in which they were labelled.
    found : numpy.ndarray
        (n,) bool: was it a target?
    strategies : tuple of str
        What each round did.
    ranking : numpy.ndarray
        (N,) float32 scores of the last model, trained on all labels.
    examples : numpy.ndarray
        (s,) rows that started the hunt; they are not among ``shown``.
    """

    shown: np.ndarray
    found: np.ndarray
    strategies: tuple[str, ...]
    ranking: np.ndarray
    examples: np.ndarray


def play_hunt(
    embeddings: Embeddings,
    truth: np.ndarray,
    *,
    strategy: PlayStrategy = "rescorer",
    examples: int = 5,
    negative_examples: int = 0,
    rounds: int = 5,
    page_size: int = 20,
    alpha: float = 0.5,
    seed: int = 0,
    config: RescorerConfig | None = None,
) -> PlayedHunt:
    """Play one hunt with the true labels as the person.

    Parameters
    ----------
    embeddings : Embeddings
        Of N objects, each there once.
    truth : numpy.ndarray
        (N,) bool, True for targets.
    strategy : {"rescorer", "similarity", "random"}
        ``rescorer``: what `Hunt` does. ``similarity``: never train, rank by the examples and the labels.
        ``random``: the baseline.
    examples, negative_examples : int
        Examples of each class to start from, drawn with ``seed``; they do not count as found.

    Raises
    ------
    HuntError
        Unknown strategy, wrong shape of ``truth``, or fewer targets than examples.
    """
    _check(embeddings, truth, strategy, examples, negative_examples)
    rng = np.random.default_rng(seed)
    given = np.concatenate(
        [
            rng.choice(np.flatnonzero(truth), examples, replace=False),
            rng.choice(np.flatnonzero(~truth), negative_examples, replace=False),
        ]
    )
    labelled, pages, strategies = np.sort(given), [np.empty(0, dtype=np.int64)], []
    for number in range(1, rounds + 1):
        candidates = np.ones(embeddings.count, dtype=bool)
        candidates[labelled] = False
        if not candidates.any():
            break
        if strategy == "random":
            left = np.flatnonzero(candidates)
            page, name = rng.choice(left, min(page_size, len(left)), replace=False), "random"
        else:
            proposal = propose(
                _ranking(embeddings, truth, labelled, strategy, round_seed(seed, number), config),
                candidates,
                positives=int(truth[pages[-1]].sum()),
                negatives=int((~truth[pages[-1]]).sum()),
                alpha=alpha,
                page_size=page_size,
            )
            page, name = proposal.rows, proposal.strategy
        pages.append(page)
        strategies.append(name)
        labelled = np.sort(np.concatenate([labelled, page]))
    shown = np.concatenate(pages)
    if strategy == "random":
        scores = rng.random(embeddings.count).astype(np.float32)
    else:
        last = _ranking(embeddings, truth, labelled, strategy, round_seed(seed, len(pages)), config)
        scores = last.order_scores
    return PlayedHunt(
        shown=shown, found=truth[shown], strategies=tuple(strategies), ranking=scores, examples=given
    )


def _ranking(
    embeddings: Embeddings,
    truth: np.ndarray,
    labelled: np.ndarray,
    strategy: PlayStrategy,
    seed: int,
    config: RescorerConfig | None,
) -> Ranking:
    training = TrainingSet(
        positives=embeddings.take(labelled[truth[labelled]]),
        negatives=embeddings.take(labelled[~truth[labelled]]),
    )
    return rank(embeddings, training, seed=seed, config=config, train=strategy == "rescorer")


def _check(
    embeddings: Embeddings, truth: np.ndarray, strategy: str, examples: int, negative_examples: int
) -> None:
    if strategy not in get_args(PlayStrategy):
        raise HuntError(f"unknown strategy {strategy!r}; choose from {', '.join(get_args(PlayStrategy))}")
    if truth.shape != (embeddings.count,) or truth.dtype != np.bool_:
        raise HuntError(f"truth is {truth.dtype} {truth.shape}; it must be bool ({embeddings.count},)")
    targets = int(truth.sum())
    if targets < examples or len(truth) - targets < negative_examples:
        raise HuntError(
            f"{targets} targets and {len(truth) - targets} others are too few for"
            f" {examples} positive and {negative_examples} negative examples"
        )
