"""Tables of known objects: names and positions, as their files give them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from discovery.errors import QueryError, SurveyError
from discovery.search.known_objects import KnownObjects
from discovery.tables.columns import ID_NAMES, find_name
from discovery.tables.positions import position_columns, positions_deg
from discovery.tables.reader import read_table

NAME_COLUMNS = ("name", "designation", "iauname", *ID_NAMES)
"""Columns that name an object, best first: names that people use before numbers."""


def read_known(path: Path | str) -> KnownObjects:
    """Return the known objects in a table: csv, tsv, Parquet, FITS or VOTable, with ra and dec (ICRS).

    Positions are in the unit that the table states, else degrees, or texts as prompts take them (hours and degrees,
    ``10:00:24`` and ``+02:12:00``). Rows without a position are left out and listed.

    Raises
    ------
    QueryError
        The table cannot be read, is empty, or has no ra and dec, or no row with a position.
    """
    path = Path(path)
    try:
        table = read_table(path)
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    except (SurveyError, OSError) as problem:
        raise QueryError(f"Known objects: {problem}.") from problem
    if table.num_rows == 0:
        raise QueryError(f"{path.name} has no rows; give a table with at least one known object.")
    places = _places(path.name, table)
    placed = np.isfinite(places[:, 0])
    if not placed.any():
        raise QueryError(
            f"No row of {path.name} has a position ({_shown(table, 0)}): give degrees, or hours and degrees as 10:00:24 and +02:12:00."
        )
    return KnownObjects(
        file=path.name,
        sha256=sha256,
        names=_names(table, places).filter(pa.array(placed)),
        ra_deg=places[placed, 0],
        dec_deg=places[placed, 1],
        without_position=tuple(f"line {line + 1} ({_shown(table, line)})" for line in np.flatnonzero(~placed).tolist()),
    )


def _places(file: str, table: pa.Table) -> np.ndarray:
    """Positions in degrees, (n, 2) float64, NaN where a row has none."""
    try:
        found = position_columns(table)
    except SurveyError as problem:
        raise QueryError(f"{file}: {problem}.") from problem
    if found is None:
        raise QueryError(f"{file} has no columns ra and dec; its columns are {', '.join(table.column_names)}.")
    return positions_deg(table, found)


def _shown(table: pa.Table, line: int) -> str:
    found = position_columns(table)
    return "" if found is None else f"ra {table[found.ra][line].as_py()}, dec {table[found.dec][line].as_py()}"


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
