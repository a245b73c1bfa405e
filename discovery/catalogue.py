"""The catalogue of a release: table ``objects`` in DuckDB, one line a row. All DuckDB SQL stands here.

Columns of ours: ``row``, ``object_id``, ``ra``, ``dec`` (ICRS degrees), ``_healpix_29``, ``mag_*`` and ``mag_*_dered`` (AB), the crop
(``crop_row0`` .. ``crop_column1`` in pixels, ``crop_side_arcsec``), ``flag_star``, ``flag_masked``, ``flag_partial``, ``flag_artefact``,
``primary_row`` (the row that stands for this object; itself, unless it is a duplicate) and ``survey_position``. Beside
them stands every column that came with the survey.
"""

from __future__ import annotations

import atexit
import json
import math
import threading
import weakref
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from discovery.conditions import check_length, check_tree, shape
from discovery.errors import QueryError, ReleaseError

FLAGS = ("flag_star", "flag_masked", "flag_partial", "flag_artefact")
SECONDS_A_QUERY = 30.0
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
_SEPARATION_DEG = (  # haversine formula, exact for small angles
    "degrees(2 * asin(least(1.0, sqrt(power(sin(radians(dec - $dec) / 2), 2)"
    " + cos(radians(dec)) * cos(radians($dec)) * power(sin(radians(ra - $ra) / 2), 2)))))"
)


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
        table = self._run("SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = 'objects' ORDER BY column_index")
        return list(zip(*table.to_pydict().values(), strict=True))

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

    def where(self, condition: str) -> np.ndarray:
        """Return which rows fulfil a user's SQL condition: (N,) bool.

        Raises
        ------
        QueryError
            If it is not exactly one condition on the columns, is wrong, or takes too long.
        """
        return self._mask(f"SELECT row FROM objects WHERE {self._checked(condition)}")

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
        return self._run(
            f"SELECT {self._selection(columns)} FROM objects WHERE {self._chosen(where, flagged)} ORDER BY row LIMIT $most OFFSET $skip",
            most=self.count if limit is None else limit,
            skip=offset,
        )

    def number(self, where: str | None = None, flagged: bool = True) -> int:
        """Return how many objects `select` would give without a limit."""
        return self._value(f"SELECT count(*) FROM objects WHERE {self._chosen(where, flagged)}")

    def find_id(self, object_id: str) -> int:
        """Return the row of an object.

        Raises
        ------
        QueryError
            If there is none of that name.
        """
        row = self._value("SELECT row FROM objects WHERE object_id = $name", name=object_id)
        if row is None:
            raise QueryError(f"There is no object '{object_id}' in this release.")
        return row

    def nearest_position(self, ra_deg: float, dec_deg: float, radius_arcsec: float = 3.0) -> tuple[int, float]:
        """Return the row nearest to a position (of two equally near the primary one) and its separation in arcsec.

        Raises
        ------
        QueryError
            If there is no object within the radius.
        """
        self._check_cone(ra_deg, dec_deg, radius_arcsec)
        found = self._run(
            f"SELECT row, {_SEPARATION_DEG} AS separation FROM objects WHERE dec BETWEEN $low AND $high"
            " AND separation <= $radius ORDER BY separation, primary_row <> row, row LIMIT 1",
            **_around(ra_deg, dec_deg, radius_arcsec),
        ).to_pylist()
        if not found:
            raise QueryError(
                f"There is no object within {radius_arcsec:g} arcsec of ra {ra_deg:.6f}, dec {dec_deg:.6f} in this release."
            )
        return found[0]["row"], found[0]["separation"] * 3600

    def cone(self, ra_deg: float, dec_deg: float, radius_arcsec: float) -> np.ndarray:
        """Return which rows lie within a radius of a position: (N,) bool."""
        self._check_cone(ra_deg, dec_deg, radius_arcsec)
        return self._mask(
            f"SELECT row FROM objects WHERE dec BETWEEN $low AND $high AND {_SEPARATION_DEG} <= $radius",
            **_around(ra_deg, dec_deg, radius_arcsec),
        )

    @cached_property
    def primary_rows(self) -> np.ndarray:
        """The row that stands for each row's object: (N,) int64."""
        return self._run("SELECT primary_row FROM objects ORDER BY row")["primary_row"].to_numpy()

    @cached_property
    def clean(self) -> np.ndarray:
        """Rows without any flag: (N,) bool."""
        return self._mask(f"SELECT row FROM objects WHERE {_CLEAN}")

    @cached_property
    def _names(self) -> list[str]:
        return [name for name, _ in self.columns()]

    def _selection(self, columns: Sequence[str] | None) -> str:
        return "*" if columns is None else ", ".join(_quoted(name) for name in self.check_columns(columns))

    def _chosen(self, where: str | None, flagged: bool) -> str:
        parts = ["primary_row = row"] + ([] if flagged else [_CLEAN])
        return " AND ".join(parts + ([] if where is None else [self._checked(where)]))

    def _checked(self, condition: str) -> str:
        """Return a user's condition in parentheses, once it is known to be one condition and nothing else."""
        check_length(condition)
        inside = f"(\n{condition}\n)"
        bare = self._parsed(condition)
        if shape(bare) != shape(self._parsed(inside)):
            raise QueryError("The filter is not one condition; check its parentheses and quotes.")
        check_tree(bare)
        return inside

    def _parsed(self, condition: str) -> Any:
        statement = f"SELECT row FROM objects WHERE {condition}"
        cursor = self._connection.cursor()
        try:
            parts = duckdb.extract_statements(statement)
            if len(parts) != 1 or parts[0].type != duckdb.StatementType.SELECT:
                raise QueryError("The filter is more than one condition; give exactly one, without ';'.")
            (text,) = cursor.execute("SELECT json_serialize_sql($sql::VARCHAR)", {"sql": statement}).fetchone() or ("",)
            node = json.loads(text)["statements"][0]["node"]
        except duckdb.Error as problem:
            raise QueryError(f"The filter is not valid SQL: {_first_line(problem)}") from problem
        except RecursionError as problem:
            raise QueryError("The filter is nested too deeply.") from problem
        except (KeyError, ValueError) as problem:
            raise QueryError("The filter cannot be understood.") from problem
        finally:
            cursor.close()
        if node.get("type") != "SELECT_NODE" or node.get("modifiers") or node.get("group_expressions") or node.get("having"):
            raise QueryError("The filter is more than a condition; leave out what follows it (ORDER BY, LIMIT, UNION ...).")
        return node["where_clause"]

    def _mask(self, sql: str, **values: Any) -> np.ndarray:
        mask = np.zeros(self.count, bool)
        mask[self._run(sql, **values)["row"].to_numpy()] = True
        return mask

    def _value(self, sql: str, **values: Any) -> Any:
        table = self._run(sql, **values)
        return table[0][0].as_py() if table.num_rows else None

    def _run(self, sql: str, **values: Any) -> pa.Table:
        cursor = self._connection.cursor()
        timer = threading.Timer(SECONDS_A_QUERY, cursor.interrupt)
        timer.daemon = True
        timer.start()
        try:
            return cursor.sql(sql, params=values or None).to_arrow_table()
        except duckdb.InterruptException as problem:
            raise QueryError(f"The query took longer than {SECONDS_A_QUERY:g} s and was stopped; make it simpler.") from problem
        except duckdb.Error as problem:
            raise QueryError(f"The catalogue cannot answer: {_first_line(problem)}") from problem
        finally:
            timer.cancel()
            cursor.close()

    def _check_cone(self, ra_deg: float, dec_deg: float, radius_arcsec: float) -> None:
        if not (math.isfinite(ra_deg) and -360 <= ra_deg <= 360 and -90 <= dec_deg <= 90):
            raise QueryError(f"ra {ra_deg:g}, dec {dec_deg:g} is no position; give degrees, dec between -90 and 90.")
        if not 0 < radius_arcsec <= 180 * 3600:
            raise QueryError(f"A radius of {radius_arcsec:g} arcsec is no cone; give more than 0 and at most 180 degrees.")


_open: weakref.WeakSet[Catalogue] = weakref.WeakSet()


@atexit.register
def _close() -> None:
    """Let go of connections before the interpreter ends: DuckDB complains of each one that it finds then."""
    for catalogue in list(_open):
        del catalogue._connection


def write_catalogue(path: Path, parts: Iterable[pa.Table]) -> int:
    """Write the table ``objects`` from consecutive parts of one schema; return its number of rows.

    Raises
    ------
    ReleaseError
        If a part's columns do not fit the first part's.
    """
    count = 0
    with duckdb.connect(str(path)) as connection:
        for part in parts:
            connection.register("part", part)
            try:
                if count == 0:
                    connection.execute("CREATE OR REPLACE TABLE objects AS SELECT * FROM part")
                else:
                    connection.execute("INSERT INTO objects BY NAME SELECT * FROM part")
            except duckdb.Error as problem:
                raise ReleaseError(f"The survey's columns change along the way: {_first_line(problem)}") from problem
            connection.unregister("part")
            count += part.num_rows
        connection.execute("CHECKPOINT")
    return count


def _around(ra_deg: float, dec_deg: float, radius_arcsec: float) -> dict[str, float]:
    radius = radius_arcsec / 3600
    return {"ra": ra_deg, "dec": dec_deg, "radius": radius, "low": dec_deg - radius - 1e-9, "high": dec_deg + radius + 1e-9}


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _first_line(problem: Exception) -> str:
    return str(problem).strip().splitlines()[0] if str(problem).strip() else type(problem).__name__
