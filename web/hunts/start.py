"""A hunt is started from ticked hits of a search."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from litestar import Request, post
from litestar.di import NamedDependency
from litestar.params import URLEncodedBody
from litestar.response import Redirect

from discovery.errors import HuntError, QueryError
from discovery.hunts import new_hunt
from discovery.hunts.log.validation import DEFAULT_PAGE_SIZE, LATEST
from discovery.release.release import Release
from discovery.search.prompts import prompt_from_row
from discovery.search.query import Query
from web.access.sessions import visitor_name
from web.hunts.rounds.next_pages import NextPages
from web.hunts.tabs import hunt_address
from web.jobs.progress import quick_result
from web.search.form import SearchForm, form_from_address, prompts_of, whole_query
from web.search.uploads import Uploads
from web.workspace.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class NewHuntForm:
    """What starts a hunt: ticked rows, and the search they came from."""

    release: str
    name: str
    search: str = ""
    query: str = ""
    """Either name: the query string of the search, or a saved query (JSON). The page says ``search``, since its form also goes to the search."""
    tick: list[str] | str = ""
    with_query: str = ""
    with_filter: str = ""
    page_size: int = DEFAULT_PAGE_SIZE
    strategy: str = ""
    consensus: str = LATEST
    csrf: str = ""


@post("/hunts", sync_to_thread=True, include_in_schema=False)
def start_hunt(
    request: Request[Any, Any, Any],
    workspace: NamedDependency[Workspace],
    uploads: NamedDependency[Uploads],
    next_pages: NamedDependency[NextPages],
    data: URLEncodedBody[NewHuntForm],
) -> Redirect:
    """Start a hunt from ticked hits and show its first round."""
    release = workspace.release(data.release)
    form = _search_form(data.query or data.search)
    prompts, query = prompts_of(release, form, uploads, data.release), whole_query(form, uploads, data.release)
    if not data.with_query:
        query = replace(query, like=(), unlike=())
    if not data.with_filter:
        query = replace(query, where=None, cone=None)
    ticked = [prompt_from_row(release, row) for row in _rows(release, data.tick)]
    positives = [*ticked, *(prompts.like if data.with_query else ())]
    if not positives:
        raise HuntError("A hunt starts from at least one example: tick a few hits that show what you look for.")
    path = workspace.new_hunt_path(data.name.strip())
    new_hunt(
        path,
        release,
        query=query,
        positives=positives,
        negatives=prompts.unlike if data.with_query else (),
        page_size=data.page_size,
        strategy=data.strategy or None,
        consensus=data.consensus,
        who=visitor_name(request),
    )
    quick_result(next_pages.request(workspace.hunt(path.stem), visitor_name(request), after=0))
    return Redirect(hunt_address(path.stem), status_code=303)


def _search_form(text: str) -> SearchForm:
    return SearchForm.of(Query.from_json(text)) if text.lstrip().startswith("{") else form_from_address(text)


def _rows(release: Release, ticked: list[str] | str) -> list[int]:
    given = [ticked] if isinstance(ticked, str) else ticked
    rows = [int(text) for text in given if text.isdecimal() and len(text) < 18]
    if any(row >= release.count for row in rows):
        raise QueryError("A ticked object is not in this release: search again.")
    return rows
