"""One frozen dataclass for each page and fragment of a hunt: all that its template may use."""

from __future__ import annotations

from dataclasses import dataclass

from web.jobs.progress import Progress
from web.layout.pages import Card, Choice, Frame, Rule


@dataclass(frozen=True, kw_only=True)
class HuntRow:
    """A hunt in the list."""

    name: str
    release: str
    href: str
    positive: int
    negative: int
    unsure: int
    rounds: int
    started: str
    problem: str = ""

    @classmethod
    def broken(cls, name: str, problem: str) -> HuntRow:
        """Return the line of a hunt that cannot be opened here."""
        return cls(
            name=name, release="", href="", positive=0, negative=0, unsure=0, rounds=0, started="", problem=problem
        )


@dataclass(frozen=True, kw_only=True)
class HuntsPage:
    """All hunts."""

    frame: Frame
    hunts: tuple[HuntRow, ...]


@dataclass(frozen=True, kw_only=True)
class HuntTabs:
    """The pages of one hunt, at the head of each of them."""

    name: str
    address: str
    tabs: tuple[Choice, ...]


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Counts of the labels of a hunt."""

    positive: int
    negative: int
    unsure: int
    skipped: int
    left: int
    """Candidates of the present round without a label."""


@dataclass(frozen=True, kw_only=True)
class NoteView:
    """A note on an object."""

    text: str
    who: str
    when: str


@dataclass(frozen=True, kw_only=True)
class NotesFragment:
    """The notes on one object, the oldest first; also the answer to a new one."""

    row: int
    notes: tuple[NoteView, ...]


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A card of the present round."""

    card: Card
    rank: int
    score: str
    """Empty for an audit's stamp, whose score must not sway the person."""
    verdict: str
    """positive, negative, unsure, skipped or empty."""
    negative_class: str
    reason: str
    """In a word why it is shown; empty in rounds of before reasons were kept."""
    notes: NotesFragment


@dataclass(frozen=True, kw_only=True)
class ReasonView:
    """A reason for being on the page: how many stamps have it, and what it means."""

    word: str
    count: int
    meaning: str


@dataclass(frozen=True, kw_only=True)
class Level:
    """A horizontal line with a band in a plot, in the drawing's units: an estimate and its interval."""

    y: float
    top: float
    bottom: float
    label: str


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Positives found against labels given, ready to draw: everything in the drawing's units."""

    width: int
    height: int
    left: int
    right: int
    bottom: int
    line: str
    """Points of the polyline."""
    ideal: str
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    last: tuple[float, float] | None
    total: Level | None
    """The estimated number of targets, once an audit tells it."""
    summary: str


@dataclass(frozen=True, kw_only=True)
class RoundView:
    """The present round."""

    number: int
    why: str
    advice: str
    """Why the hunt's rule would stop here; empty while it would not."""
    reasons: tuple[ReasonView, ...]
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, kw_only=True)
class NegativeClass:
    """A kind of negative that a person may give by a key ("" from the tenth on)."""

    name: str
    key: str
    count: int


@dataclass(frozen=True, kw_only=True)
class HuntSettingsView:
    """What a person may change for the rounds to come."""

    alpha: float
    uses_alpha: bool
    strategies: tuple[Rule, ...]
    consensus: tuple[Rule, ...]
    stoppers: tuple[Rule, ...]


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """An audit's number as it is read: "0.72", "0.60 to 0.85"; ``range`` empty when it has none."""

    value: str
    range: str


@dataclass(frozen=True, kw_only=True)
class AuditBrief:
    """The audit on the hunt's page: what is known, or how many of its stamps wait."""

    drawn: int
    waiting: int
    pending: bool
    """Whether labels were given since these numbers were made."""
    by_itself: bool
    """Whether the page has them made anew; a large release is ranked only when somebody asks for it."""
    completeness: Estimate | None
    lower_bound_only: bool
    purity: Estimate | None
    purity_of: int
    """So many unlabelled objects the list of this purity takes in."""
    advice: str


@dataclass(frozen=True, kw_only=True)
class HuntPage:
    """One hunt: the present round and where the hunt stands."""

    frame: Frame
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
    """Whether the present round left known objects out."""
    progress: Progress | None
    """Of work that is under way, or went wrong."""


@dataclass(frozen=True, kw_only=True)
class ExportPage:
    """An export that is being made."""

    frame: Frame
    head: HuntTabs
    progress: Progress
    again: str
    """Address of the file."""
    retry: str
    """Address that has it made once more where it failed."""


@dataclass(frozen=True, kw_only=True)
class LabelFragment:
    """The answer to a label or an undo: the new state of its card and of the side panel."""

    row: int
    verdict: str
    negative_class: str
    undone: bool
    """Whether this answers an undo, whose card is found by its id."""
    tally: Tally
    curve: Curve
    classes: tuple[NegativeClass, ...]
