"""One round of a hunt as pure functions: which objects are shown next, and why.

Nothing here knows of files, pages or people, so that the rule can be tested and simulated alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from discovery.errors import HuntError
from discovery.hunts.log.records import Strategy
from discovery.hunts.models.ranking import Ranking

Direction = Literal["highest", "lowest"]


@dataclass(frozen=True, kw_only=True)
class RuledPage:
    """The page of the alpha rule: ``rows`` (n,) int64 in the order shown, their ``scores`` (n,) float32, and why."""

    strategy: Strategy
    rows: np.ndarray
    scores: np.ndarray
    why: str


def alpha_rule(positives: int, negatives: int, alpha: float) -> Direction:
    """Decide whether the highest or the lowest scores are shown.

    Parameters
    ----------
    positives, negatives : int
        P and N labelled in the latest round; unsure, skipped and the starting examples do not count.
    alpha : float
        Between 0 and 1.

    Returns
    -------
    {"highest", "lowest"}
        The highest while P/N <= alpha (Fu et al. 2024, section V). When nothing was decided (P = N = 0, as
        before the first labels) the highest, which is our decision.

    Raises
    ------
    HuntError
        alpha outside 0..1, or a count below 0.
    """
    check_alpha(alpha)
    if positives < 0 or negatives < 0:
        raise HuntError(f"a round cannot hold {positives} positives and {negatives} negatives")
    if positives == 0:
        return "highest"
    if negatives == 0:
        return "lowest"
    return "highest" if positives / negatives <= alpha else "lowest"


def propose(
    ranking: Ranking,
    candidates: np.ndarray,
    *,
    positives: int,
    negatives: int,
    alpha: float,
    page_size: int,
) -> RuledPage:
    """Choose the page of the next round.

    Parameters
    ----------
    ranking : Ranking
        Scores of all N objects.
    candidates : numpy.ndarray
        (N,) bool: unlabelled, primary and allowed by the hunt's filter.
    positives, negatives : int
        P and N of the latest round.
    alpha : float
        Threshold of `alpha_rule`; without effect while the ranking is by similarity.
    page_size : int
        How many to show; fewer when fewer are left.
    """
    ruled = alpha_rule(positives, negatives, alpha)
    direction: Direction = ruled if ranking.trained else "highest"
    rows = choose(ranking.order_scores, candidates, page_size, direction)
    return RuledPage(
        strategy=_strategy(ranking.trained, direction),
        rows=rows,
        scores=ranking.shown(rows),
        why=_why(ranking.trained, direction, positives, negatives, alpha)
        if len(rows)
        else "every object that this hunt may show has a label",
    )


def choose(scores: np.ndarray, candidates: np.ndarray, count: int, direction: Direction) -> np.ndarray:
    """Return the ``count`` candidates with the highest or lowest scores, (n,) int64; equal scores by row."""
    rows = np.flatnonzero(candidates)
    keys = scores[rows] if direction == "lowest" else -scores[rows]
    if 0 < count < len(rows):
        kept = keys <= np.partition(keys, count - 1)[count - 1]
        rows, keys = rows[kept], keys[kept]
    return rows[np.lexsort((rows, keys))][:count].astype(np.int64)


def check_alpha(alpha: float) -> None:
    """Raise HuntError unless alpha lies between 0 and 1."""
    if not 0.0 <= alpha <= 1.0:
        raise HuntError(f"alpha is {alpha}; it must lie between 0 and 1")


def _strategy(trained: bool, direction: Direction) -> Strategy:
    if not trained:
        return "similarity"
    return "rescorer-highest" if direction == "highest" else "rescorer-lowest"


def _why(trained: bool, direction: Direction, positives: int, negatives: int, alpha: float) -> str:
    if not trained:
        return "most similar to the positive examples: one of the classes has no label yet"
    if not positives and not negatives:
        return "highest scores: nothing was decided in the latest round"
    ratio = f"{positives / negatives:.3g}" if negatives else "infinite"
    if not positives:
        compared = "no positives"
    else:
        compared = f"{'not above' if direction == 'highest' else 'above'} alpha = {alpha:g}"
    return f"{direction} scores: P/N = {positives}/{negatives} = {ratio} in the latest round, {compared}"
