"""The page of a hunt: its latest round, and how far the next one is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, URLEncodedBody
from litestar.response import Redirect, Template

from discovery.hunts.log.records import Round
from web.hunts.page.views import hunt_view
from web.hunts.tabs import hunt_address
from web.hunts.visitor_actions import VisitorActions
from web.jobs.progress import quick_result, under_way
from web.jobs.queue import JobQueue
from web.workspace.workspace import Workspace

WHOLE_PAGE = {"HX-Retarget": "#hunt", "HX-Reselect": "#hunt", "HX-Reswap": "outerHTML show:window:top"}


@dataclass(frozen=True, kw_only=True)
class RoundForm:
    """Requests the round after the one that the page showed."""

    after: int | None = None
    new_only: str = ""
    csrf: str = ""


@get("/hunts/{hunt:str}", sync_to_thread=True, include_in_schema=False)
def hunt_page(
    request: Request[Any, Any, Any], workspace: NamedDependency[Workspace], jobs: NamedDependency[JobQueue], hunt: FromPath[str]
) -> Template:
    """Show the latest round of a hunt, and how far the next one is while a job makes it."""
    page = hunt_view(request, workspace.hunt(hunt), progress=under_way(jobs, hunt))
    return Template("hunts/page/hunt.html", context={"page": page})


@get("/hunts/{hunt:str}/work", sync_to_thread=True, include_in_schema=False)
def hunt_work(
    request: Request[Any, Any, Any], workspace: NamedDependency[Workspace], jobs: NamedDependency[JobQueue], hunt: FromPath[str]
) -> Template:
    """Return how far the next round is, in a fragment that polls; once it is there, the whole page."""
    progress, address = under_way(jobs, hunt), hunt_address(hunt)
    if progress is not None and not progress.problem:
        return Template("jobs/progress.html", context={"address": address, "poll": f"{address}/work", "progress": progress})
    job, opened = jobs.latest(hunt), workspace.hunt(hunt)
    nothing_left = job.result if job is not None and isinstance(job.result, Round) and job.result.exhausted else None
    page = hunt_view(request, opened, nothing_left, progress=progress)
    return Template("hunts/page/hunt.html", context={"page": page}, headers=WHOLE_PAGE)


@post("/hunts/{hunt:str}/rounds", sync_to_thread=True, include_in_schema=False)
def next_round(
    request: Request[Any, Any, Any], actions: NamedDependency[VisitorActions], data: URLEncodedBody[RoundForm]
) -> Template | Redirect:
    """Make the next round, unless somebody else already has; the page shows it, or how far it is."""
    done, made = quick_result(actions.next_round(data.after, new_only=bool(data.new_only)))
    if done and made.exhausted:
        return Template("hunts/page/hunt.html", context={"page": hunt_view(request, actions.opened, made)})
    return Redirect(hunt_address(actions.opened.name), status_code=303)
