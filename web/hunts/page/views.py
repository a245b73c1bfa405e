"""What the page of a hunt shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from litestar import Request

from discovery.hunts.log.records import AUDIT, LabelState, Round
from discovery.hunts.state import HuntState
from web.hunt_rules import REASON_MEANINGS
from web.hunts.audits.brief import AuditBrief, audit_brief
from web.hunts.cards import hunt_cards
from web.hunts.curve import Curve
from web.hunts.labelling.notes import NotesFragment, NoteView, notes_by_row
from web.hunts.labels_panel import NegativeClass, Tally, classes_of, curve_of, tally_of
from web.hunts.rounds.next_pages import leaves_known_out
from web.hunts.settings.views import HuntSettingsView, settings_view
from web.hunts.tabs import HuntTabs, hunt_tabs
from web.jobs.progress import JobProgress
from web.layout.frame import PageFrame, frame_of
from web.stamps.cards import Card
from web.stamps.pictures import SMALL_SIZE
from web.workspace.open_hunt import OpenHunt

EXAMPLES_SHOWN = 24


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A card of the latest round."""

    card: Card
    rank: int
    score: str
    """Empty for an audit's stamp, whose score must not sway the person."""
    verdict: str
    """positive, negative, unsure, skipped or empty."""
    negative_class: str
    reason: str
    """Why it is shown, in a word; empty in old rounds, which kept no reasons."""
    notes: NotesFragment


@dataclass(frozen=True, kw_only=True)
class ReasonView:
    """A reason for being on the page: how many stamps have it, and what it means."""

    word: str
    count: int
    meaning: str


@dataclass(frozen=True, kw_only=True)
class RoundView:
    """The latest round."""

    number: int
    why: str
    advice: str
    """Why the hunt's rule would stop here; empty while it would not."""
    reasons: tuple[ReasonView, ...]
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, kw_only=True)
class HuntPage:
    """One hunt: its latest round, labels, settings and audit."""

    frame: PageFrame
    head: HuntTabs
    name: str
    release: str
    round: RoundView | None
    tally: Tally
    curve: Curve
    classes: tuple[NegativeClass, ...]
    settings: HuntSettingsView
    audit: AuditBrief
    examples: tuple[Card, ...]
    """The latest positives."""
    known_tables: str
    """Names of the tables of known objects; empty when none is given."""
    new_only: bool
    """Whether the latest round left known objects out."""
    progress: JobProgress | None
    """Progress of a job that is under way, or went wrong."""


def hunt_view(
    request: Request[Any, Any, Any], opened: OpenHunt, round_: Round | None = None, *, progress: JobProgress | None = None
) -> HuntPage:
    """Return the page of a hunt: its latest round, or one that is not recorded since nothing is left."""
    state = opened.hunt.state()
    latest = round_ or state.round
    return HuntPage(
        frame=frame_of(request, title=opened.name, section="hunts", release=opened.release),
        head=hunt_tabs(opened, "label"),
        name=opened.name,
        release=opened.release,
        round=None if latest is None else _round_view(opened, latest, state),
        tally=tally_of(state, latest),
        curve=curve_of(opened, state),
        classes=classes_of(state),
        settings=settings_view(state),
        audit=audit_brief(opened),
        examples=_examples(opened, state.labels),
        known_tables=opened.known.tables,
        new_only=leaves_known_out(latest),
        progress=progress,
    )


def _round_view(opened: OpenHunt, latest: Round, state: HuntState) -> RoundView:
    drawn = state.drawn  # an audit may have drawn what was on the page already
    lines = zip(latest.rows.tolist(), latest.scores.tolist(), latest.reasons, strict=True)
    seen = [(row, score, AUDIT if row in drawn else reason) for row, score, reason in lines if row >= 0]
    notes = notes_by_row(opened.hunt)
    cards = hunt_cards(opened, [row for row, _, _ in seen])
    return RoundView(
        number=latest.number,
        why=latest.why,
        advice=latest.advice,
        reasons=reason_views([reason for _, _, reason in seen]),
        candidates=tuple(
            _candidate(rank, card, score, reason, state.labels.get(card.row), notes.get(card.row, ()))
            for rank, (card, (_, score, reason)) in enumerate(zip(cards, seen, strict=True), 1)
        ),
    )


def reason_views(reasons: Sequence[str]) -> tuple[ReasonView, ...]:
    """Return why the stamps of a page are on it, the most frequent reason first; nothing for old rounds."""
    return tuple(
        ReasonView(word=word, count=number, meaning=REASON_MEANINGS.get(word, ""))
        for word, number in Counter(reasons).most_common()
        if word
    )


def _candidate(
    rank: int, card: Card, score: float, reason: str, label: LabelState | None, notes: tuple[NoteView, ...]
) -> Candidate:
    return Candidate(
        card=card,
        rank=rank,
        score="" if reason == AUDIT else _score(score),
        verdict="" if label is None else label.verdict,
        negative_class=(label and label.negative_class) or "",
        reason=reason,
        notes=NotesFragment(row=card.row, notes=notes),
    )


def _score(score: float) -> str:
    """Return a score in three decimals, and a smaller one as what it is: not zero."""
    return "<0.001" if 0 < score < 0.0005 else f"{score:.3f}"


def _examples(opened: OpenHunt, labels: Mapping[int, LabelState]) -> tuple[Card, ...]:
    """Return the latest positives and then the examples that started the hunt."""
    verdicts = {row: state.verdict for row, state in labels.items()}
    started = [one.row for one in opened.hunt.examples() if one.verdict == "positive" and one.row is not None]
    found = [row for row, verdict in verdicts.items() if verdict == "positive"][::-1]
    kept = [row for row in dict.fromkeys([*found, *started]) if verdicts.get(row, "positive") == "positive"]
    return hunt_cards(opened, kept[:EXAMPLES_SHOWN], size=SMALL_SIZE)
