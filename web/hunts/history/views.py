"""What the pages of a hunt's history and of its disagreements show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from litestar import Request

from discovery.hunts.log.records import LabelEvent
from web.hunt_rules import RuleChoice, consensus_meaning
from web.hunts.cards import hunt_cards
from web.hunts.labelling.notes import NoteView
from web.hunts.tabs import HuntTabs, hunt_address, hunt_tabs
from web.layout.frame import PageFrame, frame_of
from web.layout.text_format import day_and_time
from web.stamps.cards import Card, object_address
from web.stamps.pictures import SMALL_SIZE
from web.stamps.stamps import grid_picture
from web.workspace.open_hunt import OpenHunt

ROWS_A_PAGE = 50


@dataclass(frozen=True, kw_only=True)
class HistoryRow:
    """One row of the history of labels."""

    event: int
    object_id: str
    href: str
    """Empty for an object that this release does not hold."""
    picture: str
    verdict: str
    negative_class: str
    who: str
    when: str
    round: str
    reason: str
    remark: str
    """What became of it ("undone by 17"), or what it undid."""
    undone: bool
    undoable: bool


@dataclass(frozen=True, kw_only=True)
class NoteRow:
    """One note in the history."""

    object_id: str
    href: str
    note: NoteView


@dataclass(frozen=True, kw_only=True)
class HistoryPage:
    """All labels of a hunt, the latest first."""

    frame: PageFrame
    head: HuntTabs
    rows: tuple[HistoryRow, ...]
    notes: tuple[NoteRow, ...]
    """All of them, the latest first."""
    total: int
    number: int
    """Number of this page, from 1."""
    newer: str
    older: str
    """Addresses of the pages beside this one; empty where there is none."""


@dataclass(frozen=True, kw_only=True)
class Opinion:
    """The verdict of one person on an object."""

    who: str
    verdict: str


@dataclass(frozen=True, kw_only=True)
class DisagreementView:
    """An object that people judge differently."""

    card: Card | None
    """None for an object that this release does not hold."""
    object_id: str
    opinions: tuple[Opinion, ...]
    agreed: str


@dataclass(frozen=True, kw_only=True)
class DisagreementsPage:
    """Where people differ, and the rule that decides."""

    frame: PageFrame
    head: HuntTabs
    rule: RuleChoice
    disagreements: tuple[DisagreementView, ...]


def history_view(request: Request[Any, Any, Any], opened: OpenHunt, number: int) -> HistoryPage:
    """Return one page of the history, the latest labels on page 1."""
    history = opened.hunt.history()
    pages = max(1, -(-len(history) // ROWS_A_PAGE))
    number = min(max(number, 1), pages)
    address = hunt_address(opened.name) + "/history"
    start = (number - 1) * ROWS_A_PAGE
    return HistoryPage(
        frame=frame_of(request, title=f"{opened.name}: history", section="hunts", release=opened.release),
        head=hunt_tabs(opened, "history"),
        rows=tuple(_history_row(opened, event) for event in history[start : start + ROWS_A_PAGE]),
        notes=_note_rows(opened) if number == 1 else (),
        total=len(history),
        number=number,
        newer=f"{address}?page={number - 1}" if number > 1 else "",
        older=f"{address}?page={number + 1}" if number < pages else "",
    )


def disagreements_view(request: Request[Any, Any, Any], opened: OpenHunt) -> DisagreementsPage:
    """Return the objects that people judge differently."""
    rule = opened.hunt.state().settings.consensus
    found = opened.hunt.disagreements()
    rows = [one.row for one in found if one.row is not None]
    cards = {card.row: card for card in hunt_cards(opened, rows)}
    return DisagreementsPage(
        frame=frame_of(request, title=f"{opened.name}: disagreements", section="hunts", release=opened.release),
        head=hunt_tabs(opened, "disagreements"),
        rule=RuleChoice(name=rule, meaning=consensus_meaning(rule), chosen=True),
        disagreements=tuple(
            DisagreementView(
                card=None if one.row is None else cards[one.row],
                object_id=one.object_id,
                opinions=tuple(Opinion(who=who, verdict=verdict) for who, verdict in one.verdicts.items()),
                agreed=one.agreed,
            )
            for one in found
        ),
    )


def _history_row(opened: OpenHunt, event: LabelEvent) -> HistoryRow:
    return HistoryRow(
        event=event.event,
        object_id=event.object_id,
        href=object_address(opened.release, event.row) if event.row is not None else "",
        picture=grid_picture(opened.release, opened.hunt.release, event.row, size=SMALL_SIZE) if event.row is not None else "",
        verdict=event.verdict,
        negative_class=event.negative_class or "",
        who=event.who,
        when=day_and_time(event.when),
        round=str(event.round or ""),
        reason="" if event.is_undo else event.reason or "",
        remark=_remark(event),
        undone=event.undone_by is not None,
        undoable=event.undone_by is None and not event.is_undo,
    )


def _remark(event: LabelEvent) -> str:
    """Return which event this one undoes, or by which it was undone."""
    if event.undoes is not None:
        return f"undoes {event.undoes}"
    return "" if event.undone_by is None else f"undone by {event.undone_by}"


def _note_rows(opened: OpenHunt) -> tuple[NoteRow, ...]:
    notes = opened.hunt.notes()
    return tuple(
        NoteRow(
            object_id=note.object_id,
            href=object_address(opened.release, note.row) if note.row is not None else "",
            note=NoteView(text=note.text, who=note.who, when=day_and_time(note.when)),
        )
        for note in reversed(notes)
    )
