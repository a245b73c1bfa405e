"""The file of a catalogue: how it is written, and the SQL that finds positions in it by ranges of HEALPix pixels."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from discovery.errors import ReleaseError
from discovery.release.conditions import first_line
from discovery.sky.cones import cone_ranges

SORT_MEMORY = "2GB"
HASH = "(md5_number_upper({}) >> 32)::UINTEGER"
"""Of an object_id; the same in every version of DuckDB, unlike its ``hash()``."""
_SEPARATION_DEG = (  # haversine formula, exact for small angles
    "degrees(2 * asin(least(1.0, sqrt(power(sin(radians(dec - $dec) / 2), 2)"
    " + cos(radians(dec)) * cos(radians($dec)) * power(sin(radians(ra - $ra) / 2), 2)))))"
)


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
                raise ReleaseError(f"The survey's columns change along the way: {first_line(problem)}") from problem
            connection.unregister("part")
            count += part.num_rows
        _write_side_tables(connection)
        connection.execute("CHECKPOINT")
    return count


def stored_schema(part: pa.Table) -> pa.Schema:
    """Return the columns of some rows with the types that they have when read from a catalogue again."""
    with duckdb.connect() as connection:
        connection.register("part", part)
        connection.execute("CREATE TABLE objects AS SELECT * FROM part LIMIT 1")
        return connection.sql("SELECT * FROM objects").to_arrow_table().schema


def _write_side_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Write what finds objects by position and by name; DuckDB sorts on disk where memory ends."""
    columns = {name for (name,) in connection.execute("SELECT column_name FROM duckdb_columns() WHERE table_name = 'objects'").fetchall()}
    connection.execute(f"SET memory_limit = '{SORT_MEMORY}'")
    if {"row", "object_id"} <= columns:
        connection.execute(f"CREATE OR REPLACE TABLE names AS SELECT {HASH.format('object_id')} AS hash, row FROM objects ORDER BY ALL")
    if {"row", "ra", "dec", "_healpix_29"} <= columns:
        connection.execute(
            "CREATE OR REPLACE TABLE sky AS SELECT _healpix_29 AS pixel, row, ra, dec FROM objects"
            " WHERE _healpix_29 IS NOT NULL ORDER BY pixel, row"
        )


def near_sql(place: dict[str, float], by_pixel: bool) -> str:
    """Return the SQL of row and separation in degrees of all that lies in a cone.

    Parameters
    ----------
    place : dict
        Values of its parameters: ``ra``, ``dec`` and ``radius`` in degrees.
    by_pixel : bool
        Whether the catalogue has the table ``sky``.
    """
    some = "SELECT row, ra, dec FROM objects WHERE dec BETWEEN $dec - $radius - 1e-9 AND $dec + $radius + 1e-9"
    if by_pixel:
        some = _sky_parts("row, ra, dec", np.concatenate(cone_ranges(place["ra"], place["dec"], place["radius"])))
    return f"SELECT row, separation FROM (SELECT row, {_SEPARATION_DEG} AS separation FROM ({some})) WHERE separation <= $radius"


def cone_sql(place: dict[str, float], by_pixel: bool) -> str:
    """Return the SQL of the rows of a cone; see `near_sql`. Distances are computed where the border may be, not within."""
    if not by_pixel:
        return f"SELECT row FROM ({near_sql(place, by_pixel)})"
    inside, border = cone_ranges(place["ra"], place["dec"], place["radius"])
    crossed = f"SELECT row FROM ({_sky_parts('row, ra, dec', border)}) WHERE {_SEPARATION_DEG} <= $radius"
    return f"{_sky_parts('row', inside)} UNION ALL {crossed}"


def _sky_parts(columns: str, ranges: np.ndarray) -> str:
    """Return the SQL of the lines of ``sky`` in ranges of pixels, (n, 2): one part a range, which reads its blocks alone."""
    parts = [f"SELECT {columns} FROM sky WHERE pixel BETWEEN {low} AND {high}" for low, high in ranges.tolist()]
    return " UNION ALL ".join(parts or [f"SELECT {columns} FROM sky WHERE false"])
