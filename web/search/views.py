"""What the search page shows: the form as filled in, and the hits."""

from __future__ import annotations

from dataclasses import dataclass

from discovery.hunts.log.validation import DEFAULT_PAGE_SIZE
from web.hunt_rules import RuleChoice
from web.layout.frame import PageFrame
from web.layout.parts import NamedValue
from web.stamps.cards import Card


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
class FilledForm:
    """The search form as the visitor filled it in."""

    like: str = ""
    unlike: str = ""
    where: str = ""
    cone: str = ""
    k: str = ""
    min_similarity: str = ""
    include_flagged: bool = False
    truth: bool = False
    engine: str = ""
    uploads: tuple[NamedValue, ...] = ()
    """Id and name of each uploaded stamp or table in use."""
    columns: tuple[ColumnChoice, ...] = ()


@dataclass(frozen=True, kw_only=True)
class HitsView:
    """The result of a search."""

    queries: tuple[QueryView, ...]
    cards: tuple[Card, ...]
    headline: str
    exports: tuple[NamedValue, ...]
    """Suffix and address of each file the hits can be saved as."""
    saved: str
    """Address of the search as a saved query (JSON)."""
    left_out: str = ""
    """How many flagged objects were left out; empty when none were."""
    with_flagged: str = ""
    """Address of the same search with them."""
    more: str = ""
    """Address of the same search with more hits; empty when there are no more."""


@dataclass(frozen=True, kw_only=True)
class SearchPage:
    """The search form and, after a search, its hits."""

    frame: PageFrame
    release: str
    objects: int
    form: FilledForm
    hits: HitsView | None = None
    problem: str = ""
    suggested_hunt: str = ""
    page_sizes: tuple[int, ...] = (10, 20, 30, 50, 100)
    page_size: int = DEFAULT_PAGE_SIZE
    """The one that is chosen at first."""
    strategies: tuple[RuleChoice, ...] = ()
    consensus: tuple[RuleChoice, ...] = ()
    query_string: str = ""
