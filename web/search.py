"""Releases, search and its hits."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pyarrow as pa
from litestar import Request, Response, get, post
from litestar.datastructures import UploadFile
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, MultipartBody
from litestar.response import Redirect, Template

from discovery.errors import (
    DiscoveryError,
    EncoderError,
    QueryError,
    StampError,
    SurveyError,
)
from discovery.prompts import Prompt, prompt_from_stamp, read_prompt_table
from discovery.readers import read_stamp_bytes
from discovery.release import Release
from discovery.render import stamp_png, upright
from discovery.stamps import Stamp
from web.asked import (
    DEFAULT_K,
    MAX_K,
    Asked,
    Found,
    Upload,
    Uploads,
    column_types,
    find,
    shown_columns,
)
from web.files import MEDIA_TYPES, TableFormat, table_file
from web.pages import (
    BrokenRelease,
    Card,
    ColumnChoice,
    Fact,
    HitsView,
    QueryView,
    ReleasesPage,
    SearchForm,
    SearchPage,
    frame_of,
)
from web.problems import without_paths
from web.release_cards import release_card
from web.shelf import Shelf
from web.stamps import GRID_SIZE, SMALL_SIZE, grid_picture
from web.wording import count, figure, unit_of

TABLE_SUFFIXES = (".csv", ".tsv", ".txt", ".parquet", ".vot", ".votable", ".xml")
SHOWN_PROMPTS = 14


@dataclass(frozen=True, kw_only=True)
class UploadForm:
    """A stamp or a table of prompts."""

    file: UploadFile
    csrf: str = ""


@get("/", sync_to_thread=True, include_in_schema=False)
def releases_page(request: Request[Any, Any, Any], shelf: NamedDependency[Shelf]) -> Template:
    """Show all releases."""
    cards, broken = [], []
    for name in shelf.release_names:
        try:
            cards.append(release_card(name, shelf.release(name)))
        except DiscoveryError as error:
            broken.append(BrokenRelease(name=name, reason=without_paths(str(error))))
    only = cards[0].name if len(cards) == 1 else None
    frame = frame_of(request, title="Releases", section="releases", release=only)
    return Template(
        "releases.html", context={"page": ReleasesPage(frame=frame, releases=tuple(cards), broken=tuple(broken))}
    )


@get("/releases/{name:str}/search", sync_to_thread=True, tags=["search"], include_in_schema=False)
def search_page(
    request: Request[Any, Any, Any],
    shelf: NamedDependency[Shelf],
    uploads: NamedDependency[Uploads],
    asked: NamedDependency[Asked],
    name: FromPath[str],
    ticked: FromQuery[str] = "",
    tick: FromQuery[list[int] | None] = None,
) -> Template | Redirect:
    """Show the search form and, when something was asked, the hits."""
    release = shelf.release(name)
    if ticked and tick:
        return Redirect(_search_address(name, Asked(like=_ids(release, tick)).query_string()), status_code=303)
    hits, trouble = None, ""
    if not asked.empty:
        try:
            found = find(release, asked, uploads, name)
            hits = _hits_view(name, release, asked, found)
        except (QueryError, SurveyError, EncoderError) as error:
            trouble = without_paths(str(error))
    page = SearchPage(
        frame=frame_of(request, title=f"Search {name}", section="search", release=name),
        release=name,
        objects=int(release.primary.sum()),
        form=_form(name, release, asked, uploads),
        hits=hits,
        problem=trouble,
        suggested_hunt=_free_name(shelf),
        query_string=asked.query_string(),
    )
    return Template("search.html", context={"page": page}, status_code=422 if trouble else 200)


@get("/releases/{name:str}/hits", sync_to_thread=True, tags=["search"])
def save_hits(
    shelf: NamedDependency[Shelf],
    uploads: NamedDependency[Uploads],
    asked: NamedDependency[Asked],
    name: FromPath[str],
    format: FromQuery[TableFormat] = "csv",
) -> Response[bytes]:
    """Return the hits of a search as a file: csv, FITS table, VOTable or Parquet."""
    table = find(shelf.release(name), asked, uploads, name).table
    return table_file(table, f"{name}-hits", format)


@post("/releases/{name:str}/uploads", sync_to_thread=True, include_in_schema=False)
def take_upload(
    shelf: NamedDependency[Shelf],
    uploads: NamedDependency[Uploads],
    name: FromPath[str],
    data: MultipartBody[UploadForm],
) -> Redirect:
    """Turn an uploaded stamp or table into prompts and search with them."""
    release = shelf.release(name)
    content, file_name = data.file.file.read(), Path(data.file.filename.replace("\\", "/")).name
    prompts, stamp = _prompts_in(shelf, release, content, file_name)
    picture = None if stamp is None else stamp_png(upright(stamp), size_pixels=GRID_SIZE, scale_bar=True)
    upload = Upload(name=file_name[:80], release=name, prompts=tuple(prompts), picture=picture)
    return Redirect(_search_address(name, urlencode({"upload": uploads.add(upload)})), status_code=303)


@get("/releases/{name:str}/uploads/{upload:str}/picture", sync_to_thread=False, include_in_schema=False)
def upload_picture(uploads: NamedDependency[Uploads], name: FromPath[str], upload: FromPath[str]) -> Response[bytes]:
    """Return the picture of an uploaded stamp."""
    picture = uploads.get(upload, name).picture
    if picture is None:
        raise QueryError("A table of prompts has no picture.")
    return Response(picture, media_type="image/png", headers={"Cache-Control": "private, max-age=3600"})


def stamp_cards(
    name: str, release: Release, table: pa.Table, columns: Sequence[str] = (), *, size: int = GRID_SIZE
) -> tuple[Card, ...]:
    """Return the cards of a grid, one a line of a table with row and object_id."""
    cards = []
    for line in table.to_pylist():
        similarity = line.get("similarity")
        cards.append(
            Card(
                row=line["row"],
                object_id=line["object_id"],
                picture=grid_picture(name, release, line["row"], size=size),
                href=object_address(name, line["row"]),
                more_like=_search_address(name, urlencode({"like": line["object_id"]})),
                similarity="" if similarity is None else f"{similarity:.3f}",
                facts=tuple(
                    Fact(name=column, value=figure(line[column], digits=4), unit=unit_of(column))
                    for column in columns
                    if column not in ("row", "object_id")
                ),
            )
        )
    return tuple(cards)


def object_address(name: str, row: int) -> str:
    """Return the address of an object's page."""
    return f"/releases/{quote(name, safe='')}/objects/{row}"


def _search_address(name: str, query: str) -> str:
    return f"/releases/{quote(name, safe='')}/search" + (f"?{query}" if query else "")


def _hits_view(name: str, release: Release, asked: Asked, found: Found) -> HitsView:
    shown = found.table.num_rows
    if found.like:
        headline = f"{count(shown)} most similar of {count(found.fitting)}"
    else:
        headline = f"{count(found.fitting)} objects fit" + (f", the first {count(shown)}" if shown < found.fitting else "")
    k = int(asked.k or DEFAULT_K)
    exports = tuple(
        Fact(name=suffix, value=f"/releases/{quote(name, safe='')}/hits?{asked.query_string()}&format={suffix}")
        for suffix in MEDIA_TYPES
    )
    more = shown == k and shown < min(found.fitting, MAX_K)
    return HitsView(
        queries=_query_views(name, release, asked, found),
        cards=stamp_cards(name, release, found.table, shown_columns(release, asked)),
        headline=headline,
        exports=exports,
        more=_search_address(name, asked.query_string(k=str(min(2 * k, MAX_K)))) if more else "",
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
            held.append(Fact(name=uploads.get(upload, name).name, value=upload))
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


def _prompts_in(
    shelf: Shelf, release: Release, content: bytes, file_name: str
) -> tuple[list[Prompt], Stamp | None]:
    """Return the prompts of an uploaded file and, if it is a stamp, the stamp."""
    suffix = Path(file_name).suffix.lower()
    if not content:
        raise QueryError("The uploaded file is empty: choose another one.")
    if suffix in TABLE_SUFFIXES:
        return _table_prompts(release, content, suffix), None
    try:
        stamp = read_stamp_bytes(content, file_name)
    except StampError:
        if suffix not in (".fits", ".fit"):
            raise
        return _table_prompts(release, content, ".fits"), None
    with shelf.encoding:
        return [prompt_from_stamp(release, stamp, label=file_name[:80])], stamp


def _table_prompts(release: Release, content: bytes, suffix: str) -> list[Prompt]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"uploaded-table{suffix}"
        path.write_bytes(content)
        return read_prompt_table(release, path)


def _ids(release: Release, rows: Sequence[int]) -> tuple[str, ...]:
    return tuple(release.catalogue.rows(list(rows), ["object_id"])["object_id"].to_pylist())


def _free_name(shelf: Shelf) -> str:
    taken = set(shelf.hunt_names())
    number = len(taken) + 1
    while f"hunt-{number}" in taken:
        number += 1
    return f"hunt-{number}"
