"""Labels: give one, undo any, write notes, read the history and where people differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, URLEncodedBody
from litestar.response import Redirect, Template

from discovery.errors import HuntError
from discovery.hunts.log.records import Verdict
from web.access.sessions import visitor_name
from web.hunts.history.views import disagreements_view, history_view
from web.hunts.hunt_view import label_view, notes_view
from web.hunts.next_pages import NextPages
from web.hunts.tabs import hunt_address
from web.workspace import Shelf


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
    shelf: NamedDependency[Shelf],
    next_pages: NamedDependency[NextPages],
    hunt: FromPath[str],
    data: URLEncodedBody[LabelForm],
) -> Template | Redirect:
    """Log a verdict; the answer goes out once it is on the disk."""
    opened = shelf.hunt(hunt)
    negative_class = data.negative_class.strip() or None if data.verdict == "negative" else None
    with opened.pen:
        opened.hunt.label(data.row, data.verdict, who=visitor_name(request), negative_class=negative_class)
    next_pages.changed(opened)
    if not request.headers.get("hx-request"):
        place = f"/{data.back}" if data.back else f"#card-{data.row}"
        return Redirect(hunt_address(hunt) + place, status_code=303)
    return Template("hunts/labelling/label.html", context={"page": label_view(opened, data.row)})


@post("/hunts/{hunt:str}/undo", sync_to_thread=True, status_code=200, include_in_schema=False)
def undo_label(
    request: Request[Any, Any, Any],
    shelf: NamedDependency[Shelf],
    next_pages: NamedDependency[NextPages],
    hunt: FromPath[str],
    data: URLEncodedBody[UndoForm],
) -> Template | Redirect:
    """Take back a label: of anybody when its event is given, else this visitor's latest."""
    opened = shelf.hunt(hunt)
    with opened.pen:
        undone = opened.hunt.undo(visitor_name(request), event=data.event)
    if undone is None:
        raise HuntError("You have given no label here that could be undone.")
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
    shelf: NamedDependency[Shelf],
    hunt: FromPath[str],
    data: URLEncodedBody[NoteForm],
) -> Template | Redirect:
    """Keep a note on an object."""
    opened = shelf.hunt(hunt)
    with opened.pen:
        opened.hunt.note(data.row, data.text, visitor_name(request))
    if not request.headers.get("hx-request"):
        return Redirect(f"{hunt_address(hunt)}#card-{data.row}", status_code=303)
    return Template("hunts/labelling/note.html", context={"page": notes_view(opened.hunt, data.row)})


@get("/hunts/{hunt:str}/history", sync_to_thread=True, include_in_schema=False)
def history_page(
    request: Request[Any, Any, Any], shelf: NamedDependency[Shelf], hunt: FromPath[str], page: FromQuery[int] = 1
) -> Template:
    """Show what was said in a hunt, the latest first."""
    return Template("hunts/history/history.html", context={"page": history_view(request, shelf.hunt(hunt), page)})


@get("/hunts/{hunt:str}/disagreements", sync_to_thread=True, include_in_schema=False)
def disagreements_page(
    request: Request[Any, Any, Any], shelf: NamedDependency[Shelf], hunt: FromPath[str]
) -> Template:
    """Show the objects of which people say different things."""
    return Template("hunts/history/disagreements.html", context={"page": disagreements_view(request, shelf.hunt(hunt))})
