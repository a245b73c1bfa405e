"""The catalogue of a release: table ``objects`` in DuckDB, one table row an object.

All DuckDB SQL stands here and in `discovery.release.catalogue_tables`.

Columns of ours: ``row``, ``object_id``, ``ra``, ``dec`` (ICRS degrees), ``_healpix_29``, ``mag_*`` and ``mag_*_dered`` (AB), the crop
(``crop_row0`` .. ``crop_column1`` in pixels, ``crop_side_arcsec``), ``flag_star``, ``flag_masked``, ``flag_partial``, ``flag_artefact``,
``primary_row`` (the row that stands for this object; itself, unless it is a duplicate) and ``survey_position``. Beside
them stands every column that came with the survey.

Two tables beside it find objects, at 22 and 6 bytes a row on disk: ``sky`` (``pixel``, ``row``, ``ra``, ``dec`` in order of the pixel:
cones read few of its blocks, in whatever order the survey stands) and ``names`` (``hash`` of an object_id, ``row``, in order of the
hash). Catalogues of before they were written do without them, only slower.
"""

from __future__ import annotations

import atexit
import threading
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from discovery.errors import ObjectNotFound, QueryError, ReleaseError
from discovery.release.catalogue_tables import HASH, cone_sql, near_sql, write_catalogue
from discovery.release.conditions import checked, first_line
from discovery.release.filter_cache import MaskCache
from discovery.sky.places import checked_cone

__all__ = ["FLAGS", "Catalogue", "write_catalogue"]

FLAGS = ("flag_star", "flag_masked", "flag_partial", "flag_artefact")
SECONDS_A_QUERY = 30.0
MASK_BYTES = 64 * 2**20
"""Memory for the bitmaps of the conditions and cones that were used last: 50 of them at 10^7 rows."""
ROWS_AT_ONCE = 2**20
MOST_BY_ROW = 10_000
"""A page of at most so many rows is cut from the condition's bitmap, so that deep pages cost no more than the first."""
LOCKED_DOWN: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "python_enable_replacements": "false",
    "memory_limit": "1GB",
    "temp_directory": "",
    "threads": "2",
    "lock_configuration": "true",
}
_CLEAN = "NOT (flag_star OR flag_masked OR flag_partial OR flag_artefact)"


class Catalogue:
    """Read-only view of a ``catalogue.duckdb``; safe to share between threads.

    Parameters
    ----------
    path : Path
        The file.
    count : int
        Number of rows N that it must hold.

    Raises
    ------
    ReleaseError
        If it is missing, damaged or of another length.
    """

    def __init__(self, path: Path, count: int) -> None:
        self.count = count
        self._masks = MaskCache(count, MASK_BYTES)
        try:
            self._connection = duckdb.connect(str(path), read_only=True, config=LOCKED_DOWN)
            found = self._value("SELECT count(*) FROM objects")
        except (duckdb.Error, QueryError) as problem:
            raise ReleaseError(f"{path.name} cannot be read: it is missing or damaged. Build the release again.") from problem
        _open.add(self)
        if found != count:
            raise ReleaseError(f"{path.name} has {found} rows where the release has {count}. Build the release again.")

    def columns(self) -> list[tuple[str, str]]:
        """Return (name, DuckDB type) of every column, in order."""
        return list(self._columns)

    def check_columns(self, names: Iterable[str]) -> list[str]:
        """Return names as the catalogue spells them (case does not matter).

        Raises
        ------
        QueryError
            If there is no such column.
        """
        known = {name.lower(): name for name in self._names}
        checked = []
        for name in names:
            if name.strip().lower() not in known:
                raise QueryError(f"There is no column '{name}'. The columns are: {', '.join(known.values())}.")
            checked.append(known[name.strip().lower()])
        return list(dict.fromkeys(checked))

    def rows(self, rows: Sequence[int] | np.ndarray, columns: Sequence[str] | None = None) -> pa.Table:
        """Return some rows in the given order, all columns or the named ones."""
        wanted = np.asarray(rows, np.int64).reshape(-1)
        if len(wanted) and (wanted.min() < 0 or wanted.max() >= self.count):
            raise QueryError(f"A row is outside 0..{self.count - 1}, the rows of this release.")
        distinct, places = np.unique(wanted, return_inverse=True)
        found = self._run(
            f"SELECT {self._selection(columns)} FROM objects WHERE row IN (SELECT unnest($rows::BIGINT[])) ORDER BY row",
            rows=distinct.tolist(),
        )
        return found.take(pa.array(places))

    def parts(self, columns: Sequence[str] | None = None, rows_at_once: int = 2**20) -> Iterator[pa.Table]:
        """Yield every row, duplicates too, in order, so many at once: all columns or the named ones."""
        for start in range(0, self.count, rows_at_once):
            inside = f"row >= {start} AND row < {start + rows_at_once}"
            yield self._run(f"SELECT {self._selection(columns)} FROM objects WHERE {inside} ORDER BY row")

    def where(self, condition: str) -> np.ndarray:
        """Return which rows fulfil a user's SQL condition: (N,) bool, kept as a bitmap for the next time.

        Raises
        ------
        QueryError
            If it is not exactly one condition on the columns, is wrong, or takes too long.
        """
        return self._masks.get(condition, lambda: self._mask(f"SELECT row FROM objects WHERE {self._checked(condition)}"))

    def select(
        self,
        where: str | None = None,
        columns: Sequence[str] | None = None,
        limit: int | None = None,
        offset: int = 0,
        flagged: bool = True,
    ) -> pa.Table:
        """Return rows in order of ``row``, each object once (duplicates stand behind their primary row).

        Parameters
        ----------
        where : str, optional
            A user's SQL condition.
        flagged : bool
            Whether stars and masked, partial and artefact-like stamps are included.
        """
        if (limit is not None and limit < 1) or offset < 0:
            raise QueryError(f"limit {limit} and offset {offset}: ask for at least 1 row, from offset 0 on.")
        if limit is not None and limit <= MOST_BY_ROW:
            return self.rows(np.flatnonzero(self._chosen(where, flagged))[offset : offset + limit], columns)
        return self._run(
            f"SELECT {self._selection(columns)} FROM objects WHERE {self._condition(where, flagged)} ORDER BY row LIMIT $most OFFSET $skip",
            most=self.count if limit is None else limit,
            skip=offset,
        )

    def number(self, where: str | None = None, flagged: bool = True) -> int:
        """Return how many objects `select` would give without a limit."""
        return int(np.count_nonzero(self._chosen(where, flagged)))

    def find_id(self, object_id: str) -> int:
        """Return the row of an object.

        Raises
        ------
        ObjectNotFound
            If there is none of that name.
        """
        some, values = "", {"name": object_id}
        if "names" in self._side_tables:
            likely = self._run(f"SELECT row FROM names WHERE hash = {HASH.format('$name')}", **values)["row"].to_pylist()
            some = f"row IN ({', '.join(map(str, likely))}) AND" if likely else "false AND"
        row = self._value(f"SELECT min(row) FROM objects WHERE {some} object_id = $name", **values)
        if row is None:
            raise ObjectNotFound(f"There is no object '{object_id}' in this release.")
        return row

    def nearest_position(self, ra_deg: float, dec_deg: float, radius_arcsec: float = 3.0) -> tuple[int, float]:
        """Return the row nearest to a position (of two equally near the primary one) and its separation in arcsec.

        Raises
        ------
        ObjectNotFound
            If there is no object within the radius.
        """
        place = _around(*checked_cone(ra_deg, dec_deg, radius_arcsec))
        found = self._run(near_sql(place, "sky" in self._side_tables), **place)
        if not found.num_rows:
            raise ObjectNotFound(
                f"There is no object within {radius_arcsec:g} arcsec of ra {ra_deg:.6f}, dec {dec_deg:.6f} in this release."
            )
        separation = found["separation"].to_numpy()
        nearest = found["row"].to_numpy()[separation == separation.min()].astype(np.int64)
        lines = self.rows(np.sort(nearest), ["row", "primary_row"]).to_pylist()
        row = next((line["row"] for line in lines if line["primary_row"] == line["row"]), lines[0]["row"])
        return row, float(separation.min()) * 3600

    def cone(self, ra_deg: float, dec_deg: float, radius_arcsec: float) -> np.ndarray:
        """Return which rows lie within a radius of a position: (N,) bool."""
        place = _around(*checked_cone(ra_deg, dec_deg, radius_arcsec))
        return self._masks.get((ra_deg, dec_deg, radius_arcsec), lambda: self._mask(cone_sql(place, "sky" in self._side_tables), **place))

    @cached_property
    def primary_rows(self) -> np.ndarray:
        """The row that stands for each row's object: (N,) int64, read-only."""
        primary = np.empty(self.count, np.int64)
        for part in self._parts("SELECT row, primary_row FROM objects"):
            primary[part["row"].to_numpy()] = part["primary_row"].to_numpy()
        primary.flags.writeable = False
        return primary

    @cached_property
    def clean(self) -> np.ndarray:
        """Rows without any flag: (N,) bool, read-only."""
        clean = self._mask(f"SELECT row FROM objects WHERE {_CLEAN}")
        clean.flags.writeable = False
        return clean

    @cached_property
    def _columns(self) -> tuple[tuple[str, str], ...]:
        table = self._run("SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = 'objects' ORDER BY column_index")
        return tuple(zip(*table.to_pydict().values(), strict=True))

    @cached_property
    def _names(self) -> list[str]:
        return [name for name, _ in self.columns()]

    def _selection(self, columns: Sequence[str] | None) -> str:
        return "*" if columns is None else ", ".join(_quoted(name) for name in self.check_columns(columns))

    @cached_property
    def _side_tables(self) -> frozenset[str]:
        return frozenset(self._run("SELECT table_name FROM duckdb_tables()")["table_name"].to_pylist()) - {"objects"}

    @cached_property
    def _primary(self) -> np.ndarray:
        return self._mask("SELECT row FROM objects WHERE primary_row = row")

    def _chosen(self, where: str | None, flagged: bool) -> np.ndarray:
        chosen = self._primary if where is None else self._primary & self.where(where)
        return chosen if flagged else chosen & self.clean

    def _condition(self, where: str | None, flagged: bool) -> str:
        parts = ["primary_row = row"] + ([] if flagged else [_CLEAN])
        return " AND ".join(parts + ([] if where is None else [self._checked(where)]))

    def _checked(self, condition: str) -> str:
        cursor = self._connection.cursor()
        try:
            return checked(condition, cursor)
        finally:
            cursor.close()

    def _mask(self, sql: str, **values: Any) -> np.ndarray:
        mask = np.zeros(self.count, bool)
        for part in self._parts(sql, **values):
            mask[part["row"].to_numpy()] = True
        return mask

    def _value(self, sql: str, **values: Any) -> Any:
        table = self._run(sql, **values)
        return table[0][0].as_py() if table.num_rows else None

    def _run(self, sql: str, **values: Any) -> pa.Table:
        with self._answer(sql, values) as answer:
            return answer.to_arrow_table()

    def _parts(self, sql: str, **values: Any) -> Iterator[pa.RecordBatch]:
        """Yield an answer of any length bit by bit."""
        with self._answer(sql, values) as answer:
            yield from answer.to_arrow_reader(ROWS_AT_ONCE)

    @contextmanager
    def _answer(self, sql: str, values: dict[str, Any]) -> Iterator[duckdb.DuckDBPyRelation]:
        """Ask; what goes wrong, also while the answer is read, becomes one clear error."""
        cursor = self._connection.cursor()
        timer = threading.Timer(SECONDS_A_QUERY, cursor.interrupt)
        timer.daemon = True
        timer.start()
        try:
            yield cursor.sql(sql, params=values or None)
        except duckdb.InterruptException as problem:
            raise QueryError(f"The query took longer than {SECONDS_A_QUERY:g} s and was stopped; make it simpler.") from problem
        except duckdb.Error as problem:
            raise QueryError(f"The catalogue cannot answer: {first_line(problem)}") from problem
        finally:
            timer.cancel()
            cursor.close()


_open: weakref.WeakSet[Catalogue] = weakref.WeakSet()


@atexit.register
def _close() -> None:
    """Let go of connections before the interpreter ends: DuckDB complains of each one that it finds then."""
    for catalogue in list(_open):
        del catalogue._connection


def _around(ra_deg: float, dec_deg: float, radius_arcsec: float) -> dict[str, float]:
    return {"ra": ra_deg, "dec": dec_deg, "radius": radius_arcsec / 3600}


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
