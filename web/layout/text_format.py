"""How numbers and catalogue values are written on the pages."""

from __future__ import annotations

import datetime
import math
from typing import Any

from discovery.tables.writer import meaning


def count(number: int) -> str:
    """Return a whole number with thin groups: 12345 -> 12,345."""
    return f"{number:,}"


def plural(number: int, noun: str) -> str:
    """Return a number with its noun: 1 label, 1,200 labels."""
    return f"{count(number)} {noun}{'' if number == 1 else 's'}"


def figure(value: Any, digits: int = 6) -> str:
    """Return a catalogue value as people read it: so many significant digits, a dash for nothing."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.{digits}g}" if 1e-4 <= abs(value) < 1e9 or value == 0 else f"{value:.3e}"
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, list | tuple):
        return ", ".join(figure(part, digits) for part in value[:8]) + (" …" if len(value) > 8 else "")
    return str(value)


def unit_of(column: str) -> str:
    """Return the unit of a catalogue column, empty when it has none or none is known."""
    return meaning(column).unit or ""


def day_and_time(stamp: str) -> str:
    """Return an ISO time of the log as ``2026-11-21 02:15`` (UTC)."""
    return datetime.datetime.fromisoformat(stamp).astimezone(datetime.UTC).strftime("%Y-%m-%d %H:%M")


def in_degrees(ra_deg: float, dec_deg: float) -> str:
    """Return a position in degrees."""
    return f"{ra_deg:.6f}° {dec_deg:+.6f}°"
