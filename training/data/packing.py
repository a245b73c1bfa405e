"""Packing surveys into training shards: each shard durable before it counts, several at a time."""

from __future__ import annotations

import csv
import fcntl
import io
import logging
import multiprocessing
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from tqdm import tqdm

from discovery.errors import ConfigError, StampError, SurveyError
from discovery.readers import open_survey
from discovery.release.manifest import file_sha256
from discovery.stamps.preprocess import prepare
from discovery.stamps.stamp import Damaged, Survey
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
PART = pa.schema({"object_id": pa.string(), "trains": pa.bool_(), "validates": pa.bool_(), "label": pa.string()})
LINES = pa.schema([*list(PART)[:3], pa.field("label", pa.int32())])
log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Part:
    """What a finished shard left beside its pixels: its lines (`PART`) and the stamps that could not be used."""

    pixels: PixelFile
    lines: pa.Table
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
    """Pack surveys, or go on where a run was stopped.

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
    with _only_run(_begun(out, plan)):
        missing = [number for number in range(len(plan.ranges())) if _load_part(out, plan, number, verify) is None]
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
        _put(path, msgspec.json.format(msgspec.json.encode(plan), indent=1))
    return out


@contextmanager
def _only_run(folder: Path) -> Iterator[None]:
    """Hold a folder against other processes that pack into it; who comes second waits, and finds it done."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.warning("Another process is packing into %s; waiting for it.", folder)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _make_missing(out: Path, plan: ShardsPlan, surveys: Sequence[Survey], missing: Sequence[int], workers: int) -> None:
    ranges = plan.ranges()
    total, left = (sum(ranges[n][2] - ranges[n][1] for n in some) for some in (range(len(ranges)), missing))
    with tqdm(total=total, initial=total - left, desc=f"packing {out.name}", unit="stamp", disable=None) as bar:
        if workers == 0:
            for number in missing:
                _make_shard(out, plan, surveys, number)
                bar.update(ranges[number][2] - ranges[number][1])
            return
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker, initargs=(out, plan, surveys))
        try:
            for done in as_completed([pool.submit(_make_here, number) for number in missing]):
                number = done.result()
                bar.update(ranges[number][2] - ranges[number][1])
        except BrokenProcessPool as problem:
            raise SurveyError(
                "A process that packs stamps was stopped from outside (out of memory?). Run again to go on; fewer --workers need less."
            ) from problem
        finally:
            pool.shutdown(cancel_futures=True)


_here: tuple[Path, ShardsPlan, Sequence[Survey]]


def _start_worker(out: Path, plan: ShardsPlan, surveys: Sequence[Survey]) -> None:
    global _here
    import cv2

    cv2.setNumThreads(1)
    _here = (out, plan, surveys)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


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
    file = PixelFile(file=f"pixels/{number:05d}.npy", rows=len(ids), sha256="")
    _put(out / file.file, buffer.getvalue(), pixels[: len(ids)].data)
    file = msgspec.structs.replace(file, sha256=file_sha256(out / file.file))
    told = {"pixels": msgspec.json.encode(file), "damaged": msgspec.json.encode([astuple(one) for one in damaged])}
    arrays = [pa.array(values, field.type) for values, field in zip(columns, PART, strict=True)]
    _put(_part_path(out, number), _arrow([pa.record_batch(arrays, schema=PART.with_metadata(told))], PART.with_metadata(told)))


def _texts(column: Any) -> list[str | None]:
    values = column.to_pylist()
    return [None if value is None else value.decode() if isinstance(value, bytes) else str(value) for value in values]


def _load_part(out: Path, plan: ShardsPlan, number: int, verify: bool = False) -> Part | None:
    """Return a finished shard's part, or None where the shard has to be made (again)."""
    try:
        with pa.ipc.open_file(_part_path(out, number)) as reader:
            lines = reader.read_all()
    except (FileNotFoundError, pa.ArrowInvalid):
        return None
    told = lines.schema.metadata
    pixels = msgspec.json.decode(told[b"pixels"], type=PixelFile)
    path, needed = out / pixels.file, pixels.rows * 3 * plan.size**2 * np.dtype(plan.dtype).itemsize
    if not path.exists() or path.stat().st_size < needed or (verify and file_sha256(path) != pixels.sha256):
        log.warning("Shard %s is damaged and is made again.", path)
        return None
    damaged = [Damaged(object_id=one, source=source, reason=why) for one, source, why in msgspec.json.decode(told[b"damaged"])]
    return Part(pixels=pixels, lines=lines, damaged=damaged)


def _finish(out: Path, plan: ShardsPlan) -> None:
    """Put the parts together, one at a time in memory."""
    values: dict[str, set[str]] = {source.column: set() for source in plan.sources if source.column}
    counts, files = np.zeros(4, np.int64), []
    used = np.zeros(len(plan.sources), np.int64)
    with _beside(out / DAMAGED_FILE) as path, path.open("w", newline="") as file:
        damaged = csv.writer(file)
        damaged.writerow(["survey", "object_id", "source", "reason"])
        for number, (which, _, _) in enumerate(plan.ranges()):
            part = _load_part(out, plan, number)
            assert part is not None
            source = plan.sources[which]
            damaged.writerows([source.path, *astuple(one)] for one in part.damaged)
            if source.column:
                values[source.column] |= {name for name in part.lines["label"].unique().to_pylist() if name is not None}
            masks = [part.lines[name].to_numpy().sum() for name in ("trains", "validates")]
            counts += [len(part.lines), *masks, len(part.damaged)]
            used[which] += len(part.lines)
            files.append(part.pixels)
    if not used.all():
        source = plan.sources[int(np.argmin(used))]
        raise SurveyError(f"None of the {source.stamps} stamps of {source.path} can be used; {out / DAMAGED_FILE} says why.")
    classes = {column: tuple(sorted(names)) for column, names in values.items()}
    with _beside(out / STAMPS_FILE) as path, pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, LINES) as writer:
        for number, (which, _, _) in enumerate(plan.ranges()):
            writer.write_batch(_lines(out, plan, number, classes.get(plan.sources[which].column, ())))
    stamps, training, validating, n_damaged = counts.tolist()
    manifest = ShardsManifest(
        plan=plan, stamps=stamps, training=training, validating=validating, damaged=n_damaged, classes=classes, files=tuple(files)
    )
    _put(out / SHARDS_FILE, msgspec.json.format(msgspec.json.encode(manifest), indent=1))


def _lines(out: Path, plan: ShardsPlan, number: int, classes: tuple[str, ...]) -> pa.RecordBatch:
    """Return a part's lines with its labels as numbers: one record batch."""
    part = _load_part(out, plan, number)
    assert part is not None
    place = {name: i for i, name in enumerate(classes)}
    labels = [-1 if name is None else place[name] for name in part.lines["label"].to_pylist()]
    columns = [part.lines[name].combine_chunks() for name in ("object_id", "trains", "validates")]
    return pa.record_batch([*columns, pa.array(labels, pa.int32())], schema=LINES)


def _part_path(out: Path, number: int) -> Path:
    return out / "parts" / f"{number:05d}.arrow"


def _arrow(batches: Sequence[pa.RecordBatch], schema: pa.Schema) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def _put(path: Path, *blocks: Any) -> None:
    """Write a file durably: beside, synced, renamed."""
    with _beside(path) as beside, beside.open("wb") as file:
        for block in blocks:
            file.write(block)


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """Give a name beside a file; what was written there is synced and takes the file's place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    yield part
    descriptor = os.open(part, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
    part.rename(path)
