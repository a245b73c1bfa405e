"""The table of loose stamps: which one is used, and which of its lines belongs to which stamp."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa

from discovery.errors import SurveyError
from discovery.sky.crossmatch import separations_arcsec
from discovery.tables.columns import find_name
from discovery.tables.positions import position_columns, positions_deg
from discovery.tables.reader import KeyMatch, match_key, read_table

ELSEWHERE_ARCSEC = 60.0
NO_TABLE = "none"
MIN_MATCHED = 0.5
"""A table that merely lies beside the stamps is used when it names at least this fraction of them."""


@dataclass(frozen=True, kw_only=True)
class StampTable:
    """A table with one line for some or all of the stamps.

    Attributes
    ----------
    path : Path
        The table's file.
    columns : pyarrow.Table
        Its columns.
    match : KeyMatch
        Which line belongs to which stamp.
    """

    path: Path
    columns: pa.Table
    match: KeyMatch

    @cached_property
    def places(self) -> np.ndarray | None:
        """Positions of its lines in degrees, (n, 2) float64, NaN where a line has none; None without columns for them."""
        found = position_columns(self.columns)
        return None if found is None else positions_deg(self.columns, found)


def choose_table(
    names: list[str], beside: Sequence[Path], *, given: str | None, key: str | None, find_tables: bool
) -> tuple[StampTable | None, str]:
    """Return the table to use, and a sentence that says why it is or is not used.

    Parameters
    ----------
    names : list of str
        Relative paths of the stamp files.
    beside : sequence of Path
        Tables that lie beside them.
    given : str or None
        The table that the caller named, or `NO_TABLE`.
    key : str or None
        Column that names the stamps; a table that has it must name some by it.
    find_tables : bool
        Look beside the stamps although `given` is `NO_TABLE`.

    Raises
    ------
    SurveyError
        The table that was named cannot be read, or the named table or column names none of the stamps.
    """
    if given == NO_TABLE and not find_tables:
        return None, ""
    if given not in (None, NO_TABLE):
        path = Path(given).expanduser().resolve()
        columns = read_table(path)
        match = match_key(columns, names, key)
        if match.n_matched == 0:
            raise SurveyError(f"no line of {path} names any of the {len(names)} stamps; name the column with key")
        return _with_note(StampTable(path=path, columns=columns, match=match), len(names), "as given")
    read, left = _read_beside(beside)
    if key is not None and len(read) > 1:
        read = {path: columns for path, columns in read.items() if find_name(columns.column_names, (key.lower(),))} or read
    if len(read) > 1:
        return None, " ".join([f"{len(read)} tables lie beside the stamps and none is used: name one.", *left])
    if not read:
        return None, " ".join(left)
    chosen, note = _beside(*next(iter(read.items())), names, key)
    return chosen, " ".join([note, *left])


def contradicted_positions(stamp_table: StampTable, stamps: Sequence[int], own_deg: np.ndarray) -> str:
    """Return a warning if stamps lie elsewhere by their own headers than by their lines of the table; else nothing.

    Parameters
    ----------
    stamp_table : StampTable
        The table, with positions.
    stamps : sequence of int
        Stamps that have a line.
    own_deg : numpy.ndarray
        (n, 2) what they say themselves, NaN where nothing.
    """
    if stamp_table.places is None:
        return ""
    given = stamp_table.places[stamp_table.match.rows[list(stamps)]]
    apart = separations_arcsec(own_deg[:, 0], own_deg[:, 1], given[:, 0], given[:, 1])
    apart = apart[np.isfinite(apart)]
    count = int(np.count_nonzero(apart > ELSEWHERE_ARCSEC))
    if count == 0:
        return ""
    return (
        f"WARNING: {count} of the first {len(apart)} stamps with a line in {stamp_table.path.name} lie elsewhere by their own headers or names, "
        f"up to {apart.max() / 3600:.3g} degrees away; the table's positions are taken. See that its column {stamp_table.match.column} names these stamps."
    )


def _read_beside(beside: Sequence[Path]) -> tuple[dict[Path, pa.Table], list[str]]:
    """Return the tables that can be read, and a sentence for each that cannot."""
    read, left = {}, []
    for path in beside:
        try:
            read[path] = read_table(path)
        except SurveyError as error:
            left.append(f"{path.name} beside the stamps is left: {error}.")
    return read, left


def _beside(path: Path, columns: pa.Table, names: list[str], key: str | None) -> tuple[StampTable | None, str]:
    """Return the one table beside the stamps, if it names enough of them; all that it names count if the key was given."""
    match = match_key(columns, names, key)
    if key is not None and match.n_matched == 0:
        raise SurveyError(
            f"the column {match.column} of {path.name} names none of the {len(names)} stamps: its values must be their paths, file names or "
            f"names without suffix, such as {names[0]}"
        )
    if key is None and match.n_matched < MIN_MATCHED * len(names):
        return None, f"{path.name} beside the stamps names {match.n_matched} of {len(names)}: not used."
    return _with_note(StampTable(path=path, columns=columns, match=match), len(names), "the one beside the stamps")


def _with_note(stamp_table: StampTable, n_stamps: int, why: str) -> tuple[StampTable, str]:
    match, columns = stamp_table.match, stamp_table.columns
    unused = columns.num_rows - len(set(match.rows[match.rows >= 0].tolist()))
    note = (
        f"Table {stamp_table.path.name} ({why}), key {match.column}: lines for {match.n_matched} of "
        f"{n_stamps} stamps, columns {', '.join(columns.column_names)}"
    )
    note += f"; {unused} lines without a stamp" * (unused > 0)
    note += f"; {match.n_repeated} repeated keys, of which the first line counts" * (match.n_repeated > 0)
    return stamp_table, note + _positions_note(stamp_table) + "."


def _positions_note(stamp_table: StampTable) -> str:
    """Return which columns are taken for positions, and how many lines hold some that are none."""
    found = position_columns(stamp_table.columns)
    if found is None or stamp_table.places is None:
        return "; no columns of positions"
    ra, dec = (stamp_table.columns.column(name) for name in (found.ra, found.dec))
    came = ra.is_valid().to_numpy() & dec.is_valid().to_numpy()
    n_odd = int(np.count_nonzero(came & np.isnan(stamp_table.places[:, 0])))
    note = f"; positions by {found.ra} and {found.dec}"
    units = [f"{name} in {unit}" for name, unit in ((found.ra, found.ra_unit), (found.dec, found.dec_unit)) if unit not in ("", "deg")]
    note += f" ({', '.join(units)})" * bool(units)
    return note + f"; {n_odd} lines whose {found.ra} and {found.dec} are no position" * (n_odd > 0)
