"""What the page of a hunt's audit shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from litestar import Request

from discovery.hunts.audits.report import AuditReport, CutEstimate
from web.hunts.audits.estimates import Estimate, at_least, completeness_estimate, number, share
from web.hunts.audits.plot import CutsPlot, draw_cuts
from web.hunts.tabs import HuntTabs, hunt_tabs
from web.jobs.progress import JobProgress
from web.layout.frame import PageFrame, frame_of
from web.layout.text_format import count
from web.workspace.open_hunt import OpenHunt


@dataclass(frozen=True, kw_only=True)
class CutRow:
    """The list down to one score."""

    score: str
    objects: str
    purity: Estimate
    completeness: Estimate


@dataclass(frozen=True, kw_only=True)
class ReportView:
    """What follows from the judged stamps."""

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
    """The audit of a hunt: its sample, how far it is judged, and what follows."""

    frame: PageFrame
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
    """Whether ``progress`` is of a job that failed."""
    report: ReportView | None
    progress: JobProgress | None
    """Progress of a job of the audit that is under way, or went wrong."""


def audit_view(
    request: Request[Any, Any, Any],
    opened: OpenHunt,
    made: AuditReport | None,
    *,
    percent: float,
    fresh: bool,
    progress: JobProgress | None,
) -> AuditPage:
    """Return the page of the audit, with advice for a completeness; without a report none is made yet, or nothing is drawn.

    Where a report is not fresh, how far the sample is judged comes from the labels.
    """
    state = opened.hunt.state()
    drawn, left = len(state.drawn), len(state.waiting)
    overtaken = made is not None and not fresh
    counts = made.progress if made is not None and fresh else None
    return AuditPage(
        frame=frame_of(request, title=f"{opened.name}: audit", section="hunts", release=opened.release),
        head=hunt_tabs(opened, "audit"),
        drawn=drawn if counts is None else counts.drawn,
        judged=drawn - left if counts is None else counts.judged,
        skipped=0 if counts is None else counts.skipped,
        waiting=left if counts is None else counts.waiting,
        wished=percent,
        counted=made is not None,
        overtaken=overtaken,
        failed=progress is not None and bool(progress.problem),
        report=None if made is None or not made.progress.judged else _report_view(made),
        progress=progress,
    )


def _report_view(made: AuditReport) -> ReportView:
    return ReportView(
        objects=made.objects,
        known=made.known,
        targets=number(made.targets),
        completeness=completeness_estimate(made),
        lower_bound_only=made.lower_bound_only,
        next_labels=made.next_labels,
        expected=number(made.expected),
        advice=made.advice,
        why=made.why,
        cuts=tuple(_cut_row(made, cut) for cut in made.curve),
        plot=draw_cuts(made) if made.curve else None,
    )


def _cut_row(made: AuditReport, cut: CutEstimate) -> CutRow:
    return CutRow(
        score=f"{cut.score:.3g}",
        objects=count(made.known + cut.objects),
        purity=share(cut.purity),
        completeness=at_least(cut.completeness) if made.lower_bound_only else share(cut.completeness),
    )
