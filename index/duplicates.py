"""Objects that stand in a survey more than once: overlaps of bricks, fields and surveys."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

RADIUS_ARCSEC = 1.0


def primary_rows(ra_deg: np.ndarray, dec_deg: np.ndarray, flags: np.ndarray, radius_arcsec: float = RADIUS_ARCSEC) -> np.ndarray:
    """Return the row that stands for each object.

    Rows are taken in order of (number of flags, row): each becomes primary unless it lies within the radius of
    one that already is; then the nearest such one stands for it. So primary rows lie further than the
    radius from each other, and every other row lies within it of its primary row.

    Parameters
    ----------
    ra_deg, dec_deg : numpy.ndarray
        (N,) degrees, NaN where there is no position (such a row is its own primary).
    flags : numpy.ndarray
        (N,) number of quality flags of a row.

    Returns
    -------
    numpy.ndarray
        (N,) int64.
    """
    primary = np.arange(len(ra_deg))
    placed = np.flatnonzero(np.isfinite(ra_deg))
    if len(placed) < 2:
        return primary
    points = _unit_vectors(ra_deg[placed], dec_deg[placed])
    chord = 2 * np.sin(np.radians(radius_arcsec / 3600) / 2)
    pairs = placed[cKDTree(points).query_pairs(chord, output_type="ndarray")]
    neighbours: dict[int, list[int]] = {}
    for one, other in pairs.tolist():
        neighbours.setdefault(one, []).append(other)
        neighbours.setdefault(other, []).append(one)
    place = {row: point for row, point in zip(placed.tolist(), points, strict=True) if row in neighbours}
    chosen: set[int] = set()
    for row in sorted(neighbours, key=lambda row: (flags[row], row)):
        near = [other for other in neighbours[row] if other in chosen]
        if near:
            primary[row] = min(near, key=lambda other: (float(np.sum((place[other] - place[row]) ** 2)), other))
        else:
            chosen.add(row)
    return primary


def _unit_vectors(ra_deg: np.ndarray, dec_deg: np.ndarray) -> np.ndarray:
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=1)
