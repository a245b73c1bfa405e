"""Audits are drawn and reported outside the request, since both rank the whole release."""

from __future__ import annotations

from discovery.hunts.audits.audit import Audit, draw_audit
from web.hunts.rounds.next_pages import NextPages
from web.jobs.queue import Job, JobQueue
from web.layout.wording import plural
from web.workspace.audit_reports import DEFAULT_COMPLETENESS
from web.workspace.open_hunt import OpenHunt


def audit_key(hunt: str) -> str:
    """Return whose the drawing of a hunt's samples is; the keys of its reports begin with it."""
    return f"{hunt}/audit"


def report_key(hunt: str, wished: float) -> str:
    """Return whose the counting for a wished completeness is."""
    return f"{audit_key(hunt)}/{wished!r}"


def submit_report(jobs: JobQueue, opened: OpenHunt, wished: float = DEFAULT_COMPLETENESS) -> Job:
    """Have the report of a hunt made; the job's result is it."""
    return jobs.submit(report_key(opened.name, wished), "the audit's report", lambda: opened.reports.make(opened.hunt, wished))


def failed_report(jobs: JobQueue, opened: OpenHunt, wished: float) -> Job | None:
    """Return the latest making of a report if it failed."""
    job = jobs.latest(report_key(opened.name, wished))
    return job if job is not None and job.error is not None else None


def submit_draw(jobs: JobQueue, next_pages: NextPages, opened: OpenHunt, labels: int, who: str) -> Job:
    """Have a sample drawn; the job's result is it."""

    def make() -> Audit:
        drawn = draw_audit(opened.hunt, labels, who=who)
        next_pages.changed(opened)
        return drawn

    return jobs.submit(audit_key(opened.name), f"a sample of {plural(labels, 'stamp')}", make)
