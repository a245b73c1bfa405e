"""The rules of a hunt: how pages are chosen, whose verdict counts, and when to stop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from litestar import Request, post
from litestar.di import NamedDependency
from litestar.params import FromPath, URLEncodedBody
from litestar.response import Redirect

from web.access.sessions import visitor_name
from web.hunts.next_pages import NextPages
from web.hunts.tabs import hunt_address
from web.workspace import Shelf


@dataclass(frozen=True, kw_only=True)
class RulesForm:
    """What is to change; None stays as it is."""

    strategy: str | None = None
    alpha: float | None = None
    consensus: str | None = None
    stopper: str | None = None
    csrf: str = ""


@post("/hunts/{hunt:str}/rules", sync_to_thread=True, include_in_schema=False)
def change_rules(
    request: Request[Any, Any, Any],
    shelf: NamedDependency[Shelf],
    next_pages: NamedDependency[NextPages],
    hunt: FromPath[str],
    data: URLEncodedBody[RulesForm],
) -> Redirect:
    """Change rules from the next round on; a consensus rule counts at once."""
    opened = shelf.hunt(hunt)
    opened.hunt.change(
        visitor_name(request),
        strategy=data.strategy,
        alpha=data.alpha,
        consensus=data.consensus,
        stopper=data.stopper,
    )
    next_pages.changed(opened)
    return Redirect(hunt_address(hunt), status_code=303)
