"""Play many hunts at once: processes that read the set from files which they share instead of each holding a copy."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from discovery.hunts.models.ranking import use_threads
from discovery.hunts.simulation.sets import HuntSet
from discovery.processes.cores import usable_cores
from discovery.processes.worker_pool import worker_pool

ARRAYS = ("object_ids", "truth", "kinds", "lookalikes")

_work: dict[str, Any] = {}


@contextmanager
def spread_out(
    play: Callable[[HuntSet, Any], Any], hunt_set: HuntSet, jobs: int
) -> Iterator[Callable[[Iterable[Any]], Iterator[Any]]]:
    """Give a function that plays tasks on a set and yields the answers in order, here or on other processes.

    Parameters
    ----------
    play : callable
        Takes the set and a task; it must be known to the other processes by name (no lambda).
    """
    if jobs == 1:
        yield partial(map, partial(play, hunt_set))
        return
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder, "vectors.npy"), hunt_set.vectors)
        arrays = {key: getattr(hunt_set, key) for key in ARRAYS if getattr(hunt_set, key) is not None}
        np.savez(Path(folder, "rest.npz"), **arrays)
        given = (Path(folder), hunt_set.name, hunt_set.source, play, max(1, usable_cores() // jobs))
        with worker_pool(jobs, _start, *given, doing="plays hunts", remedy="fewer jobs need less") as pool:
            yield partial(pool.map, _play_here)


def _start(folder: Path, name: str, source: str, play: Callable[[HuntSet, Any], Any], threads: int) -> None:
    use_threads(threads)
    vectors = np.load(folder / "vectors.npy", mmap_mode="r")
    with np.load(folder / "rest.npz") as rest:
        arrays = {key: rest[key] for key in rest.files}
    _work["play"] = partial(play, HuntSet(name=name, source=source, vectors=vectors, **arrays))


def _play_here(task: Any) -> Any:
    return _work["play"](task)
