"""Stoppers: each against what its source says, computed another way."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from discovery.errors import HuntError
from discovery.hunts.stoppers import Dry, History, Hypergeometric, Never, Quantile, parse_stopper


def history(*pages: list[int], objects: int = 1000, control: tuple[bool, ...] = ()) -> History:
    return History(pages=[np.array(page, dtype=bool) for page in pages], objects=objects, control=control)


def test_never_goes_on_and_dry_waits_for_pages_without_a_positive() -> None:
    pages = ([1, 0], [0, 0], [0, 0])
    assert parse_stopper("never").stop(history(*pages)) is None
    assert parse_stopper("dry:3").stop(history(*pages)) is None
    assert parse_stopper("dry:2").stop(history(*pages)) == "no positive on the last 2 pages"
    assert parse_stopper("dry:2").stop(history(*pages, [0, 1])) is None
    assert parse_stopper("dry:1").stop(history()) is None


def test_the_control_sample_bounds_the_recall_by_the_binomial() -> None:
    # 14 of 14 is the smallest sample that can certify a recall of 0.8: 0.8^13 = 0.055, 0.8^14 = 0.044
    rule = Quantile(recall=0.8)
    assert rule.needed(13) is None and rule.needed(14) == 14
    for size in (20, 30, 50):
        needed = rule.needed(size)
        assert needed is not None

        def chance(least: int, size: int = size) -> float:
            return sum(math.comb(size, k) * 0.8**k * 0.2 ** (size - k) for k in range(least, size + 1))

        assert chance(needed) <= 0.05 < chance(needed - 1)
    found = (True,) * 14
    assert rule.stop(history([1], control=found)) == "14 of 14 control targets found, 14 tell of a recall of 0.8"
    assert rule.stop(history([1], control=(*found[1:], False))) is None
    assert rule.stop(history([1])) is None


@given(st.lists(st.booleans(), min_size=1, max_size=30), st.integers(0, 20), st.sampled_from([0.5, 0.8, 0.95]))
@settings(deadline=None, max_examples=60)
def test_the_hypergeometric_rule_tests_every_stretch(said: list[bool], more: int, recall: float) -> None:
    objects, found = len(said) + more, sum(said)

    def at_most(count: int, left: int, targets: int, drawn: int) -> float:
        ways = [math.comb(targets, k) * math.comb(left - targets, drawn - k) for k in range(min(count, drawn) + 1)]
        return sum(ways) / math.comb(left, drawn)

    chances = []
    least = next(total for total in range(10_000) if found / max(total, 1) < recall and total >= found)
    for start in range(len(said)):
        before, left, drawn = sum(said[:start]), objects - start, len(said) - start
        chances.append(0.0 if least - before > left else at_most(found - before, left, least - before, drawn))
    stopped = Hypergeometric(recall=recall).stop(history([int(one) for one in said], objects=objects))
    assert (stopped is not None) == (found > 0 and min(chances) < 0.05)


@pytest.mark.slow
def test_the_hypergeometric_rule_stops_a_finished_hunt_and_no_early_one() -> None:
    rule, rng = Hypergeometric(recall=0.9), np.random.default_rng(0)
    assert rule.stop(history([1] * 10, objects=1000)) is None
    missed = 0
    for _ in range(100):
        said = rng.permutation(np.arange(1000) < 50)  # a hunt without any skill
        pages, stopped = [], None
        while stopped is None and len(pages) < 50:
            pages.append(said[20 * len(pages) : 20 * len(pages) + 20])
            stopped = rule.stop(History(pages=pages, objects=1000))
        missed += int(np.concatenate(pages).sum()) < 45
    assert missed <= 20
    assert rule.stop(history([1] * 50 + [0] * 900, objects=1000)) is not None


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("sometimes", "unknown stopper"),
        ("dry", "no whole number"),
        ("dry:0", "at least 1 page"),
        ("dry:two", "no whole number"),
        ("never:3", "takes no number"),
        ("quantile", "no number"),
        ("quantile:1", "between 0 and 1"),
        ("hypergeometric:-1", "between 0 and 1"),
        ("quantile:nan", "between 0 and 1"),
    ],
)
def test_what_names_no_stopper_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(HuntError, match=complaint):
        parse_stopper(text)


def test_names_are_read() -> None:
    assert parse_stopper(" dry:4 ") == Dry(pages=4)
    assert parse_stopper("quantile:0.9") == Quantile(recall=0.9)
    assert parse_stopper("hypergeometric:0.8") == Hypergeometric(recall=0.8)
    assert parse_stopper("never") == Never()
