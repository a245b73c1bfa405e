"""Releases and search as the pages show them, in JSON, for scripts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from discovery.release.release import Release
from discovery.tables.writer import plain_rows
from web.access.sessions import visitor_name
from web.search.form import SearchForm, find, whole_query
from web.search.uploads import Uploads
from web.workspace.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Visitor:
    """Who the server takes you for, and the token that changes must carry as ``X-CSRF-Token``."""

    who: str
    csrf: str


@dataclass(frozen=True, kw_only=True)
class ReleaseSummary:
    """A release in short."""

    name: str
    objects: int
    dimension: int
    encoder: str
    encoder_checksum: str


@dataclass(frozen=True, kw_only=True)
class HitList:
    """What a search found, most similar first."""

    hits: list[dict[str, Any]]
    fitting: int
    """Objects that pass the filters."""
    flagged_left_out: int
    """Stars and flagged objects that would pass them too."""
    query: dict[str, Any]
    """The query as it was understood, to save and send again."""


@get("/api/session", sync_to_thread=False, tags=["session"])
def read_session(request: Request[Any, Any, Any]) -> Visitor:
    """Say who you are to the server."""
    return Visitor(who=visitor_name(request), csrf=request.scope["state"]["csrf"])


@get("/api/releases", sync_to_thread=True, tags=["search"])
def list_releases(workspace: NamedDependency[Workspace]) -> list[ReleaseSummary]:
    """List the releases."""
    return [_release_summary(name, workspace.release(name)) for name in workspace.release_names]


@get("/api/releases/{name:str}/search", sync_to_thread=True, tags=["search"])
def search_release(
    workspace: NamedDependency[Workspace], uploads: NamedDependency[Uploads], search_form: NamedDependency[SearchForm], name: FromPath[str]
) -> HitList:
    """Search; the same parameters as the page, or a saved query (JSON) as ``query``, of which other parameters take the place."""
    found = find(workspace.release(name), search_form, uploads, name)
    query = whole_query(search_form, uploads, name).to_values()
    return HitList(hits=plain_rows(found.table), fitting=found.passed, flagged_left_out=found.flagged_left_out, query=query)


def _release_summary(name: str, release: Release) -> ReleaseSummary:
    space = release.manifest.image
    return ReleaseSummary(
        name=name,
        objects=int(release.primary.sum()),
        dimension=release.dimension,
        encoder=space.encoder.name,
        encoder_checksum=release.encoder_checksum,
    )

