"""How well a hunt does: curves and rankings against known labels. Pure functions; nan where a measure has no value.

``found`` (n,) bool is the order of labelling: which of the n labels given brought a target. ``scores`` and ``truth`` (m,)
are those of one ranking.
"""

from __future__ import annotations

import math

import numpy as np


def band(curves: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return median and 10 % and 90 % quantile over the seeds (S) of curves (S, n), each (n,), linearly interpolated."""
    low, median, high = np.quantile(curves, [0.1, 0.5, 0.9], axis=0)
    return median, low, high


def share_of_ideal(found: np.ndarray, targets: int, labels: int) -> float:
    """Return positives found / min(targets, labels) after so many labels; nan when fewer were given.

    ``targets`` counts those that could be found: the starting examples are not among them.
    """
    best = min(targets, labels)
    return float(found[:labels].sum()) / best if best > 0 and labels <= len(found) else math.nan


def area_loss(found: np.ndarray, targets: int, objects: int) -> float:
    """Return the normalised area between the curve of positives found and the ideal one, from 0 (ideal) to 1 (worst).

    (ideal - actual) / (ideal - worst), each the sum over labels i = 1..n of the positives found after i: ideal
    min(i, targets), worst max(0, i - (objects - targets)). This is the loss of ASReview Insights
    (``asreviewcontrib.insights``), which labels everything, n = objects; it is cut here where the hunt ends, so that hunts
    compare only at the same n. Random order gives about 0.5 where everything is labelled.

    Parameters
    ----------
    targets, objects : int
        Targets, and objects altogether, that could be shown.
    """
    labels = np.arange(1, len(found) + 1)
    ideal = np.minimum(labels, targets).sum()
    worst = np.maximum(0, labels - (objects - targets)).sum()
    return float((ideal - np.cumsum(found).sum()) / (ideal - worst)) if ideal > worst else math.nan


def labels_needed(found: np.ndarray, targets: int, share: float) -> float:
    """Return the labels after which ``share`` of the targets was found, rounded up to whole targets; inf when never."""
    needed = math.ceil(share * targets - 1e-9)
    reached = np.flatnonzero(np.cumsum(found) >= needed)
    return float(reached[0] + 1) if len(reached) else math.inf


def kinds_found(kinds: np.ndarray, found_kinds: np.ndarray) -> float:
    """Return the share of the sub-kinds among ``kinds`` of which at least one was found; ``""`` is no kind."""
    known = set(kinds.tolist()) - {""}
    return len(known & set(found_kinds.tolist())) / len(known) if known else math.nan


def precision_at(scores: np.ndarray, truth: np.ndarray, count: int) -> float:
    """Return the share of targets among the ``count`` highest of scores (n,), equal scores by position."""
    order = np.lexsort((np.arange(len(scores)), -scores))[:count]
    return float(truth[order].mean()) if len(order) else float("nan")


def average_precision(scores: np.ndarray, truth: np.ndarray) -> float:
    """Return the area under the precision-recall curve of scores (n,) by scikit-learn: precision at each recall step.

    The step-wise estimator (no interpolation), equal scores as one step; nan without any target.
    """
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(truth, scores)) if truth.any() else math.nan


def area_under_roc(scores: np.ndarray, truth: np.ndarray) -> float:
    """Return the area under the ROC curve of scores (n,) by scikit-learn, ties a half; nan unless both classes are there."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(truth, scores)) if truth.any() and not truth.all() else math.nan


def ndcg_at(scores: np.ndarray, truth: np.ndarray, count: int) -> float:
    """Return the normalised discounted cumulative gain of the ``count`` highest scores by scikit-learn, a target gaining 1.

    Equal scores share the mean of their gains; nan without any target, 1 for a single object that is one.
    """
    from sklearn.metrics import ndcg_score

    if not truth.any():
        return math.nan
    return float(ndcg_score([truth], [scores], k=count)) if len(truth) > 1 else 1.0
