"""Positions in tables: which columns hold them, the unit that the table states, and what they are in degrees."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from discovery.errors import SurveyError
from discovery.tables.columns import DEC_NAMES, RA_NAMES, find_name, ucd_of, unit_of

DEGREES_IN = {
    **dict.fromkeys(("", "deg", "degree", "degrees", "d", "°", "d:m:s", "dms"), 1.0),
    **dict.fromkeys(("rad", "radian", "radians"), 180 / np.pi),
    **dict.fromkeys(("h", "hr", "hour", "hours", "hourangle", "h:m:s", "hms"), 15.0),
    **dict.fromkeys(("arcmin", "arcminute"), 1 / 60),
    **dict.fromkeys(("arcsec", "arcsecond"), 1 / 3600),
    "mas": 1 / 3.6e6,
}
"""Degrees in each unit that a position may be stated in."""
OLD_EQUINOX = re.compile(r"1950|1875|fk4", re.IGNORECASE)
_SEXAGESIMAL = re.compile(
    r"([+\-\u2212]?)\s*(\d{1,3})\s*[:hd°\s]\s*(\d{1,2}(?:\.\d*)?)\s*(?:[:m'′\s]\s*(\d{1,2}(?:\.\d*)?)?\s*[s\"″]?)?"
)


@dataclass(frozen=True, kw_only=True)
class PositionColumns:
    """The columns of right ascension and declination, and the units that they are stated in."""

    ra: str
    dec: str
    ra_unit: str
    dec_unit: str


def position_columns(table: pa.Table) -> PositionColumns | None:
    """Return where a table has its positions: by the main UCDs where it has them, else by the usual names.

    Raises
    ------
    SurveyError
        A unit that is none of an angle, or a column that may hold degrees or radians and does not say which.
    """
    named = (_by_ucd(table, True), (find_name(table.column_names, RA_NAMES), find_name(table.column_names, DEC_NAMES)), _by_ucd(table, False))
    ra, dec = next((pair for pair in named if None not in pair), (None, None))
    if ra is None or dec is None:
        return None
    found = PositionColumns(ra=ra, dec=dec, ra_unit=_unit(table, ra), dec_unit=_unit(table, dec))
    _check_stated(table, found)
    return found


def positions_deg(table: pa.Table, columns: PositionColumns) -> np.ndarray:
    """Return positions in degrees, (n, 2) float64, right ascension in 0..360; NaN in both where a row has none."""
    ra = _degrees(table[columns.ra], columns.ra_unit, sexagesimal=1.0 if columns.ra_unit in ("d:m:s", "dms") else 15.0)
    dec = _degrees(table[columns.dec], columns.dec_unit, sexagesimal=1.0)
    with np.errstate(invalid="ignore"):
        good = (np.abs(ra) <= 360) & (np.abs(dec) <= 90)
    return np.where(good[:, None], np.stack([ra % 360, dec], axis=-1), np.nan)


def sexagesimal_value(text: str) -> float | None:
    """Return ``10:00:24``, ``10h00m24s`` or ``-02 12 00`` as a number of its first unit; None for another text."""
    parts = _SEXAGESIMAL.fullmatch(text.strip())
    if parts is None:
        return None
    whole, minutes, seconds = float(parts[2]), float(parts[3]), float(parts[4] or 0)
    if minutes >= 60 or seconds > 60:
        return None
    value = whole + minutes / 60 + seconds / 3600
    return value if parts[1] in ("", "+") else -value


def _degrees(column: pa.ChunkedArray, unit: str, *, sexagesimal: float) -> np.ndarray:
    """Return a column in degrees, (n,) float64; NaN for what is no angle."""
    type_ = column.type
    if pa.types.is_floating(type_) or pa.types.is_integer(type_):
        values = column.cast(pa.float64(), safe=False).to_numpy()
        return np.where(np.isfinite(values), values, np.nan) * DEGREES_IN[unit]
    if pa.types.is_decimal(type_):
        return np.array([np.nan if value is None else float(value) for value in column.to_pylist()], float) * DEGREES_IN[unit]
    if not (pa.types.is_string(type_) or pa.types.is_large_string(type_)):
        return np.full(len(column), np.nan)
    return np.array([_angle(text, DEGREES_IN[unit], sexagesimal) for text in column.to_pylist()], float)


def _angle(text: str | None, degrees_in_unit: float, sexagesimal: float) -> float:
    if text is None:
        return np.nan
    try:
        value = float(text.replace("\u2212", "-"))
    except ValueError:
        parsed = sexagesimal_value(text)
        return np.nan if parsed is None else parsed * sexagesimal
    return value * degrees_in_unit if np.isfinite(value) else np.nan


def _by_ucd(table: pa.Table, main: bool) -> tuple[str | None, str | None]:
    def first(wanted: Callable[[list[str]], bool]) -> str | None:
        return next(
            (name for name in table.column_names if wanted(re.split(r"[; ]+", ucd_of(table, name).lower())) and not OLD_EQUINOX.search(name)),
            None,
        )

    def axis(name: str) -> str | None:
        old = f"pos_eq_{name}_main" if main else f"pos_eq_{name}"
        return first(lambda words: words[0] == old or (words[0] == f"pos.eq.{name}" and ("meta.main" in words or (not main and len(words) == 1))))

    return axis("ra"), axis("dec")


def _unit(table: pa.Table, name: str) -> str:
    """Return the unit that a column is stated in, by the file or behind its name, as `DEGREES_IN` spells it."""
    stated = unit_of(table, name) or _unit_in_name(name)
    unit = stated.lower().strip(" \"'")
    if unit not in DEGREES_IN:
        raise SurveyError(f"the column {name} is stated in {stated}, which is no unit of a position: convert it to degrees")
    return unit


def _unit_in_name(name: str) -> str:
    """Return the unit of a name such as ``RA [deg]``, ``RA (hours)`` or ``ra_rad``."""
    behind = re.search(r"[\[(]\s*([^\])]*?)\s*[\])]\s*$", name) or re.search(r"_(rad|radians|hours?|hms|dms)$", name.lower())
    return behind[1] if behind and behind[1].lower() in DEGREES_IN else ""


def _check_stated(table: pa.Table, found: PositionColumns) -> None:
    """Refuse coord_ra without a unit where all values would do as radians: LSST wrote both."""
    if not found.ra.lower().startswith("coord_ra") or unit_of(table, found.ra) or table.num_rows == 0:
        return
    ra, dec = (_degrees(table[name], "", sexagesimal=1.0) for name in (found.ra, found.dec))
    with np.errstate(invalid="ignore"):
        beyond = (np.abs(ra) > 2 * np.pi) | (np.abs(dec) > np.pi / 2)
    if not beyond.any():
        raise SurveyError(f"{found.ra} and {found.dec} may be radians or degrees: state the unit, or name them ra_deg and dec_deg")
