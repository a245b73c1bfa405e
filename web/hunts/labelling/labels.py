"""Labels and notes as forms of the page: give a label, undo any, write a note."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from litestar import Request, post
from litestar.di import NamedDependency
from litestar.params import FromPath, URLEncodedBody
from litestar.response import Redirect, Template

from discovery.hunts.log.records import Verdict
from web.access.sessions import visitor_name
from web.hunts.labelling.notes import notes_view
from web.hunts.labelling.views import label_view
from web.hunts.rounds.next_pages import NextPages
from web.hunts.tabs import hunt_address
from web.workspace.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class LabelForm:
    """A verdict on one object."""

    row: int
    verdict: Verdict
    negative_class: str = ""
    back: Literal["", "disagreements"] = ""
    csrf: str = ""


@dataclass(frozen=True, kw_only=True)
class UndoForm:
    """Which label to take back: that of an event, else the visitor's latest; and the page of the history it stands on."""

    event: int | None = None
    page: int = 1
    csrf: str = ""


@dataclass(frozen=True, kw_only=True)
class NoteForm:
    """A note on one object."""

    row: int
    text: str
    csrf: str = ""


@post("/hunts/{hunt:str}/labels", sync_to_thread=True, status_code=200, include_in_schema=False)
def give_label(
    request: Request[Any, Any, Any],
    workspace: NamedDependency[Workspace],
    next_pages: NamedDependency[NextPages],
    hunt: FromPath[str],
    data: URLEncodedBody[LabelForm],
) -> Template | Redirect:
    """Log a verdict; the answer goes out once it is on the disk."""
    opened = workspace.hunt(hunt)
    negative_class = data.negative_class if data.verdict == "negative" else None
    opened.hunt.label(data.row, data.verdict, who=visitor_name(request), negative_class=negative_class)
    next_pages.changed(opened)
    if not request.headers.get("hx-request"):
        place = f"/{data.back}" if data.back else f"#card-{data.row}"
        return Redirect(hunt_address(hunt) + place, status_code=303)
    return Template("hunts/labelling/label.html", context={"page": label_view(opened, data.row)})


@post("/hunts/{hunt:str}/undo", sync_to_thread=True, status_code=200, include_in_schema=False)
def undo_label(
    request: Request[Any, Any, Any],
    workspace: NamedDependency[Workspace],
    next_pages: NamedDependency[NextPages],
    hunt: FromPath[str],
    data: URLEncodedBody[UndoForm],
) -> Template | Redirect:
    """Take back a label: of anybody when its event is given, else this visitor's latest."""
    opened = workspace.hunt(hunt)
    undone = opened.hunt.undo(visitor_name(request), event=data.event)
    next_pages.changed(opened)
    if data.event is not None:
        return Redirect(f"{hunt_address(hunt)}/history?page={data.page}#event-{data.event}", status_code=303)
    if not request.headers.get("hx-request"):
        return Redirect(hunt_address(hunt), status_code=303)
    row = -1 if undone.row is None else undone.row
    return Template("hunts/labelling/label.html", context={"page": label_view(opened, row, undone=True)})


@post("/hunts/{hunt:str}/notes", sync_to_thread=True, status_code=200, include_in_schema=False)
def write_note(
    request: Request[Any, Any, Any],
    workspace: NamedDependency[Workspace],
    hunt: FromPath[str],
    data: URLEncodedBody[NoteForm],
) -> Template | Redirect:
    """Keep a note on an object."""
    opened = workspace.hunt(hunt)
    opened.hunt.note(data.row, data.text, visitor_name(request))
    if not request.headers.get("hx-request"):
        return Redirect(f"{hunt_address(hunt)}#card-{data.row}", status_code=303)
    return Template("hunts/labelling/note.html", context={"page": notes_view(opened.hunt, data.row)})
