"""Labels and notes as forms of the page: give a label, undo any, write a note."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from litestar import Request, post
from litestar.di import NamedDependency
from litestar.params import URLEncodedBody
from litestar.response import Redirect, Template

from discovery.hunts.log.records import Verdict
from web.hunts.labelling.notes import notes_view
from web.hunts.labelling.views import label_view
from web.hunts.tabs import hunt_address
from web.hunts.visitor_actions import VisitorActions


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
    """Which label to take back: that of an event, else the visitor's latest; and the page of the history that shows it."""

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
    request: Request[Any, Any, Any], actions: NamedDependency[VisitorActions], data: URLEncodedBody[LabelForm]
) -> Template | Redirect:
    """Log a verdict; the answer goes out once it is on the disk."""
    actions.label(data.row, data.verdict, data.negative_class)
    if not request.headers.get("hx-request"):
        place = f"/{data.back}" if data.back else f"#card-{data.row}"
        return Redirect(hunt_address(actions.opened.name) + place, status_code=303)
    return Template("hunts/labelling/label.html", context={"page": label_view(actions.opened, data.row)})


@post("/hunts/{hunt:str}/undo", sync_to_thread=True, status_code=200, include_in_schema=False)
def undo_label(
    request: Request[Any, Any, Any], actions: NamedDependency[VisitorActions], data: URLEncodedBody[UndoForm]
) -> Template | Redirect:
    """Take back a label: of anybody when its event is given, else this visitor's latest."""
    undone, address = actions.undo(data.event), hunt_address(actions.opened.name)
    if data.event is not None:
        return Redirect(f"{address}/history?page={data.page}#event-{data.event}", status_code=303)
    if not request.headers.get("hx-request"):
        return Redirect(address, status_code=303)
    row = -1 if undone.row is None else undone.row
    return Template("hunts/labelling/label.html", context={"page": label_view(actions.opened, row, undone=True)})


@post("/hunts/{hunt:str}/notes", sync_to_thread=True, status_code=200, include_in_schema=False)
def write_note(
    request: Request[Any, Any, Any], actions: NamedDependency[VisitorActions], data: URLEncodedBody[NoteForm]
) -> Template | Redirect:
    """Keep a note on an object."""
    actions.note(data.row, data.text)
    if not request.headers.get("hx-request"):
        return Redirect(f"{hunt_address(actions.opened.name)}#card-{data.row}", status_code=303)
    return Template("hunts/labelling/note.html", context={"page": notes_view(actions.opened.hunt, data.row)})
