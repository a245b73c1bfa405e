"""What a hunt found, as a file: made by a job, since it may rank the whole release and cut out many stamps."""

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
from web.hunts.rounds.next_pages import known_rows
from web.hunts.tabs import HuntTabs, hunt_tabs
from web.jobs.progress import JobProgress, over_soon, progress_of
from web.jobs.queue import Job, JobQueue
from web.layout.files import TableFormat, file_to_save
from web.layout.frame import PageFrame, frame_of
from web.layout.problems import status_of
from web.search.form import column_types
from web.workspace.open_hunt import OpenHunt
from web.workspace.workspace import Workspace

HuntMark = tuple[int, ...]
"""How far a hunt's file had come: numbers that only grow."""


@dataclass(frozen=True, kw_only=True)
class ExportPage:
    """An export under way."""

    frame: PageFrame
    head: HuntTabs
    progress: JobProgress
    again: str
    """Address of the file."""
    retry: str
    """Address that starts it once more where it failed."""


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
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
    mark : tuple of int
        How far the hunt had come, at least.
    """

    def __init__(self, made: Path, mark: HuntMark) -> None:
        folder = tempfile.mkdtemp(prefix="discovery-export-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self.path = Path(shutil.move(made, folder))
        self.mark = mark


@get("/hunts/{hunt:str}/export", sync_to_thread=True, tags=["hunts"])
def export_hunt(
    request: Request[Any, Any, Any],
    workspace: NamedDependency[Workspace],
    jobs: NamedDependency[JobQueue],
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
    """Return the labelled objects and, on request, the ranked rest: a table, or a zip of table and cutouts.

    With ``statement`` only the provenance of the table, as JSON: a csv has no place for it. Where it takes long the
    answer is a page with status 202 that fetches the file once it is there; a repeated request does the same. Labels up
    to the time of the request are in it; a waiting page goes on waiting for those, by ``since``. An error is shown until
    the hunt changes or a request comes with ``again``.
    """
    opened = workspace.hunt(hunt)
    options = ExportOptions(
        format="csv" if statement else format,
        top=_number(top, int, "top"),
        min_score=_number(min_score, float, "min_score"),
        stamps=stamps and not statement,
        truth=truth,
        new_only=new_only,
        statement=statement,
    )
    requested = _earlier(since, mark_of(opened))
    job = _job(jobs, opened, options, requested, goes_on=bool(since), again=again)
    over, from_page = over_soon(job), bool(request.headers.get("hx-request"))
    fetch = _address(request, since=".".join(map(str, requested)))
    if over and job.error is None:
        if from_page:
            return Response(b"", headers={"HX-Redirect": fetch})
        return file_to_save(job.result.path)
    progress, retry = progress_of(jobs, job), _address(request, again="1")
    if from_page:
        return Template("jobs/progress.html", context={"address": fetch, "poll": fetch, "progress": progress, "retry": retry})
    frame = frame_of(request, title=f"{opened.name}: export", section="hunts", release=opened.release)
    failed = job.error if progress.problem else None  # of the moment that the page shows: the job may end meanwhile
    status = 202 if failed is None else status_of(failed)
    page = ExportPage(frame=frame, head=hunt_tabs(opened, ""), progress=progress, again=fetch, retry=retry)
    return Template("hunts/exports/export.html", context={"page": page}, status_code=status)


def mark_of(opened: OpenHunt) -> HuntMark:
    """Return how far a hunt's file has come: numbers that only grow, of its events and its notes."""
    state = opened.hunt.state()
    return (*astuple(state.mark), len(state.notes))


def make_file(opened: OpenHunt, options: ExportOptions) -> Export:
    """Return the file of an export."""
    columns = list(column_types(opened.hunt.release, truth=options.truth))
    with tempfile.TemporaryDirectory() as folder:
        mark = mark_of(opened)
        path = Path(folder) / opened.name / f"{opened.name}.{options.format}"
        path.parent.mkdir()
        opened.hunt.export(
            path,
            top=options.top,
            min_score=options.min_score,
            columns=columns,
            stamps=path.parent / "stamps" if options.stamps else None,
            known=known_rows(opened),
            new_only=options.new_only,
        )
        if options.statement:
            path = sidecar_path(path)
        elif options.stamps:
            path = Path(shutil.make_archive(str(Path(folder) / "all" / opened.name), "zip", folder, opened.name))
        return Export(path, mark)


def _job(jobs: JobQueue, opened: OpenHunt, options: ExportOptions, requested: HuntMark, *, goes_on: bool, again: bool) -> Job:
    """Return the job of an export that is at least as new as the requested mark: the latest, or a new one."""
    key = f"{opened.name}/export/{hashlib.sha256(repr(options).encode()).hexdigest()[:16]}"
    job = jobs.latest(key)
    if job is not None and job.state == "done" and _reaches(job.result.mark, requested):
        return job
    if job is not None and job.error is not None and not again and (goes_on or job.hunt_mark == requested):
        return job
    return jobs.submit(key, "the export", lambda: make_file(opened, options), hunt_mark=requested)


def _reaches(mark: HuntMark, requested: HuntMark) -> bool:
    return all(here >= there for here, there in zip(mark, requested, strict=True))


def _earlier(since: str, now: HuntMark) -> HuntMark:
    """Return the mark that a waiting page carries, at most the present one; without it the present one."""
    given = [int(part) for part in since.split(".") if part.isdecimal() and len(part) < 18]
    return now if len(given) != len(now) else tuple(map(min, given, now))


def _address(request: Request[Any, Any, Any], **more: str) -> str:
    """Return the address of a request without its ``since`` and ``again``, and with other values."""
    kept = [(key, value) for key, value in parse_qsl(request.url.query) if key not in ("since", "again")]
    return f"{request.url.path}?{urlencode([*kept, *more.items()])}"


def _number(text: str, kind: type, name: str) -> Any:
    if not text.strip():
        return None
    try:
        return kind(text)
    except ValueError as error:
        raise QueryError(f"{name} is '{text}': give a number, or leave it empty.") from error
