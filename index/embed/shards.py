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
from index.embed.ingest import Batch, batch_reader, input_form
from index.embed.parts import (
    Computed,
    Parts,
    check_one_precision,
    measures_of,
    part_path,
    precisions_of,
    problem_of,
    shard_file,
    write_part,
)
from index.embed.rates import Work, rates_text
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
        What was asked for, and the encoder has: shards of another one are made again. Where nobody said, they are an error.

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
    embedded, work = 0, Work()
    with (
        shard_bar(plan, wanted, missing) as bar,
        batch_reader(survey, input_form(encoder), workers) as reader,
    ):
        batches = reader.read(chain.from_iterable(plan.batches(*plan.shard(number)) for number in missing))
        for number in missing:
            shard = embed_shard(building, plan, number, encoder, batches, reader.readers, work, bar)
            embedded += shard.rows
    return embedded


def unfinished(building: Path, plan: Plan, numbers: Iterable[int], precision: Precision | None = None) -> list[int]:
    """Return the shards of those numbers that have to be made: missing ones, and, with a warning, what `problem_of` finds."""
    missing = []
    for number in numbers:
        problem = problem_of(building, plan, number, precision)
        if problem is not None:
            missing.append(number)
            if part_path(building, number).exists():
                log.warning("%s It is made again.", problem)
    return missing


def load_parts(building: Path, plan: Plan) -> Parts:
    """Return every shard's part, in order, read one at a time; all must be there.

    Raises
    ------
    ReleaseError
        If one is missing or damaged.
    """
    return Parts(building, plan, range(plan.shard_count))


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
    so_far: Work,
    bar: tqdm,
) -> Shard:
    """Embed the next batches, which are those of a shard, and put the shard in place.

    Parameters
    ----------
    readers : int
        Processes or threads that make the batches.
    so_far : Work
        Of the run, shown in the bar; the shard's is added.
    """
    start, stop = plan.shard(number)
    file, rows, work, began = shard_file(number), 0, Work(), time.perf_counter()
    measures: list[pa.RecordBatch] = []
    damaged: list[Damaged] = []
    with written(building / file) as out:
        for batch in islice(batches, plan.batch_count(number)):
            data = _embedded(encoder, batch, work)
            with work.timed("write"):
                out.write(data)
                measures.append(measures_of(batch))
            damaged += batch.damaged
            rows += len(batch.positions)
            _count(work, batch)
            bar.update(len(batch.positions) + len(batch.damaged))
            bar.set_postfix_str(rates_text(_with(so_far, work, time.perf_counter() - began, readers)), refresh=False)
        with work.timed("write"):
            out.sync()
    shard = Shard(file=file, start=start, stop=stop, rows=rows, sha256=out.sha256)
    work.passed(time.perf_counter() - began, readers)
    write_part(building, number, shard, measures, damaged, work, computed_by(encoder))
    so_far.add(work)
    return shard


def computed_by(encoder: Encoder) -> Computed:
    """Return what an encoder computes on and in."""
    return Computed(device=encoder.device.type, precision=encoder.precision)


def _embedded(encoder: Encoder, batch: Batch, work: Work) -> bytes:
    if len(batch.positions) == 0:
        return b""
    with work.timed("encode"):
        return encoder.embed_inputs(batch.inputs).astype(STORED_DTYPE).tobytes()


def _count(work: Work, batch: Batch) -> None:
    work.stamps += len(batch.positions) + len(batch.damaged)
    work.seconds["read"] += batch.read_seconds
    work.seconds["prepare"] += batch.prepare_seconds


def _with(so_far: Work, work: Work, seconds: float, readers: int) -> Work:
    """Return the run's work with that of the shard in work."""
    both = Work()
    both.add(so_far)
    both.add(work)
    both.passed(seconds, readers)
    return both
