"""The first page: all releases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.response import Template

from discovery.errors import DiscoveryError
from web.layout.frame import PageFrame, frame_of
from web.layout.problems import without_paths
from web.releases.cards import ReleaseCard, release_card
from web.workspace.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class BrokenRelease:
    """A folder that should be a release and cannot be opened."""

    name: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class ReleasesPage:
    """The first page."""

    frame: PageFrame
    releases: tuple[ReleaseCard, ...]
    broken: tuple[BrokenRelease, ...]


@get("/", sync_to_thread=True, include_in_schema=False)
def releases_page(request: Request[Any, Any, Any], workspace: NamedDependency[Workspace]) -> Template:
    """Show all releases."""
    cards, broken = [], []
    for name in workspace.release_names:
        try:
            cards.append(release_card(name, workspace.release(name)))
        except DiscoveryError as error:
            broken.append(BrokenRelease(name=name, reason=without_paths(str(error))))
    only = cards[0].name if len(cards) == 1 else None
    frame = frame_of(request, title="Releases", section="releases", release=only)
    return Template(
        "releases/releases.html", context={"page": ReleasesPage(frame=frame, releases=tuple(cards), broken=tuple(broken))}
    )
