"""Plots of tables."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

COLOURS = (
    "#00429d",
    "#2e7ebc",
    "#73b3d8",
    "#8c8c8c",
    "#d1495b",
    "#edae49",
    "#66a182",
    "#a0522d",
    "#6a4c93",
    "#111111",
)


def draw_few_shot(result: dict[str, Any], path: Path) -> None:
    """Draw accuracy by stamps a class from a few-shot table, with the spread over draws as a band."""
    curves: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in result["lines"]:
        curves[line["model"]].append(line)
    figure = Figure(figsize=(8, 4.6), layout="constrained")
    axes = figure.subplots()
    for (name, points), colour in zip(
        curves.items(), COLOURS * (1 + len(curves) // len(COLOURS)), strict=False
    ):
        points = sorted(points, key=lambda point: point["stamps_a_class"])
        sizes = [point["stamps_a_class"] for point in points]
        style = "-" if name.startswith("LVM") else "--"
        seeds = max(point["seeds"] for point in points)
        label = f"{name} ({seeds} draws)" if seeds > 1 else f"{name} (1 draw)"
        axes.plot(
            sizes,
            [point["accuracy"]["median"] for point in points],
            style,
            color=colour,
            marker="o",
            markersize=4,
            label=label,
        )
        low, high = ([point["accuracy"][end] for point in points] for end in ("low", "high"))
        axes.fill_between(sizes, low, high, color=colour, alpha=0.18, linewidth=0)
    axes.set_xscale("log")
    ticks = sorted({line["stamps_a_class"] for line in result["lines"]})
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("training stamps a class")
    axes.set_ylabel(f"accuracy on {result['counts']['held out']} held-out stamps of {result['survey']}")
    axes.set_ylim(0, 1)
    axes.grid(alpha=0.25)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=8, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
