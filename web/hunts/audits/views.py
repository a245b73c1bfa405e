"""What the page of a hunt's audit shows, and the audit in short on the hunt's page."""

from __future__ import annotations

from typing import Any

from litestar import Request

from discovery.hunts.audits.estimates import Interval
from discovery.hunts.audits.report import AuditReport, CutEstimate
from discovery.hunts.models.ranking import is_large
from web.hunts.audits.pages import AuditPage, CutRow, ReportView
from web.hunts.audits.plot import draw_cuts
from web.hunts.curve import Total
from web.hunts.tabs import hunt_tabs
from web.hunts.views import AuditBrief, Estimate
from web.jobs.progress import Progress
from web.layout.pages import frame_of
from web.layout.wording import count
from web.workspace import OpenHunt


def audit_view(
    request: Request[Any, Any, Any],
    opened: OpenHunt,
    made: AuditReport | None,
    *,
    percent: float,
    fresh: bool,
    progress: Progress | None,
) -> AuditPage:
    """Return the page of the audit, its advice for a wished completeness; without a report it is not made yet, or nothing is drawn.

    Where a report is not fresh, how far the sample is judged is told from the labels.
    """
    present = opened.present()
    drawn, left = len(present.audited), len(present.waiting)
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


def audit_brief(opened: OpenHunt) -> AuditBrief:
    """Return the audit in short: what was reported last, and whether that is out of date."""
    present = opened.present()
    drawn, left = len(present.audited), len(present.waiting)
    made = opened.reports.latest()
    told = made is not None and made.progress.judged > 0
    return AuditBrief(
        drawn=drawn,
        waiting=left,
        pending=drawn > left and not opened.reports.is_fresh(opened.hunt),
        by_itself=not is_large(opened.hunt.release, opened.hunt.release.dimension),
        completeness=_completeness(made) if made is not None and told else None,
        lower_bound_only=made is not None and made.lower_bound_only,
        purity=share(made.curve[0].purity) if made is not None and told and made.curve else None,
        purity_of=made.curve[0].objects if made is not None and told and made.curve else 0,
        advice=f"{made.advice}: {made.why}" if made is not None and told else "",
    )


def audit_total(opened: OpenHunt) -> Total | None:
    """Return the number of targets that was reported last, None while nothing was judged."""
    made = opened.reports.latest()
    if made is None or not made.progress.judged:
        return None
    return Total(estimate=made.targets.estimate, low=made.targets.low, high=made.targets.high)


def share(interval: Interval) -> Estimate:
    """Return a share as it is read: 72 %, 60 to 85 %."""
    return Estimate(value=f"{_percent(interval.estimate)} %", range=f"{_percent(interval.low)} to {_percent(interval.high)} %")


def _report_view(made: AuditReport) -> ReportView:
    return ReportView(
        objects=made.objects,
        known=made.known,
        targets=_number(made.targets),
        completeness=_completeness(made),
        lower_bound_only=made.lower_bound_only,
        next_labels=made.next_labels,
        expected=_number(made.expected),
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
        completeness=_at_least(cut.completeness) if made.lower_bound_only else share(cut.completeness),
    )


def _completeness(made: AuditReport) -> Estimate:
    return _at_least(made.completeness) if made.lower_bound_only else share(made.completeness)


def _at_least(interval: Interval) -> Estimate:
    return Estimate(value=f"at least {_percent(interval.low)} %", range="")


def _number(interval: Interval) -> Estimate:
    return Estimate(
        value=count(round(interval.estimate)), range=f"{count(round(interval.low))} to {count(round(interval.high))}"
    )


def _percent(part: float) -> str:
    """Return a share in percent, with a decimal where it is small."""
    return f"{100 * part:.0f}" if part >= 0.1 or part == 0 else f"{100 * part:.1f}"
