"""Embedding on a Ray cluster: shards spread over all its machines, lost workers replaced, their shards made again.

Each worker is a process with an encoder (on a GPU where there are any) that makes one shard after another and puts it
in the building folder itself, which therefore must lie on a file system that all machines share. With GPUs the stamps
are read by tasks on whichever CPUs are free; without, each worker reads ahead in a thread, as a local run does.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections import Counter, deque
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from discovery.encoders.encoder import Encoder, Precision, load_encoder
from discovery.errors import ConfigError, LostWorker
from discovery.processes.ray_cluster import ray_cluster, ray_result
from discovery.processes.worker_pool import limit_threads
from discovery.release.manifest import ENCODER_FOLDER
from discovery.stamps.stamp import Survey
from index.embed.finished_shards import Computed, check_one_precision, precisions_of
from index.embed.ingest import Batch, BatchReader, InputForm, batch_reader, input_form, read_batch
from index.embed.shards import computed_by, embed_shard, shard_bar, unfinished
from index.embed.stage_times import StageTimes, rates_text
from index.plan import Plan

TRIES = 3
"""Workers that may be lost over the same shard, or before they are ready, one after another."""
START_SECONDS = 600.0
"""How long to wait for a first (or any other) worker, while no shard is being made."""
CPUS_A_WORKER = 4
READERS_A_GPU = 8
log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Staffing:
    """How a cluster is used.

    Attributes
    ----------
    workers : int
        Processes with an encoder.
    cpus, gpus : int
        That each of them takes.
    readers : int
        Reading tasks at once for each; 0 reads in a thread of the worker.
    """

    workers: int
    cpus: int
    gpus: int
    readers: int


def staffing(cpus: int, gpus: int, workers: int | None = None) -> Staffing:
    """Return how to use the CPUs and GPUs of a cluster: a worker a GPU, or else one for every four CPUs."""
    if gpus:
        workers = min(gpus, workers or gpus)
        own = 1 if cpus >= workers else 0
        return Staffing(workers=workers, cpus=own, gpus=1, readers=min(READERS_A_GPU, max(0, cpus // workers - own)))
    workers = min(max(1, cpus), workers or max(1, cpus // CPUS_A_WORKER))
    return Staffing(workers=workers, cpus=max(1, min(CPUS_A_WORKER, cpus // workers)), gpus=0, readers=0)


def embed_on_cluster(
    building: Path,
    plan: Plan,
    survey: Survey,
    encoder: Encoder,
    address: str | None,
    workers: int | None,
    precision: Precision | None = None,
) -> int:
    """Make the shards that are not there yet, as `index.embed.shards.embed_survey` does; the encoder is in the building folder.

    Parameters
    ----------
    address : str or None
        Of the cluster; None uses the one this process is connected to, or starts one of this machine alone.
    workers : int or None
        Processes with an encoder; see `staffing`.
    precision : {"float32", "bfloat16"}, optional
        What to compute in; by default each worker computes in what suits its device, which must be the same for all.

    Returns
    -------
    int
        Stamps that were embedded now.

    Raises
    ------
    ConfigError
        If Ray is missing, the cluster cannot be reached, gives no worker, or loses worker after worker; or if it does not
        see the building folder; or if shards would be of two precisions.
    """
    missing = unfinished(building, plan, range(plan.shard_count), precision)
    found = precisions_of(building, plan, sorted(set(range(plan.shard_count)) - set(missing)))
    check_one_precision(plan, found)
    if not missing:
        return 0
    with ray_cluster(address) as ray, shard_bar(plan, list(range(plan.shard_count)), missing) as bar:
        has = ray.cluster_resources()
        staff = staffing(int(has.get("CPU", 1)), int(has.get("GPU", 0)), workers)
        log.info("%s", staff)
        given = (building, plan, survey, precision, encoder.compiled, staff, [ray.put(survey)])
        return _Foreman(ray, plan, staff, given, found).make(missing, bar)


class ShardWorker:
    """The process on the cluster that makes shards, one after another."""

    def __init__(
        self, building: Path, plan: Plan, survey: Survey, precision: Precision | None, compiled: bool, staff: Staffing, ref: list[Any]
    ) -> None:
        limit_threads(staff.cpus)
        if not building.exists():
            raise ConfigError(f"{building} is not there on {os.uname().nodename}: --out must be on a file system that all machines share.")
        self._encoder = load_encoder(building / ENCODER_FOLDER)
        if precision is not None:
            self._encoder.precision = precision
        self._encoder.compiled = compiled
        self._building, self._plan, self._survey, self._staff, self._ref = building, plan, survey, staff, ref

    def ready(self) -> Computed:
        """Return what is computed on and in, once the encoder is loaded."""
        return computed_by(self._encoder)

    def make(self, number: int) -> tuple[int, StageTimes]:
        """Make a shard; return its rows and what it took."""
        times, ranges = StageTimes(), self._plan.batches(*self._plan.shard(number))
        with self._reader() as reader, tqdm(disable=True) as bar:
            batches = reader.read(ranges)
            shard = embed_shard(self._building, self._plan, number, self._encoder, batches, reader.readers, times, bar)
        return shard.rows, times

    def _reader(self) -> contextlib.AbstractContextManager[BatchReader]:
        form = input_form(self._encoder)
        if self._staff.readers == 0:
            return batch_reader(self._survey, form, workers=0)
        import ray

        task = ray.remote(num_cpus=1, max_retries=TRIES)(_read_there)

        def submit(start: int, stop: int) -> Future[Batch]:
            future: Future[Batch] = task.remote(self._ref, form, start, stop).future()
            return future

        return contextlib.nullcontext(BatchReader(submit, self._staff.readers))


class _Foreman:
    """Gives shards to workers until all are made."""

    def __init__(self, ray: Any, plan: Plan, staff: Staffing, given: tuple[Any, ...], precisions: dict[Precision, list[int]]) -> None:
        self._ray, self._plan, self._staff, self._reported, self._precisions = ray, plan, staff, given, precisions
        self._hiring = ray.remote(num_cpus=staff.cpus, num_gpus=staff.gpus, max_restarts=0)(ShardWorker)
        self._idle: list[Any] = []
        self._starting: dict[Any, Any] = {}
        self._working: dict[Any, tuple[Any, int]] = {}
        self._lost: Counter[int | None] = Counter()

    def make(self, missing: list[int], bar: tqdm) -> int:
        """Have the shards made; return the number of good stamps in them."""
        rows, times, waiting = 0, StageTimes(), deque(missing)
        for _ in range(min(self._staff.workers, len(missing))):
            self._hire()
        while waiting or self._working:
            while waiting and self._idle:
                worker, number = self._idle.pop(), waiting.popleft()
                self._working[worker.make.remote(number)] = (worker, number)
            ref = self._next()
            if ref in self._starting:
                self._welcome(ref)
                continue
            worker, number = self._working.pop(ref)
            made = self._outcome(ref, number)
            if made is None:
                waiting.appendleft(number)
                self._hire()
                continue
            self._idle.append(worker)
            start, stop = self._plan.shard(number)
            rows += made[0]
            times.add(made[1])
            bar.set_postfix_str(rates_text(times), refresh=False)
            bar.update(stop - start)
        return rows

    def _hire(self) -> None:
        worker = self._hiring.remote(*self._reported)
        self._starting[worker.ready.remote()] = worker

    def _next(self) -> Any:
        """Return the next call that ended: a worker is ready, or a shard is made or lost."""
        limit = None if self._working else START_SECONDS
        done, _ = self._ray.wait([*self._starting, *self._working], num_returns=1, timeout=limit)
        if not done:
            raise ConfigError(f"The Ray cluster gave no worker ({self._staff}) in {START_SECONDS:g} s: is it full, or gone?")
        return done[0]

    def _welcome(self, ref: Any) -> None:
        worker = self._starting.pop(ref)
        computed = self._outcome(ref, None)
        if computed is None:
            self._hire()
            return
        self._precisions.setdefault(computed.precision, [])
        check_one_precision(self._plan, self._precisions)
        self._lost[None] = 0
        self._idle.append(worker)

    def _outcome(self, ref: Any, number: int | None) -> Any:
        """Return what a worker answered, or None where it was lost."""
        try:
            return ray_result(self._ray, ref)
        except LostWorker as problem:
            self._lost[number] += 1
            if self._lost[number] > TRIES:
                about = "before it was ready" if number is None else f"with shard {number}"
                raise ConfigError(f"The Ray cluster lost worker after worker {about}: {problem}") from problem
            log.warning("A worker of the Ray cluster was lost%s; another one goes on.", "" if number is None else f" with shard {number}")
            return None


_surveys: dict[bytes, Survey] = {}
"""The survey that this reading process has opened, by its reference."""


def _read_there(ref: list[Any], form: InputForm, start: int, stop: int) -> Batch:
    """Return a batch, read in a task; its process opens the survey once."""
    import ray

    limit_threads()
    key = ref[0].binary()
    if key not in _surveys:
        _surveys.clear()
        _surveys[key] = ray.get(ref[0])
    return read_batch(_surveys[key], form, start, stop)
