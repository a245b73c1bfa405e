"""The settings of a hunt: how pages are chosen, whose verdict counts, and when to stop."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from litestar import post
from litestar.di import NamedDependency
from litestar.params import JSONBody, URLEncodedBody
from litestar.response import Redirect

from web.hunts.summary import HuntSummary, summary_of
from web.hunts.tabs import hunt_address
from web.hunts.visitor_actions import VisitorActions


@dataclass(frozen=True, kw_only=True)
class SettingsForm:
    """What is to change; None stays as it is."""

    strategy: str | None = None
    alpha: float | None = None
    consensus: str | None = None
    stopper: str | None = None
    csrf: str = ""


@dataclass(frozen=True, kw_only=True)
class SettingsRequest:
    """What is to change; None stays as it is."""

    strategy: str | None = None
    consensus: str | None = None
    stopper: str | None = None
    alpha: float | None = None


@post("/hunts/{hunt:str}/rules", sync_to_thread=True, include_in_schema=False)
def change_rules(actions: NamedDependency[VisitorActions], data: URLEncodedBody[SettingsForm]) -> Redirect:
    """Change settings from the next round on; a consensus rule holds at once."""
    actions.change(strategy=data.strategy, alpha=data.alpha, consensus=data.consensus, stopper=data.stopper)
    return Redirect(hunt_address(actions.opened.name), status_code=303)


@post("/api/hunts/{hunt:str}/settings", status_code=200, sync_to_thread=True, tags=["hunts"])
def change_settings(actions: NamedDependency[VisitorActions], data: JSONBody[SettingsRequest]) -> HuntSummary:
    """Change settings from the next round on; a consensus rule holds at once."""
    actions.change(**asdict(data))
    return summary_of(actions.opened)
