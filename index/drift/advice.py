"""What to do about drift, by a rule."""

from __future__ import annotations

from collections.abc import Iterable

from index.drift.measures import PairMeasures, Shift
from index.drift.report import ConditionDrift, Verdict

GOOD_RECALL_AT_1, FAIR_RECALL_AT_10 = 0.9, 0.7
SMALL_SHIFT = 0.1
"""Of mean and covariance, in units of the spread; of the same objects half of that."""
LIKELY = 0.05
FOLLOWS = 0.3
"""Rank correlation from which a change counts as following a condition."""


def advice_on(
    shift: Shift | None, same: Shift | None, pairs: PairMeasures | None, conditions: Iterable[ConditionDrift]
) -> tuple[Verdict, str]:
    """Return the verdict and the advice in words.

    Where the same objects are seen twice they alone decide. ``move``: recall@1 is at least 0.9, or recall@10 is at least 0.7 and
    they only scatter, without a shift (of mean and covariance each: chance above 0.05, or at most 0.05 of the spread).
    ``check``: recall@10 is at least 0.7. Else ``retrain``.

    Without them: ``move`` where neither mean nor covariance differ more than random halves of the old release do (chance
    above 0.05), ``check`` where both shifts are at most 0.1 of the spread, else ``unknown``, for then the sky may differ as
    well as the instrument.

    Parameters
    ----------
    shift, same : Shift or None
        Of all objects, and of the same objects.
    """
    follows = _followed(conditions)
    if pairs is not None:
        if same is not None and pairs.recall_at_10 >= FAIR_RECALL_AT_10 and not _shifted(same, SMALL_SHIFT / 2):
            return "move", (
                f"The same objects scatter between the two as between any two looks at the sky ({pairs.recall_at_10:.0%} find themselves again "
                "among ten neighbours), and there is no shift: hunts may be moved as they are."
            )
        if pairs.recall_at_1 >= GOOD_RECALL_AT_1:
            return "move", f"Objects find themselves again ({pairs.recall_at_1:.0%} at the first place): hunts may be moved as they are."
        if pairs.recall_at_10 >= FAIR_RECALL_AT_10:
            return "check", (
                f"Most objects find themselves again among ten neighbours ({pairs.recall_at_10:.0%}), but not at the first place "
                f"({pairs.recall_at_1:.0%}): move hunts, then play a round on new objects before trusting their scores.{follows}"
            )
        return "retrain", (
            f"Only {pairs.recall_at_10:.0%} of the objects find themselves again among ten neighbours: scores of a moved hunt mean "
            f"little for new objects. Embed the whole new release on its own, or train the encoder further on its stamps.{follows}"
        )
    if shift is None:
        return "unknown", "There is too little to compare: nothing can be said."
    if not _shifted(shift, 0.0):
        return "move", "New embeddings differ from old ones no more than two halves of the old release do: hunts may be moved as they are."
    if not _shifted(shift, SMALL_SHIFT):
        return "check", "The shift is real but small: move hunts, then play a round on new objects before trusting their scores."
    return "unknown", (
        "The embeddings shifted, and without objects that both releases have it is not known whether the sky or the instrument "
        "changed: index some stamps of known objects with the new data and compare again before trusting moved hunts."
    )


def _shifted(shift: Shift, small: float) -> bool:
    """Return whether mean or covariance differ by more than chance, and by more than ``small``."""
    found = ((shift.mean, shift.mean_chance), (shift.covariance, shift.covariance_chance))
    return any(size > small and chance <= LIKELY for size, chance in found)


def _followed(conditions: Iterable[ConditionDrift]) -> str:
    known = [(abs(one.pairs.rank_correlation), one.name) for one in conditions if one.pairs is not None]
    strength, name = max(known, default=(0.0, ""))
    if strength < FOLLOWS:
        return ""
    return f" The change follows {name} (rank correlation {strength:.2f}): training with degraded stamps would teach the encoder to ignore it."
