"""Simulated hunts: they beat chance, follow the same rounds as real ones, and repeat themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from discovery.errors import HuntError
from discovery.hunts import LabelRequest, new_hunt
from discovery.hunts.rescorer import RescorerConfig
from discovery.hunts.simulate import ArrayEmbeddings, play_hunt

QUICK = RescorerConfig(hidden=64, steps=30)


@given(seed=st.integers(0, 2**31), rare=st.sampled_from([0.03, 0.1]))
@settings(max_examples=10, deadline=None)
def test_a_simulated_hunt_beats_random_order(seed: int, rare: float) -> None:
    rng = np.random.default_rng(seed)
    truth = np.arange(1000) < rare * 1000
    vectors = rng.normal(size=(1000, 16)) + 2.0 * truth[:, None] * rng.normal(size=16)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    played = play_hunt(ArrayEmbeddings(vectors), truth, seed=seed, alpha=1.0, config=QUICK)
    assert played.found.sum() > 2 * 100 * truth.mean()
    assert len(np.unique(np.concatenate([played.shown, played.examples]))) == 105


def test_random_order_finds_what_chance_says() -> None:
    truth = np.arange(1000) < 200
    found = [
        play_hunt(ArrayEmbeddings(np.eye(1000, 4)), truth, strategy="random", seed=seed).found.mean()
        for seed in range(40)
    ]
    assert np.mean(found) == pytest.approx(195 / 995, abs=0.02)


def test_a_real_hunt_answered_with_the_truth_is_the_simulated_one(
    release: Any, prompts: Callable, tmp_path: Path
) -> None:
    rows = np.flatnonzero(release.primary)  # all but the last
    truth = np.arange(len(rows)) < 40
    played = play_hunt(ArrayEmbeddings(release.vectors[rows]), truth, examples=3, rounds=3, alpha=0.5, seed=6)
    hunt = new_hunt(
        tmp_path / "x.hunt", release, positives=prompts(*played.examples), alpha=0.5, seed=6, who="ann"
    )
    for _ in range(
        2
    ):  # the release's extra row changes what is ordinary, so only the pages of similarity must agree
        shown = hunt.next_round("ann").rows.tolist()
        hunt.label_many(
            [LabelRequest(row=row, verdict="positive" if row < 40 else "negative") for row in shown],
            who="ann",
        )
    assert [state.row for state in sorted(hunt.labels().values(), key=lambda state: state.event)][
        :20
    ] == played.shown[:20].tolist()
    assert hunt.rounds()[0].strategy == played.strategies[0] == "similarity"


def test_a_hunt_ends_when_everything_is_labelled_and_repeats_itself() -> None:
    rng = np.random.default_rng(1)
    vectors, truth = rng.normal(size=(60, 8)), rng.random(60) < 0.3
    for strategy in ("rescorer", "similarity", "random"):
        one, other = (
            play_hunt(ArrayEmbeddings(vectors), truth, strategy=strategy, rounds=9, seed=2, config=QUICK)
            for _ in range(2)
        )
        assert len(one.shown) == 55 and one.found.sum() == truth.sum() - 5
        assert np.array_equal(one.shown, other.shown) and np.array_equal(one.ranking, other.ranking)


@pytest.mark.parametrize("options", [{"strategy": "wish"}, {"examples": 50}, {"negative_examples": 500}])
def test_what_cannot_be_played_is_refused(options: dict) -> None:
    with pytest.raises(HuntError):
        play_hunt(ArrayEmbeddings(np.eye(100, 4)), np.arange(100) < 20, **options)
    with pytest.raises(HuntError):
        play_hunt(ArrayEmbeddings(np.eye(100, 4)), np.ones(99, bool))
