"""A candidate pool: a round of a large survey ranks some thousand objects that are likely to matter instead of all.

Four sources fill it, each with a share of the pool. Most come from the model itself: where its score grows along a
direction of the embedding, as a linear model's does, the objects furthest along that direction are one question to the
index. The neighbours of labelled positives and of the latest page (Coleman et al. 2022, Similarity Search for Efficient Active Learning and
Search of Rare Concepts, AAAI 36, 6402: "SEALS") make up for what an index misses, and a random share keeps a
hunt from being caught in its own neighbourhood. A model without a direction (the MLP) is led by `GUIDE`: that ranks the pool first, and the
model itself only the best of it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np

from discovery.errors import HuntError
from discovery.hunts.candidates.nearby import Engine, Nearby, Searchable, searchable
from discovery.hunts.candidates.turn import Turn
from discovery.hunts.models.blend import BlendModel
from discovery.hunts.models.ranking import FittedScorer, LearnedModel, one_blas_thread

if TYPE_CHECKING:
    import torch

POOL = 2000
MOST = 1_000_000
BY_MODEL, BY_RANDOM = 0.5, 0.1
"""Shares of a pool that come by the model's direction and at random; the rest are neighbours."""
MOSTLY = 0.5
"""With this share of objects that may be shown a direction is searched without a filter."""
SEEDS, LATEST = 8, 2
"""Positives and objects of the latest page whose neighbours go in."""
WIDE = 800
"""A direction is searched for at least so many neighbours, of which the first are taken: an index visits cells in proportion
to them beyond 100. A direction is no object's own place, and at the cells that find 95 % of an object's neighbours an inverted
file gave 0.69 to 0.83 of the page that scoring everything shows, at four times as many 0.91 to 1.00, at eight times 0.98 to
1.00 (four sets of docs/hunts.toml)."""
SEARCHED_BY = ("index", "faiss", "engine")
"""Parts of a source's record: the index that was searched and the version of FAISS, or the engine. Another one may find other rows."""
GUIDE = BlendModel()
SECOND_STAGE = 4e9
"""Multiplications that the second of two stages may take."""
COMPARED = 20
"""Labelled objects that go into the second stage beside the candidates."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Gathered:
    """Candidates and where they came from.

    Attributes
    ----------
    rows : numpy.ndarray
        (m,) int64, ascending; labelled ones may be among them.
    record : dict
        The source with its settings, how many came from where, and by what they were searched (`SEARCHED_BY`), for the record.
    """

    rows: np.ndarray
    record: dict[str, Any]


class Subset:
    """Some rows of embeddings as embeddings of their own: row i is ``rows[i]``."""

    def __init__(self, vectors: np.ndarray) -> None:
        self._vectors = vectors

    @property
    def count(self) -> int:
        """Number of objects."""
        return len(self._vectors)

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Vectors of ``rows``, (n, D) float32."""
        return self._vectors[rows]

    def chunks(self, rows_per_chunk: int = 65536) -> Iterator[tuple[int, np.ndarray]]:
        """All vectors in pieces, with the row at which each starts."""
        for start in range(0, self.count, rows_per_chunk):
            yield start, self._vectors[start : start + rows_per_chunk]


@dataclass(frozen=True, kw_only=True)
class PoolSource:
    """Candidates from the release's index; see the module.

    Attributes
    ----------
    count : int
        How many, about: the sources overlap. Where no more than twice as many may be shown at all, all of them.
    """

    name: ClassVar[str] = "pool"
    subset: ClassVar[bool] = False
    count: int = POOL

    def __post_init__(self) -> None:
        """Refuse a size out of range."""
        check_count(self.name, self.count)

    def gather(self, turn: Turn, learned: LearnedModel, signs: tuple[int, ...]) -> Gathered:
        """Return candidates; ``signs`` are the ends of the ranking that are wanted.

        Raises
        ------
        HuntError
            The embeddings have no index.
        """
        count = max(self.count, turn.page_size)
        left = int(np.count_nonzero(turn.candidates))
        if left <= 2 * count:
            return self._gathered({"all": np.flatnonzero(turn.candidates)}, turn, {})
        if not searchable(turn.embeddings):
            raise HuntError(f"candidates from an index need one: {type(turn.embeddings).__name__} has none; use @all")
        nearby = turn.nearby or Nearby(cast("Searchable", turn.embeddings))
        lists = max(1, round((1 - BY_MODEL - BY_RANDOM) * count / (SEEDS + LATEST)))
        found = {
            "model": self._along(turn, nearby, learned, signs, round(BY_MODEL * count)),
            "positives": nearby.neighbours(seeds(turn.training.positives), lists),
            "latest": nearby.neighbours(turn.embeddings.take(turn.latest[:LATEST]), lists),
            "random": drawn(turn.candidates, round(BY_RANDOM * count), turn.seed),
        }
        known = np.unique(np.concatenate(list(found.values())))
        searched_by = getattr(turn.embeddings, "index_facts", {})
        short = turn.page_size - int(turn.candidates[known].sum())
        if short > 0:
            found["random"] = drawn(turn.candidates, len(found["random"]) + len(known) + short, turn.seed)
        return self._gathered(found, turn, searched_by)

    def _along(
        self, turn: Turn, nearby: Nearby, learned: LearnedModel, signs: tuple[int, ...], count: int
    ) -> np.ndarray:
        """Candidates furthest along the model's directions, (m,) int64."""
        ways = [sign * way for sign in signs for way in learned.directions if np.linalg.norm(way) > 0]
        if not ways:
            return np.empty(0, dtype=np.int64)
        most = max(count // len(ways), min(count, turn.page_size))
        return np.concatenate([furthest(turn, nearby, way.astype(np.float32), most) for way in ways])

    def _gathered(self, found: dict[str, np.ndarray], turn: Turn, searched_by: dict[str, Any]) -> Gathered:
        numbers = {name: int(turn.candidates[rows].sum()) for name, rows in found.items()}
        rows = np.unique(np.concatenate(list(found.values())))
        objects = int(turn.candidates[rows].sum())
        record = {"name": self.name, "count": self.count, "objects": objects, "from": numbers, **searched_by}
        return Gathered(rows=rows, record=record)


@dataclass(frozen=True, kw_only=True)
class ExactSource:
    """The best of all objects by an engine that scores every one: a GPU's scan, or a cluster's.

    On a CPU the release's own engine computes in float32 throughout, and the best are the best. A GPU proposes
    in low precision and computes the proposed scores in float32: enough are proposed by the errors seen among them, which is a check and no proof (`discovery.release.neighbours.exact`).

    Attributes
    ----------
    count : int
        How many of the best (and of the worst, where a chooser shows those) go on to the chooser.
    """

    name: ClassVar[str] = "exact"
    subset: ClassVar[bool] = False
    count: int = POOL

    def __post_init__(self) -> None:
        """Refuse a size out of range."""
        check_count(self.name, self.count)

    def gather(self, turn: Turn, learned: LearnedModel, signs: tuple[int, ...]) -> Gathered:
        """Score everything, by the turn's engine or the release's own; HuntError without one."""
        engine: Engine | None = turn.engine or getattr(turn.embeddings, "engine", None)
        if engine is None:
            raise HuntError("scoring every object exactly needs an engine: open the hunt with one, or use @all")
        scorers = [learned.scorer if sign > 0 else reversed_scorer(learned.scorer) for sign in signs]
        found = [engine.top(one, max(self.count, turn.page_size), turn.candidates)[0] for one in scorers]
        rows = np.unique(np.concatenate(found)).astype(np.int64)
        record = {"name": self.name, "count": self.count, "objects": len(rows)}
        facts = getattr(engine, "facts", None)
        return Gathered(rows=rows, record=record if facts is None else {**record, "engine": facts})


class Reversed:
    """Another scorer's scores with the other sign."""

    def __init__(self, scorer: FittedScorer) -> None:
        self._scorer, self.parameters = scorer, scorer.parameters

    def scores(self, vectors: np.ndarray) -> np.ndarray:
        """Score (n, D) vectors, (n,) float32."""
        return -self._scorer.scores(vectors)


class ReversedModule(Reversed):
    """The same of a scorer that an engine can run as a torch module."""

    def to_torch(self) -> torch.nn.Module:
        """Return the same as a torch module."""
        from discovery.hunts.models.modules import negative_module

        return negative_module(cast("Any", self._scorer).to_torch())


def reversed_scorer(scorer: FittedScorer) -> Reversed:
    """Return a scorer with the other sign, a torch module where the scorer can be one."""
    return ReversedModule(scorer) if hasattr(scorer, "to_torch") else Reversed(scorer)


def check_count(name: str, count: int) -> None:
    """Raise HuntError unless a pool's size lies in its range."""
    if not 1 <= count <= MOST:
        raise HuntError(f"@{name}:{count} is no size of a candidate pool; give 1 to {MOST:,}")


def seeds(positives: np.ndarray) -> np.ndarray:
    """Return at most `SEEDS` of the vectors (n, D): always the same ones of a set, most of which stay as it grows.

    Those with the smallest checksums: a random choice that needs no memory, so that few neighbour lists are new in a round.
    """
    sums = [hashlib.sha256(vector.tobytes()).digest() for vector in np.ascontiguousarray(positives, dtype=np.float32)]
    return positives[sorted(range(len(sums)), key=sums.__getitem__)[:SEEDS]]


def drawn(candidates: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Draw about so many candidates with a seed, (n,) int64, without a list of all of them unless they are few."""
    rng, found = np.random.default_rng([seed, 2]), np.empty(0, dtype=np.int64)
    left = int(np.count_nonzero(candidates))
    if left < len(candidates) // 16 or 2 * count > left:
        return np.sort(rng.choice(np.flatnonzero(candidates), min(count, left), replace=False))
    while len(found) < count:
        some = rng.integers(0, len(candidates), 2 * count * len(candidates) // left)
        found = np.unique(np.concatenate([found, some[candidates[some]]]))
    return np.sort(rng.choice(found, count, replace=False))


def furthest(turn: Turn, nearby: Nearby, way: np.ndarray, most: int) -> np.ndarray:
    """Return ``most`` candidates along a direction (D,), best first, as far as the index finds so many, (n,) int64.

    Where most objects are candidates, so many more are searched as are none, and no filter: those already labelled crowd at the top of the
    direction, which an index would take for a filter that points away from the question, and look far and wide.
    """
    share = np.count_nonzero(turn.candidates) / len(turn.candidates)
    if share >= MOSTLY:
        labels = len(turn.training.positives) + len(turn.training.negatives)
        wanted = math.ceil(max(most, WIDE) / share) + labels
        (rows,) = nearby.search(way[None], min(wanted, len(turn.candidates)), None)
        rows = rows[turn.candidates[rows]]
        if len(rows) >= min(most, turn.page_size):
            return rows[:most]
    return nearby.search(way[None], max(most, WIDE), turn.candidates)[0][:most]


def best_by_guide(
    vectors: np.ndarray, guide: LearnedModel, most: int, signs: tuple[int, ...], candidates: np.ndarray
) -> np.ndarray:
    """Return the places of the ``most`` candidates at the wanted ends of a cheap first ranking, ascending.

    Parameters
    ----------
    vectors : numpy.ndarray
        (n, D) float32: the pool.
    candidates : numpy.ndarray
        (n,) bool: which of it may be shown. Of the others, which are labelled, the best `COMPARED` stay: a chooser may compare with
        the best label, and nothing else searches them.
    """
    if len(vectors) <= most:
        return np.arange(len(vectors))
    with one_blas_thread():
        scores = guide.scorer.scores(vectors)
    mine, others = np.flatnonzero(candidates), np.flatnonzero(~candidates)
    kept = [_first(mine, -sign * scores, most // len(signs)) for sign in signs]
    return np.unique(np.concatenate([*kept, _first(others, -scores, COMPARED)]))


def _first(places: np.ndarray, cost: np.ndarray, count: int) -> np.ndarray:
    """Return, of ascending places, the so many that cost least."""
    return places[np.argsort(cost[places], kind="stable")[:count]]
