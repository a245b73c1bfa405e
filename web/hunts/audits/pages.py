"""What the page of a hunt's audit shows."""

from __future__ import annotations

from dataclasses import dataclass

from web.hunts.views import AuditBrief, Curve, Estimate, HuntTabs, Tally
from web.jobs.progress import Progress
from web.layout.pages import Frame


@dataclass(frozen=True, kw_only=True)
class Band:
    """A line with its 95 % interval in a plot, in the drawing's units."""

    line: str
    """Points of the polyline."""
    area: str
    """Points of the polygon around it."""
    marks: tuple[tuple[float, float], ...]


@dataclass(frozen=True, kw_only=True)
class CutsPlot:
    """Purity and completeness against the length of the list, ready to draw."""

    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int
    purity: Band
    completeness: Band
    wished: float
    """Height of the wished completeness."""
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]


@dataclass(frozen=True, kw_only=True)
class CutRow:
    """The list down to one score."""

    score: str
    objects: str
    purity: Estimate
    completeness: Estimate


@dataclass(frozen=True, kw_only=True)
class ReportView:
    """What the judged stamps tell."""

    objects: int
    known: int
    targets: Estimate
    completeness: Estimate
    lower_bound_only: bool
    next_labels: int
    expected: Estimate
    advice: str
    why: str
    cuts: tuple[CutRow, ...]
    plot: CutsPlot | None


@dataclass(frozen=True, kw_only=True)
class AuditPage:
    """The audit of a hunt: its sample, how far it is judged, and what it tells."""

    frame: Frame
    head: HuntTabs
    drawn: int
    judged: int
    skipped: int
    waiting: int
    wished: float
    """In percent."""
    counted: bool
    """Whether the counts are made."""
    overtaken: bool
    """Whether labels came since they were made."""
    failed: bool
    """Whether ``progress`` is of work that went wrong."""
    report: ReportView | None
    progress: Progress | None
    """Of work on the hunt that is under way, or went wrong."""


@dataclass(frozen=True, kw_only=True)
class BriefFragment:
    """The audit in short with the panel that shows its total, once they are made."""

    head: HuntTabs
    audit: AuditBrief
    tally: Tally
    curve: Curve
