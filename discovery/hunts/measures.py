"""How well a hunt does: curves and rankings against known labels."""

from __future__ import annotations

import numpy as np


def found_curve(found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return labels given and positives found after each, both (n + 1,) int64 and from 0, for found (n,) bool."""
    return np.arange(len(found) + 1), np.concatenate([[0], np.cumsum(found, dtype=np.int64)])


def precision_at(scores: np.ndarray, truth: np.ndarray, count: int) -> float:
    """Return the share of targets among the ``count`` highest of scores (n,), equal scores by position."""
    order = np.lexsort((np.arange(len(scores)), -scores))[:count]
    return float(truth[order].mean()) if len(order) else float("nan")


def average_precision(scores: np.ndarray, truth: np.ndarray) -> float:
    """Return the area under the precision-recall curve of scores (n,), as a sum of precision at each recall step.

    The step-wise estimator of Davis & Goadrich 2006 (no interpolation); nan without any target.
    """
    if not truth.any():
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(truth[order])
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)  # last place of each tie
    recall = hits[ends] / hits[-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * hits[ends] / (ends + 1)))
