"""Tables that come beside stamps (csv, tsv, Parquet, FITS, VOTable), and which column names the stamps."""

from __future__ import annotations

import io
import warnings
from collections import Counter
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from discovery.errors import SurveyError
from discovery.files.containers import file_stem
from discovery.tables.columns import ID_NAMES, arrow_column, described, find_name
from discovery.tables.csv_reader import read_csv

TABLE_SUFFIXES = (".csv", ".tsv", ".ecsv", ".parquet", ".vot", ".votable", ".xml")
APPLE_DOUBLE = (b"\x00\x05\x16\x07", b"\x00\x05\x16\x00")
LOOKED_AT_BYTES = 1 << 14
FITS_TABLE_SUFFIXES = (".fits", ".fit")
KEY_NAMES = ("file", "filename", "file_name", "file_loc", "path", "image", *ID_NAMES, "inds")
"""Usual names of a column that names stamps, best first; any other text or integer column is tried last."""


@dataclass(frozen=True, kw_only=True)
class KeyMatch:
    """How a table names the stamps.

    Attributes
    ----------
    column : str
        The column whose values are file names or ids.
    rows : numpy.ndarray
        (N,) int64 row of the table for each stamp, -1 where it has none.
    n_repeated : int
        Values that stand in several rows (the first one counts).
    """

    column: str
    rows: np.ndarray
    n_repeated: int

    @property
    def n_matched(self) -> int:
        """Stamps that have a row."""
        return int(np.count_nonzero(self.rows >= 0))


def read_table(path: Path) -> pa.Table:
    """Return a table file as Arrow columns; text stays text in columns that may name stamps.

    Raises
    ------
    SurveyError
        Missing, damaged, or of no known kind.
    """
    suffix = path.suffix.lower()
    if not path.is_file():
        raise SurveyError(f"the table {path} does not exist or is no file")
    try:
        if suffix in (".csv", ".tsv", ".txt", ".ecsv"):
            return read_csv(path, KEY_NAMES)
        if suffix == ".parquet":
            return _read_parquet(path)
        if suffix in (".vot", ".votable", ".xml"):
            return _read_votable(path)
        if suffix in FITS_TABLE_SUFFIXES:
            return read_fits_table(path)
    except SurveyError:
        raise
    except Exception as error:  # each library raises many types on damaged files
        text = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise SurveyError(f"the table {path} cannot be read: {text}") from error
    raise SurveyError(f"the table {path} is not csv, tsv, Parquet, FITS or VOTable")


def why_no_table(path: Path) -> str | None:
    """Return why a file that is called like a table is none, from its beginning; None where it may be one."""
    try:
        with path.open("rb") as file:
            head = file.read(LOOKED_AT_BYTES)
    except OSError as error:
        return f"it cannot be read: {error.strerror or error}"
    if head.startswith(APPLE_DOUBLE):
        return "a side file of macOS"
    if len(head) < LOOKED_AT_BYTES and not head.strip(b"\xef\xbb\xbf\x00 \t\r\n"):
        return "empty"
    if path.suffix.lower() == ".xml" and b"votable" not in head.replace(b"\x00", b"").lower():
        return "xml, but no VOTable"
    return None


def read_fits_table(path: Path) -> pa.Table:
    """Return the first table of a FITS file, binary or ASCII, with its units and UCDs; what TNULL says is missing is NULL.

    Raises
    ------
    SurveyError
        The file holds no table.
    """
    from astropy.io import fits

    with fits.open(path, memmap=True) as hdus:
        for hdu in hdus:
            if isinstance(hdu, fits.BinTableHDU | fits.TableHDU) and not isinstance(hdu, fits.CompImageHDU):
                return _fits_table(hdu)
    raise SurveyError(f"{path} holds no FITS table")


def _fits_table(hdu: Any) -> pa.Table:
    came = fits_columns(hdu.data)
    units, ucds, columns = {}, {}, {}
    for number, column in enumerate(hdu.columns, 1):
        if column.name not in came.column_names:
            continue
        values = came[column.name]
        if column.null is not None and pa.types.is_integer(values.type):
            missing = pc.equal(values.cast(pa.string()), str(column.null))
            values = pc.if_else(missing, pa.scalar(None, values.type), values)
        columns[column.name] = values
        units[column.name] = str(column.unit or "")
        ucds[column.name] = str(hdu.header.get(f"TUCD{number}") or "")
    return described(columns, units, ucds)


def holds_fits_table(head: bytes) -> bool:
    """Tell from the beginning of a FITS file whether it holds a table in its first extension."""
    from discovery.files.fits_blocks import headers

    first_two = list(islice(headers(io.BytesIO(head), len(head)), 2))
    if len(first_two) < 2 or first_two[0][0].get("NAXIS") != 0:
        return False
    extension = first_two[1][0]
    return str(extension.get("XTENSION", "")).strip() in ("BINTABLE", "TABLE") and "ZIMAGE" not in extension


def fits_columns(records: np.ndarray) -> pa.Table:
    """Return FITS records as Arrow columns under their own names; what Arrow cannot hold is left out."""
    columns: dict[str, pa.Array] = {}
    for name in records.dtype.names or ():
        try:
            columns[name] = arrow_column(np.asarray(records[name]))
        except (TypeError, pa.ArrowInvalid, pa.ArrowTypeError):
            continue
    return pa.table(columns)


def match_key(table: pa.Table, names: list[str], key: str | None = None) -> KeyMatch:
    """Return the column of `table` that names the most stamps, or see what `key` names.

    A stamp is named by its path, its file name or its stem; by a path of another machine, through its end.

    Parameters
    ----------
    table : pyarrow.Table
        The table.
    names : list of str
        Relative paths of the stamp files.
    key : str or None
        Column to use; None tries the usual names, then all text and integer columns.

    Raises
    ------
    SurveyError
        There is no column `key`.
    """
    if key is not None:
        found = find_name(table.column_names, (key.lower(),))
        if found is None:
            raise SurveyError(f"the table has no column {key}; it has {', '.join(table.column_names)}")
        candidates = [found]
    else:
        usual = [name for name in KEY_NAMES if find_name(table.column_names, (name,))]
        candidates = [found for name in usual if (found := find_name(table.column_names, (name,)))]
        candidates += [
            name for name in table.column_names if name not in candidates and _may_name(table, name)
        ]
    best = KeyMatch(column=candidates[0] if candidates else "", rows=np.full(len(names), -1), n_repeated=0)
    for column in candidates:
        match = _match(table, column, names)
        if match.n_matched > best.n_matched:
            best = match
        if best.n_matched == len(names):
            break
    return best


def _match(table: pa.Table, column: str, names: list[str]) -> KeyMatch:
    row_of: dict[str, int] = {}
    n_repeated = 0
    for row, value in enumerate(table.column(column).to_pylist()):
        text = "" if value is None else str(value).strip().removeprefix("./")
        if text in row_of:
            n_repeated += 1
        elif text:
            row_of[text] = row
    rows = np.full(len(names), -1, np.int64)
    for position, name in enumerate(names):
        for called in (name, name.rsplit("/", 1)[-1], file_stem(name)):
            if called in row_of:
                rows[position] = row_of[called]
                break
    _match_ends(rows, row_of, names)
    return KeyMatch(column=column, rows=rows, n_repeated=n_repeated)


def _match_ends(rows: np.ndarray, row_of: dict[str, int], names: list[str]) -> None:
    """Give stamps without a row those of values that are paths elsewhere: by the longest end they share, where it is one's only."""
    ends: dict[str, list[tuple[str, int]]] = {}
    for text, row in row_of.items():
        path = text.replace("\\", "/")
        if "/" in path:
            ends.setdefault(path.rsplit("/", 1)[-1], []).append((path, row))
    same_name = Counter(name.rsplit("/", 1)[-1] for name in names)
    for position in np.flatnonzero(rows < 0).tolist() if ends else []:
        name = names[position]
        last = name.rsplit("/", 1)[-1]
        found = ends.get(last, [])
        whole = [row for path, row in found if path.endswith("/" + name)]
        if len(whole) == 1:
            rows[position] = whole[0]
        elif len(found) == 1 and same_name[last] == 1:
            rows[position] = found[0][1]


def _may_name(table: pa.Table, name: str) -> bool:
    type_ = table.schema.field(name).type
    return pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_integer(type_)


def _read_parquet(path: Path) -> pa.Table:
    import pyarrow.parquet as parquet

    table = parquet.ParquetFile(path).read()
    stated = _parquet_units(table.schema)
    units = {field.name: stated.get(field.name) or _text_of(field, b"unit") for field in table.schema}
    ucds = {field.name: _text_of(field, b"ucd") for field in table.schema}
    return described({name: _plain(table.column(name)) for name in table.column_names}, units, ucds)


def _text_of(field: pa.Field, key: bytes) -> str:
    return ((field.metadata or {}).get(key) or b"").decode("utf-8", "replace")


def _parquet_units(schema: pa.Schema) -> dict[str, str]:
    """Return the units that astropy writes into a Parquet file."""
    from astropy.table.meta import get_header_from_yaml

    written = (schema.metadata or {}).get(b"table_meta_yaml")
    if written is None:
        return {}
    columns = get_header_from_yaml(written.decode("utf-8").splitlines())["datatype"]
    return {column["name"]: str(column["unit"]) for column in columns if column.get("unit")}


def _read_votable(path: Path) -> pa.Table:
    """Return the first table of a VOTable, its columns by NAME (by ID where a name repeats)."""
    from astropy.io.votable import parse_single_table

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # VOTables in the wild break small rules of the format
        tree = parse_single_table(str(path), verify="ignore")
        records = tree.array
    given = [str(field.name or field.ID) for field in tree.fields]
    columns, units, ucds = {}, {}, {}
    for own, name, field in zip(records.dtype.names or (), given, tree.fields, strict=True):
        called = name if given.count(name) == 1 else own
        missing = np.ma.getmaskarray(records[own])
        column = arrow_column(np.ma.getdata(records[own]))
        if missing.ndim == 1 and missing.any():
            column = pa.array(column.to_pylist(), column.type, mask=missing)
        columns[called] = column
        units[called], ucds[called] = str(field.unit or ""), str(field.ucd or "")
    return described(columns, units, ucds)


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column in types that the catalogue keeps: of a dictionary its values, float16 as float32."""
    wanted = _kept_type(column.type)
    return column if wanted == column.type else column.cast(wanted)


def _kept_type(type_: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(type_):
        return _kept_type(type_.value_type)
    if pa.types.is_float16(type_):
        return pa.float32()
    if pa.types.is_fixed_size_list(type_):
        return pa.list_(_kept_type(type_.value_type), type_.list_size)
    if pa.types.is_list(type_):
        return pa.list_(_kept_type(type_.value_type))
    return type_
