"""The active rule: its properties, and an example by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.finetuning.multitask.active import picture_quality, shares, smoothed

QUALITY = st.floats(0, 1)
STANDINGS = st.dictionaries(st.sampled_from(["classification", "restoration", "reconstruction"]), QUALITY, min_size=1)


def test_the_rule_by_hand():
    told = shares({"classification": 0.8, "restoration": 0.3, "reconstruction": 0.97})
    assert told == pytest.approx({"classification": 0.2, "restoration": 0.7, "reconstruction": 0.1})
    assert picture_quality(33.0, 31.0) == pytest.approx(0.2)
    assert smoothed(None, 0.4) == 0.4
    assert smoothed(0.4, 0.8) == pytest.approx(0.6)


@given(STANDINGS)
def test_shares_sum_to_one_and_none_vanishes(qualities):
    told = shares(qualities)
    assert told.keys() == qualities.keys()
    assert sum(told.values()) == pytest.approx(1)
    assert min(told.values()) >= 0.1 / (0.1 + len(told) - 1) - 1e-12


@given(STANDINGS)
def test_the_weaker_task_gets_no_smaller_share(qualities):
    told = shares(qualities)
    for one in told:
        for other in told:
            if qualities[one] < qualities[other]:
                assert told[one] >= told[other]
                if qualities[one] < 0.9:
                    assert told[one] > told[other] or qualities[other] - qualities[one] < 1e-12


@given(STANDINGS)
def test_equally_good_tasks_share_equally(qualities):
    level = shares(dict.fromkeys(qualities, 0.5))
    assert set(level.values()) == {1 / len(level)}


@given(st.floats(0, 60), st.floats(0, 60))
def test_a_picture_quality_is_a_share_of_ten_decibels(psnr, entered):
    quality = picture_quality(psnr, entered)
    assert 0 <= quality <= 1
    assert (quality == 0) == (psnr <= entered) or abs(psnr - entered) < 1e-9
    assert (quality == 1) == ((psnr - entered) / 10 >= 1)


@given(QUALITY, QUALITY)
def test_a_running_quality_moves_half_of_the_way(before, now):
    assert abs(smoothed(before, now) - now) == pytest.approx(abs(before - now) / 2, abs=1e-12)
