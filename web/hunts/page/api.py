"""The rounds of a hunt in JSON, for scripts."""

from __future__ import annotations

from dataclasses import dataclass

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, JSONBody

from discovery.errors import HuntError
from discovery.hunts.log.records import Round
from web.hunts.audit_jobs import audit_key
from web.hunts.visitor_actions import VisitorActions
from web.jobs.progress import JobProgress, patient_result, progress_of, under_way
from web.jobs.queue import JobQueue
from web.workspace.open_hunt import OpenHunt
from web.workspace.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class CandidateSummary:
    """One stamp of a round; an audit's has no score."""

    row: int
    object_id: str
    score: float | None
    reason: str
    known: str


@dataclass(frozen=True, kw_only=True)
class RoundSummary:
    """What a round shows, and why."""

    number: int
    why: str
    advice: str
    """Why the hunt's stopper would end the hunt here; empty while it would not."""
    strategy: str
    candidates: list[CandidateSummary]


@dataclass(frozen=True, kw_only=True)
class RoundRequest:
    """What the next round leaves out, and after which round it comes: with None after the latest."""

    new_only: bool = False
    after: int | None = None


@post(
    "/api/hunts/{hunt:str}/rounds",
    sync_to_thread=True,
    tags=["hunts"],
    responses={202: ResponseSpec(JobProgress, description="Under way; read the hunt's work, then its latest round")},
)
def make_round(
    actions: NamedDependency[VisitorActions], data: JSONBody[RoundRequest | None] = None
) -> Response[RoundSummary | JobProgress]:
    """Return the next round, recorded; after half a minute return how far that is."""
    given = data or RoundRequest()
    job = actions.next_round(given.after, new_only=given.new_only)
    done, made = patient_result(job)
    if not done:
        return Response(progress_of(actions.jobs, job), status_code=202)
    return Response(_round_summary(actions.opened, made), status_code=201)


@get("/api/hunts/{hunt:str}/rounds/latest", sync_to_thread=True, tags=["hunts"])
def latest_round(workspace: NamedDependency[Workspace], hunt: FromPath[str]) -> RoundSummary:
    """Return the round that the hunt's page shows."""
    opened = workspace.hunt(hunt)
    latest = opened.hunt.state().round
    if latest is None:
        raise HuntError(f"hunt '{opened.name}' has no round yet: make one first")
    return _round_summary(opened, latest)


@get("/api/hunts/{hunt:str}/work", sync_to_thread=True, tags=["hunts"])
def read_work(workspace: NamedDependency[Workspace], jobs: NamedDependency[JobQueue], hunt: FromPath[str]) -> JobProgress | None:
    """Return how far the jobs of a hunt's rounds and audit are, or what went wrong with one; null where none is open."""
    name = workspace.hunt(hunt).name
    return under_way(jobs, name, *jobs.keys(audit_key(name)))


def _round_summary(opened: OpenHunt, made: Round) -> RoundSummary:
    shown = zip(made.rows.tolist(), made.object_ids, made.scores.tolist(), made.reasons, strict=True)
    candidates = [
        CandidateSummary(
            row=row,
            object_id=object_id,
            score=score if score == score else None,  # NaN: an audit's stamp
            reason=reason,
            known=opened.known.flag(opened.release, opened.hunt.release, row),
        )
        for row, object_id, score, reason in shown
    ]
    return RoundSummary(number=made.number, why=made.why, advice=made.advice, strategy=made.strategy, candidates=candidates)
