"""Known objects in the releases that are served: read when the app starts, matched when first needed."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from discovery.errors import ConfigError, QueryError
from discovery.search.known_files import read_known
from discovery.search.known_objects import KnownRows, check_radius, find_known

if TYPE_CHECKING:
    from discovery.release.release import Release


class KnownTables:
    """The tables of known objects, and their objects in each release.

    Parameters
    ----------
    paths : sequence of Path
        Tables with ra and dec.
    radius_arcsec : float
        How near an object must be to a known one.

    Raises
    ------
    ConfigError
        If a table cannot be used, or the radius makes no sense.
    """

    def __init__(self, paths: Sequence[Path], radius_arcsec: float) -> None:
        try:
            check_radius(radius_arcsec)
            self._tables = tuple(read_known(path) for path in paths)
        except QueryError as error:
            raise ConfigError(f"setting known: {error}") from error
        self._radius_arcsec = radius_arcsec
        self._lock = threading.Lock()
        self._rows: dict[str, KnownRows] = {}

    @property
    def tables(self) -> str:
        """Names of the tables for people, and how many rows were left out; empty when there is none."""
        left = [f" ({len(table.without_position)} rows without a position left out)" * bool(table.without_position) for table in self._tables]
        return ", ".join(table.file + note for table, note in zip(self._tables, left, strict=True))

    def rows(self, name: str, release: Release) -> KnownRows | None:
        """Return the known rows of a release by its name in addresses, None when no table is given."""
        if not self._tables:
            return None
        with self._lock:
            if name not in self._rows:
                self._rows[name] = find_known(release, self._tables, self._radius_arcsec)
            return self._rows[name]

    def flag(self, name: str, release: Release, row: int) -> str:
        """Return "known as NAME, 0.4 arcsec", empty for an object in no table."""
        rows = self.rows(name, release)
        known = None if rows is None else rows.by_row.get(row)
        return "" if known is None else f"known as {known.name}, {known.separation_arcsec:.1f} arcsec"
