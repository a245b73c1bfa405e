"""The audit of a hunt in JSON, for scripts."""

from __future__ import annotations

from dataclasses import dataclass

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery, JSONBody

from discovery.hunts.audits.report import DEFAULT_COMPLETENESS, DEFAULT_LABELS, AuditReport
from web.hunts.audit_jobs import failed_report, submit_report
from web.hunts.visitor_actions import VisitorActions
from web.jobs.progress import JobProgress, patient_result, progress_of
from web.jobs.queue import JobQueue
from web.workspace.workspace import Workspace

AUDIT_UNDER_WAY = {202: ResponseSpec(JobProgress, description="Under way; read the hunt's work, then its audit")}


@dataclass(frozen=True, kw_only=True)
class AuditRequest:
    """How many stamps to draw."""

    labels: int = DEFAULT_LABELS


@dataclass(frozen=True, kw_only=True)
class AuditDrawn:
    """An audit's sample, in the order in which it is to be judged."""

    number: int
    rows: list[int]
    object_ids: list[str]


@get("/api/hunts/{hunt:str}/audit", sync_to_thread=True, tags=["hunts"], responses=AUDIT_UNDER_WAY)
def read_audit(
    workspace: NamedDependency[Workspace],
    jobs: NamedDependency[JobQueue],
    hunt: FromPath[str],
    completeness: FromQuery[float] = DEFAULT_COMPLETENESS,
) -> Response[AuditReport | JobProgress]:
    """Return how complete and pure the list is, with advice for a requested completeness between 0 and 1.

    Where that takes longer than half a minute, return how far it is. An error meanwhile is returned once.
    """
    opened = workspace.hunt(hunt)
    made = opened.reports.find(opened.hunt, completeness)
    if made is not None:
        return Response(made)
    job = failed_report(jobs, opened, completeness) or submit_report(jobs, opened, completeness)
    try:
        done, made = patient_result(job)
    finally:
        if job.error is not None:
            jobs.forget(job.key)
    return Response(made if done else progress_of(jobs, job), status_code=200 if done else 202)


@post("/api/hunts/{hunt:str}/audit", sync_to_thread=True, tags=["hunts"], responses=AUDIT_UNDER_WAY)
def draw_sample(
    actions: NamedDependency[VisitorActions], data: JSONBody[AuditRequest]
) -> Response[AuditDrawn | JobProgress]:
    """Draw a sample to be judged, whose stamps come with the next rounds; after half a minute return how far that is."""
    job = actions.draw_audit(data.labels)
    done, drawn = patient_result(job)
    if not done:
        return Response(progress_of(actions.jobs, job), status_code=202)
    return Response(AuditDrawn(number=drawn.number, rows=drawn.rows.tolist(), object_ids=list(drawn.object_ids)), status_code=201)
