"""Audits: draw a sample to be judged, and report how complete and how pure the list is; both rank the whole release."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, URLEncodedBody
from litestar.response import Redirect, Template

from discovery.hunts.audit import Audit, draw_audit
from web.audit_reports import USUAL_WISH
from web.audit_views import audit_view
from web.hunt_tabs import hunt_address
from web.hunt_views import brief_view
from web.next_pages import NextPages
from web.progress import quick_result, under_way
from web.sessions import visitor_name
from web.shelf import OpenHunt, Shelf
from web.wording import plural
from web.work import Job, Work


@dataclass(frozen=True, kw_only=True)
class DrawForm:
    """How many objects the audit is to draw."""

    labels: int = 100
    csrf: str = ""


@get("/hunts/{hunt:str}/audit", sync_to_thread=True, include_in_schema=False)
def audit_page(
    request: Request[Any, Any, Any],
    shelf: NamedDependency[Shelf],
    work: NamedDependency[Work],
    hunt: FromPath[str],
    completeness: FromQuery[float] = 100 * USUAL_WISH,
) -> Template:
    """Show how far the audit is and what it tells, or how far the count is; the wished completeness is in percent."""
    opened, wished = shelf.hunt(hunt), completeness / 100
    made = opened.reports.find(opened.hunt, wished)
    if made is None and opened.present().audited:
        _, made = quick_result(ask_report(work, opened, wished))
    page = audit_view(request, opened, made, wished=wished, progress=under_way(work, audit_key(hunt)))
    return Template("audit.html", context={"page": page})


@get("/hunts/{hunt:str}/audit/brief", sync_to_thread=True, include_in_schema=False)
def audit_brief(shelf: NamedDependency[Shelf], work: NamedDependency[Work], hunt: FromPath[str]) -> Template:
    """Have it counted anew, and return the parts of the hunt's page that show it; they ask again until that is done."""
    opened = shelf.hunt(hunt)
    done, _ = quick_result(ask_report(work, opened))
    return Template("audit_brief.html", context={"page": brief_view(opened), "again": not done})


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
    """Return whose the work on a hunt's audit is."""
    return f"{hunt}/audit"


@get("/hunts/{hunt:str}/audit/work", sync_to_thread=True, include_in_schema=False)
def audit_work(work: NamedDependency[Work], hunt: FromPath[str]) -> Template | Response[bytes]:
    """Tell how far the work on the audit is, in a fragment that asks again; once it is over, the page is to be loaded anew."""
    progress = under_way(work, audit_key(hunt))
    if progress is None or progress.problem:
        return Response(b"", headers={"HX-Refresh": "true"})
    address = f"{hunt_address(hunt)}/audit"
    return Template("work.html", context={"address": address, "poll": f"{address}/work", "progress": progress})


def ask_report(work: Work, opened: OpenHunt, wished: float = USUAL_WISH) -> Job:
    """Have the report of a hunt made; the job's result is it."""
    return work.ask(audit_key(opened.name), "the audit's report", lambda: opened.reports.make(opened.hunt, wished), wish=wished)


def ask_draw(work: Work, next_pages: NextPages, opened: OpenHunt, labels: int, who: str) -> Job:
    """Have a sample drawn; the job's result is it."""

    def make() -> Audit:
        drawn = draw_audit(opened.hunt, labels, who=who)
        next_pages.changed(opened)
        return drawn

    return work.ask(audit_key(opened.name), f"a sample of {plural(labels, 'stamp')}", make)
