"""Packing surveys into training shards: each shard durable before it counts, several at a time."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Sequence
from concurrent.futures import as_completed
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from tqdm import tqdm

from discovery.errors import ConfigError, ReleaseError, StampError, SurveyError
from discovery.processes.worker_pool import worker_pool
from discovery.readers import open_survey
from discovery.stamps.preprocess import prepare
from discovery.stamps.stamp import Damaged, Survey
from discovery.storage.atomic import clear_unfinished, file_sha256, put, put_made, written
from discovery.storage.locks import only_run
from discovery.storage.shard_records import put_record, read_record
from training.data.shards import (
    DAMAGED_FILE,
    PLAN_FILE,
    SCALE,
    SHARDS_FILE,
    STAMPS_FILE,
    PixelFile,
    ShardsManifest,
    ShardsPlan,
    Source,
    read_manifest,
)
from training.data.split import is_training, is_validation

DTYPES = ("uint8", "float16")
SHARD_STAMPS = 4096
READ = 256
RECORD = pa.schema({"object_id": pa.string(), "trains": pa.bool_(), "validates": pa.bool_(), "label": pa.string()})
STAMPS = pa.schema([*list(RECORD)[:3], pa.field("label", pa.int32())])
log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PackedShard:
    """The record of a finished shard: its pixels, a table of its stamps (`RECORD`) and the stamps that could not be used."""

    pixels: PixelFile
    table: pa.Table
    damaged: list[Damaged]


def pack(
    sources: Sequence[str],
    out: Path,
    *,
    dtype: str = "uint8",
    size: int = 128,
    shard_stamps: int = SHARD_STAMPS,
    workers: int = 0,
    verify: bool = False,
) -> ShardsManifest:
    """Return the manifest of packed surveys; a run that was stopped goes on.

    Parameters
    ----------
    sources
        Paths that `open_survey` reads, each with ``@COLUMN`` behind it where a column's labels are to be kept.
    out
        Folder for the shards.
    dtype
        ``uint8`` (rounded) or ``float16``.
    size
        Pixels a side.
    shard_stamps
        Survey positions a shard; 4096 of 128 pixels are 201 MB as uint8.
    workers
        Processes that read and write, each a shard at a time in memory; 0 does it in this one.
    verify
        Also compare the checksums of the shards that are there; what does not fit is made again.

    Raises
    ------
    ConfigError
        If an option is wrong, or the folder holds something else.
    SurveyError
        If a source is no survey, or none of its stamps can be used.
    """
    _check(sources, dtype, size, shard_stamps, workers)
    surveys = [open_survey([source.partition("@")[0]]) for source in sources]
    listed = tuple(_source(source, survey) for source, survey in zip(sources, surveys, strict=True))
    plan = ShardsPlan(sources=listed, dtype=dtype, size=size, shard_stamps=shard_stamps)  # type: ignore[arg-type]
    with only_run(_begun(out, plan), program="discovery train shards", waits=True, leaves_lock=False):
        clear_unfinished(out)
        missing = [number for number in range(len(plan.ranges())) if _load_record(out, plan, number, verify) is None]
        if missing or not (out / SHARDS_FILE).exists():
            (out / SHARDS_FILE).unlink(missing_ok=True)
            _make_missing(out, plan, surveys, missing, workers)
            _finish(out, plan)
        return read_manifest(out)


def _check(sources: Sequence[str], dtype: str, size: int, shard_stamps: int, workers: int) -> None:
    if not sources:
        raise ConfigError("Name at least one survey to pack.")
    if dtype not in DTYPES:
        raise ConfigError(f"No dtype {dtype!r} for shards; there are {' and '.join(DTYPES)}.")
    if not 8 <= size <= 1024 or shard_stamps < 1 or workers < 0:
        raise ConfigError(f"size {size} must be 8 to 1024 pixels, shard_stamps {shard_stamps} at least 1, workers {workers} not negative.")


def _source(source: str, survey: Survey) -> Source:
    path, _, column = source.partition("@")
    names = survey.table(0, 1).column_names
    if column and column not in names:
        raise ConfigError(f"{path} has no column {column!r}; it has {', '.join(names)}.")
    return Source(path=str(Path(path).resolve()), column=column, stamps=len(survey))


def _begun(out: Path, plan: ShardsPlan) -> Path:
    """Make the folder with its plan, or check that it is this plan's."""
    path = out / PLAN_FILE
    if path.exists():
        try:
            before = msgspec.json.decode(path.read_bytes(), type=ShardsPlan)
        except msgspec.DecodeError as problem:
            raise ConfigError(f"{path} cannot be read: {problem}; choose another folder.") from None
        if before != plan:
            raise ConfigError(
                f"{out} holds shards of other surveys or options (see {PLAN_FILE} in it), or a survey has changed; choose another folder."
            )
    elif out.exists() and any(out.iterdir()):
        raise ConfigError(f"{out} is no folder of shards and not empty; choose another one.")
    else:
        out.mkdir(parents=True, exist_ok=True)
        put(path, msgspec.json.format(msgspec.json.encode(plan), indent=1))
    return out


def _make_missing(out: Path, plan: ShardsPlan, surveys: Sequence[Survey], missing: Sequence[int], workers: int) -> None:
    ranges = plan.ranges()
    total, left = (sum(ranges[n][2] - ranges[n][1] for n in some) for some in (range(len(ranges)), missing))
    with tqdm(total=total, initial=total - left, desc=f"packing {out.name}", unit="stamp", disable=None) as bar:
        if workers == 0:
            for number in missing:
                _make_shard(out, plan, surveys, number)
                bar.update(ranges[number][2] - ranges[number][1])
            return
        with worker_pool(workers, _open_here, out, plan, surveys, doing="packs stamps", remedy="fewer --workers need less") as pool:
            for done in as_completed([pool.submit(_make_here, number) for number in missing]):
                number = done.result()
                bar.update(ranges[number][2] - ranges[number][1])


_here: tuple[Path, ShardsPlan, Sequence[Survey]]


def _open_here(out: Path, plan: ShardsPlan, surveys: Sequence[Survey]) -> None:
    global _here
    _here = (out, plan, surveys)


def _make_here(number: int) -> int:
    _make_shard(*_here, number)
    return number


def _make_shard(out: Path, plan: ShardsPlan, surveys: Sequence[Survey], number: int) -> None:
    which, start, stop = plan.ranges()[number]
    survey, column = surveys[which], plan.sources[which].column
    pixels = np.empty((stop - start, 3, plan.size, plan.size), np.dtype(plan.dtype).newbyteorder("<"))
    ids: list[str] = []
    positions: list[int] = []
    damaged: list[Damaged] = []
    for first in range(start, stop, READ):
        for position, stamp in enumerate(survey.read(first, min(first + READ, stop)), first):
            if isinstance(stamp, Damaged):
                damaged.append(stamp)
                continue
            try:
                ready = prepare(stamp, convention=plan.convention, crop=plan.crop, size=plan.size).inputs[0] * SCALE
            except StampError as problem:
                source = str(survey.table(position, position + 1)["source"][0])
                damaged.append(Damaged(object_id=stamp.object_id, source=source, reason=str(problem)))
                continue
            pixels[len(ids)] = np.rint(ready) if plan.dtype == "uint8" else ready
            ids.append(stamp.object_id)
            positions.append(position - start)
    labels = _texts(survey.table(start, stop)[column].take(positions)) if column else [None] * len(ids)
    columns = [ids, [is_training(name) for name in ids], [is_validation(name) for name in ids], labels]
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, np.lib.format.header_data_from_array_1_0(pixels[: len(ids)]))
    name = f"pixels/{number:05d}.npy"
    with written(out / name) as sink:
        sink.write(buffer.getvalue())
        sink.write(pixels[: len(ids)].data)
    file = PixelFile(file=name, rows=len(ids), sha256=sink.sha256)
    about = {"pixels": msgspec.json.encode(file), "damaged": msgspec.json.encode([astuple(one) for one in damaged])}
    arrays = [pa.array(values, field.type) for values, field in zip(columns, RECORD, strict=True)]
    put_record(_record_path(out, number), pa.table(arrays, schema=RECORD.with_metadata(about)))


def _texts(column: Any) -> list[str | None]:
    values = column.to_pylist()
    return [None if value is None else value.decode() if isinstance(value, bytes) else str(value) for value in values]


def _load_record(out: Path, plan: ShardsPlan, number: int, verify: bool = False) -> PackedShard | None:
    """Return a finished shard's record, or None where the shard has to be made (again)."""
    try:
        table = read_record(_record_path(out, number))
    except ReleaseError:
        return None
    about = table.schema.metadata
    pixels = msgspec.json.decode(about[b"pixels"], type=PixelFile)
    path, needed = out / pixels.file, pixels.rows * 3 * plan.size**2 * np.dtype(plan.dtype).itemsize
    if not path.exists() or path.stat().st_size < needed or (verify and file_sha256(path) != pixels.sha256):
        log.warning("Shard %s is damaged and is made again.", path)
        return None
    damaged = [Damaged(object_id=one, source=source, reason=why) for one, source, why in msgspec.json.decode(about[b"damaged"])]
    return PackedShard(pixels=pixels, table=table, damaged=damaged)


def _finish(out: Path, plan: ShardsPlan) -> None:
    """Put the parts together, one at a time in memory."""
    values: dict[str, set[str]] = {source.column: set() for source in plan.sources if source.column}
    counts, files = np.zeros(4, np.int64), []
    used = np.zeros(len(plan.sources), np.int64)
    with written(out / DAMAGED_FILE) as file:
        file.write(_csv([("survey", "object_id", "source", "reason")]))
        for number, (which, _, _) in enumerate(plan.ranges()):
            shard = _finished(out, plan, number)
            source = plan.sources[which]
            file.write(_csv([(source.path, *astuple(one)) for one in shard.damaged]))
            if source.column:
                values[source.column] |= {name for name in shard.table["label"].unique().to_pylist() if name is not None}
            masks = [shard.table[name].to_numpy().sum() for name in ("trains", "validates")]
            counts += [len(shard.table), *masks, len(shard.damaged)]
            used[which] += len(shard.table)
            files.append(shard.pixels)
    if not used.all():
        source = plan.sources[int(np.argmin(used))]
        raise SurveyError(f"None of the {source.stamps} stamps of {source.path} can be used: {out / DAMAGED_FILE} has the reasons.")
    classes = {column: tuple(sorted(names)) for column, names in values.items()}
    put_made(out / STAMPS_FILE, lambda beside: _write_stamps(beside, out, plan, classes))
    stamps, training, validating, n_damaged = counts.tolist()
    manifest = ShardsManifest(
        plan=plan, stamps=stamps, training=training, validating=validating, damaged=n_damaged, classes=classes, files=tuple(files)
    )
    put(out / SHARDS_FILE, msgspec.json.format(msgspec.json.encode(manifest), indent=1))


def _finished(out: Path, plan: ShardsPlan, number: int) -> PackedShard:
    """Return a shard's record, which is there."""
    found = _load_record(out, plan, number)
    assert found is not None
    return found


def _csv(rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _write_stamps(path: Path, out: Path, plan: ShardsPlan, classes: dict[str, tuple[str, ...]]) -> None:
    """Write the table of all stamps, one record batch a shard."""
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, STAMPS) as writer:
        for number, (which, _, _) in enumerate(plan.ranges()):
            writer.write_batch(_stamps(out, plan, number, classes.get(plan.sources[which].column, ())))


def _stamps(out: Path, plan: ShardsPlan, number: int, classes: tuple[str, ...]) -> pa.RecordBatch:
    """Return a shard's table with its labels as numbers: one record batch."""
    shard = _finished(out, plan, number)
    place = {name: i for i, name in enumerate(classes)}
    labels = [-1 if name is None else place[name] for name in shard.table["label"].to_pylist()]
    columns = [shard.table[name].combine_chunks() for name in ("object_id", "trains", "validates")]
    return pa.record_batch([*columns, pa.array(labels, pa.int32())], schema=STAMPS)


def _record_path(out: Path, number: int) -> Path:
    return out / "parts" / f"{number:05d}.arrow"
