"""Hunts as the pages show them, in JSON, for scripts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery, JSONBody

from discovery.errors import HuntError
from discovery.hunts.audits.report import AuditReport
from discovery.hunts.log.records import Disagreement, HistoryLine, Note, Round, Undone, Verdict
from web.access.sessions import visitor_name
from web.hunts.audits.audits import ask_draw, ask_report, audit_key, failed_report
from web.hunts.audits.reports import USUAL_WISH
from web.hunts.next_pages import NextPages
from web.jobs.jobs import Work
from web.jobs.progress import Progress, patient_result, progress_of, under_way
from web.workspace import OpenHunt, Shelf

AUDIT_UNDER_WAY = {202: ResponseSpec(Progress, description="Under way; ask for the hunt's work, then for its audit")}


@dataclass(frozen=True, kw_only=True)
class HuntSummary:
    """Where a hunt stands."""

    name: str
    release: str
    strategy: str
    consensus: str
    stopper: str
    alpha: float
    rounds: int
    counts: dict[str, int]
    negative_classes: dict[str, int]


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
class RoundWish:
    """What the next round is to leave out."""

    new_only: bool = False


@dataclass(frozen=True, kw_only=True)
class Label:
    """A verdict on one object."""

    row: int
    verdict: Verdict
    negative_class: str | None = None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class UndoWish:
    """The event to take back; None takes back your latest label."""

    event: int | None = None


@dataclass(frozen=True, kw_only=True)
class NoteText:
    """A note on one object."""

    row: int
    text: str


@dataclass(frozen=True, kw_only=True)
class AuditWish:
    """How many stamps to draw."""

    labels: int = 100


@dataclass(frozen=True, kw_only=True)
class AuditDrawn:
    """An audit's sample, in the order in which it is to be judged."""

    number: int
    rows: list[int]
    object_ids: list[str]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is to change; None stays as it is."""

    strategy: str | None = None
    consensus: str | None = None
    stopper: str | None = None
    alpha: float | None = None


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """Sent once the change is on the disk."""

    event: int
    who: str


@get("/api/hunts", sync_to_thread=True, tags=["hunts"])
def list_hunts(shelf: NamedDependency[Shelf]) -> list[str]:
    """List the names of the hunts."""
    return list(shelf.hunt_names())


@get("/api/hunts/{hunt:str}", sync_to_thread=True, tags=["hunts"])
def read_hunt(shelf: NamedDependency[Shelf], hunt: FromPath[str]) -> HuntSummary:
    """Say where a hunt stands."""
    return _summary(shelf.hunt(hunt))


@post(
    "/api/hunts/{hunt:str}/rounds",
    sync_to_thread=True,
    tags=["hunts"],
    responses={202: ResponseSpec(Progress, description="Under way; ask for the hunt's work, then for its latest round")},
)
def make_round(
    request: Request[Any, Any, Any],
    shelf: NamedDependency[Shelf],
    next_pages: NamedDependency[NextPages],
    work: NamedDependency[Work],
    hunt: FromPath[str],
    data: JSONBody[RoundWish | None] = None,
) -> Response[RoundSummary | Progress]:
    """Have the next round made; where that takes longer than half a minute, say how far it is."""
    opened = shelf.hunt(hunt)
    job = next_pages.ask(opened, visitor_name(request), new_only=data is not None and data.new_only)
    done, made = patient_result(job)
    return Response(_round_summary(opened, made) if done else progress_of(work, job), status_code=201 if done else 202)


@get("/api/hunts/{hunt:str}/rounds/latest", sync_to_thread=True, tags=["hunts"])
def latest_round(shelf: NamedDependency[Shelf], hunt: FromPath[str]) -> RoundSummary:
    """Return the round that the hunt's page shows."""
    opened = shelf.hunt(hunt)
    latest = opened.present().round
    if latest is None:
        raise HuntError(f"hunt '{opened.name}' has no round yet: make one first")
    return _round_summary(opened, latest)


@get("/api/hunts/{hunt:str}/work", sync_to_thread=True, tags=["hunts"])
def read_work(shelf: NamedDependency[Shelf], work: NamedDependency[Work], hunt: FromPath[str]) -> Progress | None:
    """Say how far the work on a hunt's rounds and audit is, or what went wrong with it; null where there is nothing to say."""
    name = shelf.hunt(hunt).name
    return under_way(work, name, *work.keys(audit_key(name)))


@post("/api/hunts/{hunt:str}/labels", sync_to_thread=True, tags=["hunts"])
def add_label(
    request: Request[Any, Any, Any],
    shelf: NamedDependency[Shelf],
    next_pages: NamedDependency[NextPages],
    hunt: FromPath[str],
    data: JSONBody[Label],
) -> Receipt:
    """Log a verdict; the answer goes out once it is on the disk."""
    who, opened = visitor_name(request), shelf.hunt(hunt)
    with opened.pen:
        event = opened.hunt.label(
            data.row, data.verdict, who=who, negative_class=data.negative_class, reason=data.reason
        )
    next_pages.changed(opened)
    return Receipt(event=event, who=who)


@post("/api/hunts/{hunt:str}/undo", sync_to_thread=True, tags=["hunts"])
def take_back(
    request: Request[Any, Any, Any],
    shelf: NamedDependency[Shelf],
    next_pages: NamedDependency[NextPages],
    hunt: FromPath[str],
    data: JSONBody[UndoWish],
) -> Undone:
    """Take back a label, anybody's or your latest one, by a new line of the log."""
    opened = shelf.hunt(hunt)
    undone = opened.hunt.undo(visitor_name(request), event=data.event)
    if undone is None:
        raise HuntError("You have given no label here that could be undone.")
    next_pages.changed(opened)
    return undone


@get("/api/hunts/{hunt:str}/history", sync_to_thread=True, tags=["hunts"])
def read_history(shelf: NamedDependency[Shelf], hunt: FromPath[str]) -> list[HistoryLine]:
    """Return every label ever given, the latest first."""
    return shelf.hunt(hunt).hunt.history()


@get("/api/hunts/{hunt:str}/notes", sync_to_thread=True, tags=["hunts"])
def read_notes(shelf: NamedDependency[Shelf], hunt: FromPath[str]) -> list[Note]:
    """Return the notes on all objects, the oldest first."""
    return shelf.hunt(hunt).hunt.notes()


@post("/api/hunts/{hunt:str}/notes", sync_to_thread=True, tags=["hunts"])
def add_note(
    request: Request[Any, Any, Any], shelf: NamedDependency[Shelf], hunt: FromPath[str], data: JSONBody[NoteText]
) -> Receipt:
    """Keep a note on an object."""
    who = visitor_name(request)
    return Receipt(event=shelf.hunt(hunt).hunt.note(data.row, data.text, who), who=who)


@get("/api/hunts/{hunt:str}/disagreements", sync_to_thread=True, tags=["hunts"])
def read_disagreements(shelf: NamedDependency[Shelf], hunt: FromPath[str]) -> list[Disagreement]:
    """Return the objects of which people say different things, and what counts."""
    return shelf.hunt(hunt).hunt.disagreements()


@get("/api/hunts/{hunt:str}/audit", sync_to_thread=True, tags=["hunts"], responses=AUDIT_UNDER_WAY)
def read_audit(
    shelf: NamedDependency[Shelf],
    work: NamedDependency[Work],
    hunt: FromPath[str],
    completeness: FromQuery[float] = USUAL_WISH,
) -> Response[AuditReport | Progress]:
    """Report how complete and pure the list is, with advice for a wished completeness between 0 and 1.

    Where that takes longer than half a minute, say how far it is. What went wrong meanwhile is told once.
    """
    opened = shelf.hunt(hunt)
    made = opened.reports.find(opened.hunt, completeness)
    if made is not None:
        return Response(made)
    job = failed_report(work, opened, completeness) or ask_report(work, opened, completeness)
    try:
        done, made = patient_result(job)
    finally:
        if job.error is not None:
            work.forget(job.key)
    return Response(made if done else progress_of(work, job), status_code=200 if done else 202)


@post("/api/hunts/{hunt:str}/audit", sync_to_thread=True, tags=["hunts"], responses=AUDIT_UNDER_WAY)
def draw_sample(
    request: Request[Any, Any, Any],
    shelf: NamedDependency[Shelf],
    work: NamedDependency[Work],
    next_pages: NamedDependency[NextPages],
    hunt: FromPath[str],
    data: JSONBody[AuditWish],
) -> Response[AuditDrawn | Progress]:
    """Draw a sample to be judged, whose stamps come with the next rounds; where that takes longer than half a minute, say how far it is."""
    job = ask_draw(work, next_pages, shelf.hunt(hunt), data.labels, visitor_name(request))
    done, drawn = patient_result(job)
    if not done:
        return Response(progress_of(work, job), status_code=202)
    return Response(AuditDrawn(number=drawn.number, rows=drawn.rows.tolist(), object_ids=list(drawn.object_ids)), status_code=201)


@post("/api/hunts/{hunt:str}/settings", status_code=200, sync_to_thread=True, tags=["hunts"])
def change_settings(
    request: Request[Any, Any, Any],
    shelf: NamedDependency[Shelf],
    next_pages: NamedDependency[NextPages],
    hunt: FromPath[str],
    data: JSONBody[Settings],
) -> HuntSummary:
    """Change the rules from the next round on; a consensus rule counts at once."""
    who, opened = visitor_name(request), shelf.hunt(hunt)
    opened.hunt.change(who, **asdict(data))
    next_pages.changed(opened)
    return _summary(opened)


def _summary(opened: OpenHunt) -> HuntSummary:
    info = opened.hunt.info()
    return HuntSummary(
        name=opened.name,
        release=opened.release,
        strategy=info.strategy,
        consensus=info.consensus,
        stopper=info.stopper,
        alpha=info.alpha,
        rounds=info.rounds,
        counts=asdict(info.counts),
        negative_classes=info.negative_classes,
    )


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
