"""Reading a survey's stamps and making them an encoder's inputs ahead of it, in a thread or in worker processes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from discovery.errors import StampError
from discovery.processes.worker_pool import worker_pool
from discovery.stamps.preprocess import Convention, CropConfig, prepare
from discovery.stamps.stamp import Damaged, Survey
from index.embed.quality import StampMeasures, measure_stamp

if TYPE_CHECKING:  # worker processes do without torch
    from discovery.encoders.encoder import Encoder


AHEAD = 2
"""Batches a reader that may be read or wait for the encoder; with the one in work, that bounds the memory."""


@dataclass(frozen=True, kw_only=True)
class InputForm:
    """What an encoder takes, without the encoder: worker processes need no network."""

    convention: Convention
    crop: CropConfig
    size: int


@dataclass(frozen=True, kw_only=True)
class Batch:
    """The good stamps of a range of survey positions.

    Attributes
    ----------
    positions : numpy.ndarray
        (n,) int64 survey positions.
    inputs : numpy.ndarray
        (n, K, 3, S, S) float32.
    measures : list of StampMeasures
        One a stamp.
    damaged : list of Damaged
        The others.
    read_seconds, prepare_seconds : float
        Time it took.
    """

    positions: np.ndarray
    inputs: np.ndarray
    measures: list[StampMeasures]
    damaged: list[Damaged]
    read_seconds: float
    prepare_seconds: float


def input_form(encoder: Encoder) -> InputForm:
    """Return what an encoder takes."""
    return InputForm(convention=encoder.card.convention, crop=encoder.card.crop, size=encoder.card.input_size)


def read_batch(survey: Survey, form: InputForm, start: int, stop: int) -> Batch:
    """Return survey positions start..stop (exclusive), read and prepared."""
    began = time.perf_counter()
    stamps = survey.read(start, stop)
    read = time.perf_counter()
    positions, inputs, measures, damaged = [], [], [], []
    for position, stamp in enumerate(stamps, start):
        if isinstance(stamp, Damaged):
            damaged.append(stamp)
            continue
        try:
            prepared = prepare(stamp, convention=form.convention, crop=form.crop, size=form.size)
        except StampError as problem:
            source = str(survey.table(position, position + 1)["source"][0])
            damaged.append(Damaged(object_id=stamp.object_id, source=source, reason=str(problem)))
            continue
        positions.append(position)
        inputs.append(prepared.inputs)
        measures.append(measure_stamp(stamp, prepared))
    shape = (0, form.crop.views, 3, form.size, form.size)
    stacked = np.stack(inputs) if inputs else np.empty(shape, np.float32)
    return Batch(
        positions=np.array(positions, np.int64),
        inputs=stacked,
        measures=measures,
        damaged=damaged,
        read_seconds=read - began,
        prepare_seconds=time.perf_counter() - read,
    )


class BatchReader:
    """Reads batches ahead of the encoder, a bounded number of them. Use it as made by `batch_reader`.

    Parameters
    ----------
    submit : callable
        Starts to read the batch of a range; the survey positions start and stop come in.
    readers : int
        Processes or threads that read.
    """

    def __init__(self, submit: Callable[[int, int], Future[Batch]], readers: int) -> None:
        self._submit, self.readers = submit, readers

    def read(self, ranges: Iterable[tuple[int, int]]) -> Iterator[Batch]:
        """Yield the batches of some ranges, in their order."""
        waiting: deque[Future[Batch]] = deque()
        for start, stop in ranges:
            waiting.append(self._submit(start, stop))
            if len(waiting) > AHEAD * self.readers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@contextmanager
def batch_reader(survey: Survey, form: InputForm, workers: int) -> Iterator[BatchReader]:
    """Open a `BatchReader` with ``workers`` processes; 0 reads in a thread of this one.

    Raises
    ------
    LostWorker
        If a process was stopped from outside.
    """
    if workers == 0:
        with _reading_thread() as thread:
            yield BatchReader(lambda start, stop: thread.submit(read_batch, survey, form, start, stop), 1)
        return
    with worker_pool(workers, _open_here, survey, form, doing="reads stamps", remedy="--workers 0 needs least") as pool:
        yield BatchReader(lambda start, stop: pool.submit(_read_here, start, stop), workers)


@contextmanager
def _reading_thread() -> Iterator[ThreadPoolExecutor]:
    pool = ThreadPoolExecutor(1, "reader")
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


_here: tuple[Survey, InputForm]


def _open_here(survey: Survey, form: InputForm) -> None:
    global _here
    _here = (survey, form)


def _read_here(start: int, stop: int) -> Batch:
    return read_batch(*_here, start, stop)
