"""Embedding a survey shard by shard, each shard durable before the next begins.

In memory are the batches that are read ahead and the measures of one shard, whatever the survey's size.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path

import pyarrow as pa
from tqdm import tqdm

from discovery.encoders.encoder import Encoder, Precision
from discovery.release.manifest import Shard
from discovery.release.shards import STORED_DTYPE
from discovery.stamps.stamp import Damaged, Survey
from discovery.storage.atomic import written
from index.embed.finished_shards import (
    Computed,
    FinishedShards,
    check_one_precision,
    measures_of,
    precisions_of,
    problem_of,
    record_path,
    record_shard,
    shard_file,
)
from index.embed.ingest import Batch, batch_reader, input_form
from index.embed.stage_times import StageTimes, rates_text
from index.plan import Plan

log = logging.getLogger(__name__)


def embed_survey(
    building: Path,
    plan: Plan,
    survey: Survey,
    encoder: Encoder,
    workers: int,
    numbers: Iterable[int] | None = None,
    precision: Precision | None = None,
) -> int:
    """Make the shards that are not there yet, all or some numbers of them; return how many stamps were embedded now.

    Parameters
    ----------
    precision : {"float32", "bfloat16"}, optional
        What the encoder computes in: finished shards of another one are made again. Where none is given, they are an error.

    Raises
    ------
    ConfigError
        If the shards would be of two precisions.
    """
    wanted = list(range(plan.shard_count) if numbers is None else numbers)
    missing = unfinished(building, plan, wanted, precision)
    found = precisions_of(building, plan, sorted(set(wanted) - set(missing)))
    if missing:
        found.setdefault(encoder.precision, [])
    check_one_precision(plan, found)
    if not missing:
        return 0
    embedded, times = 0, StageTimes()
    with (
        shard_bar(plan, wanted, missing) as bar,
        batch_reader(survey, input_form(encoder), workers) as reader,
    ):
        batches = reader.read(chain.from_iterable(plan.batches(*plan.shard(number)) for number in missing))
        for number in missing:
            shard = embed_shard(building, plan, number, encoder, batches, reader.readers, times, bar)
            embedded += shard.rows
    return embedded


def unfinished(building: Path, plan: Plan, numbers: Iterable[int], precision: Precision | None = None) -> list[int]:
    """Return the shards of those numbers that have to be made: missing ones, and, with a warning, what `problem_of` finds."""
    missing = []
    for number in numbers:
        problem = problem_of(building, plan, number, precision)
        if problem is not None:
            missing.append(number)
            if record_path(building, number).exists():
                log.warning("%s It is made again.", problem)
    return missing


def finished_shards(building: Path, plan: Plan) -> FinishedShards:
    """Return every shard's record, in order, read one at a time; all must be there.

    Raises
    ------
    ReleaseError
        If one is missing or damaged.
    """
    return FinishedShards(building, plan, range(plan.shard_count))


def shard_bar(plan: Plan, wanted: list[int], missing: list[int]) -> tqdm:
    """Return a progress bar over the stamps of the wanted shards, those missing yet to come."""
    count = {number: stop - start for number in wanted for start, stop in [plan.shard(number)]}
    done = sum(count.values()) - sum(count[number] for number in missing)
    return tqdm(total=sum(count.values()), initial=done, desc="embedding", unit="stamp", disable=None)


def embed_shard(
    building: Path,
    plan: Plan,
    number: int,
    encoder: Encoder,
    batches: Iterator[Batch],
    readers: int,
    so_far: StageTimes,
    bar: tqdm,
) -> Shard:
    """Return a shard, embedded from the next batches, which are its own, and put in place.

    Parameters
    ----------
    readers : int
        Processes or threads that make the batches.
    so_far : StageTimes
        Of the run, shown in the bar; the shard's is added.
    """
    start, stop = plan.shard(number)
    file, rows, times, began = shard_file(plan.first_shard + number), 0, StageTimes(), time.perf_counter()
    measures: list[pa.RecordBatch] = []
    damaged: list[Damaged] = []
    with written(building / file) as out:
        for batch in islice(batches, plan.batch_count(number)):
            data = _embedded(encoder, batch, times)
            with times.timed("write"):
                out.write(data)
                measures.append(measures_of(batch))
            damaged += batch.damaged
            rows += len(batch.positions)
            _count(times, batch)
            bar.update(len(batch.positions) + len(batch.damaged))
            bar.set_postfix_str(rates_text(_with(so_far, times, time.perf_counter() - began, readers)), refresh=False)
        with times.timed("write"):
            out.sync()
    shard = Shard(file=file, start=start, stop=stop, rows=rows, sha256=out.sha256)
    times.passed(time.perf_counter() - began, readers)
    record_shard(building, number, shard, measures, damaged, times, computed_by(encoder))
    so_far.add(times)
    return shard


def computed_by(encoder: Encoder) -> Computed:
    """Return what an encoder computes on and in."""
    import torch

    return Computed(device=encoder.device.type, precision=encoder.precision, runtime=f"torch {torch.__version__}")


def _embedded(encoder: Encoder, batch: Batch, times: StageTimes) -> bytes:
    if len(batch.positions) == 0:
        return b""
    with times.timed("encode"):
        return encoder.embed_inputs(batch.inputs).astype(STORED_DTYPE).tobytes()


def _count(times: StageTimes, batch: Batch) -> None:
    times.stamps += len(batch.positions) + len(batch.damaged)
    times.seconds["read"] += batch.read_seconds
    times.seconds["prepare"] += batch.prepare_seconds


def _with(so_far: StageTimes, times: StageTimes, seconds: float, readers: int) -> StageTimes:
    """Return the run's times with that of the shard in times."""
    both = StageTimes()
    both.add(so_far)
    both.add(times)
    both.passed(seconds, readers)
    return both
