"""What the page of a hunt shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from litestar import Request

from discovery.errors import DiscoveryError
from discovery.hunts import Hunt
from discovery.hunts.log.records import AUDIT, LabelState, Round
from discovery.hunts.present import Present
from web.hunts.audits.pages import BriefFragment
from web.hunts.audits.views import audit_brief, audit_total
from web.hunts.curve import draw_curve
from web.hunts.next_pages import leaves_known_out
from web.hunts.rules import reason_views, settings_view
from web.hunts.tabs import hunt_address, hunt_tabs
from web.hunts.views import (
    Candidate,
    Curve,
    HuntPage,
    HuntRow,
    LabelFragment,
    NegativeClass,
    NotesFragment,
    NoteView,
    RoundView,
    Tally,
)
from web.jobs.progress import Progress
from web.layout.pages import Card, frame_of
from web.layout.problems import without_paths
from web.layout.wording import day_and_time
from web.stamps.cards import stamp_cards
from web.stamps.pictures import GRID_SIZE, SMALL_SIZE
from web.workspace import OpenHunt, Shelf

EXAMPLES_SHOWN = 24
CLASS_KEYS = 9


def hunt_view(
    request: Request[Any, Any, Any], opened: OpenHunt, round_: Round | None = None, *, progress: Progress | None = None
) -> HuntPage:
    """Return the page of a hunt: its latest round, or one that is not recorded since nothing is left."""
    present = opened.present()
    latest = round_ or present.round
    return HuntPage(
        frame=frame_of(request, title=opened.name, section="hunts", release=opened.release),
        head=hunt_tabs(opened, "label"),
        name=opened.name,
        release=opened.release,
        round=None if latest is None else _round_view(opened, latest, present),
        tally=_tally(present, latest),
        curve=_curve(opened, present),
        classes=_classes(present),
        settings=settings_view(present),
        audit=audit_brief(opened),
        examples=_examples(opened, present.labels),
        known_tables=opened.known.tables,
        new_only=leaves_known_out(latest),
        progress=progress,
    )


def label_view(opened: OpenHunt, row: int, *, undone: bool = False) -> LabelFragment:
    """Return what changes on the page after a label or an undo on the object of a row (-1: one that is not here)."""
    present = opened.present()
    state = present.labels.get(row)
    return LabelFragment(
        row=row,
        verdict="" if state is None else state.verdict,
        negative_class=(state and state.negative_class) or "",
        undone=undone,
        tally=_tally(present, present.round),
        curve=_curve(opened, present),
        classes=_classes(present),
    )


def brief_view(opened: OpenHunt) -> BriefFragment:
    """Return the parts of a hunt's page that show its audit."""
    present = opened.present()
    return BriefFragment(
        head=hunt_tabs(opened, "label"),
        audit=audit_brief(opened),
        tally=_tally(present, present.round),
        curve=_curve(opened, present),
    )


def notes_view(hunt: Hunt, row: int) -> NotesFragment:
    """Return the notes on the object of a row."""
    return NotesFragment(row=row, notes=_notes(hunt).get(row, ()))


def hunt_line(shelf: Shelf, name: str) -> HuntRow:
    """Return the line of a hunt in the list; one that cannot be opened says why."""
    try:
        info = shelf.hunt_info(name)
    except DiscoveryError as error:
        return HuntRow.broken(name, without_paths(str(error)))
    release = shelf.release_name_of(info)
    if release is None:
        return HuntRow.broken(name, f"Belongs to release '{info.release_name}', which is not served here.")
    return HuntRow(
        name=name,
        release=release,
        href=hunt_address(name),
        positive=info.counts.positive,
        negative=info.counts.negative,
        unsure=info.counts.unsure,
        rounds=info.rounds,
        started=f"{day_and_time(info.created)} by {info.who}",
    )


def _round_view(opened: OpenHunt, latest: Round, present: Present) -> RoundView:
    drawn = present.audited  # an audit may have drawn what was on the page already
    lines = zip(latest.rows.tolist(), latest.scores.tolist(), latest.reasons, strict=True)
    seen = [(row, score, AUDIT if row in drawn else reason) for row, score, reason in lines if row >= 0]
    notes = _notes(opened.hunt)
    cards = hunt_cards(opened, [row for row, _, _ in seen])
    return RoundView(
        number=latest.number,
        why=latest.why,
        advice=latest.advice,
        reasons=reason_views([reason for _, _, reason in seen]),
        candidates=tuple(
            _candidate(rank, card, score, reason, present.labels.get(card.row), notes.get(card.row, ()))
            for rank, (card, (_, score, reason)) in enumerate(zip(cards, seen, strict=True), 1)
        ),
    )


def _candidate(
    rank: int, card: Card, score: float, reason: str, state: LabelState | None, notes: tuple[NoteView, ...]
) -> Candidate:
    return Candidate(
        card=card,
        rank=rank,
        score="" if reason == AUDIT else _score(score),
        verdict="" if state is None else state.verdict,
        negative_class=(state and state.negative_class) or "",
        reason=reason,
        notes=NotesFragment(row=card.row, notes=notes),
    )


def _score(score: float) -> str:
    """Return a score in three decimals, and a smaller one as what it is: not zero."""
    return "<0.001" if 0 < score < 0.0005 else f"{score:.3f}"


def _tally(present: Present, latest: Round | None) -> Tally:
    counts = present.counts
    shown = [] if latest is None else latest.rows.tolist()
    return Tally(
        positive=counts.positive,
        negative=counts.negative,
        unsure=counts.unsure,
        skipped=counts.skipped,
        left=sum(row not in present.labels for row in shown),
    )


def _curve(opened: OpenHunt, present: Present) -> Curve:
    given, found = present.curve
    return draw_curve(given.tolist(), found.tolist(), audit_total(opened))


def _classes(present: Present) -> tuple[NegativeClass, ...]:
    """Return the kinds of negative in use by their first use, so that a key keeps its kind; the first nine have one."""
    return tuple(
        NegativeClass(name=name, key=str(place) if place <= CLASS_KEYS else "", count=number)
        for place, (name, number) in enumerate(present.negative_classes.items(), 1)
    )


def _notes(hunt: Hunt) -> dict[int, tuple[NoteView, ...]]:
    notes: dict[int, tuple[NoteView, ...]] = {}
    for note in hunt.notes():
        if note.row is not None:
            view = NoteView(text=note.text, who=note.who, when=day_and_time(note.when))
            notes[note.row] = (*notes.get(note.row, ()), view)
    return notes


def _examples(opened: OpenHunt, labels: Mapping[int, LabelState]) -> tuple[Card, ...]:
    """Return the latest positives and then the examples that started the hunt."""
    verdicts = {row: state.verdict for row, state in labels.items()}
    started = [one.row for one in opened.hunt.examples() if one.verdict == "positive" and one.row is not None]
    found = [row for row, verdict in verdicts.items() if verdict == "positive"][::-1]
    kept = [row for row in dict.fromkeys([*found, *started]) if verdicts.get(row, "positive") == "positive"]
    return hunt_cards(opened, kept[:EXAMPLES_SHOWN], size=SMALL_SIZE)


def hunt_cards(opened: OpenHunt, rows: Sequence[int], *, size: int = GRID_SIZE) -> tuple[Card, ...]:
    """Return the cards of some rows, in their order."""
    release = opened.hunt.release
    table = release.catalogue.rows(list(rows), ["row", "object_id"])
    return stamp_cards(opened.release, release, table, opened.known, size=size)
