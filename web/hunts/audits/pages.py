"""The page of a hunt's audit: draw a sample to be judged, and show how complete and how pure the list is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, URLEncodedBody
from litestar.response import Redirect, Template

from discovery.hunts.audits.report import DEFAULT_COMPLETENESS, DEFAULT_LABELS, AuditReport
from web.hunts.audit_jobs import audit_key, failed_report, report_key, submit_report
from web.hunts.audits.brief import brief_view
from web.hunts.audits.views import audit_view
from web.hunts.tabs import hunt_address
from web.hunts.visitor_actions import VisitorActions
from web.jobs.progress import over_soon, progress_of, quick_result, under_way
from web.jobs.queue import JobQueue
from web.layout.problems import status_of
from web.workspace.open_hunt import OpenHunt
from web.workspace.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class DrawForm:
    """How many objects the audit is to draw."""

    labels: int = DEFAULT_LABELS
    csrf: str = ""


@dataclass(frozen=True, kw_only=True)
class CountForm:
    """Requests a new count, with advice for a completeness in percent."""

    completeness: float = 100 * DEFAULT_COMPLETENESS
    csrf: str = ""


@get("/hunts/{hunt:str}/audit", sync_to_thread=True, include_in_schema=False)
def audit_page(
    request: Request[Any, Any, Any],
    workspace: NamedDependency[Workspace],
    jobs: NamedDependency[JobQueue],
    hunt: FromPath[str],
    completeness: FromQuery[float] = 100 * DEFAULT_COMPLETENESS,
) -> Template:
    """Show how far the audit is and what was counted, or how far the count is; the completeness is in percent.

    An earlier count is shown also where labels came since, and so is an error: neither is counted anew without a click.
    """
    opened, share = workspace.hunt(hunt), completeness / 100
    made, failed = _counted(opened, share), failed_report(jobs, opened, share)
    if made is None and failed is None and opened.hunt.state().drawn:
        job = submit_report(jobs, opened, share)
        over_soon(job)
        made, failed = job.result, job if job.error is not None else None
    fresh = made is not None and opened.reports.find(opened.hunt, share) is not None
    progress = under_way(jobs, audit_key(hunt), report_key(hunt, share))
    page = audit_view(request, opened, made, percent=completeness, fresh=fresh, progress=progress)
    status = status_of(failed.error) if made is None and failed is not None and failed.error is not None else 200
    return Template("hunts/audits/audit.html", context={"page": page}, status_code=status)


@get("/hunts/{hunt:str}/audit/brief", sync_to_thread=True, include_in_schema=False)
def audit_brief(
    workspace: NamedDependency[Workspace],
    jobs: NamedDependency[JobQueue],
    hunt: FromPath[str],
    poll: FromQuery[bool] = False,
    anew: FromQuery[bool] = False,
) -> Template:
    """Return the parts of the hunt's page that show the audit, counted anew; they poll until that is over.

    With ``poll`` nothing is begun, and a failed count is begun again only with ``anew``: a person's own click.
    """
    opened = workspace.hunt(hunt)
    job = jobs.latest(report_key(hunt, DEFAULT_COMPLETENESS))
    if not poll and (anew or job is None or job.error is None):
        job = submit_report(jobs, opened)
    over = job is None or over_soon(job)
    problem = progress_of(jobs, job).problem if job is not None else ""
    return Template("hunts/audits/audit_brief.html", context={"page": brief_view(opened), "again": not over, "problem": problem})


@post("/hunts/{hunt:str}/audit/report", sync_to_thread=True, include_in_schema=False)
def count_again(
    workspace: NamedDependency[Workspace], jobs: NamedDependency[JobQueue], hunt: FromPath[str], data: URLEncodedBody[CountForm]
) -> Redirect:
    """Count the audit anew, on a person's request."""
    over_soon(submit_report(jobs, workspace.hunt(hunt), data.completeness / 100))
    return Redirect(f"{hunt_address(hunt)}/audit?completeness={data.completeness}", status_code=303)


@post("/hunts/{hunt:str}/audit", sync_to_thread=True, include_in_schema=False)
def draw(
    actions: NamedDependency[VisitorActions], data: URLEncodedBody[DrawForm]
) -> Redirect:
    """Draw a sample, whose stamps come with the next pages."""
    quick_result(actions.draw_audit(data.labels))
    return Redirect(hunt_address(actions.opened.name) + "/audit", status_code=303)


@get("/hunts/{hunt:str}/audit/work", sync_to_thread=True, include_in_schema=False)
def audit_work(
    jobs: NamedDependency[JobQueue], hunt: FromPath[str], completeness: FromQuery[float] = 100 * DEFAULT_COMPLETENESS
) -> Template | Response[bytes]:
    """Return how far the jobs of the audit are, in a fragment that polls; once they are over, the page is loaded anew."""
    progress = under_way(jobs, audit_key(hunt), report_key(hunt, completeness / 100))
    if progress is None or progress.problem:
        return Response(b"", headers={"HX-Refresh": "true"})
    address, query = f"{hunt_address(hunt)}/audit", f"?completeness={completeness}"
    context = {"address": address + query, "poll": f"{address}/work{query}", "progress": progress}
    return Template("jobs/progress.html", context=context)


def _counted(opened: OpenHunt, completeness: float) -> AuditReport | None:
    """Return the report on the state of the hunt, else the latest with anything judged."""
    fresh, latest = opened.reports.find(opened.hunt, completeness), opened.reports.latest(completeness)
    return fresh or (latest if latest is not None and latest.progress.judged else None)
