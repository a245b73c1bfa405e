"""An audit's report in words and as a table of text."""

from __future__ import annotations

from discovery.hunts.audits.estimates import Interval
from discovery.hunts.audits.report import AuditReport


def text_lines(report: AuditReport) -> list[str]:
    """Return a report in words, line by line."""
    progress, whole = report.progress, report.completeness
    lines = [
        f"audit: {progress.judged} of {progress.drawn} drawn stamps judged"
        + (f", {progress.waiting} wait for a label" if progress.waiting else "")
        + (f", {progress.skipped} skipped" if progress.skipped else ""),
        f"targets among {report.objects} objects: {_count(report.targets)}; {report.known} are known",
    ]
    if report.lower_bound_only:
        lines.append(
            f"completeness: at least {whole.low:.1%}; only this lower bound can be given, since the audit does not"
            " exclude that nothing is left"
        )
    else:
        lines.append(f"completeness: {_share(whole)}")
    lines.append(f"the next {report.next_labels} by the ranking are expected to hold {_count(report.expected)} targets")
    lines.append(f"at a completeness of {report.wished:.0%}: {report.advice}; {report.why}")
    return lines


def curve_lines(report: AuditReport) -> list[str]:
    """Return the curve of purity and completeness against the cut as a table in text."""
    head = f"{'score from':>12} {'more objects':>13} {'purity':>26} {'completeness':>26}"
    return [head] + [
        f"{cut.score:12.5g} {cut.objects:13d} {_share(cut.purity):>26} {_share(cut.completeness):>26}"
        for cut in report.curve
    ]


def _count(interval: Interval) -> str:
    return f"{interval.estimate:.0f} ({interval.low:.0f} to {interval.high:.0f})"


def _share(interval: Interval) -> str:
    return f"{interval.estimate:.1%} ({interval.low:.1%} to {interval.high:.1%})"
