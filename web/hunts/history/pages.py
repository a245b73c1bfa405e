"""The pages of a hunt's history and of its disagreements, and the same in JSON."""

from __future__ import annotations

from typing import Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Template

from discovery.hunts.log.records import Disagreement, LabelEvent
from web.hunts.history.views import disagreements_view, history_view
from web.workspace.workspace import Workspace


@get("/hunts/{hunt:str}/history", sync_to_thread=True, include_in_schema=False)
def history_page(
    request: Request[Any, Any, Any], workspace: NamedDependency[Workspace], hunt: FromPath[str], page: FromQuery[int] = 1
) -> Template:
    """Show all labels of a hunt, the latest first."""
    return Template("hunts/history/history.html", context={"page": history_view(request, workspace.hunt(hunt), page)})


@get("/hunts/{hunt:str}/disagreements", sync_to_thread=True, include_in_schema=False)
def disagreements_page(
    request: Request[Any, Any, Any], workspace: NamedDependency[Workspace], hunt: FromPath[str]
) -> Template:
    """Show the objects that people judge differently."""
    return Template("hunts/history/disagreements.html", context={"page": disagreements_view(request, workspace.hunt(hunt))})


@get("/api/hunts/{hunt:str}/history", sync_to_thread=True, tags=["hunts"])
def read_history(workspace: NamedDependency[Workspace], hunt: FromPath[str]) -> list[LabelEvent]:
    """Return every label ever given, the latest first."""
    return workspace.hunt(hunt).hunt.history()


@get("/api/hunts/{hunt:str}/disagreements", sync_to_thread=True, tags=["hunts"])
def read_disagreements(workspace: NamedDependency[Workspace], hunt: FromPath[str]) -> list[Disagreement]:
    """Return the objects that people judge differently, and the verdict that counts."""
    return workspace.hunt(hunt).hunt.disagreements()
