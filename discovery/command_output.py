"""How verbs answer on standard output: one JSON document, or a table for people."""

from __future__ import annotations

import math
import sys
from typing import Any

import msgspec
import pyarrow as pa

from discovery.tables.writer import plain_rows

WIDEST_CELL = 32


def print_json(document: dict[str, Any]) -> None:
    """Print one JSON document, and nothing else."""
    sys.stdout.write(msgspec.json.encode(document).decode() + "\n")


def print_table(table: pa.Table) -> None:
    """Print a table in aligned columns; long values are cut, but for object_id, which is typed again."""
    lines = [table.column_names] + [[_cell(value, name) for name, value in line.items()] for line in plain_rows(table)]
    widths = [max(len(line[at]) for line in lines) for at in range(table.num_columns)]
    for line in lines:
        sys.stdout.write("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() + "\n")


def _cell(value: Any, column: str) -> str:
    if value is None:
        return "-"
    text = _number(value) if isinstance(value, float) else str(value)
    text = "".join(character if character.isprintable() else "?" for character in text)
    return text if len(text) <= WIDEST_CELL or column == "object_id" else text[: WIDEST_CELL - 3] + "..."


def _number(value: float) -> str:
    return f"{value:.6f}" if value == 0 or 1e-3 <= math.fabs(value) < 1e6 else f"{value:.6g}"
