"""Embedding a survey shard by shard, each shard durable before the next begins."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
from tqdm import tqdm

from discovery.encoder import Encoder
from discovery.manifest import EMBEDDINGS_FOLDER, Shard, file_sha256
from discovery.shards import STORED_DTYPE
from discovery.stamps import Damaged, Survey
from index.ingest import Batch, BatchReader, InputForm, batch_reader
from index.plan import Plan
from index.publish import put

PARTS_FOLDER = "parts"
SPACE = "image"
SCHEMA = pa.schema(
    {
        "survey_position": pa.int64(),
        "crop_row0": pa.int32(),
        "crop_row1": pa.int32(),
        "crop_column0": pa.int32(),
        "crop_column1": pa.int32(),
        "crop_side_arcsec": pa.float64(),
        "covered_fraction": pa.float64(),
        "flag_artefact": pa.bool_(),
    }
)
log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Part:
    """What a finished shard left beside its embeddings."""

    shard: Shard
    measures: pa.Table
    damaged: list[Damaged]


def embed_survey(building: Path, plan: Plan, survey: Survey, encoder: Encoder, workers: int) -> int:
    """Make the shards that are not there yet; return how many stamps were embedded now."""
    missing = [number for number in range(len(plan.shards())) if _load_part(building, plan, number) is None]
    done = plan.positions - sum(stop - start for start, stop in (plan.shards()[number] for number in missing))
    form = InputForm(convention=encoder.card.convention, crop=encoder.card.crop, size=encoder.card.input_size)
    embedded = 0
    with (
        tqdm(total=plan.positions, initial=done, desc="embedding", unit="stamp", disable=None) as bar,
        batch_reader(survey, form, workers if missing else 0) as reader,
    ):
        for number in missing:
            embedded += _embed_shard(building, plan, number, encoder, reader, bar)
    return embedded


def load_parts(building: Path, plan: Plan) -> list[Part]:
    """Return every shard's part, in order; all must be there."""
    parts = [_load_part(building, plan, number) for number in range(len(plan.shards()))]
    return [part for part in parts if part is not None]


def _embed_shard(building: Path, plan: Plan, number: int, encoder: Encoder, reader: BatchReader, bar: tqdm) -> int:
    start, stop = plan.shards()[number]
    vectors: list[np.ndarray] = []
    batches: list[Batch] = []
    for batch in reader.read(plan.batches(start, stop)):
        if len(batch.positions):
            vectors.append(encoder.embed_inputs(batch.inputs).astype(STORED_DTYPE))
        bar.update(len(batch.positions) + len(batch.damaged))
        batches.append(Batch(positions=batch.positions, inputs=batch.inputs[:0], measures=batch.measures, damaged=batch.damaged))
    data = b"".join(block.tobytes() for block in vectors)
    rows = sum(len(block) for block in vectors)
    shard = Shard(file=_shard_file(number), start=start, stop=stop, rows=rows, sha256=hashlib.sha256(data).hexdigest())
    put(building / shard.file, data)
    put(building / PARTS_FOLDER / f"{number:05d}.arrow", _part_bytes(shard, batches))
    return rows


def _part_bytes(shard: Shard, batches: list[Batch]) -> bytes:
    damaged = [asdict(stamp) for batch in batches for stamp in batch.damaged]
    columns = list(zip(*_part_lines(batches), strict=True)) or [() for _ in SCHEMA]
    arrays = [pa.array(values, field.type) for values, field in zip(columns, SCHEMA, strict=True)]
    told = {"shard": msgspec.json.encode(shard), "damaged": msgspec.json.encode(damaged)}
    table = pa.table(arrays, schema=SCHEMA.with_metadata(told))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def _part_lines(batches: list[Batch]) -> Iterator[tuple]:
    for batch in batches:
        for position, measures in zip(batch.positions.tolist(), batch.measures, strict=True):
            yield position, *measures.box, measures.crop_side_arcsec, measures.covered_fraction, measures.artefact


def _load_part(building: Path, plan: Plan, number: int) -> Part | None:
    """Return a finished part, or None where its shard has to be made (again)."""
    path = building / PARTS_FOLDER / f"{number:05d}.arrow"
    if not path.exists():
        return None
    with pa.ipc.open_file(path) as reader:
        table = reader.read_all()
    told = table.schema.metadata
    shard = msgspec.json.decode(told[b"shard"], type=Shard)
    damaged = [Damaged(**stamp) for stamp in msgspec.json.decode(told[b"damaged"])]
    file = building / shard.file
    if (shard.start, shard.stop) != plan.shards()[number] or not file.exists() or file_sha256(file) != shard.sha256:
        log.warning("Shard %s is damaged and is made again.", shard.file)
        return None
    return Part(shard=shard, measures=table.replace_schema_metadata(None), damaged=damaged)


def _shard_file(number: int) -> str:
    return f"{EMBEDDINGS_FOLDER}/{SPACE}-{number:05d}.f16"
