"""The plot of purity and completeness against the length of the list, as points of an SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from discovery.hunts.audits.estimates import Interval
from discovery.hunts.audits.report import AuditReport
from web.hunts.curve import joined
from web.layout.text_format import count

WIDTH, HEIGHT = 640, 300
LEFT, RIGHT, TOP, BOTTOM = 52, 624, 14, 256


@dataclass(frozen=True, kw_only=True)
class Band:
    """A curve with its 95 % interval in a plot, in the drawing's units."""

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
    """Height of the requested completeness."""
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]


def draw_cuts(made: AuditReport) -> CutsPlot:
    """Return the plot of a report with at least one cut; the list grows to the right, by factors.

    Where completeness has a lower bound only, its line is that bound.
    """
    lengths = [made.known + cut.objects for cut in made.curve]
    low, high = math.log(min(lengths)), math.log(max(max(lengths), min(lengths) + 1))

    def x(length: float) -> float:
        return round(LEFT + (RIGHT - LEFT) * (math.log(length) - low) / (high - low), 1)

    places = [x(length) for length in lengths]
    return CutsPlot(
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        right=RIGHT,
        top=TOP,
        bottom=BOTTOM,
        purity=_band(places, [cut.purity for cut in made.curve]),
        completeness=_band(places, [cut.completeness for cut in made.curve], lower=made.lower_bound_only),
        wished=_y(made.wished),
        x_ticks=tuple((x(length), count(length)) for length in _round_lengths(min(lengths), max(lengths))),
        y_ticks=tuple((_y(part / 100), f"{part} %") for part in (0, 25, 50, 75, 100)),
    )


def _y(part: float) -> float:
    return round(BOTTOM - (BOTTOM - TOP) * part, 1)


def _band(places: Sequence[float], intervals: Sequence[Interval], *, lower: bool = False) -> Band:
    marks = [(x, _y(one.low if lower else one.estimate)) for x, one in zip(places, intervals, strict=True)]
    upper = [(x, _y(one.high)) for x, one in zip(places, intervals, strict=True)]
    below = [(x, _y(one.low)) for x, one in zip(places, intervals, strict=True)]
    return Band(line=joined(marks), area=joined([*upper, *below[::-1]]), marks=tuple(marks))


def _round_lengths(least: int, most: int) -> list[int]:
    """Return the numbers 1, 2, 5, 10, 20 ... between two lengths; of many only the powers of ten."""
    every = [n * 10**power for power in range(12) for n in (1, 2, 5) if least <= n * 10**power <= most]
    tens = [length for length in every if str(length).strip("0") == "1"]
    return tens if len(every) > 8 else every
