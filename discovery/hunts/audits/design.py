"""Which objects an audit draws: strata by score, and how many from each. Pure functions.

Strata grow threefold from the top of the ranking (`FIRST` ranks, then three times as many, ...) and end with everything
deeper than half of the objects at most: few targets per object there, but so many objects that they decide how far the
number of targets is known. The labels go where they narrow the interval of `discovery.hunts.audits.estimates` most: they minimise

    sum_h N_h^2 p_h (1 - p_h) / n_h  +  UNIT max_h (N_h / n_h)^2,

Neyman's variance of the total (Cochran 1977, 5.5) plus the unit that the upper limit counts in the stratum where one object
stands for the most (Fay & Feuer 1997). The second term keeps the deepest stratum from being forgotten, whatever the rates
p_h are guessed to be. For a first audit the guess falls as 1 / rank from the hunt's own latest share of positives; later
audits know better from the earlier ones.
"""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from discovery.errors import HuntError
from discovery.hunts.audits.estimates import AuditSample, Evidence

FIRST = 100 / 3
"""Ranks of the highest stratum; rank 100 is an edge."""
GROWTH = 3
DEEPEST = 0.5
"""The deepest stratum begins above this share of the objects."""
LEAST = 0.02
"""Share of the labels that every stratum gets at least, as far as it has objects; never less than `FEWEST`."""
FEWEST = 5
UNIT = 2.0
GUESS_COUNTS = 4.0
"""As many labels the guessed rate of a stratum weighs against those that an earlier audit has there."""
GUESS_RANK = 50
"""Up to this rank the guessed rate is the hunt's own share of positives."""
OUTSIDE = 255
MANY = 1_000_000


@dataclass(frozen=True, kw_only=True)
class AuditDesign:
    """How an audit was drawn; enough to use its sample for ever, whatever becomes of the ranking.

    Attributes
    ----------
    bounds : tuple of float
        Lowest score of each stratum but the deepest, the highest stratum first.
    sizes, drawn : tuple of int
        Objects that each stratum held, and how many were drawn from it.
    guess : tuple of float
        Rates of targets that the allocation assumed.
    members : numpy.ndarray
        (N,) uint8: each row's stratum, `OUTSIDE` for rows that could not be drawn.
    strategy : str
        The hunt's strategy, whose ranking it was.
    model : dict
        What ranked.
    """

    bounds: tuple[float, ...]
    sizes: tuple[int, ...]
    drawn: tuple[int, ...]
    guess: tuple[float, ...]
    members: np.ndarray
    strategy: str
    model: dict[str, Any]

    def document(self) -> dict[str, Any]:
        """Return the design as JSON knows it; the members are packed."""
        packed = base64.b64encode(_packed(self.members)).decode("ascii")
        strata = [
            {"size": size, "drawn": drawn, "guess": guess}
            for size, drawn, guess in zip(self.sizes, self.drawn, self.guess, strict=True)
        ]
        return {
            "bounds": list(self.bounds),
            "strata": strata,
            "members": packed,
            "strategy": self.strategy,
            "model": self.model,
        }


def read_design(document: dict[str, Any], count: int) -> AuditDesign:
    """Return the design that `AuditDesign.document` wrote for a release of ``count`` objects.

    Raises
    ------
    HuntError
        It was not written so, or belongs to another number of objects.
    """
    try:
        members = _unpacked(document["members"], count)
        strata = document["strata"]
        sizes = tuple(int(one["size"]) for one in strata)
        found = np.bincount(members[members != OUTSIDE], minlength=len(sizes)).tolist()
        if tuple(found) != sizes or len(document["bounds"]) != len(sizes) - 1:
            raise ValueError("strata of other sizes")
        return AuditDesign(
            bounds=tuple(map(float, document["bounds"])),
            sizes=sizes,
            drawn=tuple(int(one["drawn"]) for one in strata),
            guess=tuple(float(one["guess"]) for one in strata),
            members=members,
            strategy=str(document["strategy"]),
            model=dict(document["model"]),
        )
    except (KeyError, TypeError, ValueError, zlib.error) as problem:
        raise HuntError(f"the design of an audit in the hunt file is damaged: {problem}") from None


def design_audit(
    scores: np.ndarray,
    free: np.ndarray,
    labels: int,
    *,
    share: float,
    bounds: tuple[float, ...] | None = None,
    earlier: Evidence | None = None,
    strategy: str = "",
    model: dict[str, Any] | None = None,
) -> AuditDesign:
    """Plan an audit.

    Parameters
    ----------
    scores : numpy.ndarray
        (N,) of the present ranking.
    free : numpy.ndarray
        (N,) bool: what can be drawn.
    labels : int
        How many to draw.
    share : float
        Share of targets that the hunt meets at the top of its ranking.
    bounds : tuple of float, optional
        Strata to keep; new ones by default.
    earlier : Evidence, optional
        What earlier audits found, by the same scores.
    """
    bounds = strata_bounds(scores[free]) if bounds is None else bounds
    strata = strata_of(scores, bounds)
    sizes = np.bincount(strata[free], minlength=len(bounds) + 1)
    before, rates = np.zeros(len(sizes)), np.zeros(len(sizes))
    if earlier is not None:
        pieces = [earlier.piece(low, high) for high, low in pairwise([np.inf, *bounds, -np.inf])]
        before = np.array([piece.drawn for piece in pieces])
        rates = np.array([piece.positive / piece.drawn if piece.drawn else 0.0 for piece in pieces])
    guess = blended_rates(guessed_rates(sizes, share), rates, before)
    counts = allocated(sizes, guess, labels, before)
    return AuditDesign(
        bounds=bounds,
        sizes=tuple(sizes.tolist()),
        drawn=tuple(counts.tolist()),
        guess=tuple(guess.tolist()),
        members=np.where(free, strata, OUTSIDE).astype(np.uint8),
        strategy=strategy,
        model=model or {},
    )


def sample_of(
    design: AuditDesign, rows: np.ndarray, scores: np.ndarray, targets: np.ndarray, counted: np.ndarray
) -> tuple[AuditSample, np.ndarray]:
    """Return what an audit shows now, and the objects that it stands for.

    Parameters
    ----------
    rows : numpy.ndarray
        (n,) int64: what it drew and somebody judged; the rest of what it drew is taken to be like these.
    scores : numpy.ndarray
        (N,) of the present ranking.
    targets, counted : numpy.ndarray
        (N,) bool: known targets, and all that counts.

    Returns
    -------
    AuditSample
        Its sample by the present scores.
    numpy.ndarray
        (N,) bool: its frame, without strata of which nobody judged a stamp yet.
    """
    strata = design.members[rows]
    judged = np.bincount(strata, minlength=len(design.sizes))
    frame = design.members != OUTSIDE
    frame[frame] = judged[design.members[frame]] > 0
    frame &= counted
    sample = AuditSample(
        frame=scores[frame],
        strata=design.members[frame],
        known=scores[frame & targets],
        scores=scores[rows],
        drawn_strata=strata,
        positive=targets[rows],
        weights=np.array(design.sizes) / np.maximum(judged, 1),
    )
    return sample, frame


def strata_bounds(scores: np.ndarray) -> tuple[float, ...]:
    """Return the lowest score of each stratum but the deepest for the scores (n,) of all that can be drawn."""
    ordered = -np.sort(-scores)
    ranks, rank = [], FIRST
    while rank <= DEEPEST * len(ordered):
        ranks.append(round(rank))
        rank *= GROWTH
    bounds = dict.fromkeys(float(ordered[rank - 1]) for rank in ranks if rank >= 1)  # equal scores share a stratum
    return tuple(bound for bound in bounds if bound > ordered[-1])


def strata_of(scores: np.ndarray, bounds: tuple[float, ...]) -> np.ndarray:
    """Return the stratum of each score, (n,) int64: 0 is the highest."""
    return len(bounds) - np.searchsorted(np.array(bounds[::-1]), scores, side="right")


def guessed_rates(sizes: np.ndarray, share: float) -> np.ndarray:
    """Return the rate of targets of each stratum if it falls as 1 / rank from ``share``, (H,) float64."""
    ends = np.cumsum(sizes).astype(np.float64)
    middles = np.sqrt(np.maximum(ends - sizes, GUESS_RANK / 2) * np.maximum(ends, 1))
    return np.clip(share * np.minimum(1.0, GUESS_RANK / middles), 1e-5, 0.9)


def blended_rates(guess: np.ndarray, rate: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Return the guess corrected by the rates of earlier samples of (effective) sizes ``drawn``, (H,) float64."""
    return (GUESS_COUNTS * guess + drawn * rate) / (GUESS_COUNTS + drawn)


def allocated(sizes: np.ndarray, rates: np.ndarray, labels: int, before: np.ndarray) -> np.ndarray:
    """Return how many to draw from each stratum.

    Parameters
    ----------
    sizes : numpy.ndarray
        (H,) objects that can be drawn.
    rates : numpy.ndarray
        (H,) expected rates of targets.
    labels : int
        How many to draw altogether; all, when there are not so many.
    before : numpy.ndarray
        (H,) effective sizes of earlier samples: what they have need not be drawn again.

    Returns
    -------
    numpy.ndarray
        (H,) int64.
    """
    labels = min(labels, int(sizes.sum()))
    whole = np.maximum(sizes + before, 1e-9)  # an empty stratum costs nothing and gets nothing
    budget = float(min(labels + before.sum(), whole.sum()))
    spread = whole * np.sqrt(rates * (1 - rates))
    units = np.geomspace(1.0, 4.0, 21) * whole.sum() / budget
    floors = [np.minimum(whole, np.maximum(max(LEAST * budget, FEWEST), whole / unit)) for unit in units]
    wanted = [_neyman(spread, floor, whole, budget) for floor in floors if floor.sum() <= budget]
    wanted = wanted or [floors[-1] * budget / floors[-1].sum()]
    costs = [float((spread**2 / one).sum() + UNIT * (whole / one).max() ** 2) for one in wanted]
    best = wanted[int(np.argmin(costs))]
    return _rounded(np.clip(best - before, 0, sizes), sizes, labels)


def draw_strata(members: np.ndarray, counts: np.ndarray, seed: int) -> np.ndarray:
    """Draw rows at random from each stratum, and put all in random order, (n,) int64.

    The order matters: whoever stops half-way has judged a random part of every stratum.
    """
    rng = np.random.default_rng(seed)
    rows = [
        rng.choice(np.flatnonzero(members == stratum), count, replace=False)
        for stratum, count in enumerate(counts.tolist())
    ]
    return rng.permutation(np.concatenate(rows)).astype(np.int64)


def _neyman(spread: np.ndarray, floor: np.ndarray, whole: np.ndarray, budget: float) -> np.ndarray:
    """Shares proportional to the spread between a floor and the whole, by bisection on the factor."""
    low, high = 0.0, float((whole / np.maximum(spread, 1e-12)).max())
    for _ in range(40):
        factor = (low + high) / 2
        taken = np.clip(factor * spread, floor, whole).sum()
        low, high = (factor, high) if taken < budget else (low, factor)
    return np.clip(high * spread, floor, whole)


def _rounded(wanted: np.ndarray, sizes: np.ndarray, labels: int) -> np.ndarray:
    """Whole numbers near ``wanted`` that add up to ``labels``, none above its stratum's size."""
    scaled = np.minimum(wanted * labels / max(wanted.sum(), 1e-12), sizes)
    counts = np.floor(scaled).astype(np.int64)
    while counts.sum() < labels:
        room = np.where(counts < sizes, scaled - counts, -np.inf)
        counts[int(np.argmax(room))] += 1
    return counts


def _packed(members: np.ndarray) -> bytes:
    """Strata in few bytes: 0.2 a row. In a large release only by how frequent each is: looking for repeats takes minutes there."""
    if len(members) < MANY:
        return zlib.compress(members.tobytes(), 9)
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, zlib.Z_HUFFMAN_ONLY)
    return packer.compress(members.tobytes()) + packer.flush()


def _unpacked(text: str, count: int) -> np.ndarray:
    """The members, never more bytes than the release has objects."""
    inflater = zlib.decompressobj()
    data = inflater.decompress(base64.b64decode(text, validate=True), count + 1)
    if len(data) != count:
        raise ValueError(f"it is not for {count} objects")
    return np.frombuffer(data, dtype=np.uint8)
