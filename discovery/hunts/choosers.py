"""Choosers: pick from the candidates of a round what is shown, each stamp with a word that says why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

import numpy as np

from discovery.hunts.ranking import Embeddings, Ranking, TrainingSet
from discovery.hunts.rounds import choose, propose

LIKELY, UNLIKELY, UNCERTAIN, DIVERSE, RANDOM = "likely", "unlikely", "uncertain", "diverse", "random"


@dataclass(frozen=True, kw_only=True, eq=False)
class Turn:
    """What a round starts from.

    Attributes
    ----------
    candidates : numpy.ndarray
        (N,) bool: what may be shown, at least one.
    positives, negatives : int
        P and N that the person gave in the latest round.
    """

    embeddings: Embeddings
    training: TrainingSet
    candidates: np.ndarray
    positives: int
    negatives: int
    page_size: int
    seed: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Page:
    """What is shown.

    Attributes
    ----------
    rows : numpy.ndarray
        (n,) int64 in order.
    reasons : tuple of str
        One word a row: likely, unlikely, uncertain, diverse or random.
    did, why : str
        How they were chosen, in a word and in a sentence.
    ranking : Ranking or None
        None when nothing was ranked.
    """

    rows: np.ndarray
    reasons: tuple[str, ...]
    did: str
    why: str
    ranking: Ranking | None = field(default=None, repr=False)


Ranker = Callable[[], Ranking]
"""Gives the `Ranking` of this round; a chooser that does without it saves its time."""


class Chooser(Protocol):
    """Picks at most ``page_size`` candidates."""

    name: ClassVar[str]
    subset: ClassVar[bool]

    def choose(self, turn: Turn, ranker: Ranker) -> Page: ...


@dataclass(frozen=True, kw_only=True)
class AlphaChooser:
    """The published rule exactly, by `discovery.hunts.rounds.propose`."""

    name: ClassVar[str] = "alpha"
    subset: ClassVar[bool] = True
    alpha: float = 0.5

    def choose(self, turn: Turn, ranker: Ranker) -> Page:
        """Show the highest or the lowest scores."""
        proposal = propose(
            ranker(),
            turn.candidates,
            positives=turn.positives,
            negatives=turn.negatives,
            alpha=self.alpha,
            page_size=turn.page_size,
        )
        reason = UNLIKELY if proposal.strategy == "rescorer-lowest" else LIKELY
        return Page(
            rows=proposal.rows, reasons=(reason,) * len(proposal.rows), did=proposal.strategy, why=proposal.why
        )


@dataclass(frozen=True, kw_only=True)
class HighestChooser:
    """Always the highest scores."""

    name: ClassVar[str] = "highest"
    subset: ClassVar[bool] = True

    def choose(self, turn: Turn, ranker: Ranker) -> Page:
        """Show the highest scores."""
        ranking = ranker()
        rows = choose(ranking.order_scores, turn.candidates, turn.page_size, "highest")
        why = "highest scores" if ranking.trained else "most similar to the examples"
        return Page(
            rows=rows, reasons=(LIKELY,) * len(rows), did=f"{ranking.model['name']}-highest", why=why
        )


@dataclass(frozen=True, kw_only=True)
class RandomChooser:
    """Any candidates, whatever their scores."""

    name: ClassVar[str] = "random"
    subset: ClassVar[bool] = True

    def choose(self, turn: Turn, ranker: Ranker) -> Page:
        """Draw a page with the seed."""
        rows = draw(turn.candidates, turn.page_size, np.random.default_rng(turn.seed))
        return Page(rows=rows, reasons=(RANDOM,) * len(rows), did=self.name, why="drawn at random")


def draw(candidates: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw so many candidates without replacement, (n,) int64; all when there are fewer."""
    left = np.flatnonzero(candidates)
    return rng.choice(left, min(count, len(left)), replace=False).astype(np.int64)
