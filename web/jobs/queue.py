"""Jobs, which run outside the requests: a few at once, one at a time for each hunt, the others in order."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal

from discovery.errors import HuntError

State = Literal["waiting", "running", "done", "failed"]
MOST_KEPT = 64
"""Keys whose latest job is remembered."""
KEPT_SECONDS = 600.0
"""Seconds for which a result waits to be fetched."""


@dataclass(eq=False, kw_only=True)
class Job:
    """A call that somebody waits for.

    Attributes
    ----------
    key : str
        The name of a hunt; after a ``/`` the page of it, and what distinguishes it from other jobs of that page. Of one
        hunt only one job runs at a time.
    what : str
        In words, as the page shows it: "round 3".
    hunt_mark : object
        How far the hunt's file had come when the job was submitted, where that matters.
    """

    key: str
    what: str
    call: Callable[[], Any]
    hunt_mark: object = None
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
        """Return the result, once it is there.

        Raises
        ------
        TimeoutError
            It is not there after so many seconds.
        Exception
            What the call raised.
        """
        if not self.ended.wait(seconds):
            raise TimeoutError(self.what)
        if self.error is not None:
            raise self.error
        return self.result

    def run(self) -> None:
        """Make the call in this thread; an error is kept for those who wait."""
        self.began, self.state = time.monotonic(), "running"
        try:
            self.result = self.call()
        except Exception as problem:
            self.error = problem
        self.finished = time.monotonic()
        self.seconds, self.state = self.finished - self.began, "done" if self.error is None else "failed"
        self.ended.set()


class JobQueue:
    """The jobs of all hunts; safe to share between threads.

    Parameters
    ----------
    at_once : int
        Jobs that run at the same time. Of two or more places, background calls leave one free.
    """

    def __init__(self, at_once: int) -> None:
        self._places = at_once
        self._pool = ThreadPoolExecutor(at_once, thread_name_prefix="job")
        self._changed = threading.Condition()
        self._waiting: list[Job] = []
        self._background: list[tuple[str, Callable[[], None]]] = []
        self._running: dict[str, bool] = {}
        """Hunts of what runs, and whether it is a job rather than a background call."""
        self._latest: dict[str, Job] = {}  # the latest last; no LRU: a job under way is never forgotten
        self._closed = False

    def submit(self, key: str, what: str, call: Callable[[], Any], *, hunt_mark: object = None) -> Job:
        """Return the job that makes a call in its turn: a job of the same key and name that is under way, else a new one."""
        with self._changed:
            latest = self._latest.get(key)
            if latest is not None and latest.what == what and not latest.over:
                return latest
            job = Job(key=key, what=what, call=call, hunt_mark=hunt_mark)
            self._latest.pop(key, None)
            self._latest[key] = job
            self._forget_the_oldest()
            if self._closed:
                job.call = _closing
                job.run()
            else:
                self._waiting.append(job)
                self._start()
            return job

    def submit_background(self, key: str, call: Callable[[], None]) -> None:
        """Have a call made that nobody waits for yet; it handles its own errors."""
        with self._changed:
            if not self._closed:
                self._background.append((key, call))
                self._start()

    def latest(self, key: str) -> Job | None:
        """Return the latest job of a key, also once it is over."""
        with self._changed:
            return self._latest.get(key)

    def keys(self, below: str) -> list[str]:
        """Return the remembered keys that are this one or begin with it and a ``/``."""
        with self._changed:
            return [key for key in self._latest if key == below or key.startswith(f"{below}/")]

    def forget(self, key: str) -> None:
        """Forget the latest job of a key if it is over: its outcome no longer holds."""
        with self._changed:
            latest = self._latest.get(key)
            if latest is not None and latest.over:
                del self._latest[key]

    def jobs_before(self, job: Job) -> int:
        """Return how many jobs come before a job; 0 once it runs."""
        with self._changed:
            if job not in self._waiting:
                return 0
            return self._waiting.index(job) + sum(self._running.values())

    @property
    def crowded(self) -> bool:
        """Whether anything waits for its turn."""
        with self._changed:
            return bool(self._waiting or self._background)

    def wait_idle(self, seconds: float) -> bool:
        """Return whether nothing waits or runs any more, after at most so many seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: not (self._waiting or self._background or self._running), seconds)

    def close(self) -> None:
        """End the queue: waiting jobs fail, running jobs are waited for."""
        with self._changed:
            self._closed = True
            dropped, self._waiting = self._waiting, []
            self._background.clear()
            self._changed.notify_all()
        for job in dropped:
            job.call = _closing
            job.run()
        self._pool.shutdown(wait=True)

    def _start(self) -> None:
        """Fill the free places, first with jobs; called with the lock held."""
        for job in list(self._waiting):
            if len(self._running) < self._places and job.hunt not in self._running:
                self._waiting.remove(job)
                self._running[job.hunt] = True
                self._pool.submit(self._run, job.hunt, job.run)
        background_places = max(1, self._places - 1)
        for entry in list(self._background):
            key, call = entry
            free = len(self._running) < self._places and list(self._running.values()).count(False) < background_places
            if free and key not in self._running:
                self._background.remove(entry)
                self._running[key] = False
                self._pool.submit(self._run, key, call)

    def _run(self, key: str, call: Callable[[], None]) -> None:
        try:
            call()
        finally:
            with self._changed:
                del self._running[key]
                self._start()
                self._changed.notify_all()

    def _forget_the_oldest(self) -> None:
        over, spare = [job for job in self._latest.values() if job.over], len(self._latest) - MOST_KEPT
        long_ago = time.monotonic() - KEPT_SECONDS
        for place, job in enumerate(over):
            if place < spare or (job.state == "done" and job.finished <= long_ago):
                del self._latest[job.key]


def _closing() -> None:
    raise HuntError("the server is closing; start it again and repeat the request")
