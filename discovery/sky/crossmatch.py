"""The same objects in two lists: by object_id, else by position on the sky; in columns, for lists of 10^7 objects and more."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

RADIUS_ARCSEC = 1.0
ROWS_AT_ONCE = 2**20
BAND_OBJECTS = 2**21
"""Objects of a tree: the sky is matched in bands of declination that hold so many, about 100 MB each."""
NOT_FOUND, BY_ID, BY_POSITION = 0, 1, 2


class CatalogueRows(Protocol):
    """Rows of a release in order, as a `discovery.release.catalogue.Catalogue` has them."""

    count: int

    def parts(self, columns: Sequence[str] | None = None, rows_at_once: int = ROWS_AT_ONCE) -> Iterator[pa.Table]:
        """Return the rows in order, some columns or all, in tables of at most ``rows_at_once``."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Matches:
    """Where each object of a list is in a release.

    Attributes
    ----------
    rows : numpy.ndarray
        (n,) int64, -1 where it is not.
    by : numpy.ndarray
        (n,) uint8: `NOT_FOUND`, `BY_ID` or `BY_POSITION`.
    separation_arcsec : numpy.ndarray
        (n,) float64 from the release's position, NaN where it is not found or a position is unknown.
    taken : numpy.ndarray
        (n,) bool: the release has the object_id, but for another object, farther away than the radius.
    """

    rows: np.ndarray
    by: np.ndarray
    separation_arcsec: np.ndarray
    taken: np.ndarray


def match_objects(
    catalogue: CatalogueRows, names: pa.Array | pa.ChunkedArray, ra_deg: np.ndarray, dec_deg: np.ndarray, radius_arcsec: float = RADIUS_ARCSEC
) -> Matches:
    """Find objects in a release: those of the same object_id, unless both positions are known and lie farther apart than the radius; else the nearest within it.

    Takes some 40 bytes a row of the release, and 100 an object that is looked for.

    Parameters
    ----------
    names : pyarrow.Array or pyarrow.ChunkedArray
        (n,) strings, the objects' object_ids.
    ra_deg, dec_deg : numpy.ndarray
        (n,) float64 ICRS, NaN where there is no position.
    """
    rows = rows_named(catalogue, names)
    ra, dec = positions(catalogue)
    named = np.flatnonzero(rows >= 0)
    separation = np.full(len(rows), np.nan)
    separation[named] = separations_arcsec(ra_deg[named], dec_deg[named], ra[rows[named]], dec[rows[named]])
    taken = separation > radius_arcsec
    rows[taken] = -1
    by = np.where(rows >= 0, BY_ID, NOT_FOUND).astype(np.uint8)
    left = np.flatnonzero(rows < 0)
    rows[left], separation[left] = nearest_on_sky(ra_deg[left], dec_deg[left], ra, dec, radius_arcsec)
    by[left[rows[left] >= 0]] = BY_POSITION
    return Matches(rows=rows, by=by, separation_arcsec=separation, taken=taken)


def rows_named(catalogue: CatalogueRows, names: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """Return the row of each object_id, -1 where there is none (or it is null): (n,) int64.

    The names may hold more than 2 GiB of text, which is where the offsets of ``pa.string()`` end.
    """
    names = names.cast(pa.large_string())
    wanted = pc.unique(names).drop_null()
    rows = np.full(len(wanted) + 1, -1, np.int64)  # the last for names that are null
    if len(wanted):
        for part in catalogue.parts(["row", "object_id"], max(ROWS_AT_ONCE, len(wanted))):
            at = pc.index_in(part["object_id"].cast(names.type), value_set=wanted)
            found = pc.is_valid(at).to_numpy()
            places = pc.drop_null(at).to_numpy()
            rows[places[::-1]] = part["row"].to_numpy()[found][::-1]  # of two rows of one name the first
    at = pc.index_in(names, value_set=wanted) if len(wanted) else pa.nulls(len(names), pa.int32())
    return rows[np.asarray(pc.fill_null(at, len(wanted)))]


def object_ids(catalogue: CatalogueRows) -> pa.ChunkedArray:
    """Return the object_id of every row: (N,) large strings."""
    parts = [part["object_id"].cast(pa.large_string()) for part in catalogue.parts(["object_id"], ROWS_AT_ONCE)]
    return pa.chunked_array([chunk for part in parts for chunk in part.chunks], pa.large_string())


def positions(catalogue: CatalogueRows) -> tuple[np.ndarray, np.ndarray]:
    """Return right ascension and declination of every row in degrees, NaN where there is none: (N,) float64 each."""
    ra, dec = np.full(catalogue.count, np.nan), np.full(catalogue.count, np.nan)
    for part in catalogue.parts(["row", "ra", "dec"], ROWS_AT_ONCE):
        rows = part["row"].to_numpy()
        ra[rows], dec[rows] = (part[name].cast(pa.float64()).to_numpy() for name in ("ra", "dec"))
    return ra, dec


def nearest_on_sky(
    ra_deg: np.ndarray, dec_deg: np.ndarray, others_ra_deg: np.ndarray, others_dec_deg: np.ndarray, radius_arcsec: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the nearest other object within a radius.

    Parameters
    ----------
    ra_deg, dec_deg : numpy.ndarray
        (n,) float64, NaN where there is no position.
    others_ra_deg, others_dec_deg : numpy.ndarray
        (N,) float64, likewise.

    Returns
    -------
    nearest : numpy.ndarray
        (n,) int64 in 0..N-1, -1 where there is none within the radius.
    separation_arcsec : numpy.ndarray
        (n,) float64, NaN where there is none.
    """
    nearest, separation = np.full(len(ra_deg), -1, np.int64), np.full(len(ra_deg), np.nan)
    placed = _by_declination(ra_deg, dec_deg)
    near = _by_declination(others_ra_deg, others_dec_deg)
    margin = radius_arcsec / 3600 * (1 + 1e-6) + 1e-12
    near = near[_any_within(others_dec_deg[near], dec_deg[placed], margin)]
    others_dec = others_dec_deg[near]
    for start in range(0, len(near), BAND_OBJECTS):
        band = slice(start, start + BAND_OBJECTS)
        low, high = others_dec[band][0], others_dec[band][-1]
        mine = placed[slice(*np.searchsorted(dec_deg[placed], [low - margin, high + margin]))]
        if len(mine):
            at, apart = _nearest_by_tree(
                ra_deg[mine], dec_deg[mine], others_ra_deg[near[band]], others_dec[band], radius_arcsec
            )
            better = (at >= 0) & ~(separation[mine] <= apart)
            nearest[mine[better]], separation[mine[better]] = near[band][at[better]], apart[better]
    return nearest, separation


def separations_arcsec(
    ra1_deg: np.ndarray, dec1_deg: np.ndarray, ra2_deg: np.ndarray, dec2_deg: np.ndarray
) -> np.ndarray:
    """Return great-circle distances by the haversine formula, NaN where a position is."""
    ra1, dec1, ra2, dec2 = (np.radians(np.asarray(values, float)) for values in (ra1_deg, dec1_deg, ra2_deg, dec2_deg))
    half = np.sin((dec2 - dec1) / 2) ** 2 + np.cos(dec1) * np.cos(dec2) * np.sin((ra2 - ra1) / 2) ** 2
    return np.degrees(2 * np.arcsin(np.sqrt(np.minimum(half, 1.0)))) * 3600


def unit_vectors(ra_deg: np.ndarray, dec_deg: np.ndarray) -> np.ndarray:
    """Return directions on the sphere, (n, 3): neither ra 0 nor a pole is special to them."""
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=-1)


def _by_declination(ra_deg: np.ndarray, dec_deg: np.ndarray) -> np.ndarray:
    """Return the places of what has a position, from south to north."""
    placed = np.flatnonzero(np.isfinite(ra_deg) & np.isfinite(dec_deg))
    return placed[np.argsort(dec_deg[placed], kind="stable")]


def _any_within(values: np.ndarray, ordered: np.ndarray, margin: float) -> np.ndarray:
    """Tell for sorted values which have one of the sorted others within a margin."""
    return np.searchsorted(ordered, values - margin) < np.searchsorted(ordered, values + margin, side="right")


def _nearest_by_tree(
    ra_deg: np.ndarray, dec_deg: np.ndarray, others_ra_deg: np.ndarray, others_dec_deg: np.ndarray, radius_arcsec: float
) -> tuple[np.ndarray, np.ndarray]:
    from scipy.spatial import cKDTree

    tree = cKDTree(unit_vectors(others_ra_deg, others_dec_deg), balanced_tree=False, compact_nodes=False)
    chord = 2 * math.sin(math.radians(radius_arcsec / 3600) / 2)
    _, nearest = tree.query(unit_vectors(ra_deg, dec_deg), distance_upper_bound=chord * (1 + 1e-6))
    found = np.flatnonzero(nearest < len(others_ra_deg))
    at, apart = np.full(len(ra_deg), -1, np.int64), np.full(len(ra_deg), np.nan)
    there = nearest[found]
    apart[found] = separations_arcsec(ra_deg[found], dec_deg[found], others_ra_deg[there], others_dec_deg[there])
    inside = found[apart[found] <= radius_arcsec]
    at[inside] = nearest[inside]
    apart[at < 0] = np.nan
    return at, apart
