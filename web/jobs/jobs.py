"""Long work, outside the requests: a few pieces at once, one at a time for each hunt, the others in order."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal

from discovery.errors import HuntError

State = Literal["waiting", "running", "done", "failed"]
MOST_KEPT = 64
"""Keys whose last piece of work is remembered."""
KEPT_SECONDS = 600.0
"""So long the result of a piece of work waits to be fetched."""


@dataclass(eq=False, kw_only=True)
class Job:
    """A piece of work that somebody waits for.

    Attributes
    ----------
    key : str
        Whose it is: the name of a hunt, and after a ``/`` of which page of it, and what tells it from others of that
        page. Of one hunt only one runs at a time.
    what : str
        In words, as the page shows it: "round 3".
    wish : object
        What tells two jobs of the same name apart.
    asked : object
        How the hunt stood when it was first asked for, where that matters.
    """

    key: str
    what: str
    call: Callable[[], Any]
    wish: object = None
    asked: object = None
    state: State = "waiting"
    result: Any = None
    error: Exception | None = None
    began: float = 0.0
    seconds: float = 0.0
    finished: float = 0.0
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def hunt(self) -> str:
        """The name of its hunt."""
        return self.key.partition("/")[0]

    @property
    def over(self) -> bool:
        """Whether it is done or has failed."""
        return self.ended.is_set()

    @property
    def running_seconds(self) -> float:
        """How long it has been running, or ran."""
        return time.monotonic() - self.began if self.state == "running" else self.seconds

    def outcome(self, seconds: float | None = None) -> Any:
        """Wait for the result.

        Raises
        ------
        TimeoutError
            It is not there after so many seconds.
        Exception
            What went wrong.
        """
        if not self.ended.wait(seconds):
            raise TimeoutError(self.what)
        if self.error is not None:
            raise self.error
        return self.result

    def run(self) -> None:
        """Do it, in whatever thread calls; what goes wrong is kept for who waits."""
        self.began, self.state = time.monotonic(), "running"
        try:
            self.result = self.call()
        except Exception as problem:
            self.error = problem
        self.finished = time.monotonic()
        self.seconds, self.state = self.finished - self.began, "done" if self.error is None else "failed"
        self.ended.set()


class Work:
    """The pieces of work of all hunts; safe to share between threads.

    Parameters
    ----------
    at_once : int
        Pieces that run at the same time. Where there are two or more places, what nobody waits for leaves one free.
    """

    def __init__(self, at_once: int) -> None:
        self._places = at_once
        self._pool = ThreadPoolExecutor(at_once, thread_name_prefix="work")
        self._state = threading.Condition()
        self._asked: list[Job] = []
        self._behind: list[tuple[str, Callable[[], None]]] = []
        self._running: dict[str, bool] = {}
        """Hunts of what runs, and whether somebody waits for it."""
        self._latest: OrderedDict[str, Job] = OrderedDict()
        self._closed = False

    def ask(self, key: str, what: str, call: Callable[[], Any], *, wish: object = None, asked: object = None) -> Job:
        """Have a piece of work done in its turn; one of the same key, name and wish that is under way serves for both."""
        with self._state:
            latest = self._latest.get(key)
            if latest is not None and (latest.what, latest.wish) == (what, wish) and not latest.over:
                return latest
            job = Job(key=key, what=what, call=call, wish=wish, asked=asked)
            self._latest[key] = job
            self._latest.move_to_end(key)
            self._forget_the_oldest()
            if self._closed:
                job.call = _closing
                job.run()
            else:
                self._asked.append(job)
                self._start()
            return job

    def behind(self, key: str, call: Callable[[], None]) -> None:
        """Have something done that nobody waits for yet; ``call`` sees to its own errors."""
        with self._state:
            if not self._closed:
                self._behind.append((key, call))
                self._start()

    def latest(self, key: str) -> Job | None:
        """Return what was asked for last, also once it is over."""
        with self._state:
            return self._latest.get(key)

    def keys(self, below: str) -> list[str]:
        """Return a key and those that begin with it and a ``/``, of what is remembered."""
        with self._state:
            return [key for key in self._latest if key == below or key.startswith(f"{below}/")]

    def forget(self, key: str) -> None:
        """Forget what was asked for last if it is over: what it said no longer holds."""
        with self._state:
            latest = self._latest.get(key)
            if latest is not None and latest.over:
                del self._latest[key]

    def place(self, job: Job) -> int:
        """Return how many pieces that somebody waits for come before a job; 0 once it runs."""
        with self._state:
            if job not in self._asked:
                return 0
            return self._asked.index(job) + sum(self._running.values())

    @property
    def crowded(self) -> bool:
        """Whether something waits for its turn."""
        with self._state:
            return bool(self._asked or self._behind)

    def idle(self, seconds: float) -> bool:
        """Wait until nothing waits or runs, at most so long; say whether it came to that."""
        with self._state:
            return self._state.wait_for(lambda: not (self._asked or self._behind or self._running), seconds)

    def close(self) -> None:
        """End: what waits is dropped and fails, what runs is waited for."""
        with self._state:
            self._closed = True
            dropped, self._asked = self._asked, []
            self._behind.clear()
            self._state.notify_all()
        for job in dropped:
            job.call = _closing
            job.run()
        self._pool.shutdown(wait=True)

    def _start(self) -> None:
        """Give free places away, first to those that somebody waits for; called with the lock held."""
        for job in list(self._asked):
            if len(self._running) < self._places and job.hunt not in self._running:
                self._asked.remove(job)
                self._running[job.hunt] = True
                self._pool.submit(self._do, job.hunt, job.run)
        unasked = max(1, self._places - 1)
        for entry in list(self._behind):
            key, call = entry
            free = len(self._running) < self._places and list(self._running.values()).count(False) < unasked
            if free and key not in self._running:
                self._behind.remove(entry)
                self._running[key] = False
                self._pool.submit(self._do, key, call)

    def _do(self, key: str, call: Callable[[], None]) -> None:
        try:
            call()
        finally:
            with self._state:
                del self._running[key]
                self._start()
                self._state.notify_all()

    def _forget_the_oldest(self) -> None:
        over, spare = [job for job in self._latest.values() if job.over], len(self._latest) - MOST_KEPT
        long_ago = time.monotonic() - KEPT_SECONDS
        for place, job in enumerate(over):
            if place < spare or (job.state == "done" and job.finished <= long_ago):
                del self._latest[job.key]


def _closing() -> None:
    raise HuntError("the server is closing; start it again and ask once more")
