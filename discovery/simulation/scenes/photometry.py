"""Magnitudes, colours and fluxes."""

from __future__ import annotations

import numpy as np


def colour(g_minus_r: float, r_minus_z: float) -> np.ndarray:
    """Return fluxes (3,) of g, r, z for two AB colours, with z = 1."""
    return 10.0 ** (0.4 * np.array([-g_minus_r - r_minus_z, -r_minus_z, 0.0]))


def flux_from_mag(mag_ab: float | np.ndarray) -> np.ndarray:
    """Return nanomaggies: mag_ab = 22.5 - 2.5 log10(flux)."""
    return 10.0 ** (0.4 * (22.5 - np.asarray(mag_ab)))
