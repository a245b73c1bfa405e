"""Tables as files to save."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import pyarrow as pa
from litestar import Response

from discovery.tables.writer import Fact, write_table

TableFormat = Literal["csv", "fits", "vot", "parquet"]
MEDIA_TYPES: Mapping[str, str] = {
    "csv": "text/csv",
    "fits": "application/fits",
    "vot": "application/x-votable+xml",
    "parquet": "application/vnd.apache.parquet",
}
OTHER_TYPES: Mapping[str, str] = {"zip": "application/zip", "json": "application/json"}


def table_file(table: pa.Table, stem: str, suffix: TableFormat, about: Sequence[Fact] = ()) -> Response[bytes]:
    """Return a table as a file to save, which states ``about`` itself where its format has a place for it (a csv has none)."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{stem}.{suffix}"
        write_table(table, path, () if suffix == "csv" else about)
        return file_to_save(path)


def file_to_save(path: Path) -> Response[bytes]:
    """Return a table, a zip of one or its statement, under its own name."""
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(path.name)}"}
    return Response(path.read_bytes(), media_type={**MEDIA_TYPES, **OTHER_TYPES}[path.suffix[1:]], headers=headers)
