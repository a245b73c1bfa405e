"""Audits are drawn and reported outside the request, since both rank the whole release."""

from __future__ import annotations

from discovery.hunts.audits.audit import Audit
from discovery.hunts.audits.report import DEFAULT_COMPLETENESS
from web.hunts.rounds.next_pages import NextPages
from web.jobs.queue import Job, JobQueue
from web.layout.text_format import plural
from web.workspace.open_hunt import OpenHunt


def audit_key(hunt: str) -> str:
    """Return the key of the jobs that draw a hunt's samples; the keys of its reports begin with it."""
    return f"{hunt}/audit"


def report_key(hunt: str, completeness: float) -> str:
    """Return the key of the job that reports for a requested completeness."""
    return f"{audit_key(hunt)}/{completeness!r}"


def submit_report(jobs: JobQueue, opened: OpenHunt, completeness: float = DEFAULT_COMPLETENESS) -> Job:
    """Return the job whose result is the report of a hunt's audit."""
    key = report_key(opened.name, completeness)
    return jobs.submit(key, "the audit's report", lambda: opened.reports.make(opened.hunt, completeness))


def failed_report(jobs: JobQueue, opened: OpenHunt, completeness: float) -> Job | None:
    """Return the latest job of a report if it failed."""
    job = jobs.latest(report_key(opened.name, completeness))
    return job if job is not None and job.error is not None else None


def submit_draw(jobs: JobQueue, next_pages: NextPages, opened: OpenHunt, labels: int, who: str) -> Job:
    """Return the job whose result is a new sample."""

    def make() -> Audit:
        drawn = opened.hunt.draw_audit(labels, who=who)
        next_pages.changed(opened)
        return drawn

    return jobs.submit(audit_key(opened.name), f"a sample of {plural(labels, 'stamp')}", make)
