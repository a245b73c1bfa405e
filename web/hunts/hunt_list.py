"""The page that lists all hunts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.response import Template

from discovery.errors import DiscoveryError
from web.hunts.tabs import hunt_address
from web.layout.frame import PageFrame, frame_of
from web.layout.problems import without_paths
from web.layout.text_format import day_and_time
from web.workspace.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class HuntRow:
    """A hunt in the list."""

    name: str
    release: str
    href: str
    positive: int
    negative: int
    unsure: int
    rounds: int
    started: str
    problem: str = ""

    @classmethod
    def broken(cls, name: str, problem: str) -> HuntRow:
        """Return the line of a hunt that cannot be opened here."""
        return cls(
            name=name, release="", href="", positive=0, negative=0, unsure=0, rounds=0, started="", problem=problem
        )


@dataclass(frozen=True, kw_only=True)
class HuntsPage:
    """All hunts."""

    frame: PageFrame
    hunts: tuple[HuntRow, ...]


@get("/hunts", sync_to_thread=True, include_in_schema=False)
def hunts_page(request: Request[Any, Any, Any], workspace: NamedDependency[Workspace]) -> Template:
    """List all hunts."""
    rows = tuple(hunt_row(workspace, name) for name in workspace.hunt_names())
    only = workspace.release_names[0] if len(workspace.release_names) == 1 else None
    page = HuntsPage(frame=frame_of(request, title="Hunts", section="hunts", release=only), hunts=rows)
    return Template("hunts/hunts.html", context={"page": page})


def hunt_row(workspace: Workspace, name: str) -> HuntRow:
    """Return the row of a hunt in the list, with the reason where it cannot be opened."""
    try:
        info = workspace.hunt_info(name)
    except DiscoveryError as error:
        return HuntRow.broken(name, without_paths(str(error)))
    release = workspace.release_name_of(info)
    if release is None:
        return HuntRow.broken(name, f"Belongs to release '{info.release_name}', which is not served here.")
    return HuntRow(
        name=name,
        release=release,
        href=hunt_address(name),
        positive=info.counts.positive,
        negative=info.counts.negative,
        unsure=info.counts.unsure,
        rounds=info.rounds,
        started=f"{day_and_time(info.created)} by {info.who}",
    )
