"""Hunts in short, in JSON: their names, and how far each of them is."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath

from web.workspace.open_hunt import OpenHunt
from web.workspace.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class HuntSummary:
    """Settings and counts of a hunt."""

    name: str
    release: str
    strategy: str
    consensus: str
    stopper: str
    alpha: float
    rounds: int
    counts: dict[str, int]
    negative_classes: dict[str, int]


@get("/api/hunts", sync_to_thread=True, tags=["hunts"])
def list_hunts(workspace: NamedDependency[Workspace]) -> list[str]:
    """Return the names of the hunts."""
    return list(workspace.hunt_names())


@get("/api/hunts/{hunt:str}", sync_to_thread=True, tags=["hunts"])
def read_hunt(workspace: NamedDependency[Workspace], hunt: FromPath[str]) -> HuntSummary:
    """Return settings and counts of a hunt."""
    return summary_of(workspace.hunt(hunt))


def summary_of(opened: OpenHunt) -> HuntSummary:
    """Return settings and counts of a hunt."""
    info = opened.hunt.info()
    return HuntSummary(
        name=opened.name,
        release=opened.release,
        strategy=info.strategy,
        consensus=info.consensus,
        stopper=info.stopper,
        alpha=info.alpha,
        rounds=info.rounds,
        counts=asdict(info.counts),
        negative_classes=info.negative_classes,
    )
