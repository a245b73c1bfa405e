"""Audits: draw a sample to be judged, and report how complete and how pure the list is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, URLEncodedBody
from litestar.response import Redirect, Template

from web.hunt_tabs import hunt_address
from web.next_pages import NextPages
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
    completeness: FromQuery[float] = 0.9,
) -> Template:
    """Show how far the audit is and what it says."""
    return Template("audit.html", context={"page": None})


@post("/hunts/{hunt:str}/audit", sync_to_thread=True, include_in_schema=False)
def draw(
    request: Request[Any, Any, Any],
    shelf: NamedDependency[Shelf],
    next_pages: NamedDependency[NextPages],
    hunt: FromPath[str],
    data: URLEncodedBody[DrawForm],
) -> Redirect:
    """Draw a sample; it is labelled within the ordinary pages."""
    opened = shelf.hunt(hunt)
    next_pages.changed(opened)
    return Redirect(hunt_address(hunt) + "/audit", status_code=303)
