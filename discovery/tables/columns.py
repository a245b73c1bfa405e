"""Columns of a survey as Arrow: any numpy column, the columns every table has, names that cannot collide."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa

REQUIRED_TYPES: dict[str, pa.DataType] = {
    "object_id": pa.string(),
    "ra": pa.float64(),
    "dec": pa.float64(),
    "source": pa.string(),
}
RA_NAMES = (
    "ra", "ra_deg", "raj2000", "_raj2000", "ra_icrs", "right_ascension", "ra_j2000", "alpha_j2000", "target_ra",
    "radeg", "ra_d", "ra2000", "_ra", "_ra_icrs", "right ascension", "rightascension", "r.a.", "alphawin_j2000", "coord_ra",
    "s_ra", "ra_mean", "ramean", "ra_rad", "ra_hours", "ra_hour", "ra_hms",
)  # fmt: skip
"""Usual names of right ascension, best first; a unit in brackets may follow (``RA [deg]``)."""
DEC_NAMES = (
    "dec", "dec_deg", "dej2000", "_dej2000", "decj2000", "de_icrs", "declination", "de", "dec_j2000",
    "delta_j2000", "target_dec", "dedeg", "decdeg", "dec_d", "dec2000", "de2000", "_de", "_dec", "_decj2000", "_de_icrs", "dec_icrs",
    "decl", "decl.", "dec.", "deltawin_j2000", "coord_dec", "s_dec", "dec_mean", "decmean", "dec_rad", "dec_dms",
)  # fmt: skip
"""Usual names of declination, best first; a unit in brackets may follow."""
ID_NAMES = (
    "object_id", "id", "id_str", "name", "designation", "iauname", "objid", "objectid", "dr7objid", "dr8objid", "specobjid",
    "asset_id", "galaxy_id", "galaxyid", "targetid",
)  # fmt: skip
"""Usual names of a column that names objects."""
UNIT_BEHIND = re.compile(
    r"\s*[\[(]\s*(deg|degrees?|°|rad|radians?|h|hr|hours?|hms|dms|h:m:s|d:m:s|j2000|icrs)\s*[\])]\s*$", re.IGNORECASE
)
"""What may stand in brackets behind a name of a position and does not belong to it."""


def arrow_column(values: np.ndarray) -> pa.Array:
    """Return a numpy column as Arrow: NaN as NULL, bytes as text, (N, k) as lists of fixed length k.

    Parameters
    ----------
    values : numpy.ndarray
        (N,) or (N, ...) of any plain type and byte order.

    Raises
    ------
    TypeError
        The type has no counterpart (complex numbers, nested records).
    """
    values = np.ma.getdata(values)
    if values.ndim > 1:
        width = int(np.prod(values.shape[1:]))
        return pa.FixedSizeListArray.from_arrays(arrow_column(values.reshape(-1)), max(width, 1))
    kind = values.dtype.kind
    if kind == "S":
        return pa.array([_text(item) for item in values.tolist()], pa.string())
    if kind == "U":
        return pa.array([item.strip() for item in values.tolist()], pa.string())
    if kind == "O":
        return pa.array([_text(item) for item in values], pa.string())
    if kind == "f":
        wanted = np.float32 if values.dtype.itemsize <= 4 else np.float64
        return pa.array(values.astype(wanted), from_pandas=True)
    if kind in "biu":
        return pa.array(np.ascontiguousarray(values.astype(values.dtype.newbyteorder("="))))
    raise TypeError(f"a column of type {values.dtype} cannot be kept")


def described(
    columns: Mapping[str, pa.Array | pa.ChunkedArray], units: Mapping[str, str], ucds: Mapping[str, str] | None = None
) -> pa.Table:
    """Return columns as a table whose fields say the units and UCDs that the file states."""
    fields = []
    for name, values in columns.items():
        stated = {"unit": units.get(name, ""), "ucd": (ucds or {}).get(name, "")}
        known = {key: text for key, text in stated.items() if text}
        fields.append(pa.field(name, values.type, metadata=known or None))
    return pa.table(list(columns.values()), schema=pa.schema(fields))


def unit_of(table: pa.Table, name: str) -> str:
    """Return the unit that a file states for a column; empty where it states none."""
    return _stated(table, name, b"unit")


def ucd_of(table: pa.Table, name: str) -> str:
    """Return the UCD that a file states for a column; empty where it states none."""
    return _stated(table, name, b"ucd")


def degrees(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """Return a position column as float64 degrees; what is no finite number is NULL."""
    import pyarrow.compute as pc

    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return pa.array([_number(item) for item in column.to_pylist()], pa.float64())
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        return pa.nulls(len(column), pa.float64())
    column = pc.cast(column, pa.float64(), safe=False)
    return pc.if_else(pc.is_finite(column), column, pa.scalar(None, pa.float64()))


def find_name(names: Iterable[str], wanted: Sequence[str]) -> str | None:
    """Return the first of `wanted` that is among `names`, whatever its case and the unit in brackets behind it."""
    came = list(reversed(list(names)))
    by_lower = {UNIT_BEHIND.sub("", name).lower(): name for name in came} | {name.lower(): name for name in came}
    return next((by_lower[name] for name in wanted if name in by_lower), None)


def kept_names(names: Iterable[str]) -> dict[str, str]:
    """Map the survey's column names to the names they are kept under.

    Catalogues do not tell upper from lower case, so that a name may clash with a required column or
    with another column. ``object_id``, ``ra`` and ``dec`` of the file *are* the required columns and
    are not kept twice; any other clash gets a number: ``source`` is kept as ``source_2``.
    """
    taken = set(REQUIRED_TYPES)
    kept: dict[str, str] = {}
    for name in names:
        if name.lower() in ("object_id", "ra", "dec"):
            continue
        unique, number = name, 2
        while unique.lower() in taken:
            unique, number = f"{name}_{number}", number + 1
        taken.add(unique.lower())
        kept[name] = unique
    return kept


def merged_types(schemas: Iterable[Mapping[str, pa.DataType]]) -> dict[str, pa.DataType]:
    """Return one type a column for files that may lack columns or hold them in other types."""
    merged: dict[str, pa.DataType] = {}
    for schema in schemas:
        for name, type_ in schema.items():
            merged[name] = _wider(merged.get(name, type_), type_)
    return merged


def conform(table: pa.Table, types: Mapping[str, pa.DataType]) -> pa.Table:
    """Return `table` with exactly the columns of `types`, their units kept: cast, and NULL where it lacks one."""
    columns, units = {}, {}
    for name, type_ in types.items():
        if name not in table.column_names:
            columns[name] = pa.nulls(table.num_rows, type_)
            continue
        units[name] = unit_of(table, name)
        same = table.schema.field(name).type == type_
        columns[name] = table.column(name) if same else _cast(table.column(name), type_)
    return described(columns, units)


def required_columns(
    object_ids: Sequence[str],
    ra_deg: pa.Array | np.ndarray | None,
    dec_deg: pa.Array | np.ndarray | None,
    sources: Sequence[str],
) -> dict[str, pa.Array]:
    """Return the columns ``object_id``, ``ra``, ``dec`` and ``source``, with which every table begins."""
    n_rows = len(object_ids)
    return {
        "object_id": pa.array(object_ids, pa.string()),
        "ra": _position(ra_deg, n_rows),
        "dec": _position(dec_deg, n_rows),
        "source": pa.array(sources, pa.string()),
    }


def _stated(table: pa.Table, name: str, what: bytes) -> str:
    return ((table.schema.field(name).metadata or {}).get(what) or b"").decode("utf-8", "replace")


def _position(values: pa.Array | np.ndarray | None, n_rows: int) -> pa.Array:
    if values is None:
        return pa.nulls(n_rows, pa.float64())
    return degrees(arrow_column(values) if isinstance(values, np.ndarray) else values)


def _wider(first: pa.DataType, second: pa.DataType) -> pa.DataType:
    if first == second:
        return first
    try:
        schemas = [pa.schema([("column", type_)]) for type_ in (first, second)]
        return pa.unify_schemas(schemas, promote_options="permissive").field("column").type
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.string()


def _cast(column: pa.ChunkedArray, type_: pa.DataType) -> pa.ChunkedArray | pa.Array:
    try:
        return column.cast(type_)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        texts = [None if item is None else str(item) for item in column.to_pylist()]
        return pa.array(texts, pa.string())


def _text(item: object) -> str | None:
    if isinstance(item, bytes):
        return item.decode("utf-8", errors="replace").rstrip("\x00").strip()
    return None if item is None else str(item)


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None else None
    except ValueError:
        return None
    return value if value is not None and np.isfinite(value) else None
