"""Labels and notes in JSON, for scripts."""

from __future__ import annotations

from dataclasses import dataclass

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from discovery.hunts.log.records import Note, Undone, Verdict
from web.hunts.visitor_actions import VisitorActions
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
def add_label(actions: NamedDependency[VisitorActions], data: JSONBody[Label]) -> Receipt:
    """Log a verdict; the answer goes out once it is on the disk."""
    return Receipt(event=actions.label(data.row, data.verdict, data.negative_class, data.reason), who=actions.who)


@post("/api/hunts/{hunt:str}/undo", sync_to_thread=True, tags=["hunts"])
def take_back(actions: NamedDependency[VisitorActions], data: JSONBody[UndoRequest]) -> Undone:
    """Take back a label, anybody's or your latest one, by a new event of the log."""
    return actions.undo(data.event)


@get("/api/hunts/{hunt:str}/notes", sync_to_thread=True, tags=["hunts"])
def read_notes(workspace: NamedDependency[Workspace], hunt: FromPath[str]) -> list[Note]:
    """Return the notes on all objects, the oldest first."""
    return workspace.hunt(hunt).hunt.notes()


@post("/api/hunts/{hunt:str}/notes", sync_to_thread=True, tags=["hunts"])
def add_note(actions: NamedDependency[VisitorActions], data: JSONBody[NoteText]) -> Receipt:
    """Keep a note on an object."""
    return Receipt(event=actions.note(data.row, data.text), who=actions.who)
