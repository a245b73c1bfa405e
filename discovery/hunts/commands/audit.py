"""``discovery hunt audit``: how many targets a release holds, how many of them a hunt has, and when to stop."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from discovery.hunts.commands.answers import answer
from discovery.hunts.commands.options import Json, opened_hunt, person_name

if TYPE_CHECKING:
    from discovery.hunts.audits.audit import Audit
    from discovery.hunts.audits.report import AuditReport


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class AuditOptions:
    """Options of ``discovery hunt audit``.

    Attributes
    ----------
    draw
        Draw so many stamps from what has no label, such as 100; they come with the next rounds. Drawing again once they
        are labelled narrows the intervals more than drawing all at once.
    completeness
        Advise on stopping at this completeness of the list, 0 to 1.
    plot
        Picture to draw purity and completeness against the cut into: .png, .pdf or .svg.
    curve
        Print purity and completeness at every cut.
    release
        Release folder, if it is no longer where the hunt knows it.
    seed
        Of the drawing; it follows from the hunt's own by default.
    who
        Your name in the file; your login by default.
    json
        Print one JSON document.
    """

    draw: int | None = None
    completeness: float = 0.9
    plot: Path | None = None
    curve: Annotated[bool, Parameter(negative="")] = False
    release: Path | None = None
    seed: int | None = None
    who: str | None = None
    json: Json = False


def audit(hunt: Path, /, *, options: AuditOptions = AuditOptions()) -> None:
    """Draw stamps to be judged, and report targets, completeness and purity with 95 % intervals.

    Parameters
    ----------
    hunt
        Hunt file.
    """
    from discovery.hunts.audits.audit import draw_audit, plot_report, report
    from discovery.hunts.audits.report_text import curve_lines, text_lines

    opened = opened_hunt(hunt, options.release)
    document: dict[str, Any] = {}
    lines: list[str] = []
    if options.draw is not None:
        drawn = draw_audit(opened, options.draw, who=person_name(options.who), seed=options.seed)
        document["drawn"] = drawn_document(drawn)
        lines.append(f"audit {drawn.number}: {len(drawn.rows)} stamps drawn; they come with the next rounds")
    made = report(opened, completeness=options.completeness)
    document["report"] = report_document(made)
    lines += text_lines(made)
    if options.curve:
        lines += curve_lines(made)
    if options.plot is not None:
        plot_report(made, options.plot)
        lines.append(f"{options.plot}: purity and completeness against the cut")
    answer(options.json, document, "\n".join(lines))


def report_document(made: AuditReport) -> dict[str, Any]:
    """Return a report as JSON knows it."""
    return dataclasses.asdict(made)


def drawn_document(drawn: Audit) -> dict[str, Any]:
    """Return what an audit drew as JSON knows it."""
    design = drawn.design
    strata = [
        {"objects": size, "drawn": count}
        for size, count in zip(design.sizes, design.drawn, strict=True)
    ]
    return {"audit": drawn.number, "object_ids": list(drawn.object_ids), "strata": strata}
