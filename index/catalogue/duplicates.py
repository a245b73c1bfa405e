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

    Rows of exactly one position are one point, however many they are. Pairs of neighbouring points are looked for in zones of
    declination, of so many points each and overlapping by the radius: beside them stay 60 bytes a row, and what the points
    with neighbours take.

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
    firsts = _collapse(primary, ra_deg, dec_deg, flags)
    pairs = np.concatenate([np.empty((0, 2), np.int64), *_pairs(firsts, ra_deg, dec_deg, radius_arcsec, rows_a_zone)])
    if not len(pairs):
        return primary
    points, places = np.unique(pairs, return_inverse=True)  # those with a neighbour, each known by its first row
    one, other = places.reshape(-1, 2).T
    vectors = _unit_vectors(ra_deg[points], dec_deg[points])
    apart = np.sum((vectors[one] - vectors[other]) ** 2, axis=1)
    rows = np.flatnonzero(np.isin(primary, points))
    rows = rows[np.argsort(flags[rows], kind="stable")]
    primary[rows] = points[_stand_for(np.searchsorted(points, primary[rows]), len(points), one, other, apart)]
    return primary


def _collapse(primary: np.ndarray, ra_deg: np.ndarray, dec_deg: np.ndarray, flags: np.ndarray) -> np.ndarray:
    """Let the first of all rows of one position stand for them; return these first rows, ascending in declination."""
    placed = np.flatnonzero(np.isfinite(ra_deg) & np.isfinite(dec_deg))
    placed = placed[np.lexsort((flags[placed], ra_deg[placed], dec_deg[placed]))]
    begins = np.ones(len(placed), bool)
    begins[1:] = (np.diff(dec_deg[placed]) != 0) | (np.diff(ra_deg[placed]) != 0)
    firsts = placed[begins]
    primary[placed] = np.repeat(firsts, np.diff(np.append(np.flatnonzero(begins), len(placed))))
    return firsts


def _pairs(
    placed: np.ndarray, ra_deg: np.ndarray, dec_deg: np.ndarray, radius_arcsec: float, rows_a_zone: int
) -> Iterator[np.ndarray]:
    """Yield pairs of rows, given ascending in declination, within the radius of each other: (n, 2) int64, each pair once."""
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


def _stand_for(taken: np.ndarray, count: int, one: np.ndarray, other: np.ndarray, apart: np.ndarray) -> np.ndarray:
    """Return the point whose first row stands for each of n rows, (n,), among points that have neighbours.

    The first row of a point may become primary; for the others it then stands itself, and if it did not, neither will they: what
    stood for it stays near. Yet a nearer primary row may have come meanwhile.

    Parameters
    ----------
    taken : numpy.ndarray
        (n,) the point of each row, in the order in which rows are taken.
    count : int
        Number of points.
    one, other, apart : numpy.ndarray
        (m,) pairs of neighbouring points and the square of their distance.
    """
    ends, starts = np.concatenate([one, other]), np.concatenate([other, one])
    apart = np.concatenate([apart, apart])
    by_start = np.lexsort((ends, apart, starts))  # of each object its neighbours, the nearest first
    ends = ends[by_start]
    first = np.searchsorted(starts[by_start], np.arange(count + 1))
    stands, chosen = taken.copy(), np.zeros(count, bool)
    for place, at in enumerate(taken.tolist()):
        if chosen[at]:
            continue
        near = ends[first[at] : first[at + 1]]
        near = near[chosen[near]]
        if len(near):
            stands[place] = near[0]
        else:
            chosen[at] = True
    return stands


def _unit_vectors(ra_deg: np.ndarray, dec_deg: np.ndarray) -> np.ndarray:
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=1)
