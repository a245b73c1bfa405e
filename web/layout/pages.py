"""One frozen dataclass a page: all that its template may use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from litestar import Request

from web.access.sessions import Session


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
    known: str = ""
    """"known as NAME, 0.4 arcsec"; empty for an object that no table knows."""
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
class Rule:
    """A strategy or a consensus rule to choose, and what it does in a sentence."""

    name: str
    meaning: str
    chosen: bool


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
    strategies: tuple[Rule, ...] = ()
    consensus: tuple[Rule, ...] = ()
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
    known: str
    facts: tuple[Fact, ...]
    truth_switch: Choice | None
    neighbours: tuple[Card, ...]
    links: tuple[Choice, ...]
    more_like: str
    stamp_problem: str = ""


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
