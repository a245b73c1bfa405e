"""The settings of a hunt: how pages are chosen, whose verdict counts, and when to stop."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from litestar import Request, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, URLEncodedBody
from litestar.response import Redirect

from web.access.sessions import visitor_name
from web.hunts.rounds.next_pages import NextPages
from web.hunts.summary import HuntSummary, summary_of
from web.hunts.tabs import hunt_address
from web.workspace.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class RulesForm:
    """What is to change; None stays as it is."""

    strategy: str | None = None
    alpha: float | None = None
    consensus: str | None = None
    stopper: str | None = None
    csrf: str = ""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is to change; None stays as it is."""

    strategy: str | None = None
    consensus: str | None = None
    stopper: str | None = None
    alpha: float | None = None


@post("/hunts/{hunt:str}/rules", sync_to_thread=True, include_in_schema=False)
def change_rules(
    request: Request[Any, Any, Any],
    workspace: NamedDependency[Workspace],
    next_pages: NamedDependency[NextPages],
    hunt: FromPath[str],
    data: URLEncodedBody[RulesForm],
) -> Redirect:
    """Change rules from the next round on; a consensus rule counts at once."""
    opened = workspace.hunt(hunt)
    opened.hunt.change(
        visitor_name(request),
        strategy=data.strategy,
        alpha=data.alpha,
        consensus=data.consensus,
        stopper=data.stopper,
    )
    next_pages.changed(opened)
    return Redirect(hunt_address(hunt), status_code=303)


@post("/api/hunts/{hunt:str}/settings", status_code=200, sync_to_thread=True, tags=["hunts"])
def change_settings(
    request: Request[Any, Any, Any],
    workspace: NamedDependency[Workspace],
    next_pages: NamedDependency[NextPages],
    hunt: FromPath[str],
    data: JSONBody[Settings],
) -> HuntSummary:
    """Change the rules from the next round on; a consensus rule counts at once."""
    who, opened = visitor_name(request), workspace.hunt(hunt)
    opened.hunt.change(who, **asdict(data))
    next_pages.changed(opened)
    return summary_of(opened)
