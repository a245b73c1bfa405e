"""The table of a run: every estimator on the held-out part, beside its baselines; and the plot."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from training.finetuning.parameters.measures import DEFINITIONS, kind_of, measures
from training.finetuning.parameters.targets import DERIVED, Targets


@dataclass(frozen=True, kw_only=True)
class Estimates:
    """The estimates of one method: (N, T) in the targets' units, with sigmas where it states them.

    ``given`` (T,) bool marks targets that it was given as a feature, which are not judged.
    """

    name: str
    estimate: np.ndarray
    sigma: np.ndarray | None = None
    given: np.ndarray | None = None


def table(rows: list[Estimates], targets: Targets, parts: tuple[np.ndarray, np.ndarray, np.ndarray]) -> dict[str, Any]:
    """Return the measures of each estimator on each target's held-out values.

    Returns
    -------
    dict
        By target: kind, counts of known and missing values, and the measures by estimator (None where it was given).
    """
    found: dict[str, Any] = {}
    for index, name in enumerate(targets.names):
        known = np.isfinite(targets.values[:, index])
        judged = known & parts[2]
        kind = kind_of(name)
        true = targets.values[judged, index]
        figures: dict[str, Any] = {}
        for row in rows:
            if row.given is not None and row.given[index]:
                figures[row.name] = None
                continue
            sigma = None if row.sigma is None else row.sigma[judged, index]
            figures[row.name] = measures(row.estimate[judged, index], true, kind, sigma)
        counts = {part: int((mask & known).sum()) for part, mask in zip(("training", "validation", "held_out"), parts, strict=True)}
        derived = {"derived": DERIVED[name]} if name in DERIVED else {}
        found[name] = {"kind": kind, **derived, **counts, "missing": int((~known).sum()), "rows": figures}
    return found


def as_text(report: dict[str, Any]) -> str:
    """Return the report for people."""
    lines = [
        f"{report['survey']}: {report['objects']} objects ({report['damaged']} damaged, {report['excluded']} excluded), "
        f"encoder {report['encoder']}; measured on the held-out part"
    ]
    columns = ("bias", "nmad", "outliers", "rmse", "r2", "within_sigma")
    for name, target in report["targets"].items():
        lines.append(
            f"\n{name} ({target['kind']}; {target['training']} training, {target['validation']} validation, "
            f"{target['held_out']} held out, {target['missing']} missing)"
        )
        lines.append(f"  {'':44s}" + "".join(f"{column:>13s}" for column in columns))
        for row, figures in target["rows"].items():
            if figures is None:
                lines.append(f"  {row:44s}{'was given it':>13s}")
                continue
            values = (figures.get(column) for column in columns)
            lines.append(f"  {row:44s}" + "".join(f"{'':>13s}" if value is None else f"{value:13.4f}" for value in values))
    lines += ["", *(f"{name}: {text}" for name, text in DEFINITIONS.items())]
    return "\n".join(lines)


def draw(rows: Estimates, targets: Targets, held_out: np.ndarray, title: str, path: Path) -> None:
    """Draw estimates against true values of the held-out part, one panel a target, and write a PNG."""
    from matplotlib.figure import Figure

    across = min(3, len(targets.names))
    down = -(-len(targets.names) // across)
    figure = Figure(figsize=(4 * across, 3.8 * down), layout="constrained")
    panels = figure.subplots(down, across, squeeze=False).ravel()
    for index, (name, panel) in enumerate(zip(targets.names, panels, strict=False)):
        shown = held_out & np.isfinite(targets.values[:, index])
        true, estimate = targets.values[shown, index], rows.estimate[shown, index]
        if rows.sigma is not None:
            panel.errorbar(true, estimate, rows.sigma[shown, index], fmt="none", ecolor="0.85", elinewidth=0.5, zorder=1)
        panel.scatter(true, estimate, s=6, alpha=0.6, linewidths=0, zorder=2)
        low, high = np.quantile(true, [0, 1])
        margin = 0.04 * (high - low) or 1.0
        span = np.array([low - margin, high + margin])
        panel.plot(span, span, color="0.3", linewidth=1, zorder=3)
        if kind_of(name) == "redshift":
            for side in (-1, 1):
                panel.plot(span, span + side * 0.15 * (1 + span), color="0.3", linewidth=0.7, linestyle=":", zorder=3)
        panel.set(xlim=span, ylim=span, xlabel=f"true {name}", ylabel=f"estimated {name}", title=f"{name}, n = {len(true)}")
    for panel in panels[len(targets.names) :]:
        panel.set_axis_off()
    figure.suptitle(title)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})
