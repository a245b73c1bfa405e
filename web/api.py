"""The same as the pages, in JSON, for scripts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from discovery.hunts.records import Verdict
from discovery.release import Release
from discovery.tables import plain_rows
from web.asked import Asked, Uploads, find
from web.sessions import Session
from web.shelf import Shelf


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


@dataclass(frozen=True, kw_only=True)
class HuntSummary:
    """Where a hunt stands."""

    name: str
    release: str
    alpha: float
    rounds: int
    counts: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class RoundSummary:
    """What a round shows, and why."""

    number: int
    why: str
    strategy: str
    candidates: list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Label:
    """A verdict on one object."""

    row: int
    verdict: Verdict
    negative_class: str | None = None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class LabelReceipt:
    """Sent once the label is on the disk."""

    event: int
    who: str


@get("/api/session", sync_to_thread=False, tags=["session"])
def read_session(request: Request[Any, Any, Any]) -> Visitor:
    """Say who you are to the server."""
    return Visitor(who=_who(request), csrf=request.scope["state"]["csrf"])


@get("/api/releases", sync_to_thread=True, tags=["search"])
def list_releases(shelf: NamedDependency[Shelf]) -> list[ReleaseSummary]:
    """List the releases."""
    return [_release_summary(name, shelf.release(name)) for name in shelf.release_names]


@get("/api/releases/{name:str}/search", sync_to_thread=True, tags=["search"])
def search_release(
    shelf: NamedDependency[Shelf], uploads: NamedDependency[Uploads], asked: NamedDependency[Asked], name: FromPath[str]
) -> HitList:
    """Search; the same parameters as the page."""
    found = find(shelf.release(name), asked, uploads, name)
    return HitList(hits=plain_rows(found.table), fitting=found.fitting)


@get("/api/hunts", sync_to_thread=True, tags=["hunts"])
def list_hunts(shelf: NamedDependency[Shelf]) -> list[str]:
    """List the names of the hunts."""
    return list(shelf.hunt_names())


@get("/api/hunts/{hunt:str}", sync_to_thread=True, tags=["hunts"])
def read_hunt(shelf: NamedDependency[Shelf], hunt: FromPath[str]) -> HuntSummary:
    """Say where a hunt stands."""
    opened = shelf.hunt(hunt)
    info = opened.hunt.info()
    return HuntSummary(
        name=opened.name, release=opened.release, alpha=info.alpha, rounds=info.rounds, counts=asdict(info.counts)
    )


@post("/api/hunts/{hunt:str}/rounds", sync_to_thread=True, tags=["hunts"])
def make_round(request: Request[Any, Any, Any], shelf: NamedDependency[Shelf], hunt: FromPath[str]) -> RoundSummary:
    """Make the next round."""
    opened = shelf.hunt(hunt)
    with opened.lock:
        made = opened.hunt.next_round(_who(request))
    shown = zip(made.rows.tolist(), made.object_ids, made.scores.tolist(), strict=True)
    candidates = [{"row": row, "object_id": object_id, "score": score} for row, object_id, score in shown]
    return RoundSummary(number=made.number, why=made.why, strategy=made.strategy, candidates=candidates)


@post("/api/hunts/{hunt:str}/labels", sync_to_thread=True, tags=["hunts"])
def add_label(
    request: Request[Any, Any, Any], shelf: NamedDependency[Shelf], hunt: FromPath[str], data: JSONBody[Label]
) -> LabelReceipt:
    """Log a verdict; the answer goes out once it is on the disk."""
    who = _who(request)
    event = shelf.hunt(hunt).hunt.label(
        data.row, data.verdict, who=who, negative_class=data.negative_class, reason=data.reason
    )
    return LabelReceipt(event=event, who=who)


def _release_summary(name: str, release: Release) -> ReleaseSummary:
    space = release.manifest.spaces[0]
    return ReleaseSummary(
        name=name,
        objects=int(release.primary.sum()),
        dimension=release.dimension,
        encoder=space.encoder.name,
        encoder_checksum=release.encoder_checksum,
    )


def _who(request: Request[Any, Any, Any]) -> str:
    session: Session = request.scope["state"]["session"]
    return session.who
