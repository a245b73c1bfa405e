"""The plot of positives found against labels given, as points of an SVG."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from web.layout.text_format import plural

WIDTH, HEIGHT = 268, 132
LEFT, RIGHT, TOP, BOTTOM = 28, 12, 18, 100


@dataclass(frozen=True, kw_only=True)
class Level:
    """A horizontal line with a band in a plot, in the drawing's units: an estimate and its interval."""

    y: float
    top: float
    bottom: float
    label: str


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Positives found against labels given, ready to draw: everything in the drawing's units."""

    width: int
    height: int
    left: int
    right: int
    bottom: int
    line: str
    """Points of the polyline."""
    ideal: str
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    last: tuple[float, float] | None
    total: Level | None
    """The estimated number of targets, once an audit has one."""
    summary: str


@dataclass(frozen=True, kw_only=True)
class Total:
    """How many targets there are by an audit, with its interval."""

    estimate: float
    low: float
    high: float


def draw_curve(given: Sequence[int], found: Sequence[int], total: Total | None = None) -> Curve:
    """Return the plot.

    Parameters
    ----------
    given, found : sequences of int, one length
        Labels given so far, and positives among them; both rise from 0.
    total : Total, optional
        The number of targets: drawn as a line with its interval as a band; the ideal ends there.
    """
    most_given = max([*given, 10])
    most_found = max([*found, 5, *([min(total.high, 2 * total.estimate)] if total else [])])
    per_label = (WIDTH - LEFT - RIGHT) / most_given
    per_positive = (BOTTOM - TOP) / most_found

    def point(x: float, y: float) -> tuple[float, float]:
        return round(LEFT + x * per_label, 1), round(BOTTOM - y * per_positive, 1)

    points = [point(x, y) for x, y in zip(given, found, strict=True)] or [point(0, 0)]
    reach = min(most_given, total.estimate if total else most_found, most_found)
    ideal = [point(0, 0), point(reach, reach), *([point(most_given, reach)] if total else [])]
    return Curve(
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        right=WIDTH - RIGHT,
        bottom=BOTTOM,
        line=joined(points),
        ideal=joined(ideal),
        x_ticks=tuple((point(x, 0)[0], str(x)) for x in ticks(most_given)),
        y_ticks=tuple((point(0, y)[1], str(y)) for y in ticks(most_found)),
        last=points[-1] if len(points) > 1 else None,
        total=None if total is None else _level(total, lambda y: point(0, min(y, most_found))[1]),
        summary=f"{plural(max([*found, 0]), 'positive')} found with {plural(max([*given, 0]), 'label')}.",
    )


def ticks(most: float) -> list[int]:
    """Return three or so round numbers from 0 to at most ``most``."""
    step = next(n * 10**power for power in range(12) for n in (1, 2, 5) if most / (n * 10**power) <= 4)
    return list(range(0, int(most) + 1, step))


def joined(points: Sequence[tuple[float, float]]) -> str:
    """Return points as an SVG writes them."""
    return " ".join(f"{x},{y}" for x, y in points)


def _level(total: Total, height_of: Callable[[float], float]) -> Level:
    return Level(
        y=height_of(total.estimate),
        top=height_of(total.high),
        bottom=height_of(total.low),
        label=f"{total.low:.0f} to {total.high:.0f} targets in all",
    )
