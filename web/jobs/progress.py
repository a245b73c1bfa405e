"""How far long work is, while it runs outside the request that asked for it: what pages show, and what scripts are told."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from typing import Any

from discovery.errors import DiscoveryError
from web.jobs.jobs import Job, State, Work
from web.layout.problems import UNEXPECTED, without_paths

log = logging.getLogger(__name__)

QUICK_SECONDS = 0.3
"""Work that is done by then is answered at once; of what takes longer the page shows the progress."""
PATIENT_SECONDS = 30.0
"""So long a script is left to wait for its answer before it is told to ask again."""
MOST_PATIENT = 8
"""Scripts that wait so at once; others are told at once, since each wait holds a thread that answers requests."""
_patient = threading.BoundedSemaphore(MOST_PATIENT)


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a piece of work is.

    Attributes
    ----------
    what : str
        The work in words: "round 3".
    state : {"waiting", "running", "done", "failed"}
        Where it stands.
    before : int
        Pieces of work of others that come first.
    seconds : float
        How long it has been running, or ran.
    problem : str
        What went wrong; empty where nothing did.
    """

    what: str
    state: State
    before: int
    seconds: float
    problem: str


def progress_of(work: Work, job: Job) -> Progress:
    """Return how far a piece of work is."""
    return Progress(
        what=job.what,
        state=job.state,
        before=work.place(job),
        seconds=round(job.running_seconds, 1),
        problem="" if job.error is None else _told(job),
    )


def under_way(work: Work, *keys: str) -> Progress | None:
    """Return how far the first work of these keys is that is not over yet, or else what went wrong; None where nothing is to tell."""
    jobs = [job for job in map(work.latest, keys) if job is not None and job.state != "done"]
    jobs.sort(key=lambda job: job.over)
    return progress_of(work, jobs[0]) if jobs else None


def quick_result(job: Job, seconds: float | None = None) -> tuple[bool, Any]:
    """Return whether a piece of work is done within a moment (`QUICK_SECONDS`, or others), and its result.

    Raises
    ------
    Exception
        What went wrong, when it did so within that moment.
    """
    try:
        return True, job.outcome(QUICK_SECONDS if seconds is None else seconds)
    except TimeoutError:
        return False, None


def patient_result(job: Job) -> tuple[bool, Any]:
    """Return the same as `quick_result` for a script, which is left to wait longer as long as not too many do.

    Raises
    ------
    Exception
        What went wrong, when it did so within that time.
    """
    if not _patient.acquire(blocking=False):
        return quick_result(job)
    try:
        return quick_result(job, PATIENT_SECONDS)
    finally:
        _patient.release()


def over_soon(job: Job) -> bool:
    """Return whether a piece of work is over within a moment, done or failed."""
    return job.ended.wait(QUICK_SECONDS)


def _told(job: Job) -> str:
    """Return what went wrong as visitors may read it; a fault of ours goes to the log."""
    if isinstance(job.error, DiscoveryError):
        return without_paths(str(job.error))
    log.error("%s of %s failed", job.what, job.key, exc_info=job.error)
    return UNEXPECTED
