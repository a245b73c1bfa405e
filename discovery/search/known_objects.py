"""Objects that are known already, such as published lenses: found in a release by position, and flagged."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from discovery.errors import QueryError
from discovery.sky.crossmatch import positions, unit_vectors

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

    from discovery.release.release import Release

RADIUS_ARCSEC = 2.0
WIDEST_ARCSEC = 3600.0
ROWS_AT_ONCE = 2**20
SHOWN_LEFT_OUT = 5


@dataclass(frozen=True, kw_only=True)
class Known:
    """What an object is known as.

    Attributes
    ----------
    name : str
        Its name in the table, or its position there when the table has no names.
    separation_arcsec : float
        From the object of the release (or the nearest of its duplicates) to the table's position.
    file : str
        Name of the table's file.
    """

    name: str
    separation_arcsec: float
    file: str

    def __str__(self) -> str:
        return f"known as {self.name} ({self.file})"


class KnownByRow(Mapping[int, Known]):
    """What each known row is known as, made on demand: the rows themselves are columns, 24 bytes each.

    Parameters
    ----------
    tables : sequence of KnownObjects
        Where names and files stand.
    rows : numpy.ndarray
        (n,) int64; of a row that comes more than once the smallest separation counts, of equal ones the first.
    separations : numpy.ndarray
        (n,) float64 arcsec.
    numbers, places : numpy.ndarray
        (n,) integers: the table, and the object's place in it.
    """

    def __init__(
        self,
        tables: Sequence[KnownObjects],
        rows: np.ndarray,
        separations: np.ndarray,
        numbers: np.ndarray,
        places: np.ndarray,
    ) -> None:
        order = np.lexsort((separations, rows))
        order = order[np.diff(rows[order], prepend=-1) != 0]
        self._tables = tuple(tables)
        self.rows, self.separations = rows[order], separations[order]
        self.numbers, self.places = numbers[order].astype(np.int32), places[order].astype(np.int32)

    def __getitem__(self, row: int) -> Known:
        at = int(np.searchsorted(self.rows, row))
        if at == len(self.rows) or self.rows[at] != row:
            raise KeyError(row)
        table = self._tables[self.numbers[at]]
        return Known(
            name=table.names[int(self.places[at])].as_py(),
            separation_arcsec=float(self.separations[at]),
            file=table.file,
        )

    def __iter__(self) -> Iterator[int]:
        return iter(self.rows.tolist())

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, kw_only=True, eq=False)
class KnownObjects:
    """A table of known objects.

    Attributes
    ----------
    file, sha256 : str
        Name and checksum of the file.
    names : pyarrow.Array
        (n,) strings.
    ra_deg, dec_deg : numpy.ndarray
        (n,) float64 ICRS.
    without_position : tuple of str
        Rows of the file that were left out.
    """

    file: str
    sha256: str
    names: pa.Array
    ra_deg: np.ndarray
    dec_deg: np.ndarray
    without_position: tuple[str, ...] = ()

    @property
    def note(self) -> str:
        """What was left out, for people; empty for a table whose rows all have a position."""
        left = self.without_position
        if not left:
            return ""
        more = f" and {len(left) - SHOWN_LEFT_OUT} more" * (len(left) > SHOWN_LEFT_OUT)
        return f"{self.file}: {len(left)} of {len(left) + len(self.names)} rows have no position and are left out: {', '.join(left[:SHOWN_LEFT_OUT])}{more}."

    def match(self, release: Release, radius_arcsec: float = RADIUS_ARCSEC) -> KnownByRow:
        """Find the known objects in a release, by position.

        Each object of the release that lies within the radius of a known one is taken for the nearest of them. A
        duplicate stands for its primary row. Takes 24 bytes a row of the release.

        Parameters
        ----------
        release : Release
            Where to look; objects without a position are never known.
        radius_arcsec : float
            More than 0, at most a degree.

        Returns
        -------
        KnownByRow
            What each known primary row is known as, by row.

        Raises
        ------
        QueryError
            The radius makes no sense.
        """
        check_radius(radius_arcsec)
        ra, dec = positions(release.catalogue)
        found, apart, places = [], [], []
        for start in range(0, release.count, ROWS_AT_ONCE):
            part = slice(start, start + ROWS_AT_ONCE)
            placed = start + np.flatnonzero(np.isfinite(ra[part]) & np.isfinite(dec[part]))
            separations, nearest = self._nearest(ra[placed], dec[placed], radius_arcsec)
            inside = separations <= radius_arcsec
            found.append(placed[inside])
            apart.append(separations[inside])
            places.append(nearest[inside])
        rows, separations = np.concatenate(found), np.concatenate(apart)
        primary = release.catalogue.primary_rows[rows]
        order = np.argsort(primary != rows, kind="stable")  # of two equally near the primary row itself comes first
        zeros = np.zeros(len(rows), np.int32)
        return KnownByRow([self], primary[order], separations[order], zeros, np.concatenate(places)[order])

    def _nearest(
        self, ra: np.ndarray, dec: np.ndarray, radius_arcsec: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Separation in arcsec, (n,) float64 (infinite beyond the radius), and number of the nearest known object."""
        widest = 2 * math.sin(math.radians(radius_arcsec / 3600) / 2)
        chords, nearest = self._tree.query(unit_vectors(ra, dec), distance_upper_bound=widest * (1 + 1e-9))
        angles = 2 * np.arcsin(np.minimum(chords / 2, 1))
        return np.where(np.isfinite(chords), np.degrees(angles) * 3600, np.inf), nearest

    @cached_property
    def _tree(self) -> cKDTree:
        from scipy.spatial import cKDTree

        return cKDTree(unit_vectors(self.ra_deg, self.dec_deg))


@dataclass(frozen=True, kw_only=True, eq=False)
class KnownRows:
    """The rows of a release that some tables know.

    Attributes
    ----------
    by_row : KnownByRow
        `Known` by primary row: the nearest over all tables.
    radius_arcsec : float
        Within which they were matched.
    files, sha256 : tuple of str
        The tables, and the checksums of their files.
    count : int
        Rows of the release.
    """

    by_row: KnownByRow
    radius_arcsec: float
    files: tuple[str, ...]
    sha256: tuple[str, ...]
    count: int

    @cached_property
    def mask(self) -> np.ndarray:
        """Which rows are known, (N,) bool."""
        mask = np.zeros(self.count, dtype=bool)
        mask[self.by_row.rows] = True
        return mask

    @property
    def without(self) -> dict[str, Any]:
        """What a round records that left these rows out: in words, and the checksums of the files."""
        return {
            "without": f"known in {' and '.join(self.files)} within {self.radius_arcsec:g} arcsec",
            "sha256": list(self.sha256),
        }

    def flag(self, row: int) -> str:
        """Return "known as NAME (file)", or nothing for an object that is new."""
        known = self.by_row.get(row)
        return "" if known is None else str(known)


def find_known(
    release: Release, tables: Sequence[KnownObjects], radius_arcsec: float = RADIUS_ARCSEC
) -> KnownRows:
    """Find the objects of several tables in a release; an object in two of them is taken for the nearer one.

    Raises
    ------
    QueryError
        The radius makes no sense.
    """
    check_radius(radius_arcsec)
    matched = [table.match(release, radius_arcsec) for table in tables]
    empty = np.empty(0, np.int64)
    by_row = KnownByRow(
        tables,
        np.concatenate([empty, *(one.rows for one in matched)]),
        np.concatenate([empty.astype(float), *(one.separations for one in matched)]),
        np.repeat(np.arange(len(tables)), [len(one) for one in matched]),
        np.concatenate([empty, *(one.places for one in matched)]),
    )
    return KnownRows(
        by_row=by_row,
        radius_arcsec=radius_arcsec,
        files=tuple(table.file for table in tables),
        sha256=tuple(table.sha256 for table in tables),
        count=release.count,
    )


def check_radius(radius_arcsec: float) -> None:
    """Raise QueryError unless a radius is more than 0 and at most a degree."""
    if not 0 < radius_arcsec <= WIDEST_ARCSEC:
        raise QueryError(
            f"A radius of {radius_arcsec:g} arcsec cannot match positions; give more than 0 and at most {WIDEST_ARCSEC:g}."
        )
