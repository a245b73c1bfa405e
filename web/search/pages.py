"""The search page and its hits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Template

from discovery.errors import EncoderError, QueryError, SurveyError
from discovery.release.release import Release
from discovery.search.provenance import search_provenance
from web.hunt_rules import consensus_rules, strategy_rules
from web.layout.files import MEDIA_TYPES, TableFormat, table_file
from web.layout.frame import frame_of
from web.layout.parts import NamedValue
from web.layout.problems import without_paths
from web.layout.text_format import count
from web.search.form import (
    DEFAULT_K,
    MAX_K,
    FormPrompts,
    SearchForm,
    SearchResult,
    column_types,
    find,
    form_from_address,
    shown_columns,
    whole_query,
)
from web.search.uploads import Uploads
from web.search.views import ColumnChoice, FilledForm, HitsView, QueryView, SearchPage
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
    search_form: NamedDependency[SearchForm],
    name: FromPath[str],
    ticked: FromQuery[str] = "",
    tick: FromQuery[list[int] | None] = None,
    search: FromQuery[str] = "",
) -> Template | Redirect:
    """Show the search form and, when something is searched for, the hits; ticked hits become the examples of the same search."""
    form, release = search_form, workspace.release(name)
    if ticked and tick:
        ticked_form = replace(form_from_address(search), like=_ids(release, tick), unlike=(), uploads=())
        return Redirect(search_address(name, ticked_form.query_string()), status_code=303)
    hits, trouble = None, ""
    if not form.empty:
        try:
            found = find(release, form, uploads, name)
            hits = _hits_view(name, release, form, found, workspace.known)
        except (QueryError, SurveyError, EncoderError) as error:
            trouble = without_paths(str(error))
    page = SearchPage(
        frame=frame_of(request, title=f"Search {name}", section="search", release=name),
        release=name,
        objects=int(release.primary.sum()),
        form=_filled_form(name, release, form, uploads),
        hits=hits,
        problem=trouble,
        suggested_hunt=_free_name(workspace),
        query_string=form.query_string(),
        strategies=strategy_rules(),
        consensus=consensus_rules(),
    )
    return Template("search/search.html", context={"page": page}, status_code=422 if trouble else 200)


@get("/releases/{name:str}/hits", sync_to_thread=True, tags=["search"])
def save_hits(
    workspace: NamedDependency[Workspace],
    uploads: NamedDependency[Uploads],
    search_form: NamedDependency[SearchForm],
    name: FromPath[str],
    format: FromQuery[TableFormat] = "csv",
) -> Response[bytes]:
    """Return the hits of a search as a file: csv, FITS table, VOTable or Parquet."""
    release = workspace.release(name)
    table = find(release, search_form, uploads, name).table
    about = search_provenance(release, whole_query(search_form, uploads, name))
    return table_file(table, f"{name}-hits", format, about)


@get("/releases/{name:str}/query", sync_to_thread=True, tags=["search"])
def save_query(
    workspace: NamedDependency[Workspace],
    uploads: NamedDependency[Uploads],
    search_form: NamedDependency[SearchForm],
    name: FromPath[str],
) -> Response[str]:
    """Return a search as a saved query, a JSON file that the page, the API and the command line understand."""
    workspace.release(name)
    query = whole_query(search_form, uploads, name)
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}-query.json"}
    return Response(query.to_json(), media_type="application/json", headers=headers)


def _hits_view(name: str, release: Release, form: SearchForm, found: SearchResult, known: KnownTables) -> HitsView:
    shown, passed, address = found.table.num_rows, found.passed, f"/releases/{quote(name, safe='')}"
    if found.prompts.like:
        headline = f"{count(shown)} most similar of {count(passed)}"
    else:
        headline = f"{count(passed)} objects fit" + (f", the first {count(shown)}" if shown < passed else "")
    k = int(form.k or DEFAULT_K)
    exports = tuple(
        NamedValue(name=suffix, value=f"{address}/hits?{form.query_string()}&format={suffix}") for suffix in MEDIA_TYPES
    )
    more = shown == k and shown < min(passed, MAX_K)
    left_out = found.flagged_left_out
    return HitsView(
        queries=_query_views(name, release, found.prompts),
        cards=stamp_cards(name, release, found.table, known, shown_columns(release, form)),
        headline=headline,
        exports=exports,
        saved=f"{address}/query?{form.query_string()}",
        left_out=f"{count(left_out)} flagged object{'s' * (left_out != 1)} left out" if left_out else "",
        with_flagged=search_address(name, form.query_string(include_flagged="1")) if left_out else "",
        more=search_address(name, form.query_string(k=str(min(2 * k, MAX_K)))) if more else "",
    )


def _query_views(name: str, release: Release, prompts: FormPrompts) -> tuple[QueryView, ...]:
    """Return the prompts as small pictures; an uploaded stamp shows its own."""
    given = [(prompt, upload, False) for prompt, upload in zip(prompts.like, prompts.upload_of, strict=True)]
    given += [(prompt, "", True) for prompt in prompts.unlike]
    views = []
    for prompt, upload, unlike in given[:SHOWN_PROMPTS]:
        if prompt.row is None:
            picture, href = f"/releases/{quote(name, safe='')}/uploads/{upload}/picture", ""
        else:
            picture, href = grid_picture(name, release, prompt.row, size=SMALL_SIZE), object_address(name, prompt.row)
        views.append(QueryView(label=prompt.label, picture=picture, href=href, unlike=unlike))
    return tuple(views)


def _filled_form(name: str, release: Release, form: SearchForm, uploads: Uploads) -> FilledForm:
    kept = []
    for upload in form.uploads:
        try:
            kept.append(NamedValue(name=uploads.get(upload, name).name, value=upload))
        except QueryError:
            continue
    try:
        chosen = set(shown_columns(release, form))
    except QueryError:
        chosen = set()
    return FilledForm(
        like="\n".join(form.like),
        unlike="\n".join(form.unlike),
        where=form.where,
        cone=form.cone,
        k=form.k or str(DEFAULT_K),
        min_similarity=form.min_similarity,
        include_flagged=form.include_flagged,
        truth=form.truth,
        engine=form.engine,
        uploads=tuple(kept),
        columns=tuple(
            ColumnChoice(name=column, type=kind.lower(), chosen=column in chosen)
            for column, kind in column_types(release, truth=form.truth).items()
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
