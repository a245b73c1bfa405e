"""How far jobs are: what pages show and scripts receive while a job runs outside the request."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from typing import Any

from discovery.errors import DiscoveryError
from web.jobs.queue import Job, JobQueue, State
from web.layout.problems import UNEXPECTED, without_paths

log = logging.getLogger(__name__)

QUICK_SECONDS = 0.3
"""A job that is over by then is answered at once; of a longer one the page shows the progress."""
PATIENT_SECONDS = 30.0
"""Seconds that a script waits for its answer before it is sent the progress instead."""
MOST_PATIENT = 8
"""Scripts that wait so at the same time; others get the progress at once, since each wait holds a thread that answers requests."""
_patient = threading.BoundedSemaphore(MOST_PATIENT)


@dataclass(frozen=True, kw_only=True)
class JobProgress:
    """How far a job is.

    Attributes
    ----------
    what : str
        What it makes, in words: "round 3".
    state : {"waiting", "running", "done", "failed"}
        Whether it runs yet, or is over.
    before : int
        Other jobs that come first.
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


def progress_of(jobs: JobQueue, job: Job) -> JobProgress:
    """Return how far a job is."""
    return JobProgress(
        what=job.what,
        state=job.state,
        before=jobs.jobs_before(job),
        seconds=round(job.running_seconds, 1),
        problem="" if job.error is None else _problem(job),
    )


def under_way(jobs: JobQueue, *keys: str) -> JobProgress | None:
    """Return how far the first job of these keys is that is not over, else what went wrong with one; None where all went well."""
    open_jobs = [job for job in map(jobs.latest, keys) if job is not None and job.state != "done"]
    open_jobs.sort(key=lambda job: job.over)
    return progress_of(jobs, open_jobs[0]) if open_jobs else None


def quick_result(job: Job, seconds: float | None = None) -> tuple[bool, Any]:
    """Return whether a job is done within ``seconds`` (by default `QUICK_SECONDS`), and its result.

    Raises
    ------
    Exception
        What the job raised within that time.
    """
    try:
        return True, job.outcome(QUICK_SECONDS if seconds is None else seconds)
    except TimeoutError:
        return False, None


def patient_result(job: Job) -> tuple[bool, Any]:
    """Return the same as `quick_result` for a script, which waits longer unless too many already do.

    Raises
    ------
    Exception
        What the job raised within that time.
    """
    if not _patient.acquire(blocking=False):
        return quick_result(job)
    try:
        return quick_result(job, PATIENT_SECONDS)
    finally:
        _patient.release()


def over_soon(job: Job) -> bool:
    """Return whether a job is over within a moment, done or failed."""
    return job.ended.wait(QUICK_SECONDS)


def _problem(job: Job) -> str:
    """Return what went wrong as visitors may read it; an unexpected error goes to the log."""
    if isinstance(job.error, DiscoveryError):
        return without_paths(str(job.error))
    log.error("%s of %s failed", job.what, job.key, exc_info=job.error)
    return UNEXPECTED
