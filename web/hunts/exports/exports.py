"""What a hunt found, as a file: made outside the request, since it may rank the whole release and cut out many stamps."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import weakref
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Template

from discovery.errors import QueryError
from discovery.tables.writer import sidecar_path
from web.hunts.next_pages import known_rows
from web.hunts.tabs import hunt_tabs
from web.hunts.views import ExportPage
from web.jobs.jobs import Job, Work
from web.jobs.progress import over_soon, progress_of
from web.layout.files import TableFormat, file_to_save
from web.layout.pages import frame_of
from web.layout.problems import status_of
from web.search.form import column_types
from web.workspace import OpenHunt, Shelf

Stand = tuple[int, ...]


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


class Export:
    """A finished export: a file in a folder of its own, which is deleted once nobody holds this any more.

    Parameters
    ----------
    made : Path
        The file; it is moved.
    stand : tuple of int
        How far the hunt had come, at least.
    """

    def __init__(self, made: Path, stand: Stand) -> None:
        folder = tempfile.mkdtemp(prefix="discovery-export-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self.path = Path(shutil.move(made, folder))
        self.stand = stand


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
    since: FromQuery[str] = "",
    again: FromQuery[bool] = False,
) -> Response[bytes] | Template:
    """Return the labelled objects and, if asked for, the ranked rest: a table, or a zip of table and cutouts.

    With ``statement`` only what the table states of itself, as JSON: a csv has no place for it. Where it takes long the
    answer is a page with status 202 that fetches the file once it is there; asking again does the same. Labels up to the
    time of asking are in it; who waits goes on waiting for what stood then, by ``since``. What went wrong is told until
    the hunt changes or it is asked for with ``again``.
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
    asked = _earlier(since, stand_of(opened))
    job = _job(work, opened, wish, asked, goes_on=bool(since), again=again)
    over, asked_by_page = over_soon(job), bool(request.headers.get("hx-request"))
    fetch = _address(request, since=".".join(map(str, asked)))
    if over and job.error is None:
        if asked_by_page:
            return Response(b"", headers={"HX-Redirect": fetch})
        return file_to_save(job.result.path)
    progress, retry = progress_of(work, job), _address(request, again="1")
    if asked_by_page:
        return Template("jobs/work.html", context={"address": fetch, "poll": fetch, "progress": progress, "retry": retry})
    frame = frame_of(request, title=f"{opened.name}: export", section="hunts", release=opened.release)
    page = ExportPage(frame=frame, head=hunt_tabs(opened, ""), progress=progress, again=fetch, retry=retry)
    return Template("hunts/exports/export.html", context={"page": page}, status_code=202 if job.error is None else status_of(job.error))


def stand_of(opened: OpenHunt) -> Stand:
    """Return how far a hunt's file has come: numbers that only grow, of its lines and its notes."""
    return (*astuple(opened.hunt.store.mark()), len(opened.hunt.notes()))


def make_file(opened: OpenHunt, wish: Wish) -> Export:
    """Return the file of an export."""
    columns = list(column_types(opened.hunt.release, truth=wish.truth))
    with tempfile.TemporaryDirectory() as folder, opened.lock:
        stand = stand_of(opened)
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
        return Export(path, stand)


def _job(work: Work, opened: OpenHunt, wish: Wish, asked: Stand, *, goes_on: bool, again: bool) -> Job:
    """The work on an export that answers who asked at a stand of the hunt: the latest, or one begun now."""
    key = f"{opened.name}/export/{hashlib.sha256(repr(wish).encode()).hexdigest()[:16]}"
    job = work.latest(key)
    if job is not None and job.state == "done" and _reaches(job.result.stand, asked):
        return job
    if job is not None and job.error is not None and not again and (goes_on or job.asked == asked):
        return job
    return work.ask(key, "the export", lambda: make_file(opened, wish), asked=asked)


def _reaches(stand: Stand, asked: Stand) -> bool:
    return all(here >= there for here, there in zip(stand, asked, strict=True))


def _earlier(since: str, now: Stand) -> Stand:
    """The stand of which a waiting page tells, as far as the hunt has come to it; else the present one."""
    told = [int(part) for part in since.split(".") if part.isdecimal() and len(part) < 18]
    return now if len(told) != len(now) else tuple(map(min, told, now))


def _address(request: Request[Any, Any, Any], **more: str) -> str:
    """The address of a request, without what tells how it was asked for, and with something else."""
    asked = [(key, value) for key, value in parse_qsl(request.url.query) if key not in ("since", "again")]
    return f"{request.url.path}?{urlencode([*asked, *more.items()])}"


def _number(text: str, kind: type, name: str) -> Any:
    if not text.strip():
        return None
    try:
        return kind(text)
    except ValueError as error:
        raise QueryError(f"{name} is '{text}': give a number, or leave it empty.") from error
