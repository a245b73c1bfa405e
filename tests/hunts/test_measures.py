"""Measures against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from discovery.hunts.measures import average_precision, found_curve, precision_at


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=60))
def test_average_precision_equals_scikit_learn(lines: list[tuple[int, bool]]) -> None:
    scores, truth = np.array([line[0] for line in lines], np.float32), np.array([line[1] for line in lines])
    if not truth.any():
        assert np.isnan(average_precision(scores, truth))
        return
    assert average_precision(scores, truth) == pytest.approx(average_precision_score(truth, scores))


def test_precision_and_curve_by_hand() -> None:
    truth = np.array([True, False, True, False])
    assert precision_at(np.array([0.9, 0.8, 0.7, 0.1]), truth, 3) == pytest.approx(2 / 3)
    given_labels, found = found_curve(truth)
    assert given_labels.tolist() == [0, 1, 2, 3, 4] and found.tolist() == [0, 1, 1, 2, 2]
