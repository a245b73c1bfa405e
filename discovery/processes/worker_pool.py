"""Worker processes of this machine, started alike everywhere."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

from discovery.errors import LostWorker


@contextmanager
def worker_pool(count: int, start: Callable[..., None], *given: Any, doing: str, remedy: str) -> Iterator[ProcessPoolExecutor]:
    """Give a pool of fresh interpreters, each with one thread for pictures, that end with this process even where it is killed.

    Parameters
    ----------
    count : int
        Processes.
    start : callable
        Called with ``given`` in each of them before its first task.
    doing : str
        What one of them does, for the message: "reads stamps".
    remedy : str
        What to do where one is stopped.

    Raises
    ------
    LostWorker
        If a process was stopped from outside.
    """
    context = multiprocessing.get_context("spawn")  # a fork would copy locks that threads of torch hold
    pool = ProcessPoolExecutor(count, mp_context=context, initializer=_start, initargs=(start, given))
    try:
        yield pool
    except BrokenProcessPool as problem:
        raise LostWorker(f"A process that {doing} was stopped from outside (out of memory?). Run again to go on; {remedy}.") from problem
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)  # what went wrong is raised now, not when the others are done
        raise
    pool.shutdown(cancel_futures=True)


def limit_threads(torch_threads: int | None = None) -> None:
    """Let this process compute pictures with one thread, and torch with so many where it is used."""
    import cv2

    cv2.setNumThreads(1)
    if torch_threads is not None:
        import torch

        torch.set_num_threads(max(1, torch_threads))


def _start(start: Callable[..., None], given: tuple[Any, ...]) -> None:
    limit_threads()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    start(*given)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
