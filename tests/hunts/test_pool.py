"""Rounds of a large release: candidate pools, exact engines, and what is recorded of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discovery.errors import HuntError
from discovery.hunts import LabelRequest, new_hunt, open_hunt
from discovery.hunts.candidates.nearby import Nearby
from discovery.hunts.candidates.pool import COMPARED, POOL, SEEDS, Subset, best_by_guide, drawn, seeds
from discovery.hunts.candidates.turn import Turn
from discovery.hunts.hunt import Hunt
from discovery.hunts.models import ranking
from discovery.hunts.models.blend import BlendModel
from discovery.hunts.models.logistic import fit_by_products, fit_logistic, left_out_by_products
from discovery.hunts.models.ranking import FittedScorer, TrainingSet
from discovery.hunts.provenance import provenance
from discovery.hunts.rounds.recorded_parts import packed_rows, unpacked_rows
from discovery.hunts.simulation.indexed_embeddings import IndexedEmbeddings
from discovery.hunts.simulation.simulate import ArrayEmbeddings, play_hunt
from discovery.hunts.strategies import parse_strategy
from discovery.search.prompts import prompt_from_row

pytestmark = pytest.mark.slow


@pytest.fixture
def start(tmp_path: Path, release: Any, prompts: Callable) -> Callable:
    """Start hunts from the rows 0, 1, 2 and one negative, pages of 10."""

    def started(name: str = "a", **options: Any) -> Hunt:
        examples = {"positives": prompts(0, 1, 2), "negatives": prompts(90)}
        return new_hunt(tmp_path / f"{name}.hunt", release, **examples, **{"who": "ann", "page_size": 10, "include_flagged": True, **options})

    return started


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every release count as large."""
    monkeypatch.setattr(ranking, "LARGE", 100)


def play(hunt: Hunt, rounds: int = 3) -> None:
    """Play rounds with the truth: rows below 40 are targets."""
    for _ in range(rounds):
        rows = hunt.next_round("ann").rows.tolist()
        hunt.label_many(
            [LabelRequest(row=row, verdict="positive" if row < 40 else "negative") for row in rows], who="ann"
        )


class Everything:
    """An engine by brute force."""

    def __init__(self, vectors: np.ndarray) -> None:
        self.vectors, self.asked = vectors, 0

    def top(self, scorer: FittedScorer, k: int, allowed: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        self.asked += 1
        scores = scorer.scores(self.vectors)
        rows = np.argsort(-scores, kind="stable")
        rows = (rows if allowed is None else rows[allowed[rows]])[:k]
        return rows, scores[rows]


@pytest.mark.parametrize("rule", ["auto", "linear", "similarity", "pu+highest", "blend+diverse"])
def test_the_page_of_a_pool_is_that_of_scoring_everything(start: Callable, rule: str) -> None:
    """The index is exact here, and these models grow along a direction: nothing may be missed."""
    whole, pooled = start("whole", strategy=f"{rule}@all"), start("pooled", strategy=f"{rule}@pool:110")
    play(whole)
    play(pooled)
    for one, other in zip(whole.rounds(), pooled.rounds(), strict=True):
        assert one.rows.tolist() == other.rows.tolist() and one.reasons == other.reasons
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-6)
        assert "source" not in one.parts["candidates"] and one.digest != other.digest
        source = other.parts["candidates"]["source"]
        assert source["name"] == "pool" and source["count"] == 110 and 10 <= source["objects"] < 300
        assert set(source["from"]) == {"model", "positives", "latest", "random"} and source["from"]["model"] == 55


@pytest.mark.parametrize("rule", ["auto", "alpha:0.2", "top", "blend+uncertain", "gp+thompson", "gp+improvement", "nearest+highest"])
def test_a_pooled_hunt_replays(start: Callable, release: Any, rule: str) -> None:
    hunt = start(strategy=f"{rule}@pool:60", seed=3)
    play(hunt)
    hunt.next_round("ann")
    again = open_hunt(hunt.path, release)
    assert [again.replay(number) for number in (1, 2, 3, 4)] == again.rounds()
    shown = np.concatenate([played.rows for played in again.rounds()])
    assert len(np.unique(shown)) == len(shown) == 40 and not {0, 1, 2, 90, 399} & set(shown.tolist())


@pytest.mark.usefixtures("large")
def test_large_releases_are_pooled_by_themselves_and_replay_by_their_record(
    start: Callable, release: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hunt = start()
    play(hunt, 2)
    by_rule = [played.parts["candidates"]["source"] for played in hunt.rounds()]
    assert [(one["name"], one["count"], one["from"]) for one in by_rule] == [("pool", POOL, {"all": 395}), ("pool", POOL, {"all": 385})]
    for rule in ("auto@all", "random", "blend+mixed", "spreading+highest"):
        hunt.set_strategy(rule, "ann")
        assert "source" not in hunt.prepare().round.parts["candidates"]
    monkeypatch.setattr(ranking, "LARGE", 10**9)
    assert [hunt.replay(number).parts["candidates"] for number in (1, 2)] == [
        played.parts["candidates"] for played in hunt.rounds()
    ]
    hunt.set_strategy("auto", "ann")
    assert "source" not in hunt.next_round("ann").parts["candidates"]
    (said,) = [fact.value for fact in provenance(hunt, hunt.ranking(), selection={}) if fact.name == "strategies"]
    assert [(one["rounds"], one["candidates"].get("source")) for one in said] == [
        ([1, 2], {"name": "pool", "count": POOL}),
        ([3, 3], None),
    ]


@pytest.mark.parametrize("rule", ["auto", "top", "alpha:0.01"])
def test_an_engine_gives_the_page_of_scoring_everything(
    start: Callable, release: Any, rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``alpha:0.01`` shows the lowest scores once there are positives."""
    whole, engine = start("whole", strategy=rule), Everything(release.vectors)
    play(whole)
    with pytest.raises(HuntError, match="needs an engine"):
        start("none", strategy=f"{rule}@exact:30").next_round("ann")
    play(open_hunt(start("exact", strategy=f"{rule}@exact:30").path, release, engine))
    exact = open_hunt(whole.path.with_name("exact.hunt"), release, engine)
    assert engine.asked >= 3 and [one.rows.tolist() for one in whole.rounds()] == [one.rows.tolist() for one in exact.rounds()]
    assert [exact.replay(number) for number in (1, 2, 3)] == exact.rounds()
    monkeypatch.setattr(ranking, "LARGE", 100)
    default = open_hunt(start("default", strategy=rule).path, release, engine).next_round("ann")
    assert default.parts["candidates"]["source"]["name"] == "exact" and default.rows.tolist() == whole.rounds()[0].rows.tolist()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("auto@pool:0", "no size of a candidate pool"),
        ("auto@exact:2000000", "no size of a candidate pool"),
        ("auto@pool:x", "no candidates are known"),
        ("auto@all:3", "no candidates are known"),
        ("auto@near", "no candidates are known"),
        ("random@pool", "needs every object"),
        ("spreading+highest@pool:50", "needs every object"),
        ("blend+mixed@exact", "needs every object"),
    ],
)
def test_sources_that_make_no_sense_are_refused(text: str, said: str) -> None:
    with pytest.raises(HuntError, match=said):
        parse_strategy(text)


def test_a_pool_needs_an_index(release: Any) -> None:
    vectors = release.vectors
    turn = Turn(
        embeddings=Subset(vectors),
        training=TrainingSet(positives=vectors[:3], negatives=vectors[90:92]),
        candidates=np.ones(len(vectors), bool),
        positives=0,
        negatives=0,
        page_size=10,
        seed=0,
    )
    with pytest.raises(HuntError, match="Subset has none"):
        parse_strategy("auto@pool:20").play(turn)


def test_two_stages_rank_the_best_of_the_pool_by_the_costly_model(
    start: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("discovery.hunts.strategies.SECOND_STAGE", 40 * 25 * 2048)  # 40 objects of 24 dimensions
    hunt = start(strategy="top@pool:150")
    play(hunt, 2)
    source = hunt.round().parts["candidates"]["source"]
    assert source["second_stage"] == 40 < source["objects"] and hunt.round().parts["ranker"]["name"] == "mlp"
    assert (hunt.round().rows < 40).sum() >= 5


@pytest.mark.parametrize("signs", [(1,), (1, -1)])
def test_labelled_objects_take_no_place_in_the_second_stage(release: Any, signs: tuple[int, ...]) -> None:
    """Half of the pool is labelled, and the best half: only the best labels stay, to compare with."""
    pool = release.vectors[:120]
    guide = BlendModel().learn(release, TrainingSet(positives=pool[:10], negatives=release.vectors[200:210]), 0)
    scores = guide.scorer.scores(pool)
    order = np.argsort(-scores)
    candidates = np.ones(120, bool)
    candidates[order[:60]] = False
    kept = best_by_guide(pool, guide, 30, signs, candidates)
    best = [order[60:90]] if signs == (1,) else [order[60:75], order[-15:]]
    assert set(kept[candidates[kept]].tolist()) == set(np.concatenate(best).tolist())
    assert set(kept[~candidates[kept]].tolist()) == set(order[:COMPARED].tolist()) and (np.diff(kept) > 0).all()
    assert best_by_guide(pool, guide, 120, signs, candidates).tolist() == list(range(120))


def test_the_releases_own_engine_plays_a_hunt(
    tmp_path: Path, build_release: Callable, build_vectors: Callable
) -> None:
    """With `discovery.release.neighbours.exact.ExactEngine` on shards of float16, as a release holds them."""
    from discovery.release.manifest import Shard
    from discovery.release.neighbours.exact import ExactEngine
    from discovery.release.shards import EmbeddingShards

    stored = build_vectors().astype("<f2")
    (tmp_path / "one.f16").write_bytes(stored.tobytes())
    shards = EmbeddingShards(tmp_path, [Shard(file="one.f16", start=0, stop=len(stored), rows=len(stored), sha256="")], stored.shape[1])
    release = build_release(tmp_path, "rounded", shards.take(np.arange(len(stored))))
    pages = []
    for name, rule in (("whole", "auto@all"), ("scanned", "auto@exact:40")):
        made = new_hunt(
            tmp_path / f"{name}.hunt", release, positives=[prompt_from_row(release, 3)], strategy=rule, page_size=10, who="ann"
        )
        hunt = open_hunt(made.path, release, ExactEngine(shards, "cpu"))
        play(hunt)
        pages.append([played.rows.tolist() for played in hunt.rounds()])
    assert pages[0] == pages[1]


@pytest.mark.parametrize("rule", ["auto", "linear", "similarity", "top"])
def test_an_engine_runs_a_scorer_as_the_module_that_it_is(release: Any, rule: str) -> None:
    import torch

    from discovery.hunts.candidates.pool import reversed_scorer

    training = TrainingSet(positives=release.vectors[:5], negatives=release.vectors[100:105])
    scorer = parse_strategy(rule).model.learn(release, training, 0).scorer
    for one in (scorer, reversed_scorer(scorer)):
        module = one.to_torch()
        scores = module(torch.from_numpy(release.vectors)).numpy()
        np.testing.assert_allclose(scores, one.scores(release.vectors), atol=1e-4 * np.ptp(scores))
    assert module(torch.from_numpy(release.vectors[:1])).shape == (1,)


def test_neighbours_are_asked_for_once(release: Any) -> None:
    class Counting(ArrayEmbeddings):
        asked = 0

        def nearest_many(self, vectors: np.ndarray, k: int, allowed: np.ndarray | None = None) -> Any:
            self.asked += len(vectors)
            return super().nearest_many(vectors, k, allowed)

    embeddings = Counting(release.vectors)
    nearby = Nearby(embeddings)
    first = nearby.neighbours(release.vectors[:20], 5)
    assert embeddings.asked == 20 and np.array_equal(nearby.neighbours(release.vectors[:20], 5), first)
    more = nearby.neighbours(release.vectors[10:30], 5)
    products = release.vectors[10:30] @ release.vectors.T
    assert embeddings.asked == 30 and more.tolist() == np.unique(np.argsort(-products, axis=1)[:, :5]).tolist()


def test_neighbours_are_kept_within_bounds_of_their_rows(release: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("discovery.hunts.candidates.nearby.MOST_KEPT", 1000)
    nearby = Nearby(release)
    for number, k in ((0, 100), (1, 100), (2, 100), (3, 100), (4, 100), (5, 200), (6, 200), (7, 300), (8, 5)):
        found = nearby.neighbours(release.vectors[number : number + 1], k)
        expected = np.argsort(-(release.vectors @ release.vectors[number]), kind="stable")[:k]
        assert len(np.intersect1d(found, expected)) >= k - 1
        assert sum(len(rows) for rows in nearby._kept.values()) <= 1000
    assert [k for _, k in nearby._kept] == [200, 300, 5]


def test_seeds_are_few_and_most_of_them_stay(release: Any) -> None:
    few, more = seeds(release.vectors[:30]), seeds(release.vectors[:40])
    assert len(few) == len(more) == SEEDS and len(seeds(release.vectors[:3])) == 3
    kept = sum(any(np.array_equal(one, other) for other in more) for one in few)
    assert kept >= SEEDS - 4 and np.array_equal(seeds(release.vectors[:30][::-1]), few)


@pytest.mark.parametrize("share", [1.0, 0.3, 0.01])
def test_random_candidates_are_drawn_evenly_from_what_may_be_shown(share: float) -> None:
    candidates = np.random.default_rng(0).random(4000) < share
    rows = [drawn(candidates, 20, seed) for seed in range(400)]
    assert all(len(np.unique(some)) == 20 and candidates[some].all() for some in rows)
    assert np.array_equal(rows[3], drawn(candidates, 20, 3)) and not np.array_equal(rows[3], rows[4])
    counts = np.bincount(np.concatenate(rows), minlength=4000)[candidates]
    expected = 8000 / candidates.sum()
    assert abs(np.mean((counts - expected) ** 2) / expected - (1 - 20 / candidates.sum())) < 0.35


def test_a_fit_by_products_is_the_fit(monkeypatch: pytest.MonkeyPatch, release: Any) -> None:
    rng = np.random.default_rng(2)
    inputs, targets = rng.standard_normal((40, 60)), (np.arange(40) < 9).astype(float)
    weights = rng.uniform(0.2, 3.0, 40)
    plain, products = fit_logistic(inputs, targets, weights, 0.7), inputs @ inputs.T
    dual = fit_by_products(products, targets, weights, 0.7)
    np.testing.assert_allclose(inputs.T @ dual.coefficients, plain.weights, atol=1e-4 * np.abs(plain.weights).max())
    assert dual.bias == pytest.approx(plain.bias, abs=1e-3)
    left_out = left_out_by_products(products, dual, targets, weights, 0.7)
    np.testing.assert_allclose(left_out, plain.left_out, atol=1e-3 * np.abs(plain.left_out).max())
    again = fit_by_products(products, targets, 1.1 * weights, 0.7, dual)
    np.testing.assert_allclose(again.logits, fit_by_products(products, targets, 1.1 * weights, 0.7).logits, atol=1e-3)

    training = TrainingSet(positives=release.vectors[:12], negatives=release.vectors[100:130])
    slow = BlendModel().learn(release, training, 1)
    monkeypatch.setattr(ranking, "LARGE", 100)
    monkeypatch.setattr("discovery.hunts.models.positive_unlabelled.DUAL_UPTO", 100.0)
    quick = BlendModel().learn(release, training, 1)
    np.testing.assert_allclose(slow.scorer.scores(release.vectors), quick.scorer.scores(release.vectors), atol=1e-4)
    assert quick.calibration == pytest.approx(slow.calibration, rel=1e-3)


def test_an_inverted_file_misses_few_neighbours_and_a_hunt_through_it_few_targets() -> None:
    rng = np.random.default_rng(1)
    centres = rng.standard_normal((30, 16))
    vectors = (centres[rng.integers(0, 30, 4000)] + 0.7 * rng.standard_normal((4000, 16))).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    embeddings = IndexedEmbeddings(vectors)
    visited, cells = embeddings.cells
    assert 0.95 <= embeddings.recall < 1 and visited < cells / 4
    exact, _ = ArrayEmbeddings(vectors).nearest_many(vectors[5:25], 100)
    found, similarity = embeddings.nearest_many(vectors[5:25], 100)
    shares = [len(np.intersect1d(one, other)) / 100 for one, other in zip(exact, found, strict=True)]
    assert 0.85 < np.mean(shares) < 1 and (np.diff(similarity, axis=1) <= 1e-6).all()
    allowed = np.arange(4000) % 3 == 0
    rows, _ = embeddings.nearest_many(vectors[:4], 50, allowed)
    assert allowed[rows].all()
    direction = rng.standard_normal(16)
    truth = vectors @ direction > np.quantile(vectors @ direction, 0.97)
    played = [
        play_hunt(embeddings, truth, strategy=rule, rounds=5, page_size=10, seed=2) for rule in ("auto", "auto@pool:200")
    ]
    whole, pooled = (int(one.found.sum()) for one in played)
    assert pooled >= 0.9 * whole > 20
    with pytest.raises(HuntError, match="is none; give"):
        IndexedEmbeddings(vectors[:100])


def test_many_rows_that_are_left_out_are_packed() -> None:
    rows = np.sort(np.random.default_rng(0).choice(10**6, 20_000, replace=False))
    packed = packed_rows(rows)["without_packed"]
    assert len(packed) < 40_000 * 1.5 and np.array_equal(unpacked_rows(packed, 10**6), rows)
    assert packed_rows(rows[:5]) == {"without_rows": rows[:5].tolist()}
    for count in (10**3, 19_999):
        with pytest.raises(ValueError, match=r"rows|list"):
            unpacked_rows(packed, count)
    with pytest.raises(ValueError, match=r".+"):
        unpacked_rows("bm8gbGlzdA==", 100)


def test_a_record_of_a_pool_that_nobody_wrote_is_refused(start: Callable, release: Any) -> None:
    import sqlite3

    hunt = start(strategy="auto@pool:60")
    hunt.next_round("ann")
    parts = hunt.round().parts
    for name, count in (("pool", 0), ("pool", 10**9), ("all", 5)):
        parts["candidates"]["source"] |= {"name": name, "count": count}
        with sqlite3.connect(hunt.path) as connection:
            connection.execute("UPDATE rounds SET parts = ?", (json.dumps(parts),))
        connection.close()
        with pytest.raises(HuntError, match="not known to this version"):
            open_hunt(hunt.path, release).replay(1)
