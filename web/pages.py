"""One frozen dataclass a page: all that its template may use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from litestar import Request

from web.sessions import Session


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What surrounds every page."""

    title: str
    who: str
    csrf: str
    guarded: bool
    """Whether the server has a token, so that signing out makes sense."""
    section: str = ""
    release: str | None = None
    """Release that the links of the top bar point to."""


@dataclass(frozen=True, kw_only=True)
class ErrorPage:
    """An error: what is wrong and what to do."""

    frame: Frame
    status: int
    text: str


@dataclass(frozen=True, kw_only=True)
class LoginPage:
    """Asks for the token and a name."""

    frame: Frame
    next: str
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Fact:
    """A name and a value as shown; ``unit`` may be empty."""

    name: str
    value: str
    unit: str = ""


@dataclass(frozen=True, kw_only=True)
class ReleaseCard:
    """One release on the first page."""

    name: str
    objects: int
    facts: tuple[Fact, ...]
    recognised: str
    """What the survey's reader saw."""
    damaged: int
    damaged_examples: tuple[Fact, ...]
    """The first few damaged stamps: name and reason."""
    pictures: tuple[str, ...]
    """Addresses of a few stamps."""
    stamps_problem: str = ""
    """Why its stamps cannot be shown, if so."""


@dataclass(frozen=True, kw_only=True)
class BrokenRelease:
    """A folder that should be a release and cannot be opened."""

    name: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class ReleasesPage:
    """The first page."""

    frame: Frame
    releases: tuple[ReleaseCard, ...]
    broken: tuple[BrokenRelease, ...]


@dataclass(frozen=True, kw_only=True)
class Card:
    """A stamp in a grid."""

    row: int
    object_id: str
    picture: str
    """Address of the stamp, with its scale bar."""
    href: str
    more_like: str
    similarity: str = ""
    facts: tuple[Fact, ...] = ()


@dataclass(frozen=True, kw_only=True)
class QueryView:
    """One prompt of the search that was run."""

    label: str
    picture: str
    """Empty when the prompt has no picture of its own."""
    href: str
    unlike: bool = False


@dataclass(frozen=True, kw_only=True)
class ColumnChoice:
    """A catalogue column that a result may show."""

    name: str
    type: str
    chosen: bool


@dataclass(frozen=True, kw_only=True)
class SearchForm:
    """The search form as the visitor filled it in."""

    like: str = ""
    unlike: str = ""
    where: str = ""
    cone: str = ""
    k: str = ""
    min_similarity: str = ""
    flagged: bool = False
    truth: bool = False
    uploads: tuple[Fact, ...] = ()
    """Id and name of each uploaded stamp or table in use."""
    columns: tuple[ColumnChoice, ...] = ()


@dataclass(frozen=True, kw_only=True)
class HitsView:
    """The result of a search."""

    queries: tuple[QueryView, ...]
    cards: tuple[Card, ...]
    headline: str
    exports: tuple[Fact, ...]
    """Suffix and address of each file the hits can be saved as."""
    more: str = ""
    """Address of the same search with more hits; empty when there are no more."""


@dataclass(frozen=True, kw_only=True)
class SearchPage:
    """The search form and, after a search, its hits."""

    frame: Frame
    release: str
    objects: int
    form: SearchForm
    hits: HitsView | None = None
    problem: str = ""
    suggested_hunt: str = ""
    page_sizes: tuple[int, ...] = (10, 20, 30, 50, 100)
    query_string: str = ""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A switch of the object page."""

    label: str
    href: str
    chosen: bool


@dataclass(frozen=True, kw_only=True)
class Overlay:
    """What is drawn over the large stamp, in units of its pixels."""

    side: float
    box: tuple[float, float, float, float] | None
    """x, y, width, height of the crop; None when the crop itself is shown."""
    bar_length: float | None
    bar_label: str
    north_up: bool
    field: str


@dataclass(frozen=True, kw_only=True)
class ObjectPage:
    """One object."""

    frame: Frame
    release: str
    row: int
    object_id: str
    position: tuple[str, str] | None
    """Degrees and sexagesimal."""
    picture: str
    overlay: Overlay | None
    views: tuple[Choice, ...]
    bands: tuple[Choice, ...]
    stretches: tuple[Choice, ...]
    flags: tuple[str, ...]
    facts: tuple[Fact, ...]
    truth_switch: Choice | None
    neighbours: tuple[Card, ...]
    links: tuple[Choice, ...]
    more_like: str
    stamp_problem: str = ""


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
class Tally:
    """Counts of the labels of a hunt."""

    positive: int
    negative: int
    unsure: int
    skipped: int
    left: int
    """Candidates of the present round without a label."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A card of the present round."""

    card: Card
    rank: int
    score: str
    verdict: str
    """positive, negative, unsure, skipped or empty."""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Positives found against labels given, ready to draw: everything in the drawing's units."""

    width: int
    height: int
    left: int
    bottom: int
    line: str
    """Points of the polyline."""
    diagonal: str
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    last: tuple[float, float] | None
    summary: str


@dataclass(frozen=True, kw_only=True)
class RoundView:
    """The present round."""

    number: int
    why: str
    strategy: str
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, kw_only=True)
class HuntPage:
    """One hunt: the present round and where the hunt stands."""

    frame: Frame
    name: str
    release: str
    alpha: float
    page_size: int
    round: RoundView | None
    tally: Tally
    curve: Curve
    examples: tuple[Card, ...]
    """The latest positives."""


@dataclass(frozen=True, kw_only=True)
class LabelFragment:
    """The answer to a label or an undo: the new state of its card and of the side panel."""

    row: int
    verdict: str
    undone: bool
    """Whether this answers an undo, whose card is found by its id."""
    tally: Tally
    curve: Curve


def frame_of(request: Request[Any, Any, Any], *, title: str, section: str = "", release: str | None = None) -> Frame:
    """Return the frame of a page for this visitor."""
    session: Session = request.scope["state"]["session"]
    return Frame(
        title=title,
        who=session.who if session.signed_in else "",
        csrf=request.scope["state"]["csrf"],
        guarded=request.app.state.sessions.token is not None,
        section=section,
        release=release,
    )
