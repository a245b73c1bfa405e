"""When to stop a hunt, as pure pieces: each looks at what was labelled so far and says why to stop, or None.

``never``; ``dry:N``; ``hypergeometric:R`` and ``quantile:R`` for a requested recall R, both at 95 % confidence. The last needs a
control sample: the targets of a random sample, kept out of the hunt; a hunt's own audit gives intervals instead.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

import numpy as np

from discovery.errors import HuntError

CONFIDENCE = 0.95
NEVER = "never"
"""The stopper of a hunt that names none."""


@dataclass(frozen=True, kw_only=True, eq=False)
class History:
    """What a stopper may look at.

    Attributes
    ----------
    pages : sequence of numpy.ndarray
        (n,) bool each: the verdicts of a page in the order shown, True for a positive; the first page first.
    objects : int
        Objects that could have been shown altogether.
    control : sequence of bool
        Of each target of a random control sample, whether the hunt has found it by itself; empty without a sample.
    """

    pages: Sequence[np.ndarray]
    objects: int
    control: Sequence[bool] = field(default=())


class Stopper(Protocol):
    """Says why to stop, or None to go on."""

    name: ClassVar[str]

    def stop(self, history: History) -> str | None:
        """Return why to stop now; None to go on."""
        ...


@dataclass(frozen=True, kw_only=True)
class Never:
    """Goes on until nothing is left."""

    name: ClassVar[str] = NEVER

    def stop(self, history: History) -> str | None:
        """Return None."""
        return None


@dataclass(frozen=True, kw_only=True)
class Dry:
    """Stops after so many pages in a row without a positive."""

    name: ClassVar[str] = "dry"
    pages: int

    def __post_init__(self) -> None:
        """Refuse less than one page."""
        if self.pages < 1:
            raise HuntError(f"dry:{self.pages} stops before it starts; give at least 1 page")

    def stop(self, history: History) -> str | None:
        """Look at the last pages."""
        last = history.pages[-self.pages :]
        if len(last) < self.pages or any(page.any() for page in last):
            return None
        return f"no positive on the last {self.pages} pages"


@dataclass(frozen=True, kw_only=True)
class Hypergeometric:
    """Stops when missing the requested recall would make the latest labels' lack of positives unlikely.

    For every stretch of latest labels: had the objects left at its beginning held so many targets that the recall is still
    missed now, how likely would a random draw of the stretch's length find so few? Below 5 % for any stretch stops
    (Callaghan & Mueller-Hansen 2020, Systematic Reviews 9, 273). A ranking that still works finds more than a random
    draw, so that the rule is on the safe side; it takes the best of many stretches, which is not.
    """

    name: ClassVar[str] = "hypergeometric"
    recall: float

    def __post_init__(self) -> None:
        """Refuse a recall out of range."""
        _check_recall(self.name, self.recall)

    def stop(self, history: History) -> str | None:
        """Test every stretch that ends with the latest label."""
        from scipy.stats import hypergeom

        positive = np.concatenate([np.empty(0, dtype=bool), *history.pages])
        found = int(positive.sum())
        if not found or len(positive) > history.objects:
            return None
        least = math.floor(found / self.recall) + 1  # targets altogether, the fewest with which the recall is missed
        before = np.concatenate([[0], np.cumsum(positive)[:-1]])  # found before each stretch
        starts = np.arange(len(positive))
        left = history.objects - starts
        chance = hypergeom.cdf(found - before, left, np.minimum(least - before, left), len(positive) - starts)
        chance = np.where(least - before > left, 0.0, chance)
        if chance.min() >= 1 - CONFIDENCE:
            return None
        return f"a recall below {self.recall:g} has a chance of {chance.min():.2g} by the latest labels"


@dataclass(frozen=True, kw_only=True)
class Quantile:
    """Stops when enough targets of a control sample were found to be sure of the requested recall.

    Of r control targets the hunt must have found j, the smallest number that a hunt of lower recall reaches with a chance of
    at most 5 %: the binomial bound on the recall's quantile (Lewis, Yang & Frieder 2021, Certifying one-phase technology-
    assisted reviews, arXiv:2108.12746, rule QBCB; with all of r = 10 it is the target method of Cormack & Grossman 2016).
    """

    name: ClassVar[str] = "quantile"
    recall: float

    def __post_init__(self) -> None:
        """Refuse a recall out of range."""
        _check_recall(self.name, self.recall)

    def needed(self, control: int) -> int | None:
        """Return how many of the control targets must be found; None when so few can never suffice."""
        from scipy.stats import binom

        numbers = np.arange(1, control + 1)
        enough = numbers[binom.sf(numbers - 1, control, self.recall) <= 1 - CONFIDENCE]
        return int(enough[0]) if len(enough) else None

    def stop(self, history: History) -> str | None:
        """Count the control targets found."""
        needed, found = self.needed(len(history.control)), sum(map(bool, history.control))
        if needed is None or found < needed:
            return None
        return f"{found} of {len(history.control)} control targets found, {needed} tell of a recall of {self.recall:g}"


def parse_stopper(text: str) -> Stopper:
    """Return the stopper that a text names: never, dry:N, quantile:R or hypergeometric:R.

    Raises
    ------
    HuntError
        No such stopper, or a number that is missing, none, or out of range.
    """
    name, colon, value = text.strip().partition(":")
    if name not in STOPPERS:
        raise HuntError(f"unknown stopper {text!r}; choose never, dry:N, quantile:R or hypergeometric:R")
    if name == Never.name:
        if colon:
            raise HuntError(f"stopper {text!r}: never takes no number; leave out ':{value}'")
        return Never()
    return STOPPERS[name](text, value)


def _whole(text: str, value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise HuntError(f"stopper {text!r}: {value!r} is no whole number; write it like dry:3") from None


def _share(text: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise HuntError(f"stopper {text!r}: {value!r} is no number; write it like quantile:0.9") from None


def _check_recall(name: str, recall: float) -> None:
    if not 0.0 < recall < 1.0:
        raise HuntError(f"{name}:{recall:g} cannot be reached for sure; the recall must lie between 0 and 1")


STOPPERS: dict[str, Callable[[str, str], Stopper]] = {
    Never.name: lambda text, value: Never(),
    Dry.name: lambda text, value: Dry(pages=_whole(text, value)),
    Quantile.name: lambda text, value: Quantile(recall=_share(text, value)),
    Hypergeometric.name: lambda text, value: Hypergeometric(recall=_share(text, value)),
}
