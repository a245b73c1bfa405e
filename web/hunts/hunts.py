"""Hunts: start one, label its rounds, export what it found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, URLEncodedBody
from litestar.response import Redirect, Template

from discovery.errors import HuntError, QueryError
from discovery.hunts import new_hunt
from discovery.hunts.consensus import LATEST
from discovery.hunts.log.records import Round
from discovery.release.release import Release
from discovery.search.prompts import prompt_from_row
from web.access.sessions import visitor_name
from web.hunts.hunt_view import hunt_line, hunt_view
from web.hunts.next_pages import NextPages
from web.hunts.tabs import hunt_address
from web.hunts.views import HuntsPage
from web.jobs.jobs import Work
from web.jobs.progress import quick_result, under_way
from web.layout.pages import frame_of
from web.search.form import asked_from, prompts_of
from web.search.uploads import Uploads
from web.workspace import Shelf

WHOLE_PAGE = {"HX-Retarget": "#hunt", "HX-Reselect": "#hunt", "HX-Reswap": "outerHTML show:window:top"}


@dataclass(frozen=True, kw_only=True)
class NewHuntForm:
    """What starts a hunt: ticked rows, and the search they came from."""

    release: str
    name: str
    query: str = ""
    tick: list[str] | str = ""
    with_query: str = ""
    with_filter: str = ""
    page_size: int = 20
    strategy: str = "auto"
    consensus: str = LATEST
    csrf: str = ""


@dataclass(frozen=True, kw_only=True)
class RoundForm:
    """Asks for the round after the one that the page showed."""

    after: int = 0
    new_only: str = ""
    csrf: str = ""


@get("/hunts", sync_to_thread=True, include_in_schema=False)
def hunts_page(request: Request[Any, Any, Any], shelf: NamedDependency[Shelf]) -> Template:
    """List all hunts."""
    rows = tuple(hunt_line(shelf, name) for name in shelf.hunt_names())
    only = shelf.release_names[0] if len(shelf.release_names) == 1 else None
    page = HuntsPage(frame=frame_of(request, title="Hunts", section="hunts", release=only), hunts=rows)
    return Template("hunts/hunts.html", context={"page": page})


@post("/hunts", sync_to_thread=True, include_in_schema=False)
def start_hunt(
    request: Request[Any, Any, Any],
    shelf: NamedDependency[Shelf],
    uploads: NamedDependency[Uploads],
    next_pages: NamedDependency[NextPages],
    data: URLEncodedBody[NewHuntForm],
) -> Redirect:
    """Start a hunt from ticked hits and show its first round."""
    release = shelf.release(data.release)
    asked = asked_from(data.query)
    like, unlike = prompts_of(release, asked, uploads, data.release)
    ticked = [prompt_from_row(release, row) for row in _rows(release, data.tick)]
    positives = [*ticked, *(like if data.with_query else ())]
    if not positives:
        raise HuntError("A hunt starts from at least one example: tick a few hits that show what you look for.")
    path = shelf.new_hunt_path(data.name.strip())
    new_hunt(
        path,
        release,
        positives=positives,
        negatives=unlike if data.with_query else (),
        page_size=data.page_size,
        where=asked.where or None if data.with_filter else None,
        flagged=asked.flagged,
        strategy=data.strategy,
        consensus=data.consensus,
        who=visitor_name(request),
    )
    quick_result(next_pages.ask(shelf.hunt(path.stem), visitor_name(request), after=0))
    return Redirect(hunt_address(path.stem), status_code=303)


@get("/hunts/{hunt:str}", sync_to_thread=True, include_in_schema=False)
def hunt_page(
    request: Request[Any, Any, Any], shelf: NamedDependency[Shelf], work: NamedDependency[Work], hunt: FromPath[str]
) -> Template:
    """Show the present round of a hunt, and how far the next one is when it is being made."""
    page = hunt_view(request, shelf.hunt(hunt), progress=under_way(work, hunt))
    return Template("hunts/hunt.html", context={"page": page})


@get("/hunts/{hunt:str}/work", sync_to_thread=True, include_in_schema=False)
def hunt_work(
    request: Request[Any, Any, Any], shelf: NamedDependency[Shelf], work: NamedDependency[Work], hunt: FromPath[str]
) -> Template:
    """Tell how far the work is, in a fragment that asks again; once it is over, the whole page."""
    progress, address = under_way(work, hunt), hunt_address(hunt)
    if progress is not None and not progress.problem:
        return Template("jobs/work.html", context={"address": address, "poll": f"{address}/work", "progress": progress})
    job, opened = work.latest(hunt), shelf.hunt(hunt)
    nothing_left = job.result if job is not None and isinstance(job.result, Round) and job.result.exhausted else None
    page = hunt_view(request, opened, nothing_left, progress=progress)
    return Template("hunts/hunt.html", context={"page": page}, headers=WHOLE_PAGE)


@post("/hunts/{hunt:str}/rounds", sync_to_thread=True, include_in_schema=False)
def next_round(
    request: Request[Any, Any, Any],
    shelf: NamedDependency[Shelf],
    next_pages: NamedDependency[NextPages],
    hunt: FromPath[str],
    data: URLEncodedBody[RoundForm],
) -> Template | Redirect:
    """Have the next round made, unless somebody else already has; the page shows it, or how far it is."""
    opened = shelf.hunt(hunt)
    job = next_pages.ask(opened, visitor_name(request), after=data.after, new_only=bool(data.new_only))
    done, made = quick_result(job)
    if done and made.exhausted:
        return Template("hunts/hunt.html", context={"page": hunt_view(request, opened, made)})
    return Redirect(hunt_address(hunt), status_code=303)


def _rows(release: Release, ticked: list[str] | str) -> list[int]:
    given = [ticked] if isinstance(ticked, str) else ticked
    rows = [int(text) for text in given if text.isdecimal() and len(text) < 18]
    if any(row >= release.count for row in rows):
        raise QueryError("A ticked object is not in this release: search again.")
    return rows
