"""What a candidate pool needs of a release: neighbours of vectors by its index, or an exact scan of everything."""

from __future__ import annotations

import hashlib
import threading
from typing import Any, Protocol

import numpy as np

from discovery.hunts.models.ranking import Embeddings, FittedScorer, one_blas_thread

MOST_KEPT = 4_000_000
"""Rows that are kept in all lists together, 8 bytes each; a list counts as `LIST` more."""
LIST = 50


class Searchable(Embeddings, Protocol):
    """Embeddings with an index: a release, or an array in a simulation."""

    def nearest_many(
        self, vectors: np.ndarray, k: int, allowed: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return rows (q, k) int64, -1 where there are fewer, and similarities (q, k)."""
        ...


class Engine(Protocol):
    """Scores every object and keeps the best: one machine's scan (`Release.engine`), or a cluster's."""

    def top(self, scorer: FittedScorer, k: int, allowed: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return the k allowed rows with the highest scores, best first, and their scores."""
        ...


class Nearby:
    """The neighbours of labelled objects, kept between rounds: they do not change, so a round searches for new ones only.

    Parameters
    ----------
    embeddings : Searchable
        Where to look.
    allowed : numpy.ndarray, optional
        (N,) bool: what the hunt may show at all.
    """

    def __init__(self, embeddings: Searchable, allowed: np.ndarray | None = None) -> None:
        self._embeddings, self._allowed = embeddings, allowed
        self._kept: dict[tuple[bytes, int], np.ndarray] = {}
        self._lock = threading.Lock()

    def neighbours(self, vectors: np.ndarray, k: int) -> np.ndarray:
        """Return the rows among the k nearest of any of some vectors (n, D), (m,) int64 ascending."""
        keys = [(hashlib.sha256(vector.tobytes()).digest(), k) for vector in np.ascontiguousarray(vectors, dtype=np.float32)]
        with self._lock:
            unknown = [at for at, key in enumerate(keys) if key not in self._kept]
            if sum(len(rows) + LIST for rows in self._kept.values()) + len(unknown) * (k + LIST) > MOST_KEPT:
                self._kept.clear()
                unknown = list(range(len(keys)))
            found = self.search(vectors[unknown], k, self._allowed)
            self._kept |= {keys[at]: rows for at, rows in zip(unknown, found, strict=True)}
            lists = [self._kept[key] for key in keys]
        return np.unique(np.concatenate([np.empty(0, dtype=np.int64), *lists]))

    def search(self, vectors: np.ndarray, k: int, allowed: np.ndarray | None) -> list[np.ndarray]:
        """Return the k allowed rows nearest to each of some vectors, best first; nothing of it is kept.

        They are searched one by one: beside others a vector's products may differ in the last digit, and a replay, which
        has other vectors to search at once, with them.
        """
        with one_blas_thread():
            found = [self._embeddings.nearest_many(vector[None], k, allowed)[0][0] for vector in vectors]
        return [rows[rows >= 0] for rows in found]


def searchable(embeddings: Any) -> bool:
    """Whether embeddings have an index to search."""
    return callable(getattr(embeddings, "nearest_many", None))
