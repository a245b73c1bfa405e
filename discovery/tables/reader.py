"""Tables that come beside stamps (csv, tsv, Parquet, FITS, VOTable), and which column names the stamps."""

from __future__ import annotations

import csv
import io
import warnings
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa

from discovery.errors import SurveyError
from discovery.files.containers import file_stem
from discovery.tables.columns import ID_NAMES, arrow_column, find_name

TABLE_SUFFIXES = (".csv", ".tsv", ".parquet", ".vot", ".votable", ".xml")
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
        if suffix in (".csv", ".tsv", ".txt"):
            return _read_csv(path)
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


def read_fits_table(path: Path) -> pa.Table:
    """Return the first binary table of a FITS file.

    Raises
    ------
    SurveyError
        The file holds no table.
    """
    from astropy.io import fits

    with fits.open(path, memmap=True) as hdus:
        for hdu in hdus:
            if isinstance(hdu, fits.BinTableHDU) and not isinstance(hdu, fits.CompImageHDU):
                return fits_columns(hdu.data)
    raise SurveyError(f"{path} holds no FITS table")


def holds_fits_table(head: bytes) -> bool:
    """Tell from the beginning of a FITS file whether it holds a table in its first extension."""
    from discovery.files.fits_blocks import headers

    first_two = list(islice(headers(io.BytesIO(head), len(head)), 2))
    if len(first_two) < 2 or first_two[0][0].get("NAXIS") != 0:
        return False
    extension = first_two[1][0]
    return str(extension.get("XTENSION", "")).strip() == "BINTABLE" and "ZIMAGE" not in extension


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

    A stamp is named by its path, its file name or its stem.

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
    return KeyMatch(column=column, rows=rows, n_repeated=n_repeated)


def _may_name(table: pa.Table, name: str) -> bool:
    type_ = table.schema.field(name).type
    return pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_integer(type_)


def _read_csv(path: Path) -> pa.Table:
    from pyarrow import csv as arrow_csv

    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        first_line = file.readline()
    delimiter = max(",\t;|", key=first_line.count)
    header = next(csv.reader([first_line], delimiter=delimiter), [])
    if not header:
        raise SurveyError(f"the table {path} has no rows")
    if len({name.strip() for name in header}) != len(header):
        raise SurveyError(f"the table {path} has two columns of one name: {first_line.strip()[:200]}")
    texts = {name: pa.string() for name in header if name.strip().lower() in KEY_NAMES}
    table = arrow_csv.read_csv(
        path,
        read_options=arrow_csv.ReadOptions(block_size=max(1 << 20, min(path.stat().st_size + 1, 1 << 30))),
        parse_options=arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=arrow_csv.ConvertOptions(column_types=texts, strings_can_be_null=True),
    )
    return table.rename_columns([name.strip() for name in table.column_names])


def _read_parquet(path: Path) -> pa.Table:
    import pyarrow.parquet as parquet

    table = parquet.ParquetFile(path).read()
    return pa.table({name: _plain(table.column(name)) for name in table.column_names})


def _read_votable(path: Path) -> pa.Table:
    from astropy.io.votable import parse_single_table

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # VOTables in the wild break small rules of the format
        records = parse_single_table(str(path), verify="ignore").array
    columns = {}
    for name in records.dtype.names:
        missing = np.ma.getmaskarray(records[name])
        column = arrow_column(np.ma.getdata(records[name]))
        if missing.ndim == 1 and missing.any():
            column = pa.array(column.to_pylist(), column.type, mask=missing)
        columns[name] = column
    return pa.table(columns)


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_dictionary(column.type):
        return column.cast(column.type.value_type)
    return column
