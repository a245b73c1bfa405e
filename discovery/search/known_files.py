"""Tables of known objects: names and positions, as their files give them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from discovery.errors import QueryError, SurveyError
from discovery.search.known_objects import KnownObjects
from discovery.sky.places import parse_position
from discovery.tables.columns import DEC_NAMES, ID_NAMES, RA_NAMES, find_name
from discovery.tables.reader import read_table

NAME_COLUMNS = ("name", "designation", "iauname", *ID_NAMES)
"""Columns that name an object, best first: names that people use before numbers."""


def read_known(path: Path | str) -> KnownObjects:
    """Return the known objects in a table: csv, tsv, Parquet, FITS or VOTable, with ra and dec (ICRS).

    Positions are degrees, or texts as prompts take them (hours and degrees, ``10:00:24`` and ``+02:12:00``).

    Raises
    ------
    QueryError
        The table cannot be read, is empty, has no ra and dec, or a row without a position.
    """
    path = Path(path)
    try:
        table = read_table(path)
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    except (SurveyError, OSError) as problem:
        raise QueryError(f"Known objects: {problem}.") from problem
    ra, dec = find_name(table.column_names, RA_NAMES), find_name(table.column_names, DEC_NAMES)
    if ra is None or dec is None:
        raise QueryError(
            f"{path.name} has no columns ra and dec; its columns are {', '.join(table.column_names)}."
        )
    if table.num_rows == 0:
        raise QueryError(f"{path.name} has no rows; give a table with at least one known object.")
    places = _degrees(path.name, table[ra], table[dec])  # (n, 2)
    return KnownObjects(
        file=path.name,
        sha256=sha256,
        names=_names(table, places),
        ra_deg=places[:, 0],
        dec_deg=places[:, 1],
    )


def _degrees(file: str, ra: pa.ChunkedArray, dec: pa.ChunkedArray) -> np.ndarray:
    """Positions in degrees, (n, 2) float64."""
    if all(pa.types.is_floating(column.type) or pa.types.is_integer(column.type) for column in (ra, dec)):
        places = np.stack([column.cast(pa.float64()).to_numpy() for column in (ra, dec)], axis=-1)
        wrong = ~((np.abs(places) <= (360, 90)).all(axis=1))
        if wrong.any():
            line = int(np.argmax(wrong))
            raise _no_position(file, line, *places[line].tolist())
        places[:, 0] %= 360
        return places
    return np.array(
        [
            _parsed(file, line, *pair)
            for line, pair in enumerate(zip(ra.to_pylist(), dec.to_pylist(), strict=True))
        ]
    )


def _parsed(file: str, line: int, ra: Any, dec: Any) -> tuple[float, float]:
    try:
        position = None if ra is None or dec is None else parse_position(f"{ra},{dec}")
    except QueryError:
        position = None
    if position is None:
        raise _no_position(file, line, ra, dec)
    return position


def _no_position(file: str, line: int, ra: Any, dec: Any) -> QueryError:
    return QueryError(
        f"Line {line + 1} of {file} is no position (ra {ra}, dec {dec}): give degrees, or hours and degrees as 10:00:24 and +02:12:00."
    )


def _names(table: pa.Table, places: np.ndarray) -> pa.Array:
    """The objects' names; where there is none, the position in degrees."""
    column = find_name(table.column_names, NAME_COLUMNS)
    if column is None:
        given = pa.nulls(len(places), pa.string())
    elif pa.types.is_string(table[column].type) or pa.types.is_integer(table[column].type):
        given = pc.utf8_trim_whitespace(table[column].cast(pa.string())).combine_chunks()
    else:
        given = pa.array([None if name is None else str(name).strip() for name in table[column].to_pylist()], pa.string())
    nameless = np.asarray(pc.fill_null(pc.equal(given, ""), True))
    made = [f"{ra:.5f}{dec:+.5f}" for ra, dec in places[nameless].tolist()]
    return pc.replace_with_mask(given, pa.array(nameless), pa.array(made, pa.string()))
