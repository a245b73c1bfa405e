"""A drift report for people: lines of text, and a picture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from discovery.errors import ConfigError
from index.drift.measures import Shift
from index.drift.report import ConditionDrift, DriftReport, SampledEmbeddings


def report_lines(report: DriftReport) -> Iterator[str]:
    """Yield a report as lines, the advice last."""
    yield f"{report.new} against {report.old}"
    for name, shift in (("all objects", report.all_objects), ("the same objects", report.same_objects)):
        if shift is not None:
            yield from _shift_lines(name, shift)
    if report.pairs is not None:
        pairs = report.pairs
        yield (
            f"{pairs.count} objects seen twice: cosine {pairs.cosine_median:.4f} (5 % below {pairs.cosine_low:.4f}; other objects "
            f"{pairs.cosine_of_others:.4f}), found again among {pairs.gallery}: recall@1 {pairs.recall_at_1:.3f}, "
            f"recall@10 {pairs.recall_at_10:.3f}; {pairs.common_part:.0%} of the change is common to all"
        )
    for condition in report.conditions:
        yield _condition_line(condition)
    for reason in report.missing:
        yield f"missing: {reason}"
    yield report.advice


def plot_drift(report: DriftReport, seen: dict[str, SampledEmbeddings], path: Path) -> None:
    """Draw old and new embeddings along the old ones' first two directions, the pairs' cosines, and the dependences.

    Raises
    ------
    ConfigError
        If the picture cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 4), layout="constrained")
    FigureCanvasAgg(figure)
    plane, cosines, bars = figure.subplots(1, 3)
    _draw_plane(plane, seen["old"].vectors, seen["new"].vectors)
    _draw_cosines(cosines, seen)
    _draw_conditions(bars, report.conditions)
    figure.suptitle(f"{report.new} against {report.old}")
    try:
        figure.savefig(path, dpi=120)
    except (OSError, ValueError) as problem:
        raise ConfigError(f"{path} cannot be written: {problem}") from problem


def _shift_lines(name: str, shift: Shift) -> Iterator[str]:
    yield (
        f"{name}, {shift.count} embeddings each, in units of the spread: mean {shift.mean:.3f} (alike: below {shift.mean_null:.3f}, "
        f"chance {shift.mean_chance:.3f}), covariance {shift.covariance:.3f} (below {shift.covariance_null:.3f}, "
        f"chance {shift.covariance_chance:.3f}), Frechet distance {shift.frechet:.3f}"
    )
    ratios = ", ".join(
        f"{one.variance_ratio:.2f} ({one.share_of_variance:.1%} of the variance, mean {one.mean_shift_sigma:+.1f} sigma)"
        for one in shift.directions[:3]
    )
    if ratios:
        yield f"  directions that changed most, new variance over old (alike: within a factor {shift.ratio_null:.2f}): {ratios}"


def _condition_line(condition: ConditionDrift) -> str:
    words = []
    for sight, found in (("old", condition.old), ("new", condition.new)):
        if found is not None:
            words.append(f"{sight} median {found.median:.3g}, explains {found.explained:.1%}, readable {found.readable:.2f}")
    if condition.pairs is not None:
        pairs = condition.pairs
        words.append(
            f"same objects: changed by {pairs.median_change:+.3g}, rank correlation with the change of the embedding "
            f"{pairs.rank_correlation:+.2f}, explains {pairs.explained:.1%} of it"
        )
    return f"{condition.name}: {'; '.join(words) or 'too few values'}"


def _draw_plane(axes: Any, old: np.ndarray, new: np.ndarray) -> None:
    if len(old):
        middle = old.mean(axis=0)
        _, _, directions = np.linalg.svd(old - middle, full_matrices=False)
        for vectors, name in ((old, "old"), (new, "new")):
            x, y = ((vectors - middle) @ directions[:2].T).T
            axes.scatter(x, y, s=4, alpha=0.4, label=name, linewidths=0)
        axes.legend()
    axes.set(title="embeddings", xlabel="first direction", ylabel="second direction")


def _draw_cosines(axes: Any, seen: dict[str, SampledEmbeddings]) -> None:
    axes.set(title="the same objects seen twice", xlabel="cosine of old and new embedding", ylabel="objects")
    if "pairs_old" not in seen:
        axes.text(0.5, 0.5, "none", ha="center", transform=axes.transAxes)
        return
    old, new = seen["pairs_old"].vectors, seen["pairs_new"].vectors
    axes.hist(np.einsum("ij,ij->i", old, new), bins=40, alpha=0.7, label="the same")
    axes.hist(np.einsum("ij,ij->i", old, np.roll(new, 1, axis=0)), bins=40, alpha=0.5, label="others")
    axes.legend()


def _draw_conditions(axes: Any, conditions: tuple[ConditionDrift, ...]) -> None:
    axes.set(title="dependence on PSF and depth", xlabel="variance explained")
    places = np.arange(len(conditions))
    for shift, name, field in ((-0.25, "old", "old"), (0.0, "new", "new"), (0.25, "changes", "pairs")):
        found = [getattr(one, field) for one in conditions]
        axes.barh(places + shift, [0.0 if one is None else one.explained for one in found], 0.25, label=name)
    axes.set_yticks(places, [one.name for one in conditions])
    if conditions:
        axes.legend()
