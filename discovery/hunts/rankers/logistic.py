"""Ridge logistic regression with weights, by Newton steps, and what it would say of each label without that label.

So few inputs (some hundred labels, some hundred weak negatives) take a few milliseconds this way, always the same ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MOST_STEPS = 25
TOLERANCE = 1e-6


@dataclass(frozen=True, kw_only=True, eq=False)
class Logistic:
    """A fit: logits are ``inputs @ weights + bias``.

    Attributes
    ----------
    weights : numpy.ndarray
        (D,) float64.
    left_out : numpy.ndarray
        (n,) float64: the logit of each input by a fit without it, to first order.
    """

    weights: np.ndarray
    bias: float
    left_out: np.ndarray

    def logits(self, inputs: np.ndarray) -> np.ndarray:
        """Logits (m,) of inputs (m, D)."""
        return inputs @ self.weights + self.bias


def fit_logistic(inputs: np.ndarray, targets: np.ndarray, weights: np.ndarray, ridge: float) -> Logistic:
    """Minimise the weighted cross entropy + ridge/2 |w|^2; the bias is free.

    Parameters
    ----------
    inputs : numpy.ndarray
        (n, D).
    targets : numpy.ndarray
        (n,) of 0 and 1.
    weights : numpy.ndarray
        (n,) at least 0.
    ridge : float
        Above 0.

    Notes
    -----
    Iteratively reweighted least squares (Hastie, Tibshirani & Friedman 2009, section 4.4.1) with halved steps where a full
    one does not lower the loss. ``left_out`` is the approximate leave-one-out of Rad & Maleki 2020 (equation 5), one Newton
    step from the fit.
    """
    design = np.column_stack([inputs.astype(np.float64), np.ones(len(inputs))])  # (n, D + 1)
    penalty = np.full(design.shape[1], ridge)
    penalty[-1] = 1e-8
    fitted = np.zeros(design.shape[1])
    loss = _loss(design @ fitted, targets, weights, fitted, penalty)
    for _ in range(MOST_STEPS):
        slope, hessian = _derivatives(design, design @ fitted, targets, weights, fitted, penalty)
        step, size = np.linalg.solve(hessian, slope), 1.0
        while (lower := _loss(design @ (fitted - size * step), targets, weights, fitted - size * step, penalty)) > loss:
            size /= 2
            if size < 1e-4:
                break
        if lower > loss:
            break
        fitted, gained, loss = fitted - size * step, loss - lower, lower
        if gained < TOLERANCE * max(loss, TOLERANCE):
            break
    logits = design @ fitted
    return Logistic(
        weights=fitted[:-1],
        bias=float(fitted[-1]),
        left_out=_left_out(design, logits, targets, weights, penalty),
    )


def chances(logits: np.ndarray) -> np.ndarray:
    """Return the logistic function of logits, without overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * logits))


def _loss(
    logits: np.ndarray, targets: np.ndarray, weights: np.ndarray, fitted: np.ndarray, penalty: np.ndarray
) -> float:
    entropy = np.logaddexp(0.0, logits) - targets * logits
    return float(weights @ entropy + 0.5 * penalty @ fitted**2)


def _derivatives(
    design: np.ndarray,
    logits: np.ndarray,
    targets: np.ndarray,
    weights: np.ndarray,
    fitted: np.ndarray,
    penalty: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    chance = chances(logits)
    slope = design.T @ (weights * (chance - targets)) + penalty * fitted
    hessian = (design * (weights * chance * (1 - chance))[:, None]).T @ design
    hessian[np.diag_indices_from(hessian)] += penalty
    return slope, hessian


def _left_out(
    design: np.ndarray, logits: np.ndarray, targets: np.ndarray, weights: np.ndarray, penalty: np.ndarray
) -> np.ndarray:
    chance = chances(logits)
    curvature = weights * chance * (1 - chance)
    hessian = (design * curvature[:, None]).T @ design
    hessian[np.diag_indices_from(hessian)] += penalty
    leverage = np.einsum("nd,dn->n", design, np.linalg.solve(hessian, design.T))
    return logits + leverage * weights * (chance - targets) / np.maximum(1 - leverage * curvature, 1e-9)
