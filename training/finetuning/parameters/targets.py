"""The numbers to be learned: columns of the survey's own table or of one given beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from discovery.errors import ConfigError
from discovery.tables.columns import described, find_name, unit_of
from discovery.tables.fluxes import nanomaggies_in
from discovery.tables.reader import KEY_NAMES, match_key, read_table
from training.finetuning.parameters.apertures import BANDS

SENTINELS = (-99.0, -999.0, -9999.0)
"""Values that stand for 'not known' in every column."""
DERIVED = {
    "mag_g": "22.5 - 2.5 log10 of the flux column, g",
    "mag_r": "22.5 - 2.5 log10 of the flux column, r",
    "mag_z": "22.5 - 2.5 log10 of the flux column, z",
    "ellipticity": "|e|, from shape_e1 and shape_e2",
}
"""Targets that follow from other columns where there is no column of that name."""


@dataclass(frozen=True, kw_only=True)
class Targets:
    """Columns of numbers, one line an object.

    Attributes
    ----------
    names : tuple of str
    values : numpy.ndarray
        (N, T) float64, NaN where not known.
    """

    names: tuple[str, ...]
    values: np.ndarray


def read_targets(catalogue: pa.Table, names: Sequence[str], missing: Mapping[str, float]) -> Targets:
    """Return the targets from a table.

    Parameters
    ----------
    names
        Columns, whatever their case, or names of `DERIVED`.
    missing
        A value of a column that stands for 'not known', beside NULL, NaN and `SENTINELS`.

    Raises
    ------
    ConfigError
        If a column is missing or holds no numbers, or ``missing`` names no target.
    """
    if not names:
        raise ConfigError("Name at least one column to estimate with --target.")
    if len(set(names)) != len(names):
        raise ConfigError(f"A target is named twice: {', '.join(names)}.")
    if unknown := sorted(set(missing) - set(names)):
        raise ConfigError(f"--missing names {unknown[0]}, which is no target; the targets are {', '.join(names)}.")
    columns = []
    for name in names:
        values = numbers(catalogue, name)
        columns.append(np.where(values == missing.get(name, np.nan), np.nan, values))
    return Targets(names=tuple(names), values=np.stack(columns, axis=1))


def numbers(catalogue: pa.Table, name: str) -> np.ndarray:
    """Return a column, or a derived quantity, as (N,) float64 with NaN for what is not known.

    Raises
    ------
    ConfigError
        If there is none, or it holds no single numbers.
    """
    found = find_name(catalogue.column_names, (name.lower(),))
    if found is not None:
        return _plain(catalogue, found)
    if name == "ellipticity" and {"shape_e1", "shape_e2"} <= {column.lower() for column in catalogue.column_names}:
        return np.hypot(numbers(catalogue, "shape_e1"), numbers(catalogue, "shape_e2"))
    flux = band_flux(catalogue, name[-1]) if name in DERIVED and name.startswith("mag_") else None
    if flux is None:
        usable = [column for column in catalogue.column_names if _is_number(catalogue.schema.field(column).type)]
        raise ConfigError(f"There is no column {name}; columns of numbers are {', '.join(usable) or 'none'}.")
    positive = flux > 0
    return np.where(positive, 22.5 - 2.5 * np.log10(np.where(positive, flux, 1.0)), np.nan)


def band_flux(catalogue: pa.Table, band: str) -> np.ndarray | None:
    """Return (N,) nanomaggies from ``flux`` (N, 3) or ``flux_BAND`` by their stated unit; None where neither came."""
    single = find_name(catalogue.column_names, (f"flux_{band}",))
    if single is not None:
        return _plain(catalogue, single) * nanomaggies_in(unit_of(catalogue, single))
    listed = find_name(catalogue.column_names, ("flux",))
    if listed is None:
        return None
    column = catalogue[listed].combine_chunks()
    if not (pa.types.is_fixed_size_list(column.type) and column.type.list_size == len(BANDS)):
        return None
    flux = column.flatten().to_numpy(zero_copy_only=False).reshape(-1, len(BANDS))[:, BANDS.index(band)].astype(float)
    return flux * nanomaggies_in(unit_of(catalogue, listed))


def join_table(catalogue: pa.Table, path: Path, key: str | None) -> tuple[pa.Table, int]:
    """Return the catalogue with the columns of a table, which come first, and how many objects it names.

    Without ``key`` the ids are looked for in columns of usual names (object_id, id, targetid ...), and in any other
    column of texts or integers only where there is none.

    Raises
    ------
    ConfigError
        If no line names an object.
    """
    ids = catalogue["object_id"].to_pylist()
    table = read_table(path)
    usual = [name for name in table.column_names if name.lower() in KEY_NAMES]
    match = match_key(table.select(usual) if usual and key is None else table, ids, key)
    if match.n_matched == 0:
        raise ConfigError(f"No line of {path} names any of the {len(ids)} objects (such as {ids[0]}); name its column of ids with --key.")
    lines = pa.array(match.rows, mask=match.rows < 0)
    taken = {name: table[name].take(lines) for name in table.column_names if name.lower() != "object_id"}
    given = {name.lower() for name in taken}
    kept = {name: catalogue[name] for name in catalogue.column_names if name.lower() not in given}
    units = {name: unit_of(catalogue, name) for name in kept} | {name: unit_of(table, name) for name in taken}
    return described({**kept, **taken}, units), match.n_matched


def exclude(catalogue: pa.Table, conditions: Mapping[str, Sequence[str]]) -> np.ndarray:
    """Return which lines (N,) bool have, in some column, one of the values to be left out (compared as text).

    Raises
    ------
    ConfigError
        If there is no such column, or no line with such a value.
    """
    out = np.zeros(len(catalogue), bool)
    for name, values in conditions.items():
        found = find_name(catalogue.column_names, (name.lower(),))
        if found is None:
            raise ConfigError(f"--exclude names the column {name}; there are {', '.join(catalogue.column_names)}.")
        texts = [_text(value) for value in catalogue[found].to_pylist()]
        for value in values:
            hit = np.array([text == value for text in texts])
            if not hit.any():
                raise ConfigError(f"--exclude {name}={value}: no object has this value; some have {', '.join(sorted(set(texts))[:8])}.")
            out |= hit
    return out


def _plain(catalogue: pa.Table, name: str) -> np.ndarray:
    column = catalogue[name]
    if not _is_number(column.type):
        some = next((value for value in column.to_pylist() if value is not None), None)
        raise ConfigError(f"Column {name} holds {column.type}{'' if some is None else f' such as {some!r}'}, not single numbers.")
    values = column.cast(pa.float64()).to_numpy().astype(float)
    return np.where(np.isfinite(values) & ~np.isin(values, SENTINELS), values, np.nan)


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind)


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
