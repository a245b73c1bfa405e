"""How many targets a set of objects holds, from labels on samples of it. Pure statistics: scores and truths in, intervals out.

A hunt ranks objects by score. An audit draws some of those whose truth is unknown, stratum by stratum, each stratum with
its own density. Any range of scores then has, for each audit, a *frame* (the objects that the audit could have drawn), of
which it drew some at random: a probability sample for good, whatever is labelled later.

* The rate in a range is the mean of the sample, post-stratified by the audit's strata where the ranking has changed since; its
  size is Kish's effective one, N / mean(w) with the weights w = 1 / density of all its objects (Kish 1965), divided by
  1 - n/N for the finite frame (Cochran 1977, 2.6; Korn & Graubard 1998).
* The unknown number of targets t in the range follows the beta posterior of that rate without prior counts, Beta(x, n - x),
  cut to what is possible: the frame held as many targets as are known in it by now, plus t. Several audits multiply.
* Ranges add up. The upper limit counts one target more, the lower one target less, in the range where one object stands for
  the most: once, not in every range (Fay & Feuer 1997, sums of Poisson counts with weights). For a single range these are
  the limits of Clopper & Pearson (1934); for several they are their melding (Fay, Proschan & Brittain 2015).
* The interval is the mid-p one: half of the draws with the unit, half without it (Fay & Kim 2017).

Sources: Kish, Survey Sampling (1965); Cochran, Sampling Techniques (1977); Korn & Graubard, Survey Methodology 24, 193
(1998); Fay & Feuer, Statistics in Medicine 16, 791 (1997); Fay, Proschan & Brittain, Biometrics 71, 146 (2015); Fay & Kim,
Biometrical Journal 59, 377 (2017).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

LEVEL = 0.95
DRAWS = 2000
NODES = 801
SPREAD = 2.0
LEAST_WEIGHT = 0.2
MOST_HUNTED = 0.1
"""Share of a range that the hunt may have labelled by itself since an audit, for the audit still to count there."""
_PLACES = (np.arange(DRAWS) + 0.5) / DRAWS
_ANGLES = np.linspace(0.0, np.pi / 2, NODES)
_SHARES = np.sin(_ANGLES) ** 2  # nodes as wide apart as a rate is uncertain: the arcsine transform


@dataclass(frozen=True, kw_only=True)
class Interval:
    """An estimate with its 95 % interval."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What one audit shows of one range of scores.

    Attributes
    ----------
    size : int
        Objects of the range that the audit could have drawn.
    known : int
        Targets among them that are known by now, by the audit or otherwise.
    drawn : float
        Effective size of the sample in the range; 0 for none.
    rate : float
        Weighted share of targets in the sample.
    """

    size: int
    known: int
    drawn: float
    rate: float


@dataclass(frozen=True, kw_only=True)
class Piece:
    """One range of scores: its ``unknown`` objects, those among them that no audit speaks for, and the audits' words."""

    unknown: int
    blind: int = 0
    frames: tuple[Frame, ...]

    @property
    def covered(self) -> int:
        """Unknown objects that an audit speaks for."""
        return self.unknown - self.blind

    @property
    def drawn(self) -> float:
        """Effective size of all samples."""
        return sum(frame.drawn for frame in self.frames)

    @property
    def positive(self) -> float:
        """Effective number of targets in the samples."""
        return sum(frame.drawn * frame.rate for frame in self.frames)

    @property
    def expected(self) -> float:
        """Targets among the unknown objects by the samples alone; 0 without a sample."""
        if not self.drawn:
            return 0.0
        left = sum(frame.drawn * (frame.size * frame.rate - frame.known) for frame in self.frames) / self.drawn
        return min(max(left, 0.0), float(self.covered))

    @property
    def unit(self) -> float:
        """Objects for which one drawn object stands."""
        return self.covered / self.drawn if self.drawn else math.inf

    def scaled(self, factor: float) -> Piece:
        """Return the piece as it would be with so many times the labels, their rates staying the same."""
        frames = tuple(replace(frame, drawn=frame.drawn * factor) for frame in self.frames)
        return replace(self, frames=frames)


@dataclass(frozen=True, kw_only=True, eq=False)
class AuditSample:
    """One audit: what it could draw, and what it drew and somebody judged.

    Attributes
    ----------
    frame, strata : numpy.ndarray
        (N,) scores of the objects that it could draw, and their strata from 0 when it was drawn.
    known : numpy.ndarray
        (k,) scores of those among them that are known to be targets now.
    scores, drawn_strata, positive : numpy.ndarray
        (n,) of the judged sample: score, stratum, and is it a target?
    weights : numpy.ndarray
        (H,) objects of each stratum for which one judged stamp stands.
    """

    frame: np.ndarray
    strata: np.ndarray
    known: np.ndarray
    scores: np.ndarray
    drawn_strata: np.ndarray
    positive: np.ndarray
    weights: np.ndarray


class Evidence:
    """The unknown objects of a hunt and its audits, cut by score.

    Parameters
    ----------
    unknown : numpy.ndarray
        (U,) scores of all objects without a verdict.
    samples : sequence of AuditSample
        The audits.
    blind : numpy.ndarray, optional
        Scores of those unknown objects that are in no audit's frame.
    """

    def __init__(
        self, unknown: np.ndarray, samples: Sequence[AuditSample], blind: np.ndarray | None = None
    ) -> None:
        self.unknown = np.sort(unknown)
        self._blind = np.sort(blind) if blind is not None else np.empty(0)
        self._samples = [_by_score(sample) for sample in samples]

    @property
    def judged(self) -> int:
        """Objects that the audits drew and somebody judged."""
        return sum(len(sample.scores) for sample in self._samples)

    def judged_in(self, low: float, high: float) -> int:
        """Return how many of them have scores in [low, high)."""
        return sum(_within(sample.scores, low, high) for sample in self._samples)

    def piece(self, low: float, high: float) -> Piece:
        """Return the range of scores [low, high)."""
        unknown = _within(self.unknown, low, high)
        frames = self._frames(low, high, unknown)
        blind = _within(self._blind, low, high) if frames else unknown
        return Piece(unknown=unknown, blind=blind, frames=frames)

    def _frames(self, low: float, high: float, unknown: int) -> tuple[Frame, ...]:
        """What the audits show, the newest first, without those after which the hunt took much of the range for itself.

        Their samples are of another mixture than what is left. One audit always speaks: if none drew a stamp there, the
        newest shows that it found none.
        """
        frames: list[Frame] = []
        judged, newest = 0, None
        for sample in reversed(self._samples):
            size, drawn = _within(sample.frame, low, high), _within(sample.scores, low, high)
            judged += drawn
            newest = newest or (sample if size else None)
            if drawn and (not frames or size - unknown - judged <= MOST_HUNTED * size):
                frames.append(_frame(sample, low, high))
        return tuple(frames) if frames or newest is None else (_frame(newest, low, high),)


def targets_among(pieces: Sequence[Piece], seed: int = 0) -> np.ndarray:
    """Draw the number of targets among the unknown objects of several pieces, (2 * DRAWS,) float64.

    The first half has the lower unit taken off, the second half the upper one put on; quantiles of both together are the
    limits. Objects that no audit speaks for are none in the first half and all targets in the second; a piece whose samples
    hold no target holds none in the first half, whatever the hunt has found there by itself.
    """
    rng = np.random.default_rng(seed)
    seen = [piece for piece in pieces if piece.frames and piece.covered]
    blind = sum(piece.blind for piece in pieces)
    orders = [rng.permutation(DRAWS) for _ in seen]
    alone = len(seen) == 1
    base = [_quantiles(piece, 0, 0, alone)[order] for piece, order in zip(seen, orders, strict=True)]
    upper = np.zeros(DRAWS) + np.sum(base, axis=0) + blind
    lower = np.zeros(DRAWS) + np.sum([draws for piece, draws in zip(seen, base, strict=True) if piece.positive], axis=0)
    heaviest = max(range(len(seen)), key=lambda at: seen[at].unit, default=None)
    if heaviest is not None:
        upper = upper - base[heaviest] + _quantiles(seen[heaviest], 1, 0, True)[orders[heaviest]]
    found = [at for at, piece in enumerate(seen) if piece.positive > 0]
    if found:
        at = max(found, key=lambda at: seen[at].unit)
        lower = lower - base[at] + _quantiles(seen[at], 0, 1, True)[orders[at]]
    return np.concatenate([lower, upper])


def count_interval(pieces: Sequence[Piece], known: int = 0, draws: np.ndarray | None = None) -> Interval:
    """Return the number of targets among the unknown objects of the pieces, plus ``known`` ones; limits are whole."""
    low, high = limits(targets_among(pieces) if draws is None else draws)
    most = sum(piece.unknown for piece in pieces)
    low, high = max(math.floor(low + 1e-6), 0), min(math.ceil(high - 1e-6), most)
    expected = sum(piece.expected for piece in pieces)
    return Interval(estimate=known + min(max(expected, low), high), low=known + low, high=known + high)


def share_interval(draws: np.ndarray, estimate: float) -> Interval:
    """Return an estimate with the limits of its draws."""
    low, high = limits(draws)
    return Interval(estimate=min(max(estimate, low), high), low=low, high=high)


def limits(draws: np.ndarray) -> tuple[float, float]:
    """Return the two quantiles that leave 2.5 % on either side."""
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def plain_interval(size: int, drawn: int, positive: int) -> Interval:
    """Return the number of targets among ``size`` objects of which ``drawn`` were drawn at random: what an audit must beat.

    The same mid-p method with a single stratum; the targets drawn are counted.
    """
    frame = Frame(size=size, known=positive, drawn=_finite(drawn, drawn, size), rate=positive / drawn)
    return count_interval([Piece(unknown=size - drawn, frames=(frame,))], known=positive)


def _by_score(sample: AuditSample) -> AuditSample:
    frame, drawn = np.argsort(sample.frame, kind="stable"), np.argsort(sample.scores, kind="stable")
    return replace(
        sample,
        frame=sample.frame[frame],
        strata=sample.strata[frame],
        known=np.sort(sample.known),
        scores=sample.scores[drawn],
        drawn_strata=sample.drawn_strata[drawn],
        positive=sample.positive[drawn],
    )


def _frame(sample: AuditSample, low: float, high: float) -> Frame:
    """What a sample shows of the scores [low, high): a stratum's part without a judged stamp keeps its stratum's weight."""
    inside, drawn = _slice(sample.frame, low, high), _slice(sample.scores, low, high)
    count = len(sample.weights)
    sizes = np.bincount(sample.strata[inside], minlength=count)
    judged = np.bincount(sample.drawn_strata[drawn], minlength=count)
    positive = np.bincount(sample.drawn_strata[drawn], weights=sample.positive[drawn], minlength=count)
    size, some = int(sizes.sum()), judged > 0
    weights = np.where(some, sizes / np.maximum(judged, 1), sample.weights)
    rate = round(float((weights * positive)[some].sum()) / size, 12)  # parts without a judged stamp add none; 1 is 1
    effective = size**2 / float((sizes * weights).sum())
    known = _within(sample.known, low, high)
    return Frame(size=size, known=known, drawn=_finite(effective, int(judged.sum()), size), rate=rate)


def _finite(effective: float, judged: int, size: int) -> float:
    """The effective size of a sample with respect to the rest of a finite frame."""
    return effective / max(1 - judged / size, 1 / (size + 1))


@lru_cache(maxsize=512)
def _quantiles(piece: Piece, plus: int, minus: int, alone: bool) -> np.ndarray:
    """Targets among the covered objects at DRAWS even quantiles, with prior counts of targets and others added.

    Beside other pieces the sample counts for `SPREAD` labels less, so that its variance is p (1 - p) / (n - 1), unbiased.
    """
    counts = piece.covered * _SHARES
    first = max(piece.frames, key=lambda frame: frame.size)
    mixed = 0 < piece.positive < piece.drawn
    weight = max(1 - SPREAD / piece.drawn, LEAST_WEIGHT) if mixed and not alone else 1.0
    if not plus and not piece.positive and not first.known:
        return np.zeros(DRAWS)
    if not minus and piece.positive == piece.drawn and first.known + piece.covered == first.size:
        return np.full(DRAWS, float(piece.covered))
    log_density = np.zeros(NODES)
    for frame in piece.frames:
        rate = np.clip((frame.known + counts) / frame.size, 1e-12, 1 - 1e-12)
        yes, no = weight * frame.drawn * frame.rate, weight * frame.drawn * (1 - frame.rate)
        if frame is first:
            yes, no = yes + plus - 1, no + minus - 1
        log_density += yes * np.log(rate) + no * np.log1p(-rate)
    density = np.exp(log_density - log_density.max())
    mass = np.diff(counts) * (density[1:] + density[:-1]) / 2
    return np.interp(_PLACES, np.concatenate([[0.0], np.cumsum(mass)]) / mass.sum(), counts)


def _within(ordered: np.ndarray, low: float, high: float) -> int:
    part = _slice(ordered, low, high)
    return part.stop - part.start


def _slice(ordered: np.ndarray, low: float, high: float) -> slice:
    start, stop = np.searchsorted(ordered, [low, high], side="left").tolist()
    return slice(start, stop)
