"""Labels and notes in JSON, for scripts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from discovery.hunts.log.records import Note, Undone, Verdict
from web.access.sessions import visitor_name
from web.hunts.rounds.next_pages import NextPages
from web.workspace.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Label:
    """A verdict on one object."""

    row: int
    verdict: Verdict
    negative_class: str | None = None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class UndoRequest:
    """The event to take back; None takes back your latest label."""

    event: int | None = None


@dataclass(frozen=True, kw_only=True)
class NoteText:
    """A note on one object."""

    row: int
    text: str


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """Sent once the change is on the disk."""

    event: int
    who: str


@post("/api/hunts/{hunt:str}/labels", sync_to_thread=True, tags=["hunts"])
def add_label(
    request: Request[Any, Any, Any],
    workspace: NamedDependency[Workspace],
    next_pages: NamedDependency[NextPages],
    hunt: FromPath[str],
    data: JSONBody[Label],
) -> Receipt:
    """Log a verdict; the answer goes out once it is on the disk."""
    who, opened = visitor_name(request), workspace.hunt(hunt)
    event = opened.hunt.label(data.row, data.verdict, who=who, negative_class=data.negative_class, reason=data.reason)
    next_pages.changed(opened)
    return Receipt(event=event, who=who)


@post("/api/hunts/{hunt:str}/undo", sync_to_thread=True, tags=["hunts"])
def take_back(
    request: Request[Any, Any, Any],
    workspace: NamedDependency[Workspace],
    next_pages: NamedDependency[NextPages],
    hunt: FromPath[str],
    data: JSONBody[UndoRequest],
) -> Undone:
    """Take back a label, anybody's or your latest one, by a new line of the log."""
    opened = workspace.hunt(hunt)
    undone = opened.hunt.undo(visitor_name(request), event=data.event)
    next_pages.changed(opened)
    return undone


@get("/api/hunts/{hunt:str}/notes", sync_to_thread=True, tags=["hunts"])
def read_notes(workspace: NamedDependency[Workspace], hunt: FromPath[str]) -> list[Note]:
    """Return the notes on all objects, the oldest first."""
    return workspace.hunt(hunt).hunt.notes()


@post("/api/hunts/{hunt:str}/notes", sync_to_thread=True, tags=["hunts"])
def add_note(
    request: Request[Any, Any, Any], workspace: NamedDependency[Workspace], hunt: FromPath[str], data: JSONBody[NoteText]
) -> Receipt:
    """Keep a note on an object."""
    who = visitor_name(request)
    return Receipt(event=workspace.hunt(hunt).hunt.note(data.row, data.text, who), who=who)
