"""What audits show of a hunt: its numbers, and what they mean for stopping."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from discovery.hunts.audits.estimates import (
    DRAWS,
    Evidence,
    Interval,
    Piece,
    count_interval,
    share_interval,
    targets_among,
)

DEFAULT_LABELS = 100
"""Stamps that an audit draws where no number is given."""
DEFAULT_COMPLETENESS = 0.9
"""The completeness that the advice is for where none is given."""
LEAST_JUDGED = 5
"""Judged stamps that a range of scores must hold to stand alone."""
CUTS_A_RANGE = 8
NEXT = 100

Advice = Literal["stop", "continue", "cannot be said yet"]


@dataclass(frozen=True, kw_only=True)
class AuditProgress:
    """How far the audits are: stamps drawn, judged, skipped by the person, and still waiting for a verdict."""

    audits: int
    drawn: int
    judged: int
    skipped: int
    waiting: int


@dataclass(frozen=True, kw_only=True)
class CutEstimate:
    """The list made of the known targets and of every unlabelled object from a score up.

    Attributes
    ----------
    score : float
        Lowest score of the unlabelled objects on the list, as `Ranking.shown` shows it.
    objects : int
        Unlabelled objects on the list.
    purity, completeness : Interval
        Targets on the list over all on the list, and over all targets.
    """

    score: float
    objects: int
    purity: Interval
    completeness: Interval


@dataclass(frozen=True, kw_only=True)
class AuditReport:
    """How many targets a release holds, and how many of them a hunt has; every interval is at 95 %.

    Attributes
    ----------
    objects : int
        Objects within the hunt's filter, each once.
    known : int
        Targets known: what the current list holds.
    unlabelled : int
        Objects that nobody has judged.
    targets : Interval
        Targets among all objects, the known ones included.
    completeness : Interval
        Known targets over all targets.
    lower_bound_only : bool
        The audits do not exclude that nothing is left to find: completeness has a lower bound, and no upper one.
    curve : tuple of CutEstimate
        From the highest cut to the lowest.
    next_labels : int
        So many objects come next by the ranking,
    expected : Interval
        and so many targets are expected among them.
    wished : float
        The completeness that the advice is for.
    advice : str
        stop, continue, or cannot be said yet.
    labels_needed : int or None
        Audit labels, about, after which there could be advice; None when there is, or when all objects would be too few.
    why : str
        The advice in a sentence.
    """

    progress: AuditProgress
    objects: int
    known: int
    unlabelled: int
    targets: Interval
    completeness: Interval
    lower_bound_only: bool
    curve: tuple[CutEstimate, ...]
    next_labels: int
    expected: Interval
    wished: float
    advice: Advice
    labels_needed: int | None
    why: str


def make_report(
    evidence: Evidence,
    *,
    known: int,
    objects: int,
    bounds: Sequence[float],
    progress: AuditProgress,
    requested: float,
) -> AuditReport:
    """Return the report of what is known; scores are those of ``evidence``.

    Parameters
    ----------
    known : int
        Targets known.
    bounds : sequence of float
        Lowest score of each stratum but the deepest, the highest first; ranges with few judged stamps are joined.
    requested : float
        The completeness to advise on.
    """
    ranges = _ranges(evidence, bounds)
    pieces = [evidence.piece(low, high) for low, high in ranges]
    targets = count_interval(pieces, known)
    completeness = _completeness(known, targets)
    advice, needed, why = _advise(pieces, known, completeness, requested, evidence.judged)
    count = min(NEXT, len(evidence.unknown))
    return AuditReport(
        progress=progress,
        objects=objects,
        known=known,
        unlabelled=len(evidence.unknown),
        targets=targets,
        completeness=completeness,
        lower_bound_only=targets.low <= known,
        curve=tuple(_widened(_curve(evidence, ranges, pieces, known))),
        next_labels=count,
        expected=_expected(evidence, ranges, pieces, count),
        wished=requested,
        advice=advice,
        labels_needed=needed,
        why=why,
    )


def _ranges(evidence: Evidence, bounds: Sequence[float]) -> list[tuple[float, float]]:
    """Ranges [low, high) from the highest scores down, each with enough judged stamps."""
    ranges, high = [], math.inf
    for low in (*bounds, -math.inf):
        if evidence.judged_in(low, high) >= LEAST_JUDGED or low == -math.inf:
            ranges.append((low, high))
            high = low
    if len(ranges) > 1 and evidence.judged_in(*ranges[-1]) < LEAST_JUDGED:
        (_, high), _ = ranges[-2:]
        ranges[-2:] = [(-math.inf, high)]
    return ranges


def _completeness(known: int, targets: Interval) -> Interval:
    def share(count: float) -> float:
        return known / count if count > 0 else 1.0

    return Interval(estimate=share(targets.estimate), low=share(targets.high), high=share(targets.low))


def _curve(
    evidence: Evidence, ranges: list[tuple[float, float]], pieces: list[Piece], known: int
) -> list[CutEstimate]:
    """One estimate a cut; cuts divide each range into parts with a few judged stamps each."""
    cuts: list[CutEstimate] = []
    if not evidence.judged:
        return cuts
    for at, (low, high) in enumerate(ranges):
        scores = evidence.unknown[np.searchsorted(evidence.unknown, low) : np.searchsorted(evidence.unknown, high)]
        parts = min(max(evidence.judged_in(low, high) // (LEAST_JUDGED + 1), 1), CUTS_A_RANGE)
        inner = [scores[len(scores) - round(len(scores) * part / parts)] for part in range(1, parts) if len(scores)]
        for cut in dict.fromkeys([*map(float, inner), low]):
            if not low <= cut < high:
                continue
            above, below = [*pieces[:at], evidence.piece(cut, high)], [evidence.piece(low, cut), *pieces[at + 1 :]]
            if cut == low or _well_judged(evidence, low, cut, high):
                cuts.append(_cut(evidence, cut, above, below, known))
    return [cut for cut in cuts if cut.objects]


def _well_judged(evidence: Evidence, low: float, cut: float, high: float) -> bool:
    """Whether both parts of a range hold enough judged stamps to stand alone."""
    return min(evidence.judged_in(cut, high), evidence.judged_in(low, cut)) >= LEAST_JUDGED


def _widened(cuts: list[CutEstimate]) -> list[CutEstimate]:
    """Completeness cannot fall as the list grows: limits that do are widened until they do not."""
    if not cuts:
        return []
    lows = np.minimum.accumulate([cut.completeness.low for cut in cuts][::-1])[::-1]
    highs = np.maximum.accumulate([cut.completeness.high for cut in cuts])
    return [
        replace(cut, completeness=replace(cut.completeness, low=float(low), high=float(high)))
        for cut, low, high in zip(cuts, lows, highs, strict=True)
    ]


def _cut(evidence: Evidence, cut: float, above: list[Piece], below: list[Piece], known: int) -> CutEstimate:
    listed = known + sum(piece.unknown for piece in above)
    inside = count_interval(above, known, draws := targets_among(above))
    outside = np.random.default_rng(1).permutation(targets_among(below, seed=2))  # without the order of its halves
    missed = sum(piece.expected for piece in below)
    have = known + draws
    with np.errstate(invalid="ignore"):
        shares = np.where(have + outside > 0, have / (have + outside), 1.0)
    whole = inside.estimate + missed
    unknown = evidence.unknown[np.searchsorted(evidence.unknown, cut) :]
    return CutEstimate(
        score=float(unknown[0]) if len(unknown) else float(cut),
        objects=len(unknown),
        purity=Interval(
            estimate=inside.estimate / max(listed, 1), low=inside.low / max(listed, 1), high=inside.high / max(listed, 1)
        ),
        completeness=share_interval(shares, inside.estimate / whole if whole else 1.0),
    )


def _expected(
    evidence: Evidence, ranges: list[tuple[float, float]], pieces: list[Piece], count: int
) -> Interval:
    """Targets among the ``count`` highest, where rates never rise down the ranking (isotonic), nor within a range."""
    seen = [at for at, piece in enumerate(pieces) if piece.frames and piece.covered]
    if not seen or not count:
        return Interval(estimate=0.0, low=0.0, high=float(count))
    rates = _falling([pieces[at].expected / pieces[at].covered for at in seen], [pieces[at].drawn for at in seen])
    estimate, left, draws = 0.0, count, np.zeros(2 * DRAWS)
    for at, piece in enumerate(pieces):
        taken = min(left, piece.unknown)
        if taken and at in seen:
            estimate += taken * rates[seen.index(at)]
            whole = targets_among([piece], seed=at)
            draws[:DRAWS] += whole[:DRAWS] * taken / piece.unknown  # no less than its share: rates fall
            draws[DRAWS:] += np.minimum(whole[DRAWS:], taken)
        elif taken:
            draws[DRAWS:] += taken
        left -= taken
    return share_interval(np.clip(draws, 0, count), estimate)


def _falling(rates: list[float], weights: list[float]) -> list[float]:
    """The nearest rates that never rise: neighbours that do are pooled (Ayer et al. 1955, pool adjacent violators)."""
    blocks: list[tuple[float, float, int]] = []
    for rate, weight in zip(rates, weights, strict=True):
        blocks.append((rate, weight, 1))
        while len(blocks) > 1 and blocks[-2][0] < blocks[-1][0]:
            (upper, heavy, many), (lower, light, few) = blocks[-2:]
            blocks[-2:] = [((upper * heavy + lower * light) / (heavy + light), heavy + light, many + few)]
    return [rate for rate, _, length in blocks for _ in range(length)]


def _advise(
    pieces: list[Piece], known: int, completeness: Interval, requested: float, judged: int
) -> tuple[Advice, int | None, str]:
    reached = f"{completeness.low:.1%} at least"
    if completeness.low >= requested:
        return "stop", None, f"the list is complete to {reached}"
    if completeness.high < requested:
        return "continue", None, f"the list is complete to {completeness.high:.1%} at most"
    needed = _labels_needed(pieces, known, requested, judged)
    if needed is None:
        return "cannot be said yet", None, f"complete to {reached}; nothing short of labelling every object would decide it"
    return "cannot be said yet", needed, f"complete to {reached}; about {needed} more audit labels would be needed"


def _labels_needed(pieces: list[Piece], known: int, requested: float, judged: int) -> int | None:
    """More labels after which the interval would leave the requested completeness on one side, if the rates stayed as they are."""
    if not judged:
        return None
    most = sum(piece.unknown for piece in pieces) / judged

    def decided(factor: float) -> bool:
        whole = _completeness(known, count_interval([piece.scaled(factor) for piece in pieces], known))
        return whole.low >= requested or whole.high < requested

    factors = np.geomspace(1.0, max(most, 1.0), 25)[1:]
    for factor in factors:
        if decided(float(factor)):
            return math.ceil((float(factor) - 1) * judged)
    return None
