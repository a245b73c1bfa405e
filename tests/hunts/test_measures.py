"""Measures by brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.hunts.models.blend import chance_in_order
from discovery.hunts.simulation.measures import (
    area_loss,
    area_under_roc,
    average_precision,
    band,
    kinds_found,
    labels_needed,
    ndcg_at,
    precision_at,
    share_of_ideal,
)

tied_rankings = st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=60)
clicks = st.lists(st.booleans(), min_size=1, max_size=60).map(lambda found: np.array(found))


def arrays(lines: list[tuple[int, bool]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([line[0] for line in lines], np.float32), np.array([line[1] for line in lines])


@given(tied_rankings)
def test_areas_and_gain_by_brute_force(pairs: list[tuple[int, bool]]) -> None:
    scores, truth = arrays(pairs)
    if not truth.any():
        assert math.isnan(average_precision(scores, truth)) and math.isnan(ndcg_at(scores, truth, 5))
        assert math.isnan(area_under_roc(scores, truth))
        return
    steps = [(truth[scores >= cut].sum() / truth.sum(), truth[scores >= cut].mean()) for cut in sorted(set(scores), reverse=True)]
    recalls = [0.0, *(recall for recall, _ in steps)]
    area = sum((recall - before) * precision for (recall, precision), before in zip(steps, recalls, strict=False))
    assert average_precision(scores, truth) == pytest.approx(area)
    if truth.all():
        assert math.isnan(area_under_roc(scores, truth))
    else:
        above = scores[truth][:, None] - scores[~truth][None]
        assert area_under_roc(scores, truth) == pytest.approx(((above > 0) + 0.5 * (above == 0)).mean())
        assert chance_in_order(scores, truth) == pytest.approx(area_under_roc(scores, truth))
    mean_gain = np.array([truth[scores == score].mean() for score in np.sort(scores)[::-1]])  # of each place, by ties
    discounts = 1 / np.log2(np.arange(len(truth)) + 2)
    gained, best = (mean_gain * discounts)[:5].sum(), discounts[: min(5, truth.sum())].sum()
    assert ndcg_at(scores, truth, 5) == pytest.approx(gained / best)


def test_precision_by_hand() -> None:
    truth = np.array([True, False, True, False])
    assert precision_at(np.array([0.9, 0.8, 0.7, 0.1]), truth, 3) == pytest.approx(2 / 3)


@given(clicks)
def test_loss_of_a_whole_screening_is_that_of_asreview(found: np.ndarray) -> None:
    objects, targets = len(found), int(found.sum())
    ideal = targets * objects - targets * (targets - 1) / 2  # closed forms, in numbers of objects
    worst = targets * (targets + 1) / 2
    if ideal == worst:
        assert math.isnan(area_loss(found, targets, objects))
        return
    loss = area_loss(found, targets, objects)
    assert loss == pytest.approx((ideal - np.cumsum(found).sum()) / (ideal - worst))
    assert loss + area_loss(found[::-1], targets, objects) == pytest.approx(1)


def test_loss_of_a_hunt_that_ends_early() -> None:
    assert area_loss(np.array([1, 1, 0, 0], bool), 2, 100) == 0
    assert area_loss(np.zeros(4, bool), 2, 100) == 1
    assert area_loss(np.array([0, 1], bool), 5, 100) == pytest.approx(1 - 1 / 3)
    assert area_loss(np.array([0, 0, 1], bool), 2, 4) == pytest.approx((5 - 1) / (5 - 1))


@given(clicks, st.integers(0, 20), st.sampled_from([0.5, 0.8, 0.95, 1.0]))
def test_labels_needed_by_brute_force(found: np.ndarray, hidden: int, share: float) -> None:
    targets = int(found.sum()) + hidden
    counts = [n for n in range(1, len(found) + 1) if found[:n].sum() * 100 >= round(share * 100) * targets]
    assert labels_needed(found, targets, share) == (counts[0] if counts else math.inf)


def test_share_of_the_ideal_and_kinds_by_hand() -> None:
    found = np.array([True, False, True, True, False])
    assert share_of_ideal(found, 2, 3) == 1.0  # two of two
    assert share_of_ideal(found, 10, 4) == 0.75  # three of four labels
    assert math.isnan(share_of_ideal(found, 10, 6)) and math.isnan(share_of_ideal(found, 0, 3))
    assert kinds_found(np.array(["ring", "shell", "ring", ""]), np.array(["ring", "ring", ""])) == 0.5
    assert math.isnan(kinds_found(np.array(["", ""]), np.array([""])))


def test_band_holds_eight_tenths_of_the_seeds() -> None:
    median, low, high = band(np.arange(101)[:, None] * np.ones(3))
    assert median.tolist() == [50] * 3 and low.tolist() == [10] * 3 and high.tolist() == [90] * 3
