"""Pages made in the background while the person labels: of each hunt the newest request wins."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from web.jobs.queue import JobQueue

MOST_KEPT = 16
"""Hunts whose finished page is kept; the one longest without a request is dropped first."""

Made = TypeVar("Made")


@dataclass(eq=False)
class _Task(Generic[Made]):
    """One hunt's next page: what was requested, begun and made."""

    make: Callable[[], Made]
    requested: int = 0
    """Number of the newest request."""
    begun: int = 0
    """Number of the request that was begun last."""
    made: int = 0
    """Number of the request that ``page`` or ``error`` answers."""
    queued: bool = False
    running: bool = False
    page: Made | None = None
    error: Exception | None = None


class BackgroundPages(Generic[Made]):
    """Makes pages ahead of time: one at a time for each hunt, as many in all as `JobQueue` has places for.

    A request that comes while an older one is being answered is answered after it; requests between the two never
    are. Nothing here decides whether a page still fits its hunt: `Hunt.next_round` does.

    Parameters
    ----------
    jobs : JobQueue
        Where pages are made, in its background.
    after : callable
        Called with each page that is still the newest, once it can be taken; for what else can be prepared.
    """

    def __init__(self, jobs: JobQueue, after: Callable[[Made], None] = lambda page: None) -> None:
        self._after = after
        self._jobs = jobs
        self._changed = threading.Condition()
        self._tasks: dict[str, _Task[Made]] = {}  # the latest request last
        self._closed = False

    def request(self, hunt: str, make: Callable[[], Made]) -> None:
        """Have the hunt's next page made by ``make()``; return at once."""
        with self._changed:
            if self._closed:
                return
            task = self._tasks.pop(hunt, None) or _Task(make=make)
            self._tasks[hunt] = task
            task.make = make
            task.requested += 1
            self._queue(hunt, task)
            self._forget_the_oldest()

    def take(self, hunt: str) -> Made | None:
        """Return the page of the newest request and forget it; None when it has not been begun.

        A page under way is waited for. A request that no thread has begun is dropped: the caller is quicker.

        Raises
        ------
        Exception
            Whatever making that page raised.
        """
        with self._changed:
            task = self._tasks.get(hunt)
            if task is None:
                return None
            begun = task.begun == task.requested
            task.queued, task.requested = False, task.begun
            self._changed.wait_for(lambda: not task.running)
            page, error, newest = task.page, task.error, task.made == task.requested
            task.page = task.error = None
            if not (begun and newest):
                return None
            if error is not None:
                raise error
            return page

    def close(self) -> None:
        """Take no further requests."""
        with self._changed:
            self._closed = True

    def _queue(self, hunt: str, task: _Task[Made]) -> None:
        if not task.queued and not task.running:
            task.queued = True
            self._jobs.submit_background(hunt, lambda: self._make(hunt, task))

    def _make(self, hunt: str, task: _Task[Made]) -> None:
        with self._changed:
            if not task.queued or task.running or self._closed:
                return
            task.queued, task.running, task.begun = False, True, task.requested
            make, number = task.make, task.begun
        page, error = None, None
        try:
            page = make()
        except Exception as problem:  # raised where the page is taken
            error = problem
        with self._changed:
            task.page, task.error, task.made, task.running = page, error, number, False
            newest = task.requested == number
            if not newest and not self._closed:
                self._queue(hunt, task)
            self._changed.notify_all()
        if newest and page is not None:
            self._jobs.submit_background(f"after {hunt}", lambda: self._finish(task, page, number))

    def _finish(self, task: _Task[Made], page: Made, number: int) -> None:
        try:
            self._after(page)
        except Exception as problem:  # raised where the page is taken too
            with self._changed:
                if task.page is page and task.made == number:
                    task.error = problem

    def _forget_the_oldest(self) -> None:
        idle = [name for name, task in self._tasks.items() if not (task.queued or task.running)]
        for name in idle[: max(0, len(self._tasks) - MOST_KEPT)]:
            del self._tasks[name]
