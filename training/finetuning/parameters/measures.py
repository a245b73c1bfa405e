"""How good estimates are, in the measures that astronomers use."""

from __future__ import annotations

import re
from typing import Any, Literal

import numpy as np

Kind = Literal["redshift", "other"]

MAD_TO_SIGMA = 1.4826
"""Median absolute deviation to standard deviation, for a Gaussian."""
REDSHIFT_OUTLIER = 0.15
OTHER_OUTLIER_SIGMAS = 5.0
REDSHIFT_NAMES = r"z_?(spec|phot)(_\w+)?|photo_?z|redshift"

DEFINITIONS = {
    "redshift": "residual dz = (estimate - true) / (1 + true); outlier: |dz| > 0.15",
    "other": "residual = estimate - true; outlier: more than 5 NMAD of the same row from its bias",
    "bias": "median of the residual",
    "nmad": "scatter: 1.4826 median |residual - bias|",
    "rmse": "root of the mean squared residual",
    "r2": "1 - sum (estimate - true)^2 / sum (true - mean)^2",
    "within_sigma": "fraction with |estimate - true| < sigma; 0.683 for honest Gaussian errors",
}


def kind_of(name: str) -> Kind:
    """Return whether a column is a redshift, by its name (``z_spec``, ``z_phot...``, ``photoz``, ``redshift``).

    A column ``z`` is not taken for one: it may be a magnitude.
    """
    return "redshift" if re.fullmatch(REDSHIFT_NAMES, name, re.I) else "other"


def measures(estimate: np.ndarray, true: np.ndarray, kind: Kind, sigma: np.ndarray | None = None) -> dict[str, Any]:
    """Return bias, scatter, outlier fraction and the rest of `DEFINITIONS`.

    Parameters
    ----------
    estimate, true : numpy.ndarray
        (n,) finite, n >= 1.
    sigma : numpy.ndarray, optional
        (n,) stated standard deviations.
    """
    error = np.asarray(estimate, float) - true
    residual = error / (1 + true) if kind == "redshift" else error
    bias = float(np.median(residual))
    nmad = nmad_of(residual)
    far = np.abs(residual) > REDSHIFT_OUTLIER if kind == "redshift" else np.abs(residual - bias) > OTHER_OUTLIER_SIGMAS * nmad
    spread = float(((true - np.mean(true)) ** 2).sum())
    found = {
        "n": len(error),
        "bias": bias,
        "nmad": nmad,
        "outliers": float(far.mean()),
        "rmse": float(np.sqrt((residual**2).mean())),
        "r2": 1 - float((error**2).sum()) / spread if spread > 0 else None,
    }
    if sigma is not None:
        found["within_sigma"] = float((np.abs(error) < sigma).mean())
    return {name: round(value, 5) if isinstance(value, float) else value for name, value in found.items()}


def nmad_of(residual: np.ndarray) -> float:
    """Return the normalised median absolute deviation about the median."""
    return float(MAD_TO_SIGMA * np.median(np.abs(residual - np.median(residual))))
