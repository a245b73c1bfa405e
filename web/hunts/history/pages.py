"""What the pages of a hunt's history and of its disagreements show."""

from __future__ import annotations

from dataclasses import dataclass

from web.hunts.views import HuntTabs, NoteView
from web.layout.pages import Card, Frame, Rule


@dataclass(frozen=True, kw_only=True)
class HistoryRow:
    """One line of the history of labels."""

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
    """All that was said in a hunt, the latest first."""

    frame: Frame
    head: HuntTabs
    lines: tuple[HistoryRow, ...]
    notes: tuple[NoteRow, ...]
    """All of them, the latest first."""
    total: int
    number: int
    """Of this page, from 1."""
    newer: str
    older: str
    """Addresses of the pages beside this one; empty where there is none."""


@dataclass(frozen=True, kw_only=True)
class Opinion:
    """What one person says of an object."""

    who: str
    verdict: str


@dataclass(frozen=True, kw_only=True)
class DisagreementView:
    """An object of which people say different things."""

    card: Card | None
    """None for an object that this release does not hold."""
    object_id: str
    opinions: tuple[Opinion, ...]
    agreed: str


@dataclass(frozen=True, kw_only=True)
class DisagreementsPage:
    """Where people differ, and the rule that decides."""

    frame: Frame
    head: HuntTabs
    rule: Rule
    disagreements: tuple[DisagreementView, ...]
