"""Objects that stand in a survey more than once: overlaps of bricks, fields and surveys."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.spatial import cKDTree

RADIUS_ARCSEC = 1.0
ROWS_A_ZONE = 1_000_000
"""Positions that are compared at the same time: some 150 bytes each."""


def primary_rows(
    ra_deg: np.ndarray,
    dec_deg: np.ndarray,
    flags: np.ndarray,
    radius_arcsec: float = RADIUS_ARCSEC,
    rows_a_zone: int = ROWS_A_ZONE,
) -> np.ndarray:
    """Return the row that stands for each object.

    Rows are taken in order of (number of flags, row): each becomes primary unless it lies within the radius of
    one that already is; then the nearest such one stands for it. So primary rows lie further than the
    radius from each other, and every other row lies within it of its primary row.

    Pairs of neighbours are looked for in zones of declination, of so many rows each and overlapping by the radius: beside
    them stay 32 bytes a row, and what the rows with neighbours take.

    Parameters
    ----------
    ra_deg, dec_deg : numpy.ndarray
        (N,) degrees, NaN where there is no position (such a row is its own primary).
    flags : numpy.ndarray
        (N,) number of quality flags of a row.
    rows_a_zone : int
        Positions that are compared at the same time; the answer does not depend on it.

    Returns
    -------
    numpy.ndarray
        (N,) int64.
    """
    primary = np.arange(len(ra_deg))
    pairs = np.concatenate([np.empty((0, 2), np.int64), *_pairs(ra_deg, dec_deg, radius_arcsec, rows_a_zone)])
    if not len(pairs):
        return primary
    rows, places = np.unique(pairs, return_inverse=True)  # what has a neighbour: all else stands for itself
    one, other = places.reshape(-1, 2).T
    points = _unit_vectors(ra_deg[rows], dec_deg[rows])
    apart = np.sum((points[one] - points[other]) ** 2, axis=1)
    primary[rows] = rows[_stand_for(np.lexsort((rows, flags[rows])), one, other, apart)]
    return primary


def _pairs(ra_deg: np.ndarray, dec_deg: np.ndarray, radius_arcsec: float, rows_a_zone: int) -> Iterator[np.ndarray]:
    """Yield pairs of rows within the radius of each other, (n, 2) int64, each pair once."""
    placed = np.flatnonzero(np.isfinite(ra_deg))
    placed = placed[np.argsort(dec_deg[placed], kind="stable")]
    dec = dec_deg[placed]
    chord = 2 * np.sin(np.radians(radius_arcsec / 3600) / 2)
    reach = 1.01 * radius_arcsec / 3600
    for start in range(0, len(placed), rows_a_zone):
        last = dec[min(start + rows_a_zone, len(placed)) - 1]
        stop = int(np.searchsorted(dec, last + reach, side="right"))
        rows = placed[start:stop]
        found = cKDTree(_unit_vectors(ra_deg[rows], dec_deg[rows])).query_pairs(chord, output_type="ndarray")
        mine = found.min(axis=1, initial=rows_a_zone) < rows_a_zone  # the others are the next zone's
        yield rows[found[mine]]


def _stand_for(order: np.ndarray, one: np.ndarray, other: np.ndarray, apart: np.ndarray) -> np.ndarray:
    """Return who stands for each of n objects, (n,), among those that have neighbours.

    Parameters
    ----------
    order : numpy.ndarray
        (n,) in which they are taken.
    one, other, apart : numpy.ndarray
        (m,) pairs of neighbours and the square of their distance.
    """
    ends, starts = np.concatenate([one, other]), np.concatenate([other, one])
    apart = np.concatenate([apart, apart])
    by_start = np.lexsort((ends, apart, starts))  # of each object its neighbours, the nearest first
    ends = ends[by_start]
    first = np.searchsorted(starts[by_start], np.arange(len(order) + 1))
    stands, chosen = np.arange(len(order)), np.zeros(len(order), bool)
    for at in order.tolist():
        near = ends[first[at] : first[at + 1]]
        near = near[chosen[near]]
        if len(near):
            stands[at] = near[0]
        else:
            chosen[at] = True
    return stands


def _unit_vectors(ra_deg: np.ndarray, dec_deg: np.ndarray) -> np.ndarray:
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=1)
