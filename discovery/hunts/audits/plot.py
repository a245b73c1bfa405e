"""The picture of an audit: purity and completeness of the list against its length, with their bands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from discovery.errors import HuntError
from discovery.hunts.audits.estimates import Interval
from discovery.hunts.audits.report import AuditReport

PICTURES = (".png", ".pdf", ".svg")
_PURITY, _COMPLETENESS = "#0072b2", "#d55e00"


def draw_report(report: AuditReport, path: Path) -> None:
    """Draw the curve of a report into a picture.

    Raises
    ------
    HuntError
        The name is no picture's, its folder is not there, or the report has no curve yet.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    if path.suffix.lower() not in PICTURES:
        raise HuntError(f"{path} is no picture's name; end it with one of {', '.join(PICTURES)}")
    if not path.absolute().parent.is_dir():
        raise HuntError(f"the folder {path.parent} for {path.name} does not exist; make it first")
    if not report.curve:
        raise HuntError("the audit has no curve yet; label more of its stamps")
    figure = Figure(figsize=(7.2, 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    lengths = [max(report.known, 1), *(report.known + cut.objects for cut in report.curve)]
    purity = [Interval(estimate=1.0, low=1.0, high=1.0), *(cut.purity for cut in report.curve)]
    completeness = [report.completeness, *(cut.completeness for cut in report.curve)]
    for name, colour, values in (("purity", _PURITY, purity), ("completeness", _COMPLETENESS, completeness)):
        _band(axes, lengths, values, name, colour)
    axes.axhline(report.wished, color="0.5", linestyle=":", linewidth=1)
    axes.annotate(
        f"{report.wished:.0%}",
        (1.0, report.wished),
        xycoords=("axes fraction", "data"),
        xytext=(4, -3),
        textcoords="offset points",
        color="0.35",
        fontsize=8,
    )
    axes.set_xscale("log")
    axes.set_xlim(lengths[0], lengths[-1])
    axes.xaxis.set_major_locator(LogLocator(base=10, subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}" if value < 1e6 else f"{value:.0e}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_ylim(0, 1.02)
    axes.set_xlabel(f"objects on the list: {report.known} known targets, then unlabelled ones by score")
    axes.set_ylabel("share (estimate, 95 %)")
    axes.set_title(_title(report), fontsize=10)
    axes.grid(color="0.9", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.6))
    figure.savefig(path, dpi=130)


def _band(axes, lengths: Sequence[int], values: Sequence[Interval], name: str, colour: str) -> None:
    axes.fill_between(lengths, [one.low for one in values], [one.high for one in values], color=colour, alpha=0.18, linewidth=0)
    axes.plot(lengths, [one.estimate for one in values], color=colour, linewidth=1.8, marker=".", markersize=4, label=name)


def _title(report: AuditReport) -> str:
    targets, judged = report.targets, report.progress.judged
    return (
        f"{targets.estimate:.0f} ({targets.low:.0f} to {targets.high:.0f}) targets among {report.objects} objects,"
        f" by {judged} audit labels"
    )
