"""The k best of scored rows, whole or as they come in: highest score first, of equal ones the lower row."""

from __future__ import annotations

import numpy as np


def top(rows: np.ndarray, scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the k rows with the highest scores, best first (ties: lower row first).

    Parameters
    ----------
    rows, scores : numpy.ndarray
        (n,) each.
    k : int
        At least 1.

    Returns
    -------
    rows, scores : numpy.ndarray
        (min(n, k),) int64 and float32.
    """
    if len(rows) > 4 * k:
        kth = np.partition(scores, len(scores) - k)[len(scores) - k]
        rows, scores = rows[scores >= kth], scores[scores >= kth]
    order = np.lexsort((rows, -scores))[:k]
    return rows[order].astype(np.int64), scores[order].astype(np.float32)


class RunningTop:
    """The k best of all rows that were offered so far.

    Attributes
    ----------
    rows, scores : numpy.ndarray
        (n,) int64 and float32, best first, n at most k.
    """

    def __init__(self, k: int) -> None:
        self.k = k
        self.rows, self.scores = np.empty(0, np.int64), np.empty(0, np.float32)

    @property
    def floor(self) -> float:
        """Score below which nothing gets in: minus infinity until there are k rows."""
        return float(self.scores[-1]) if len(self.scores) == self.k else -np.inf

    def offer(self, rows: np.ndarray, scores: np.ndarray) -> None:
        """Take (n,) rows with their scores in, each row once."""
        if len(rows):
            self.rows, self.scores = top(np.r_[self.rows, rows], np.r_[self.scores, scores], self.k)


def table(found: list[tuple[np.ndarray, np.ndarray]], k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the answers of q queries, one below another.

    Returns
    -------
    rows : numpy.ndarray
        (q, k) int64, -1 where there were fewer.
    scores : numpy.ndarray
        (q, k) float32, minus infinity where there were fewer.
    """
    rows, scores = np.full((len(found), k), -1, np.int64), np.full((len(found), k), -np.inf, np.float32)
    for place, (mine, best) in enumerate(found):
        rows[place, : len(mine)], scores[place, : len(mine)] = mine, best
    return rows, scores
