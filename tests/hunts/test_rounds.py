"""The alpha rule and the choice of a page, as pure functions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.errors import HuntError
from discovery.hunts.alpha_rule import alpha_rule, choose, propose
from discovery.hunts.models.ranking import Ranking

PUBLISHED = {  # (P > 0, N > 0): answer at alpha = 0, 0 < alpha < 1, alpha = 1; "ratio" compares P/N
    (False, False): ("highest", "highest", "highest"),
    (False, True): ("highest", "highest", "highest"),
    (True, True): ("lowest", "ratio", "ratio"),
    (True, False): ("lowest", "lowest", "lowest"),
}


@pytest.mark.parametrize("alpha", ["0", "0.1", "0.25", "0.5", "0.75", "0.9", "1"])
def test_alpha_rule_is_the_published_table_for_every_page_of_twenty(alpha: str) -> None:
    column = {"0": 0, "1": 2}.get(alpha, 1)
    for positives in range(21):
        for negatives in range(21 - positives):
            expected = PUBLISHED[positives > 0, negatives > 0][column]
            if expected == "ratio":
                expected = "highest" if Fraction(positives, negatives) <= Fraction(alpha) else "lowest"
            assert alpha_rule(positives, negatives, float(alpha)) == expected


@pytest.mark.parametrize(
    ("positives", "negatives", "alpha"), [(1, 1, -0.1), (1, 1, 1.1), (1, 1, float("nan")), (-1, 1, 0.5)]
)
def test_alpha_rule_refuses_what_makes_no_sense(positives: int, negatives: int, alpha: float) -> None:
    with pytest.raises(HuntError):
        alpha_rule(positives, negatives, alpha)


@given(
    scores=st.lists(st.integers(-3, 3), min_size=1, max_size=40),
    mask=st.lists(st.booleans(), min_size=40, max_size=40),
    count=st.integers(1, 50),
    highest=st.booleans(),
)
def test_choose_equals_a_sort_of_the_candidates(
    scores: list[int], mask: list[bool], count: int, highest: bool
) -> None:
    candidates = np.array(mask[: len(scores)])
    sign = -1 if highest else 1
    wanted = sorted((sign * scores[row], row) for row in np.flatnonzero(candidates))[:count]
    chosen = choose(np.array(scores, np.float32), candidates, count, "highest" if highest else "lowest")
    assert chosen.tolist() == [row for _, row in wanted]


def test_similarity_always_shows_the_highest_and_the_rescorer_follows_the_rule() -> None:
    scores, everything = np.arange(10, dtype=np.float32), np.ones(10, bool)
    page = {"positives": 3, "negatives": 0, "alpha": 0.5, "page_size": 2}
    similar = propose(Ranking(order_scores=scores, trained=False, model={}), everything, **page)
    assert (similar.strategy, similar.rows.tolist()) == ("similarity", [9, 8])
    trained = propose(Ranking(order_scores=scores, trained=True, model={}), everything, **page)
    assert (trained.strategy, trained.rows.tolist()) == ("rescorer-lowest", [0, 1])
    assert "infinite" in trained.why and "0.5" in trained.why
    page |= {"positives": 1, "negatives": 4}
    trained = propose(Ranking(order_scores=scores, trained=True, model={}), everything, **page)
    assert (trained.strategy, trained.rows.tolist()) == ("rescorer-highest", [9, 8])
    np.testing.assert_allclose(trained.scores, 1 / (1 + np.exp(-np.array([9.0, 8.0]))), rtol=1e-6)
