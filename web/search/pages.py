"""The search page and its hits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Template

from discovery.errors import EncoderError, QueryError, SurveyError
from discovery.release.release import Release
from web.hunt_rules import consensus_rules, strategy_rules
from web.layout.files import MEDIA_TYPES, TableFormat, table_file
from web.layout.frame import frame_of
from web.layout.parts import NamedValue
from web.layout.problems import without_paths
from web.layout.wording import count
from web.search.form import (
    DEFAULT_K,
    MAX_K,
    Asked,
    Found,
    column_types,
    find,
    shown_columns,
)
from web.search.uploads import Uploads
from web.search.views import ColumnChoice, HitsView, QueryView, SearchForm, SearchPage
from web.stamps.cards import object_address, search_address, stamp_cards
from web.stamps.pictures import SMALL_SIZE
from web.stamps.stamps import grid_picture
from web.workspace.known_tables import KnownTables
from web.workspace.workspace import Workspace

SHOWN_PROMPTS = 14


@get("/releases/{name:str}/search", sync_to_thread=True, tags=["search"], include_in_schema=False)
def search_page(
    request: Request[Any, Any, Any],
    workspace: NamedDependency[Workspace],
    uploads: NamedDependency[Uploads],
    asked: NamedDependency[Asked],
    name: FromPath[str],
    ticked: FromQuery[str] = "",
    tick: FromQuery[list[int] | None] = None,
) -> Template | Redirect:
    """Show the search form and, when something was asked, the hits."""
    release = workspace.release(name)
    if ticked and tick:
        return Redirect(search_address(name, Asked(like=_ids(release, tick)).query_string()), status_code=303)
    hits, trouble = None, ""
    if not asked.empty:
        try:
            found = find(release, asked, uploads, name)
            hits = _hits_view(name, release, asked, found, workspace.known)
        except (QueryError, SurveyError, EncoderError) as error:
            trouble = without_paths(str(error))
    page = SearchPage(
        frame=frame_of(request, title=f"Search {name}", section="search", release=name),
        release=name,
        objects=int(release.primary.sum()),
        form=_form(name, release, asked, uploads),
        hits=hits,
        problem=trouble,
        suggested_hunt=_free_name(workspace),
        query_string=asked.query_string(),
        strategies=strategy_rules(),
        consensus=consensus_rules(),
    )
    return Template("search/search.html", context={"page": page}, status_code=422 if trouble else 200)


@get("/releases/{name:str}/hits", sync_to_thread=True, tags=["search"])
def save_hits(
    workspace: NamedDependency[Workspace],
    uploads: NamedDependency[Uploads],
    asked: NamedDependency[Asked],
    name: FromPath[str],
    format: FromQuery[TableFormat] = "csv",
) -> Response[bytes]:
    """Return the hits of a search as a file: csv, FITS table, VOTable or Parquet."""
    table = find(workspace.release(name), asked, uploads, name).table
    return table_file(table, f"{name}-hits", format)


def _hits_view(name: str, release: Release, asked: Asked, found: Found, known: KnownTables) -> HitsView:
    shown = found.table.num_rows
    if found.like:
        headline = f"{count(shown)} most similar of {count(found.fitting)}"
    else:
        headline = f"{count(found.fitting)} objects fit" + (f", the first {count(shown)}" if shown < found.fitting else "")
    k = int(asked.k or DEFAULT_K)
    exports = tuple(
        NamedValue(name=suffix, value=f"/releases/{quote(name, safe='')}/hits?{asked.query_string()}&format={suffix}")
        for suffix in MEDIA_TYPES
    )
    more = shown == k and shown < min(found.fitting, MAX_K)
    return HitsView(
        queries=_query_views(name, release, asked, found),
        cards=stamp_cards(name, release, found.table, known, shown_columns(release, asked)),
        headline=headline,
        exports=exports,
        more=search_address(name, asked.query_string(k=str(min(2 * k, MAX_K)))) if more else "",
    )


def _query_views(name: str, release: Release, asked: Asked, found: Found) -> tuple[QueryView, ...]:
    """Return the prompts as small pictures; an uploaded stamp shows its own."""
    own = [f"/releases/{quote(name, safe='')}/uploads/{upload}/picture" for upload in asked.uploads]
    without_row = iter(own)
    views = []
    for prompt, unlike in [*((p, False) for p in found.like), *((p, True) for p in found.unlike)][:SHOWN_PROMPTS]:
        if prompt.row is None:
            views.append(QueryView(label=prompt.label, picture=next(without_row, ""), href="", unlike=unlike))
        else:
            picture = grid_picture(name, release, prompt.row, size=SMALL_SIZE)
            href = object_address(name, prompt.row)
            views.append(QueryView(label=prompt.label, picture=picture, href=href, unlike=unlike))
    return tuple(views)


def _form(name: str, release: Release, asked: Asked, uploads: Uploads) -> SearchForm:
    held = []
    for upload in asked.uploads:
        try:
            held.append(NamedValue(name=uploads.get(upload, name).name, value=upload))
        except QueryError:
            continue
    try:
        chosen = set(shown_columns(release, asked))
    except QueryError:
        chosen = set()
    return SearchForm(
        like="\n".join(asked.like),
        unlike="\n".join(asked.unlike),
        where=asked.where,
        cone=asked.cone,
        k=asked.k or str(DEFAULT_K),
        min_similarity=asked.min_similarity,
        flagged=asked.flagged,
        truth=asked.truth,
        uploads=tuple(held),
        columns=tuple(
            ColumnChoice(name=column, type=kind.lower(), chosen=column in chosen)
            for column, kind in column_types(release, truth=asked.truth).items()
        ),
    )


def _ids(release: Release, rows: Sequence[int]) -> tuple[str, ...]:
    return tuple(release.catalogue.rows(list(rows), ["object_id"])["object_id"].to_pylist())


def _free_name(workspace: Workspace) -> str:
    taken = set(workspace.hunt_names())
    number = len(taken) + 1
    while f"hunt-{number}" in taken:
        number += 1
    return f"hunt-{number}"
