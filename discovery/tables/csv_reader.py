"""Tables as text (csv and its relatives): heads of comments, SkyServer's, VizieR's and ECSV, ids that stay exact."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from discovery.errors import SurveyError
from discovery.tables.columns import DEC_NAMES, ID_NAMES, RA_NAMES, described

MOST_HEAD_LINES = 10_000
MOST_HEAD_CHARACTERS = 1 << 20
DASHES = re.compile(r"-+")
INTEGER = r"^[+-]?[0-9]+$"
ESCAPED = "^'([ \u00a0]*[=+\\-@\\t\\r\\n\uff1d\uff0b\uff0d\uff20])"
"""What `discovery.tables.writer` puts before a text that a spreadsheet would take for a formula."""
EXACT_AS_FLOAT = 2.0**53
USUAL = frozenset((*RA_NAMES, *DEC_NAMES, *ID_NAMES))


@dataclass(frozen=True, kw_only=True)
class TextHead:
    """How a text table begins.

    Attributes
    ----------
    names : list of str
        Of the columns.
    units : dict
        Units of columns, where the head states them.
    delimiter : str
        Between the values.
    lines : int
        Lines before the first row.
    """

    names: list[str]
    units: dict[str, str]
    delimiter: str
    lines: int


def read_csv(path: Path, text_columns: Iterable[str]) -> pa.Table:
    """Return a text table; columns of the lower-case names `text_columns` stay text.

    Integers stay integers, unsigned where they must be and text where nothing else can hold them; a column
    with leading zeros stays text.

    Raises
    ------
    SurveyError
        It has no header, or two columns of one name.
    """
    head = _read_head(path)
    if not head.names or head.names == [""]:
        raise SurveyError(f"the table {path} has no rows")
    if len(set(head.names)) != len(head.names):
        raise SurveyError(f"the table {path} has two columns of one name: {head.delimiter.join(head.names)[:200]}")
    wanted = set(text_columns)
    texts = {name for name in head.names if name.lower() in wanted}
    table = _arrow(path, head, texts)
    doubtful = {name for name in head.names if name not in texts and _may_lose(table[name])}
    if doubtful:
        as_text = _arrow(path, head, doubtful, only=True)
        columns = {name: _exact(as_text[name], table[name]) if name in doubtful else table[name] for name in head.names}
    else:
        columns = {name: table[name] for name in head.names}
    return described({name: _unescaped(values) for name, values in columns.items()}, head.units)


def _arrow(path: Path, head: TextHead, texts: set[str], *, only: bool = False) -> pa.Table:
    """Return the rows, with some columns as text; `only` these."""
    from pyarrow import csv as arrow_csv

    return arrow_csv.read_csv(
        path,
        read_options=arrow_csv.ReadOptions(
            block_size=max(1 << 20, min(path.stat().st_size + 1, 1 << 30)), skip_rows=head.lines, column_names=head.names
        ),
        parse_options=arrow_csv.ParseOptions(
            delimiter=head.delimiter, newlines_in_values=True, invalid_row_handler=lambda row: "skip" if row.text.startswith("#") else "error"
        ),
        convert_options=arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(texts, pa.string()), strings_can_be_null=True, include_columns=sorted(texts) if only else []
        ),
    )


def _may_lose(values: pa.ChunkedArray) -> bool:
    """Tell whether numbers may not be what the text says: large ones as float64, integers whose zeros are gone."""
    if pa.types.is_floating(values.type):
        return bool(pc.any(pc.greater(pc.abs(values), EXACT_AS_FLOAT)).as_py())
    return pa.types.is_integer(values.type)


def _exact(texts: pa.ChunkedArray, numbers: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column of integers as numbers if these hold them exactly, else as the text that came."""
    trimmed = pc.utf8_trim_whitespace(texts)
    if pa.types.is_integer(numbers.type):
        return trimmed if pc.any(pc.match_substring_regex(trimmed, "^[+-]?0[0-9]")).as_py() else numbers
    if not pc.all(pc.match_substring_regex(trimmed, INTEGER)).as_py():
        return numbers
    if pc.any(pc.match_substring_regex(trimmed, "^[+-]?0[0-9]")).as_py():
        return trimmed
    try:
        return trimmed.cast(pa.uint64())
    except pa.ArrowInvalid:
        return trimmed


def _unescaped(values: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.replace_substring_regex(values, ESCAPED, r"\1") if pa.types.is_string(values.type) else values


def _read_head(path: Path) -> TextHead:
    """Return how the table begins: its comments, names and units."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        comments: list[str] = []
        number = 0
        line = file.readline()
        while line and number < MOST_HEAD_LINES and (line.startswith("#") or not line.strip()):
            if line.strip():
                comments.append(line.lstrip("#").strip("\r\n"))
            number, line = number + 1, file.readline()
        while line.count('"') % 2 and (more := file.readline()) and len(line) < MOST_HEAD_CHARACTERS:  # a name may hold a line feed
            number, line = number + 1, line + more
        following = [file.readline(), file.readline()]
    return _understood(comments, number, line, following)


def _understood(comments: list[str], number: int, line: str, following: list[str]) -> TextHead:
    ecsv = bool(comments) and comments[0].strip().startswith("%ECSV")
    delimiter = max(",\t;| " if ecsv else ",\t;|", key=(line or (comments[-1] if comments else "")).count)

    def cells(text: str) -> list[str]:
        return [cell.strip() for cell in next(csv.reader(io.StringIO(text.strip("\r\n"), newline=""), delimiter=delimiter), [])]

    names, behind = cells(line), [cells(text) for text in following]
    if comments and (above := cells(comments[-1])) and _names_of(above, names):
        return TextHead(names=_plain(above), units={}, delimiter=delimiter, lines=number)
    if len(behind[1]) == len(names) and all(DASHES.fullmatch(cell) for cell in behind[1] if cell) and any(len(cell) > 2 for cell in behind[1]):
        return TextHead(names=_plain(names), units=_units(names, behind[0]), delimiter=delimiter, lines=number + 3)
    units = _ecsv_units(comments) if ecsv else {}
    return TextHead(names=_plain(names), units=units, delimiter=delimiter, lines=number + 1)


def _plain(names: list[str]) -> list[str]:
    return [re.sub(ESCAPED, r"\1", name) for name in names]


def _names_of(above: list[str], first: list[str]) -> bool:
    """Tell whether a comment names the columns of what would else be the header: as many, and only this holds numbers or
    only the comment usual names."""
    if not first:
        return len(above) > 1
    if len(above) != len(first) or any(map(_is_number, above)):
        return False
    usual = [any(name.lower() in USUAL for name in names) for names in (above, first)]
    return any(map(_is_number, first)) or usual == [True, False]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _units(names: list[str], cells: list[str]) -> dict[str, str]:
    return {name: unit for name, unit in zip(names, cells, strict=False) if unit}


def _ecsv_units(comments: list[str]) -> dict[str, str]:
    """Return the units in the head of an ECSV file."""
    from astropy.table.meta import get_header_from_yaml

    document = get_header_from_yaml([comment.removeprefix(" ") for comment in comments if not comment.strip().startswith("%ECSV")])
    return {column["name"]: str(column["unit"]) for column in document["datatype"] if column.get("unit")}
