"""What a round starts from, as its parts see it: sources of candidates, ranking models and choosers."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from discovery.hunts.candidates.nearby import Engine, Nearby
from discovery.hunts.models.ranking import Embeddings, TrainingSet


@dataclass(frozen=True, kw_only=True, eq=False)
class Turn:
    """What a round starts from.

    Attributes
    ----------
    candidates : numpy.ndarray
        (N,) bool: what may be shown, at least one.
    positives, negatives : int
        P and N that the person gave in the latest round.
    latest : numpy.ndarray
        (n,) int64 rows that the latest round showed, in order.
    nearby : Nearby or None
        Neighbours that are known from earlier rounds, for a candidate pool.
    engine : Engine or None
        Scores every object exactly, for `discovery.hunts.candidates.pool.ExactSource`.
    """

    embeddings: Embeddings
    training: TrainingSet
    candidates: np.ndarray
    positives: int
    negatives: int
    page_size: int
    seed: int
    latest: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    nearby: Nearby | None = None
    engine: Engine | None = None
