"""What a finished shard leaves beside its data: an Arrow table with its SHA-256 after it.

A shard's data are put in place first and its record last: where the record is whole, so was the data when it was
written. A run that goes on reads the records to know which shards are still to be made.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow as pa

from discovery.errors import ReleaseError
from discovery.storage.atomic import put

DIGEST_BYTES = hashlib.sha256().digest_size
ARROW_END = b"ARROW1"


def put_record(path: Path, table: pa.Table) -> None:
    """Write a shard's record durably."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    data = sink.getvalue().to_pybytes()
    put(path, data + hashlib.sha256(data).digest())


def read_record(path: Path) -> pa.Table:
    """Return a shard's record.

    Training shards packed by older programs end with the table: they have no checksum of it.

    Raises
    ------
    ReleaseError
        If it is missing, or not as it was written.
    """
    name = f"{path.parent.name}/{path.name}"
    try:
        data = path.read_bytes()
    except OSError as problem:
        raise ReleaseError(f"there is no {name}") from problem
    if not data.endswith(ARROW_END):
        data, digest = data[:-DIGEST_BYTES], data[-DIGEST_BYTES:]
        if hashlib.sha256(data).digest() != digest:
            raise ReleaseError(f"{name} does not have its checksum")
    try:
        with pa.ipc.open_file(pa.BufferReader(data)) as reader:
            return reader.read_all()
    except pa.ArrowInvalid as problem:
        raise ReleaseError(f"{name} is no table: {problem}") from problem
