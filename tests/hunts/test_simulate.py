"""Simulated hunts: they beat chance, follow the same rounds as real ones, and repeat themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from discovery.errors import HuntError
from discovery.hunts import LabelRequest, new_hunt
from discovery.hunts.models.rescorer import RescorerConfig
from discovery.hunts.simulation.simulate import ArrayEmbeddings, play_hunt
from discovery.search.prompts import prompt_from_row

QUICK = RescorerConfig(hidden=64, steps=30)


@pytest.mark.slow
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
    build_release: Callable, build_vectors: Callable, tmp_path: Path
) -> None:
    plain = build_release(tmp_path, "plain", build_vectors())
    truth = np.arange(400) < 40
    played = play_hunt(ArrayEmbeddings(plain.vectors), truth, examples=3, rounds=4, alpha=0.5, seed=6)
    prompts = [prompt_from_row(plain, row) for row in played.examples]
    hunt = new_hunt(tmp_path / "x.hunt", plain, positives=prompts, alpha=0.5, seed=6, include_flagged=True, who="ann")
    shown = []
    for _ in range(4):
        rows = hunt.next_round("ann").rows.tolist()
        hunt.label_many(
            [LabelRequest(row=row, verdict="positive" if truth[row] else "negative") for row in rows],
            who="ann",
        )
        shown += rows
    assert shown == played.shown.tolist()
    assert [round_.strategy for round_ in hunt.rounds()] == list(played.strategies)
    assert len(set(played.strategies)) > 1


def test_a_hunt_ends_when_everything_is_labelled_and_repeats_itself() -> None:
    rng = np.random.default_rng(1)
    vectors, truth = rng.normal(size=(60, 8)), rng.random(60) < 0.3
    for strategy in ("alpha", "similarity", "random"):
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
