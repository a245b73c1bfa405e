"""Choosers: pick from the candidates of a round what is shown, each stamp with a word for the reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import numpy as np

from discovery.errors import HuntError
from discovery.hunts.alpha_rule import choose, propose
from discovery.hunts.candidates.turn import Turn
from discovery.hunts.models.ranking import Ranking, one_blas_thread

LIKELY, UNLIKELY, UNCERTAIN, DIVERSE, RANDOM = "likely", "unlikely", "uncertain", "diverse", "random"


@dataclass(frozen=True, kw_only=True, eq=False)
class Page:
    """What is shown.

    Attributes
    ----------
    rows : numpy.ndarray
        (n,) int64 in order.
    reasons : tuple of str
        One word a row: likely, unlikely, uncertain, diverse or random.
    did, why : str
        How they were chosen, in a word and in a sentence.
    ranking : Ranking or None
        None when nothing was ranked.
    source : dict or None
        Where the candidates came from, where not all of them were ranked.
    """

    rows: np.ndarray
    reasons: tuple[str, ...]
    did: str
    why: str
    ranking: Ranking | None = field(default=None, repr=False)
    source: dict[str, Any] | None = None


Rank = Callable[[], Ranking]
"""Returns the `Ranking` of this round; a chooser that does without it saves its time."""


class Chooser(Protocol):
    """Picks at most ``page_size`` candidates."""

    name: ClassVar[str]
    subset: ClassVar[bool]

    def choose(self, turn: Turn, rank: Rank) -> Page:
        """Return the page of a turn; ``rank`` is called only where scores are needed."""
        ...


@dataclass(frozen=True, kw_only=True)
class AlphaChooser:
    """The published rule exactly, by `discovery.hunts.alpha_rule.propose`."""

    name: ClassVar[str] = "alpha"
    subset: ClassVar[bool] = True
    alpha: float = 0.5

    def choose(self, turn: Turn, rank: Rank) -> Page:
        """Show the highest or the lowest scores."""
        proposal = propose(
            rank(),
            turn.candidates,
            positives=turn.positives,
            negatives=turn.negatives,
            alpha=self.alpha,
            page_size=turn.page_size,
        )
        reason = UNLIKELY if proposal.strategy == "rescorer-lowest" else LIKELY
        return Page(
            rows=proposal.rows, reasons=(reason,) * len(proposal.rows), did=proposal.strategy, why=proposal.why
        )


@dataclass(frozen=True, kw_only=True)
class HighestChooser:
    """Always the highest scores."""

    name: ClassVar[str] = "highest"
    subset: ClassVar[bool] = True

    def choose(self, turn: Turn, rank: Rank) -> Page:
        """Show the highest scores."""
        ranking = rank()
        rows = choose(ranking.order_scores, turn.candidates, turn.page_size, "highest")
        why = "highest scores" if ranking.trained else "most similar to the examples"
        return Page(
            rows=rows, reasons=(LIKELY,) * len(rows), did=f"{ranking.model['name']}-highest", why=why
        )


@dataclass(frozen=True, kw_only=True)
class RandomChooser:
    """Any candidates, whatever their scores."""

    name: ClassVar[str] = "random"
    subset: ClassVar[bool] = True

    def choose(self, turn: Turn, rank: Rank) -> Page:
        """Draw a page with the seed."""
        rows = draw(turn.candidates, turn.page_size, np.random.default_rng(turn.seed))
        return Page(rows=rows, reasons=(RANDOM,) * len(rows), did=self.name, why="drawn at random")


@dataclass(frozen=True, kw_only=True)
class UncertainChooser:
    """What the model is least sure of: nearest to the boundary, in units of the spread where the model has one.

    The boundary is the score 0 of a trained model, which weighs both classes the same, and the median of a similarity.
    """

    name: ClassVar[str] = "uncertain"
    subset: ClassVar[bool] = True

    def choose(self, turn: Turn, rank: Rank) -> Page:
        """Show the candidates nearest to the boundary."""
        rows = uncertain_rows(rank(), turn.candidates, turn.page_size)
        return Page(
            rows=rows, reasons=(UNCERTAIN,) * len(rows), did=self.name, why="what the model is least sure of"
        )


@dataclass(frozen=True, kw_only=True)
class DiverseChooser:
    """Likely, but from different places: the best of each cluster in turn, so that a hunt does not lock into one kind.

    Attributes
    ----------
    pool : int
        So many pages of the highest scores are clustered.
    share : float
        Clusters for each stamp of the page.
    """

    name: ClassVar[str] = "diverse"
    subset: ClassVar[bool] = True
    pool: int = 5
    share: float = 0.5

    def choose(self, turn: Turn, rank: Rank) -> Page:
        """Show the best of each cluster, then the second of each, and so on."""
        ranking = rank()
        rows = self.rows(turn, ranking, turn.candidates, turn.page_size)
        best = set(choose(ranking.order_scores, turn.candidates, len(rows), "highest").tolist())
        reasons = tuple(LIKELY if row in best else DIVERSE for row in rows.tolist())
        return Page(rows=rows, reasons=reasons, did=self.name, why="the most likely of different kinds")

    def rows(self, turn: Turn, ranking: Ranking, candidates: np.ndarray, count: int) -> np.ndarray:
        """Return so many rows of different clusters, (n,) int64."""
        from sklearn.cluster import KMeans

        pool = choose(ranking.order_scores, candidates, max(count, self.pool * turn.page_size), "highest")
        clusters = max(1, min(len(pool), round(self.share * count)))
        if len(pool) <= count or clusters == 1:
            return pool[:count]
        with one_blas_thread():
            means = KMeans(clusters, n_init=1, random_state=turn.seed % 2**32)
            members = means.fit_predict(turn.embeddings.take(pool))
        turns = np.array([int((members[:place] == own).sum()) for place, own in enumerate(members)])
        return pool[np.lexsort((np.arange(len(pool)), turns))][:count]


@dataclass(frozen=True, kw_only=True)
class MixedChooser:
    """A page of several shares: mostly likely, some uncertain, some diverse, some random.

    Attributes
    ----------
    uncertain, diverse, random : float
        Shares of the page; the rest is likely.
    """

    name: ClassVar[str] = "mixed"
    subset: ClassVar[bool] = True
    uncertain: float = 0.1
    diverse: float = 0.1
    random: float = 0.05

    def choose(self, turn: Turn, rank: Rank) -> Page:
        """Fill the shares one after the other, each from what the earlier ones left."""
        ranking, left = rank(), turn.candidates.copy()
        others = [round(share * turn.page_size) for share in (self.uncertain, self.diverse, self.random)]
        likely = max(0, turn.page_size - sum(others))
        rng = np.random.default_rng(turn.seed)
        picks = (
            (LIKELY, lambda: choose(ranking.order_scores, left, likely, "highest")),
            (UNCERTAIN, lambda: uncertain_rows(ranking, left, others[0])),
            (DIVERSE, lambda: DiverseChooser(share=1.0).rows(turn, ranking, left, others[1])),
            (RANDOM, lambda: draw(left, others[2], rng)),
        )
        rows: list[int] = []
        reasons: list[str] = []
        for reason, pick in picks:
            taken = pick()
            left[taken] = False
            rows += taken.tolist()
            reasons += [reason] * len(taken)
        counts = ", ".join(f"{reasons.count(reason)} {reason}" for reason, _ in picks)
        return Page(rows=np.array(rows, dtype=np.int64), reasons=tuple(reasons), did=self.name, why=counts)


@dataclass(frozen=True, kw_only=True)
class ThompsonChooser:
    """The highest of scores drawn from what the model holds possible (Thompson 1933): mean + spread x a normal deviate."""

    name: ClassVar[str] = "thompson"
    subset: ClassVar[bool] = True

    def choose(self, turn: Turn, rank: Rank) -> Page:
        """Draw with the seed; HuntError for a model without a spread."""
        ranking = rank()
        spread = needed_spread(ranking, self.name)
        deviates = np.random.default_rng(turn.seed).standard_normal(len(spread), dtype=np.float32)
        rows = choose(ranking.order_scores + spread * deviates, turn.candidates, turn.page_size, "highest")
        return _chance_page(turn, ranking, rows, self.name, "highest of one draw of what the model holds possible")


@dataclass(frozen=True, kw_only=True)
class ImprovementChooser:
    """Expected improvement over the best label (Mockus 1978), as Astronomaly: Protege shows objects.

    The best is taken over all that may not be shown: labels, and what a filter or the candidate source leaves out.

    Attributes
    ----------
    above : float
        How much better than the best found an object must be to count.
    """

    name: ClassVar[str] = "improvement"
    subset: ClassVar[bool] = True
    above: float = 0.0

    def choose(self, turn: Turn, rank: Rank) -> Page:
        """Show the highest expected improvement; HuntError for a model without a spread."""
        from scipy.stats import norm

        ranking = rank()
        spread = needed_spread(ranking, self.name)
        best = float(ranking.order_scores[~turn.candidates].max(initial=-np.inf))
        if not np.isfinite(best):
            best = float(ranking.order_scores.max())
        gain = ranking.order_scores - np.float32(best + self.above)
        expected = gain * norm.cdf(gain / spread) + spread * norm.pdf(gain / spread)
        rows = choose(expected.astype(np.float32), turn.candidates, turn.page_size, "highest")
        return _chance_page(turn, ranking, rows, self.name, "highest expected improvement over the best label")


def uncertain_rows(ranking: Ranking, candidates: np.ndarray, count: int) -> np.ndarray:
    """Return the candidates nearest to the boundary, (n,) int64; none for a count of 0."""
    scores = ranking.order_scores
    boundary = 0.0 if ranking.trained else float(np.median(scores))
    distance = np.abs(scores - np.float32(boundary))
    if ranking.spread is not None:
        distance = distance / np.maximum(ranking.spread, np.float32(1e-9))
    return choose(distance, candidates, count, "lowest") if count else np.empty(0, dtype=np.int64)


def needed_spread(ranking: Ranking, who: str) -> np.ndarray:
    """Return the spread; HuntError where the model has none."""
    if ranking.spread is None:
        raise HuntError(
            f"{who} needs a model that knows how sure it is, and {ranking.model['name']} does not: use gp or ensemble"
        )
    return ranking.spread


def _chance_page(turn: Turn, ranking: Ranking, rows: np.ndarray, did: str, why: str) -> Page:
    """Call those likely that the highest scores would have shown, the others uncertain."""
    best = set(choose(ranking.order_scores, turn.candidates, turn.page_size, "highest").tolist())
    reasons = tuple(LIKELY if row in best else UNCERTAIN for row in rows.tolist())
    return Page(rows=rows, reasons=reasons, did=did, why=why)


def draw(candidates: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw so many candidates without replacement, (n,) int64; all when there are fewer."""
    left = np.flatnonzero(candidates)
    return rng.choice(left, min(count, len(left)), replace=False).astype(np.int64)
