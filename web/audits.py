"""Audits: draw a sample to be judged, and report how complete and how pure the list is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, URLEncodedBody
from litestar.response import Redirect, Template

from discovery.hunts.audit import draw_audit
from web.audit_reports import USUAL_WISH
from web.audit_views import audit_view
from web.hunt_tabs import hunt_address
from web.hunt_views import brief_view
from web.next_pages import NextPages
from web.sessions import visitor_name
from web.shelf import Shelf


@dataclass(frozen=True, kw_only=True)
class DrawForm:
    """How many objects the audit is to draw."""

    labels: int = 100
    csrf: str = ""


@get("/hunts/{hunt:str}/audit", sync_to_thread=True, include_in_schema=False)
def audit_page(
    request: Request[Any, Any, Any],
    shelf: NamedDependency[Shelf],
    hunt: FromPath[str],
    completeness: FromQuery[float] = 100 * USUAL_WISH,
) -> Template:
    """Show how far the audit is and what it tells; the wished completeness is in percent."""
    page = audit_view(request, shelf.hunt(hunt), wished=completeness / 100)
    return Template("audit.html", context={"page": page})


@get("/hunts/{hunt:str}/audit/brief", sync_to_thread=True, include_in_schema=False)
def audit_brief(shelf: NamedDependency[Shelf], hunt: FromPath[str]) -> Template:
    """Count anew, and return the parts of the hunt's page that show it."""
    opened = shelf.hunt(hunt)
    opened.reports.make(opened.hunt)
    return Template("audit_brief.html", context={"page": brief_view(opened)})


@post("/hunts/{hunt:str}/audit", sync_to_thread=True, include_in_schema=False)
def draw(
    request: Request[Any, Any, Any],
    shelf: NamedDependency[Shelf],
    next_pages: NamedDependency[NextPages],
    hunt: FromPath[str],
    data: URLEncodedBody[DrawForm],
) -> Redirect:
    """Draw a sample; its stamps come with the next pages."""
    opened = shelf.hunt(hunt)
    draw_audit(opened.hunt, data.labels, who=visitor_name(request))
    next_pages.changed(opened)
    return Redirect(hunt_address(hunt) + "/audit", status_code=303)
