"""Candidate sources: which of the objects that a hunt may show are looked at in a round."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from discovery.errors import HuntError
from discovery.hunts.alpha_rule import choose
from discovery.hunts.candidates.turn import Turn
from discovery.hunts.models.ranking import TrainingSet, learned_model
from discovery.hunts.models.registry import NearestScorer


class CandidateSource(Protocol):
    """Where candidates come from: a `MaskSource`, or one of `discovery.hunts.candidates.pool`."""

    name: ClassVar[str]
    subset: ClassVar[bool]


class MaskSource(CandidateSource, Protocol):
    """Narrows the candidates of a turn, all of which are ranked."""

    def candidates(self, turn: Turn) -> np.ndarray:
        """Return (N,) bool: which of the turn's candidates may be shown."""
        ...


@dataclass(frozen=True, kw_only=True)
class AllSource:
    """Every object that the hunt may show."""

    name: ClassVar[str] = "all"
    subset: ClassVar[bool] = True

    def candidates(self, turn: Turn) -> np.ndarray:
        """Return the turn's candidates, (N,) bool."""
        return turn.candidates


@dataclass(frozen=True, kw_only=True)
class NearSource:
    """The nearest to any positive, as an index returns them; a round cannot leave the neighbourhood of what is known.

    Attributes
    ----------
    count : int
        How many, at least a page.
    """

    name: ClassVar[str] = "near"
    subset: ClassVar[bool] = False
    count: int = 5000

    def __post_init__(self) -> None:
        """Refuse less than one."""
        if self.count < 1:
            raise HuntError(f"near:{self.count} leaves nothing to show; give at least 1")

    def candidates(self, turn: Turn) -> np.ndarray:
        """Return the candidates with the largest cosine to a positive, (N,) bool; all while there is no positive."""
        if not len(turn.training.positives):
            return turn.candidates
        alone = TrainingSet(positives=turn.training.positives, negatives=turn.training.negatives[:0])
        near = learned_model(lambda: NearestScorer(alone), trained=False, model={}).rank(turn.embeddings)
        kept = np.zeros(len(turn.candidates), dtype=bool)
        kept[choose(near.order_scores, turn.candidates, max(self.count, turn.page_size), "highest")] = True
        return kept
