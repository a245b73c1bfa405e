"""Reading a survey's stamps and making them an encoder's inputs, if wanted in worker processes."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from discovery.errors import StampError, SurveyError
from discovery.preprocess import Convention, CropConfig, prepare
from discovery.stamps import Damaged, Survey
from index.quality import StampMeasures, measure_stamp


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
    """

    positions: np.ndarray
    inputs: np.ndarray
    measures: list[StampMeasures]
    damaged: list[Damaged]


def read_batch(survey: Survey, form: InputForm, start: int, stop: int) -> Batch:
    """Read survey positions start..stop (exclusive) and prepare them."""
    positions, inputs, measures, damaged = [], [], [], []
    for position, stamp in enumerate(survey.read(start, stop), start):
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
    return Batch(
        positions=np.array(positions, np.int64),
        inputs=np.stack(inputs) if inputs else np.empty(shape, np.float32),
        measures=measures,
        damaged=damaged,
    )


class BatchReader:
    """Reads batches in this process, or ahead in others. Use it as made by `batch_reader`."""

    def __init__(self, survey: Survey, form: InputForm, pool: ProcessPoolExecutor | None, ahead: int) -> None:
        self._survey, self._form, self._pool, self._ahead = survey, form, pool, ahead

    def read(self, ranges: Iterable[tuple[int, int]]) -> Iterator[Batch]:
        """Yield the batches of some ranges, in their order."""
        waiting: deque[Future[Batch]] = deque()
        for start, stop in ranges:
            if self._pool is None:
                yield read_batch(self._survey, self._form, start, stop)
                continue
            waiting.append(self._pool.submit(_read_here, start, stop))
            if len(waiting) > self._ahead:
                yield _result(waiting.popleft())
        while waiting:
            yield _result(waiting.popleft())


@contextmanager
def batch_reader(survey: Survey, form: InputForm, workers: int) -> Iterator[BatchReader]:
    """Open a `BatchReader` with ``workers`` processes; 0 reads in this process."""
    if workers == 0:
        yield BatchReader(survey, form, None, 0)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker, initargs=(survey, form))
    try:
        yield BatchReader(survey, form, pool, 2 * workers)
    finally:
        pool.shutdown(cancel_futures=True)


def _result(future: Future[Batch]) -> Batch:
    try:
        return future.result()
    except BrokenProcessPool as problem:
        raise SurveyError(
            "A process that read stamps was stopped from outside (out of memory?). Run again to go on; --workers 0 needs least."
        ) from problem


_here: tuple[Survey, InputForm]


def _start_worker(survey: Survey, form: InputForm) -> None:
    global _here
    import cv2

    cv2.setNumThreads(1)
    _here = (survey, form)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _read_here(start: int, stop: int) -> Batch:
    return read_batch(*_here, start, stop)
