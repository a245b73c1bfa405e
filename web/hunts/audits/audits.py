"""Audits: draw a sample to be judged, and report how complete and how pure the list is; both rank the whole release."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, URLEncodedBody
from litestar.response import Redirect, Template

from discovery.hunts.audits.audit import Audit, draw_audit
from discovery.hunts.audits.report import AuditReport
from web.access.sessions import visitor_name
from web.hunts.audits.reports import USUAL_WISH
from web.hunts.audits.views import audit_view
from web.hunts.hunt_view import brief_view
from web.hunts.next_pages import NextPages
from web.hunts.tabs import hunt_address
from web.jobs.jobs import Job, Work
from web.jobs.progress import over_soon, progress_of, quick_result, under_way
from web.layout.problems import status_of
from web.layout.wording import plural
from web.workspace import OpenHunt, Shelf


@dataclass(frozen=True, kw_only=True)
class DrawForm:
    """How many objects the audit is to draw."""

    labels: int = 100
    csrf: str = ""


@dataclass(frozen=True, kw_only=True)
class CountForm:
    """Asks for a new count, with advice for a wished completeness in percent."""

    completeness: float = 100 * USUAL_WISH
    csrf: str = ""


@get("/hunts/{hunt:str}/audit", sync_to_thread=True, include_in_schema=False)
def audit_page(
    request: Request[Any, Any, Any],
    shelf: NamedDependency[Shelf],
    work: NamedDependency[Work],
    hunt: FromPath[str],
    completeness: FromQuery[float] = 100 * USUAL_WISH,
) -> Template:
    """Show how far the audit is and what it tells, or how far the count is; the wished completeness is in percent.

    What is counted already is shown, also where labels came since, and what went wrong: neither is counted anew by itself.
    """
    opened, wished = shelf.hunt(hunt), completeness / 100
    made, failed = _counted(opened, wished), failed_report(work, opened, wished)
    if made is None and failed is None and opened.present().audited:
        job = ask_report(work, opened, wished)
        over_soon(job)
        made, failed = job.result, job if job.error is not None else None
    fresh = made is not None and opened.reports.find(opened.hunt, wished) is not None
    progress = under_way(work, audit_key(hunt), report_key(hunt, wished))
    page = audit_view(request, opened, made, percent=completeness, fresh=fresh, progress=progress)
    status = status_of(failed.error) if made is None and failed is not None and failed.error is not None else 200
    return Template("hunts/audits/audit.html", context={"page": page}, status_code=status)


@get("/hunts/{hunt:str}/audit/brief", sync_to_thread=True, include_in_schema=False)
def audit_brief(
    shelf: NamedDependency[Shelf],
    work: NamedDependency[Work],
    hunt: FromPath[str],
    poll: FromQuery[bool] = False,
    anew: FromQuery[bool] = False,
) -> Template:
    """Have it counted anew, and return the parts of the hunt's page that show it; they ask again until that is over.

    With ``poll`` nothing is begun, and what went wrong is begun again only with ``anew``: a person's own click.
    """
    opened = shelf.hunt(hunt)
    job = work.latest(report_key(hunt, USUAL_WISH))
    if not poll and (anew or job is None or job.error is None):
        job = ask_report(work, opened)
    over = job is None or over_soon(job)
    problem = progress_of(work, job).problem if job is not None else ""
    return Template("hunts/audits/audit_brief.html", context={"page": brief_view(opened), "again": not over, "problem": problem})


@post("/hunts/{hunt:str}/audit/report", sync_to_thread=True, include_in_schema=False)
def count_again(
    shelf: NamedDependency[Shelf], work: NamedDependency[Work], hunt: FromPath[str], data: URLEncodedBody[CountForm]
) -> Redirect:
    """Have the audit counted anew, on a person's request."""
    over_soon(ask_report(work, shelf.hunt(hunt), data.completeness / 100))
    return Redirect(f"{hunt_address(hunt)}/audit?completeness={data.completeness}", status_code=303)


@post("/hunts/{hunt:str}/audit", sync_to_thread=True, include_in_schema=False)
def draw(
    request: Request[Any, Any, Any],
    shelf: NamedDependency[Shelf],
    work: NamedDependency[Work],
    next_pages: NamedDependency[NextPages],
    hunt: FromPath[str],
    data: URLEncodedBody[DrawForm],
) -> Redirect:
    """Have a sample drawn; its stamps come with the next pages."""
    quick_result(ask_draw(work, next_pages, shelf.hunt(hunt), data.labels, visitor_name(request)))
    return Redirect(hunt_address(hunt) + "/audit", status_code=303)


def audit_key(hunt: str) -> str:
    """Return whose the drawing of a hunt's samples is; the keys of its reports begin with it."""
    return f"{hunt}/audit"


def report_key(hunt: str, wished: float) -> str:
    """Return whose the counting for a wished completeness is."""
    return f"{audit_key(hunt)}/{wished!r}"


@get("/hunts/{hunt:str}/audit/work", sync_to_thread=True, include_in_schema=False)
def audit_work(
    work: NamedDependency[Work], hunt: FromPath[str], completeness: FromQuery[float] = 100 * USUAL_WISH
) -> Template | Response[bytes]:
    """Tell how far the work on the audit is, in a fragment that asks again; once it is over, the page is to be loaded anew."""
    progress = under_way(work, audit_key(hunt), report_key(hunt, completeness / 100))
    if progress is None or progress.problem:
        return Response(b"", headers={"HX-Refresh": "true"})
    address, asked = f"{hunt_address(hunt)}/audit", f"?completeness={completeness}"
    return Template("jobs/work.html", context={"address": address + asked, "poll": f"{address}/work{asked}", "progress": progress})


def ask_report(work: Work, opened: OpenHunt, wished: float = USUAL_WISH) -> Job:
    """Have the report of a hunt made; the job's result is it."""
    return work.ask(report_key(opened.name, wished), "the audit's report", lambda: opened.reports.make(opened.hunt, wished))


def failed_report(work: Work, opened: OpenHunt, wished: float) -> Job | None:
    """Return the latest making of a report if it failed."""
    job = work.latest(report_key(opened.name, wished))
    return job if job is not None and job.error is not None else None


def ask_draw(work: Work, next_pages: NextPages, opened: OpenHunt, labels: int, who: str) -> Job:
    """Have a sample drawn; the job's result is it."""

    def make() -> Audit:
        drawn = draw_audit(opened.hunt, labels, who=who)
        next_pages.changed(opened)
        return drawn

    return work.ask(audit_key(opened.name), f"a sample of {plural(labels, 'stamp')}", make)


def _counted(opened: OpenHunt, wished: float) -> AuditReport | None:
    """The report of the hunt as it stands, or else the latest that tells anything."""
    fresh, latest = opened.reports.find(opened.hunt, wished), opened.reports.latest(wished)
    return fresh or (latest if latest is not None and latest.progress.judged else None)
