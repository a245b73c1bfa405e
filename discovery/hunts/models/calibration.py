"""Turn scores into chances that hold among the objects that people are shown."""

from __future__ import annotations

import numpy as np

from discovery.hunts.models.logistic import fit_logistic

LEAST_SLOPE = 1e-3


def platt(left_out: np.ndarray, targets: np.ndarray) -> tuple[float, float]:
    """Return slope and offset such that the logistic function of slope x score + offset is the chance of a positive.

    Parameters
    ----------
    left_out : numpy.ndarray
        (n,) scores of labels, each by a fit without it.
    targets : numpy.ndarray
        (n,) 1 for positives, 0 for negatives; both are there.

    Notes
    -----
    Platt 1999, with his targets (N+ + 1) / (N+ + 2) and 1 / (N- + 2), so that few labels do not make certainties. Labels come
    from pages of mostly high scores: the chance holds for stamps such as those, not for the bulk of a release, of which
    only an audit can show. The slope stays above 0, so that the order of the scores stays.
    """
    positives = targets > 0
    counts = positives.sum(), (~positives).sum()
    wanted = np.where(positives, (counts[0] + 1) / (counts[0] + 2), 1 / (counts[1] + 2))
    scale = max(float(np.std(left_out)), 1e-12)
    fitted = fit_logistic(left_out[:, None] / scale, wanted, np.ones(len(wanted)), 1e-3)
    slope = float(fitted.weights[0]) / scale
    if slope >= LEAST_SLOPE / scale:
        return slope, fitted.bias
    base = wanted.mean()
    least = LEAST_SLOPE / scale
    return least, float(np.log(base / (1 - base)) - least * left_out.mean())
