"""Choosers and sources: what they show, why they say so, and what they refuse."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from discovery.errors import HuntError
from discovery.hunts.candidates.sources import NearSource
from discovery.hunts.choosers import (
    DiverseChooser,
    ImprovementChooser,
    MixedChooser,
    ThompsonChooser,
    Turn,
    UncertainChooser,
)
from discovery.hunts.models.ranking import Ranking, TrainingSet
from discovery.hunts.simulation.simulate import ArrayEmbeddings, play_hunt
from discovery.hunts.strategies import CHOOSERS, MODELS, parse_strategy

COUNT = 300


def turn_of(vectors: np.ndarray, *, seed: int = 0, page_size: int = 20) -> Turn:
    candidates = np.ones(len(vectors), bool)
    candidates[:12] = False
    training = TrainingSet(positives=vectors[:4], negatives=vectors[4:12])
    return Turn(
        embeddings=ArrayEmbeddings(vectors),
        training=training,
        candidates=candidates,
        positives=2,
        negatives=6,
        page_size=page_size,
        seed=seed,
    )


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(COUNT, 8))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def ranking_of(scores: np.ndarray, spread: np.ndarray | None = None) -> Ranking:
    return Ranking(order_scores=scores.astype(np.float32), trained=True, model={"name": "made"}, spread=spread)


@pytest.mark.slow
@given(
    model=st.sampled_from(["pu", "gp", "similarity"]),
    chooser=st.sampled_from(sorted(CHOOSERS)),
    page_size=st.integers(1, 40),
    left=st.integers(1, 60),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=60, deadline=None)
def test_a_page_holds_candidates_once_and_a_reason_for_each(
    model: str, chooser: str, page_size: int, left: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(COUNT, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    turn = turn_of(vectors, seed=seed, page_size=page_size)
    candidates = np.zeros(COUNT, bool)
    candidates[12 + rng.permutation(COUNT - 12)[:left]] = True
    turn = dataclasses.replace(turn, candidates=candidates)
    strategy = parse_strategy(f"{'gp' if chooser in ('thompson', 'improvement') else model}+{chooser}")
    page = strategy.play(turn)
    assert len(page.rows) == len(set(page.rows.tolist())) == len(page.reasons) == min(page_size, left)
    assert candidates[page.rows].all() and page.why and page.did
    again = strategy.play(turn)
    assert np.array_equal(page.rows, again.rows) and page.reasons == again.reasons


def test_uncertain_shows_what_lies_at_the_boundary(vectors: np.ndarray) -> None:
    scores = np.linspace(-3, 5, COUNT)
    turn = turn_of(vectors)
    page = UncertainChooser().choose(turn, lambda: ranking_of(scores))
    candidates = np.flatnonzero(turn.candidates)
    nearest = candidates[np.argsort(np.abs(scores[candidates]))[:20]]
    assert set(page.rows.tolist()) == set(nearest.tolist()) and set(page.reasons) == {"uncertain"}
    wide = np.where(np.arange(COUNT) >= COUNT - 20, np.float32(1000), np.float32(0.1))
    page = UncertainChooser().choose(turn, lambda: ranking_of(scores, wide))
    assert set(page.rows.tolist()) == set(range(COUNT - 20, COUNT))


def test_diverse_shows_each_of_several_clusters() -> None:
    rng = np.random.default_rng(1)
    kind = np.arange(COUNT) % 5
    vectors = 4 * np.eye(8)[kind] + 0.1 * rng.normal(size=(COUNT, 8))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    turn = turn_of(vectors, page_size=10)
    scores = -kind - 0.001 * np.arange(COUNT)  # the highest are all of one kind
    top = parse_strategy("similarity+highest").chooser.choose(turn, lambda: ranking_of(scores))
    assert set(kind[top.rows]) == {0}
    page = DiverseChooser(pool=30, share=0.5).choose(turn, lambda: ranking_of(scores))
    assert set(kind[page.rows]) == {0, 1, 2, 3, 4} and {"likely", "diverse"} == set(page.reasons)


def test_mixed_fills_its_shares(vectors: np.ndarray) -> None:
    scores = np.linspace(-3, 5, COUNT)
    page = MixedChooser(uncertain=0.2, diverse=0.2, random=0.1).choose(turn_of(vectors), lambda: ranking_of(scores))
    counts = {reason: page.reasons.count(reason) for reason in set(page.reasons)}
    assert counts == {"likely": 10, "uncertain": 4, "diverse": 4, "random": 2}
    assert page.rows[:10].tolist() == list(range(COUNT - 1, COUNT - 11, -1))


def test_thompson_draws_from_what_is_possible(vectors: np.ndarray) -> None:
    scores, turn = np.linspace(0, 1, COUNT), turn_of(vectors)
    sure = ThompsonChooser().choose(turn, lambda: ranking_of(scores, np.full(COUNT, 1e-6, np.float32)))
    assert sure.rows.tolist() == list(range(COUNT - 1, COUNT - 21, -1)) and set(sure.reasons) == {"likely"}
    unsure = [
        ThompsonChooser()
        .choose(dataclasses.replace(turn, seed=seed), lambda: ranking_of(scores, np.full(COUNT, 10.0, np.float32)))
        .rows
        for seed in range(60)
    ]
    assert np.mean(unsure) == pytest.approx(np.mean(np.flatnonzero(turn.candidates)), rel=0.05)


def test_improvement_is_its_expectation(vectors: np.ndarray) -> None:
    rng = np.random.default_rng(2)
    scores, spread = rng.normal(size=COUNT), rng.uniform(0.1, 1.5, COUNT).astype(np.float32)
    turn = turn_of(vectors, page_size=10)
    page = ImprovementChooser().choose(turn, lambda: ranking_of(scores, spread))
    best = scores[:12].max()
    draws = scores + spread * rng.normal(size=(20_000, COUNT))
    expected = np.maximum(draws - best, 0).mean(axis=0)
    wanted = [row for row in np.argsort(-expected) if turn.candidates[row]][:10]
    assert len(set(page.rows.tolist()) & set(wanted)) >= 9


@pytest.mark.parametrize("chooser", ["thompson", "improvement"])
def test_what_needs_a_spread_says_so(vectors: np.ndarray, chooser: str) -> None:
    with pytest.raises(HuntError, match=f"{chooser} needs a model that knows how sure it is, and pu does not"):
        parse_strategy(f"pu+{chooser}").play(turn_of(vectors))


def test_near_shows_only_neighbours_of_the_positives(vectors: np.ndarray) -> None:
    turn = turn_of(vectors)
    kept = NearSource(count=50).candidates(turn)
    products = (vectors @ vectors[:4].T).max(axis=1)
    candidates = np.flatnonzero(turn.candidates)
    assert set(np.flatnonzero(kept)) == set(candidates[np.argsort(-products[candidates])[:50]])
    page = parse_strategy("chance+random@near:50").play(turn)
    assert kept[page.rows].all()


@pytest.mark.parametrize(
    ("text", "match"),
    [("auto@far:5", "no candidates are known as 'far:5'"), ("auto@near:x", "near:5000"), ("auto@near:0", "leaves nothing"), ("auto:3", "no number")],
)
def test_sources_are_read_from_text(text: str, match: str) -> None:
    assert parse_strategy("alpha:0.3@near:70").name == "alpha:0.3@near:70"
    assert parse_strategy("auto@near:70").describe(8)["source"] == {"name": "near", "count": 70}
    with pytest.raises(HuntError, match=match):
        parse_strategy(text)


@pytest.mark.slow
def test_every_model_plays_a_hunt(vectors: np.ndarray) -> None:
    truth = np.arange(COUNT) < 40
    shifted = vectors + truth[:, None] * np.eye(8, dtype=np.float32)[0]
    shifted /= np.linalg.norm(shifted, axis=1, keepdims=True)
    embeddings = ArrayEmbeddings(shifted)
    for model in MODELS:
        played = play_hunt(embeddings, truth, strategy=f"{model}+highest", examples=4, rounds=3, page_size=10)
        assert len(played.shown) == 30
        if model != "chance":
            assert played.found.sum() > 8, model
