"""What a hunt found, as a file: made outside the request, since it may rank the whole release and cut out many stamps."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Template

from discovery.errors import QueryError
from discovery.tables import sidecar_path
from web.asked import column_types
from web.files import TableFormat, file_to_save
from web.hunt_pages import ExportPage
from web.hunt_tabs import hunt_tabs
from web.next_pages import known_rows
from web.pages import frame_of
from web.progress import progress_of, quick_result
from web.shelf import OpenHunt, Shelf
from web.work import Work


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is to be exported."""

    format: TableFormat
    top: int | None
    min_score: float | None
    stamps: bool
    truth: bool
    new_only: bool
    statement: bool


@get("/hunts/{hunt:str}/export", sync_to_thread=True, tags=["hunts"])
def export_hunt(
    request: Request[Any, Any, Any],
    shelf: NamedDependency[Shelf],
    work: NamedDependency[Work],
    hunt: FromPath[str],
    format: FromQuery[TableFormat] = "csv",
    top: FromQuery[str] = "",
    min_score: FromQuery[str] = "",
    stamps: FromQuery[bool] = False,
    truth: FromQuery[bool] = False,
    new_only: FromQuery[bool] = False,
    statement: FromQuery[bool] = False,
) -> Response[bytes] | Template:
    """Return the labelled objects and, if asked for, the ranked rest: a table, or a zip of table and cutouts.

    With ``statement`` only what the table states of itself, as JSON: a csv has no place for it. Where it takes long the
    answer is a page with status 202 that fetches the file once it is there; asking again does the same.
    """
    opened = shelf.hunt(hunt)
    wish = Wish(
        format="csv" if statement else format,
        top=_number(top, int, "top"),
        min_score=_number(min_score, float, "min_score"),
        stamps=stamps and not statement,
        truth=truth,
        new_only=new_only,
        statement=statement,
    )
    key = f"{hunt}/export"
    job = work.latest(key)
    if job is None or job.wish != wish or job.error is not None:
        job = work.ask(key, "the export", lambda: make_file(opened, wish), wish=wish)
    done, file = quick_result(job)
    again, asked_by_page = str(request.url.path) + f"?{request.url.query}", bool(request.headers.get("hx-request"))
    if done and asked_by_page:
        return Response(b"", headers={"HX-Redirect": again})
    if done:
        work.forget(key)
        return Response(file.content, media_type=file.media_type, headers=file.headers)
    progress = progress_of(work, job)
    if asked_by_page:
        return Template("work.html", context={"address": again, "poll": again, "progress": progress})
    frame = frame_of(request, title=f"{opened.name}: export", section="hunts", release=opened.release)
    page = ExportPage(frame=frame, head=hunt_tabs(opened, ""), progress=progress, again=again)
    return Template("export.html", context={"page": page}, status_code=202)


def make_file(opened: OpenHunt, wish: Wish) -> Response[bytes]:
    """Return the file of an export."""
    columns = list(column_types(opened.hunt.release, truth=wish.truth))
    with tempfile.TemporaryDirectory() as folder, opened.lock:
        path = Path(folder) / opened.name / f"{opened.name}.{wish.format}"
        path.parent.mkdir()
        opened.hunt.export(
            path,
            top=wish.top,
            min_score=wish.min_score,
            columns=columns,
            stamps=path.parent / "stamps" if wish.stamps else None,
            known=known_rows(opened),
            new_only=wish.new_only,
        )
        if wish.statement:
            path = sidecar_path(path)
        elif wish.stamps:
            path = Path(shutil.make_archive(str(Path(folder) / "all" / opened.name), "zip", folder, opened.name))
        return file_to_save(path)


def _number(text: str, kind: type, name: str) -> Any:
    if not text.strip():
        return None
    try:
        return kind(text)
    except ValueError as error:
        raise QueryError(f"{name} is '{text}': give a number, or leave it empty.") from error
