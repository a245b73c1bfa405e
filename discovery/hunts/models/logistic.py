"""Ridge logistic regression with weights, by Newton steps, and what it would predict of each label without that label.

So few inputs (some hundred labels, some hundred weak negatives) take a few milliseconds this way, always the same ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cholesky, solve
from scipy.linalg.lapack import dtrtri

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


@dataclass(frozen=True, kw_only=True, eq=False)
class DualLogistic:
    """A fit in terms of its inputs: logits are ``products @ coefficients + bias``, weights ``inputs.T @ coefficients``."""

    coefficients: np.ndarray
    bias: float
    logits: np.ndarray


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


def fit_by_products(
    products: np.ndarray,
    targets: np.ndarray,
    weights: np.ndarray,
    ridge: float,
    start: DualLogistic | None = None,
    tolerance: float = TOLERANCE,
) -> DualLogistic:
    """Find the minimum of `fit_logistic` from the inputs' inner products (n, n) alone, in n^3/3 a step whatever D is.

    Parameters
    ----------
    products : numpy.ndarray
        (n, n) float64.
    start : DualLogistic, optional
        A fit of the same inputs with other weights to start from.
    tolerance : float
        It ends when a step lowers the loss by a smaller share.

    Notes
    -----
    The weights are a sum of inputs, so Newton's step solves for its n coefficients (Rasmussen & Williams 2006, algorithm 3.1
    with a mean that is fitted too).
    """
    coefficients, bias = (np.zeros(len(targets)), 0.0) if start is None else (start.coefficients, start.bias)

    def at(some: np.ndarray, offset: float) -> tuple[np.ndarray, float]:
        along = products @ some
        entropy = np.logaddexp(0.0, along + offset) - targets * (along + offset)
        return along + offset, float(weights @ entropy + 0.5 * ridge * some @ along)

    logits, loss = at(coefficients, bias)
    for _ in range(MOST_STEPS):
        chance = chances(logits)
        curved = np.sqrt(weights * chance * (1 - chance))
        aims = curved**2 * logits + weights * (targets - chance)
        towards, offset = _dual_step(products, curved, aims, ridge)
        step, size = (towards - coefficients, offset - bias), 1.0
        while (found := at(coefficients + size * step[0], bias + size * step[1]))[1] > loss and size > 1e-4:
            size /= 2
        if found[1] > loss:
            break
        coefficients, bias = coefficients + size * step[0], bias + size * step[1]
        gained, (logits, loss) = loss - found[1], found
        if gained < tolerance * max(loss, tolerance):
            break
    return DualLogistic(coefficients=coefficients, bias=bias, logits=logits)


def left_out_by_products(
    products: np.ndarray, fitted: DualLogistic, targets: np.ndarray, weights: np.ndarray, ridge: float
) -> np.ndarray:
    """Return what `Logistic.left_out` is for a fit by `fit_by_products`, (n,) float64."""
    chance = chances(fitted.logits)
    curved = np.sqrt(weights * chance * (1 - chance))
    half, _ = dtrtri(cholesky(_system(products, curved, ridge), lower=True, check_finite=False), lower=1)
    along = half.T @ (half @ curved)  # the system's inverse is half.T @ half
    pulled = 1 - ridge * ((half**2).sum(axis=0) - along**2 / max(float(curved @ along), 1e-300))  # leverage x curvature
    slope = (chance - targets) / np.maximum(chance * (1 - chance), 1e-12)
    return fitted.logits + pulled * slope / np.maximum(1 - pulled, 1e-9)


def _dual_step(products: np.ndarray, curved: np.ndarray, aims: np.ndarray, ridge: float) -> tuple[np.ndarray, float]:
    """Coefficients and bias of the least squares that a Newton step solves, to single precision: the next step mends the rest."""
    sides = np.column_stack([curved * (products @ aims), curved]).astype(np.float32)
    system = _system(products, curved, ridge).astype(np.float32)
    own, one = solve(system, sides, assume_a="pos", check_finite=False).T.astype(np.float64)
    free, fixed = (aims - curved * own) / ridge, curved * one
    bias = float(free.sum() / max(fixed.sum(), 1e-300))
    return free - bias * fixed, bias


def _system(products: np.ndarray, curved: np.ndarray, ridge: float) -> np.ndarray:
    system = products * curved[:, None] * curved
    system[np.diag_indices_from(system)] += ridge
    return system


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
