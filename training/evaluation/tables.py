"""One table: figures with their spread, as JSON to keep and as text to read."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from discovery.processes.cores import usable_cores

if TYPE_CHECKING:
    from discovery.encoders.encoder import Encoder

Spread = dict[str, Any]
"""``median``, ``low``, ``high`` and all ``values`` of one figure."""


def spread(values: Sequence[float]) -> Spread:
    """Return the median of some figures with the lowest and the highest."""
    kept = [round(float(value), 5) for value in values]
    return {"median": round(float(np.median(kept)), 5), "low": min(kept), "high": max(kept), "values": kept}


def document(
    table: str,
    *,
    survey: str,
    encoder: Encoder,
    counts: dict[str, Any],
    seeds: int,
    lines: list[dict[str, Any]],
    **more: Any,
) -> dict[str, Any]:
    """Return what every table's JSON holds."""
    return {
        "table": table,
        "survey": survey,
        "encoder": {
            "name": encoder.card.name,
            "checksum": encoder.checksum,
            "parameters": encoder.card.parameters,
        },
        "counts": counts,
        "seeds": seeds,
        "spread": f"median of {seeds} draws (lowest - highest)" if seeds > 1 else "one draw",
        **more,
        "lines": lines,
        "machine": f"{platform.machine()}, {usable_cores()} cores, {encoder.device}",
    }


def text(result: dict[str, Any]) -> str:
    """Return a table for people."""
    head = f"{result['table']}, {result['survey']}"
    if result.get("encoder"):
        head += f", encoder {result['encoder']['name']} ({result['encoder']['checksum'][:12]})"
    about = [f"{name} {_plain(value)}" for name, value in result.get("counts", {}).items()]
    about += [result["spread"]] if result.get("spread") else []
    notes = [f"note: {note}" for note in result.get("notes", [])]
    return "\n".join([head, "; ".join(about), *notes, "", *aligned(result["lines"])])


def aligned(lines: Sequence[dict[str, Any]]) -> list[str]:
    """Return dictionaries with the same keys as aligned lines under their names."""
    names = list(dict.fromkeys(name for line in lines for name in line))
    rows = [[name.replace("_", " ") for name in names]] + [
        [_cell(line.get(name)) for name in names] for line in lines
    ]
    widths = [max(len(row[at]) for row in rows) for at in range(len(names))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def publish(result: dict[str, Any], out: Path | None, *, as_json: bool) -> None:
    """Print a table, as text or as one JSON document, and write the JSON to ``out`` if given."""
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result) if as_json else text(result))


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        middle = _number(value["median"])
        return (
            middle
            if len(value["values"]) == 1
            else f"{middle} ({_number(value['low'])} - {_number(value['high'])})"
        )
    return _plain(value)


def _plain(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_plain(one)}" for name, one in value.items())
    if isinstance(value, list | tuple):
        return " ".join(_plain(one) for one in value)
    return _number(value) if isinstance(value, float) else str(value)


def _number(value: float) -> str:
    size = abs(value)
    digits = 2 if size >= 10 else 3 if size >= 0.05 or size == 0 else 4 if size >= 0.005 else 5
    return f"{value:.{digits}f}"
