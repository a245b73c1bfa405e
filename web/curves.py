"""The plot of positives found against labels given, as points of an SVG."""

from __future__ import annotations

from collections.abc import Sequence

from web.pages import Curve

WIDTH, HEIGHT = 268, 132
LEFT, RIGHT, TOP, BOTTOM = 28, 8, 8, 100


def draw_curve(given: Sequence[int], found: Sequence[int]) -> Curve:
    """Return the plot.

    Parameters
    ----------
    given, found : sequences of int, one length
        Labels given so far, and positives among them; both rise from 0.
    """
    most_given, most_found = max([*given, 10]), max([*found, 5])
    per_label = (WIDTH - LEFT - RIGHT) / most_given
    per_positive = (BOTTOM - TOP) / most_found

    def point(x: float, y: float) -> tuple[float, float]:
        return round(LEFT + x * per_label, 1), round(BOTTOM - y * per_positive, 1)

    points = [point(x, y) for x, y in zip(given, found, strict=True)] or [point(0, 0)]
    reach = min(most_given, most_found)
    last = points[-1] if len(points) > 1 else None
    return Curve(
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        bottom=BOTTOM,
        line=_joined(points),
        diagonal=_joined([point(0, 0), point(reach, reach)]),
        x_ticks=tuple((point(x, 0)[0], str(x)) for x in _ticks(most_given)),
        y_ticks=tuple((point(0, y)[1], str(y)) for y in _ticks(most_found)),
        last=last,
        summary=f"{max([*found, 0])} positives found with {max([*given, 0])} labels.",
    )


def _ticks(most: int) -> list[int]:
    """Return three or so round numbers from 0 to at most ``most``."""
    step = 1
    for step in (n * 10**power for power in range(8) for n in (1, 2, 5)):
        if most / step <= 4:
            break
    return list(range(0, most + 1, step))


def _joined(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x},{y}" for x, y in points)
