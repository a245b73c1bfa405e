"""Pages are made while the person labels: in the background, the newest wish of each hunt wins."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from web.jobs.jobs import Work

MOST_KEPT = 16
"""Hunts whose finished page is kept; the one longest without a wish gives way."""

Made = TypeVar("Made")


@dataclass(eq=False)
class _Task(Generic[Made]):
    """What is known of one hunt's next page."""

    make: Callable[[], Made]
    wanted: int = 0
    """Number of the newest wish."""
    begun: int = 0
    """Number of the wish that was last taken up."""
    made: int = 0
    """Number of the wish that ``page`` or ``error`` answers."""
    queued: bool = False
    running: bool = False
    page: Made | None = None
    error: Exception | None = None


class Ahead(Generic[Made]):
    """Makes pages before they are asked for: one at a time for each hunt, and in all what `Work` has places for.

    A wish that comes while an older one is being answered is answered after it; wishes between the two never
    are. Nothing here decides whether a page still fits its hunt: `Hunt.next_round` does.

    Parameters
    ----------
    work : Work
        Where they are made, behind what somebody waits for.
    after : callable
        Called with each page that is still the newest, once it can be taken; for what else can be got ready.
    """

    def __init__(self, work: Work, after: Callable[[Made], None] = lambda page: None) -> None:
        self._after = after
        self._work = work
        self._state = threading.Condition()
        self._tasks: OrderedDict[str, _Task[Made]] = OrderedDict()
        self._closed = False

    def ask(self, hunt: str, make: Callable[[], Made]) -> None:
        """Have the hunt's next page made by ``make()``; return at once."""
        with self._state:
            if self._closed:
                return
            task = self._tasks.setdefault(hunt, _Task(make=make))
            self._tasks.move_to_end(hunt)
            task.make = make
            task.wanted += 1
            self._queue(hunt, task)
            self._forget_the_oldest()

    def take(self, hunt: str) -> Made | None:
        """Return the page of the newest wish and forget it; None when it has not been begun.

        A page under way is waited for. A wish that no thread has taken up is dropped: the caller is quicker.

        Raises
        ------
        Exception
            Whatever making that page raised.
        """
        with self._state:
            task = self._tasks.get(hunt)
            if task is None:
                return None
            begun = task.begun == task.wanted
            task.queued, task.wanted = False, task.begun
            self._state.wait_for(lambda: not task.running)
            page, error, newest = task.page, task.error, task.made == task.wanted
            task.page = task.error = None
            if not (begun and newest):
                return None
            if error is not None:
                raise error
            return page

    def close(self) -> None:
        """Take no further wishes."""
        with self._state:
            self._closed = True

    def _queue(self, hunt: str, task: _Task[Made]) -> None:
        if not task.queued and not task.running:
            task.queued = True
            self._work.behind(hunt, lambda: self._make(hunt, task))

    def _make(self, hunt: str, task: _Task[Made]) -> None:
        with self._state:
            if not task.queued or task.running or self._closed:
                return
            task.queued, task.running, task.begun = False, True, task.wanted
            make, number = task.make, task.begun
        page, error = None, None
        try:
            page = make()
        except Exception as problem:  # handed to whoever asks for the page
            error = problem
        with self._state:
            task.page, task.error, task.made, task.running = page, error, number, False
            newest = task.wanted == number
            if not newest and not self._closed:
                self._queue(hunt, task)
            self._state.notify_all()
        if newest and page is not None:
            self._work.behind(f"after {hunt}", lambda: self._finish(task, page, number))

    def _finish(self, task: _Task[Made], page: Made, number: int) -> None:
        try:
            self._after(page)
        except Exception as problem:  # the same: it must not pass unnoticed
            with self._state:
                if task.page is page and task.made == number:
                    task.error = problem

    def _forget_the_oldest(self) -> None:
        idle = [name for name, task in self._tasks.items() if not (task.queued or task.running)]
        for name in idle[: max(0, len(self._tasks) - MOST_KEPT)]:
            del self._tasks[name]
