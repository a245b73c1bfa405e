"""The simulator as a whole: strategies by name, sets, noise, processes, the verb with its JSON, table and picture."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from discovery.cli import main
from discovery.errors import HuntError, QueryError
from discovery.hunts.models.ranking import TrainingSet, rank
from discovery.hunts.models.rescorer import RescorerConfig
from discovery.hunts.simulation.sets import (
    HuntSet,
    read_set,
    resampled,
    set_of_release,
    truth_condition,
    write_set,
)
from discovery.hunts.simulation.simulate import ArrayEmbeddings, play_hunt
from discovery.hunts.simulation.simulator import SimulationConfig, simulate
from discovery.hunts.strategies import STRATEGIES, parse_strategy

pytestmark = pytest.mark.slow

QUICK = RescorerConfig(hidden=32, steps=10)


@pytest.fixture(scope="module")
def made(build_vectors: Callable) -> HuntSet:
    """400 objects, 40 targets of three kinds, 60 look-alikes."""
    rows = np.arange(400)
    return HuntSet(
        name="made",
        source="row < 40",
        object_ids=np.array([f"o{row}" for row in rows]),
        vectors=build_vectors(),
        truth=rows < 40,
        kinds=np.where(rows < 40, np.array(["a", "b", "c"])[rows % 3], ""),
        lookalikes=(rows >= 40) & (rows < 100),
    )


# -- strategies


def test_strategies_are_read_from_text() -> None:
    read = {text: parse_strategy(text, alpha=0.7) for text in ("alpha", "alpha:0.2", "top", "linear+alpha:0.9", "mlp+random")}
    assert [one.name for one in read.values()] == ["alpha:0.7", "alpha:0.2", "top", "linear+alpha:0.9", "mlp+random"]
    assert [one.model.name for one in read.values()] == ["mlp", "mlp", "mlp", "linear", "mlp"]
    assert [one.chooser.name for one in read.values()] == ["alpha", "alpha", "highest", "alpha", "random"]
    described = read["linear+alpha:0.9"].describe(256)
    assert described["chooser"] == {"name": "alpha", "alpha": 0.9} and described["multiplications_an_object"] == 256
    assert described["model"]["name"] == "linear" and described["subset"] is True


@pytest.mark.parametrize(
    ("text", "match"),
    [("wish", "alpha, top, similarity"), ("mlp+wish", "alpha, highest, uncertain"), ("top:0.5", "no number"), ("alpha:x", "'x'"), ("alpha:2", "between 0 and 1")],
)
def test_unknown_strategies_are_refused(text: str, match: str) -> None:
    with pytest.raises(HuntError, match=match):
        parse_strategy(text)


def test_similarity_and_mlp_are_the_hunts_own_and_score_a_subset(made: HuntSet) -> None:
    training = TrainingSet(positives=made.vectors[:6], negatives=made.vectors[200:215])
    for name in ("similarity", "mlp"):
        model = parse_strategy(f"{name}+highest", config=QUICK).model
        whole = model.rank(ArrayEmbeddings(made.vectors), training, seed=3).order_scores
        again = rank(ArrayEmbeddings(made.vectors), training, seed=3, config=QUICK, train=name == "mlp").order_scores
        assert np.array_equal(whole, again) and model.subset
    similarity = parse_strategy("similarity").model
    part = similarity.rank(ArrayEmbeddings(made.vectors[50:90]), training, seed=3).order_scores
    whole = similarity.rank(ArrayEmbeddings(made.vectors), training, seed=3).order_scores
    assert np.allclose(part, whole[50:90], atol=1e-6)


def test_the_linear_model_is_scikit_learns(made: HuntSet) -> None:
    training = TrainingSet(positives=made.vectors[:6], negatives=made.vectors[200:215])
    ranking = parse_strategy("linear").model.rank(ArrayEmbeddings(made.vectors), training, seed=3)
    centre = made.vectors.mean(axis=0)  # the whole set is fewer than the background
    inputs = (made.vectors - centre) / np.sqrt(((made.vectors - centre) ** 2).mean())
    oracle = LogisticRegression(class_weight="balanced", max_iter=2000, tol=1e-9)
    oracle.fit(np.concatenate([inputs[:6], inputs[200:215]]), np.arange(21) < 6)
    assert np.allclose(ranking.order_scores, oracle.decision_function(inputs), atol=1e-3)
    assert ranking.trained and ranking.model["name"] == "linear"


def test_every_strategy_plays_and_top_always_shows_the_highest(made: HuntSet) -> None:
    for strategy in (*STRATEGIES, "mlp+random", "linear+alpha:0"):
        played = play_hunt(
            ArrayEmbeddings(made.vectors), made.truth, strategy=strategy, negative_examples=3, rounds=3, page_size=8, config=QUICK
        )
        assert len(set(played.shown.tolist()) - set(played.examples.tolist())) == 24
        assert len(played.seconds) == 3 and (played.seconds >= 0).all()
        if strategy == "top":
            assert set(played.strategies) == {"mlp-highest"}
        if strategy == "linear+alpha:0":
            assert "rescorer-lowest" in played.strategies


def test_random_labels_need_no_examples(made: HuntSet) -> None:
    played = play_hunt(
        ArrayEmbeddings(made.vectors), made.truth, strategy="mlp+random", examples=0, rounds=1, page_size=100, config=QUICK
    )
    assert len(played.shown) == 100 and len(np.unique(played.ranking)) > 300
    with pytest.raises(HuntError, match="no example"):
        play_hunt(ArrayEmbeddings(made.vectors), made.truth, strategy="top", examples=0)


# -- wrong clicks


def test_noise_is_that_share_of_clicks_and_the_same_person_for_all(made: HuntSet) -> None:
    wrong: dict[int, bool] = {}
    share = []
    for strategy in ("random", "similarity"):
        for seed in range(6):
            played = play_hunt(
                ArrayEmbeddings(made.vectors), made.truth, strategy=strategy, noise=0.2, seed=seed, rounds=10, page_size=30
            )
            mistakes = played.answers != made.truth[played.shown]
            share.append(mistakes.mean())
            assert np.array_equal(played.found, made.truth[played.shown] & played.answers)
            for row, mistake in zip(played.shown.tolist(), mistakes.tolist(), strict=True):
                assert wrong.setdefault(row * 100 + seed, mistake) == mistake
    assert np.mean(share) == pytest.approx(0.2, abs=0.03)


@pytest.mark.parametrize("noise", [-0.01, 0.51, math.nan])
def test_noise_out_of_range_is_refused(noise: float) -> None:
    with pytest.raises(HuntError, match=r"between 0 and 0\.5"):
        SimulationConfig(noise=noise)


# -- sets


def test_a_condition_may_be_a_bare_word(release: Any) -> None:
    catalogue = release.catalogue
    assert truth_condition(catalogue, "truth_class=target") == "truth_class = 'target'"
    assert catalogue.where(truth_condition(catalogue, "TRUTH_CLASS = target")).sum() == 40
    for text in ("truth_class = 'target'", "mag_r < 18", "flag_star=true", "row=primary_row", "object_id=obj-row"):
        assert truth_condition(catalogue, text) == text
    with pytest.raises(QueryError, match="no column 'clas'"):
        truth_condition(catalogue, "clas=target")


def test_a_set_of_a_release_leaves_duplicates_out(release: Any) -> None:
    built = set_of_release(release, "truth_class=target", where="row < 300 or row = 399", kind="flag_star")
    assert len(built.truth) == 300 and built.targets == 40  # row 399 is row 0 again
    assert np.array_equal(built.vectors, release.vectors[:300])
    assert built.object_ids[7] == "obj-0007" and set(built.kinds.tolist()) == {"True", "False"}


def test_resampling_gives_the_stated_prevalence(made: HuntSet) -> None:
    for prevalence, targets, objects in ((0.02, 7, 367), (0.5, 40, 80)):
        drawn = resampled(made, prevalence, seed=3)
        assert (drawn.targets, len(drawn.truth)) == (targets, objects)
        places = [int(name[1:]) for name in drawn.object_ids]
        assert places == sorted(set(places)) and np.array_equal(drawn.vectors, made.vectors[places])
    assert resampled(made, 0.1, objects=100).targets == 10
    with pytest.raises(HuntError, match="40 and 360"):
        resampled(made, 0.5, objects=200)


def test_a_set_survives_a_file(made: HuntSet, tmp_path: Path) -> None:
    write_set(tmp_path / "made.npz", made)
    read = read_set(tmp_path / "made.npz")
    assert np.allclose(read.vectors, made.vectors, atol=1e-3) and read.source == "row < 40"
    for name in ("object_ids", "truth", "kinds", "lookalikes"):
        assert np.array_equal(getattr(read, name), getattr(made, name))
    np.savez(tmp_path / "poor.npz", embeddings=made.vectors, object_id=made.object_ids)
    (tmp_path / "no.npz").write_text("no")
    for name, match in (("poor", "lacks the array truth"), ("no", "cannot be read"), ("absent", "cannot be read")):
        with pytest.raises(HuntError, match=match):
            read_set(tmp_path / f"{name}.npz")


# -- many hunts


def test_the_measures_are_those_of_the_hunts_played_one_by_one(made: HuntSet) -> None:
    config = SimulationConfig(strategies=("similarity", "random"), examples=(3, 5), rounds=6, page_size=10, seeds=3)
    simulation = simulate(made, config, jobs=1)
    assert [(one.strategy, one.examples) for one in simulation.results] == [
        ("similarity", 3), ("similarity", 5), ("random", 3), ("random", 5)
    ]  # fmt: skip
    assert (simulation.objects, simulation.targets, simulation.kinds, simulation.lookalikes) == (400, 40, 3, 60)
    result = simulation.results[1]
    hunts = [
        play_hunt(ArrayEmbeddings(made.vectors), made.truth, strategy="similarity", examples=5, rounds=6, page_size=10, seed=seed)
        for seed in range(3)
    ]
    found = np.array([np.cumsum(hunt.found) for hunt in hunts])
    assert result.curve["median"][1:] == np.median(found, axis=0).tolist() and result.curve["labels"][-1] == 60
    assert [game.found[1:] for game in result.games] == found.tolist()
    assert result.measures["share_of_ideal_50"].median == np.median(found[:, 49] / 35)
    assert math.isnan(result.measures["share_of_ideal_100"].median)  # only 60 labels were given
    never = [sorted(set(range(400)) - set(hunt.shown.tolist()) - set(hunt.examples.tolist())) for hunt in hunts]
    for at, hunt in enumerate(hunts):
        best = sorted(never[at], key=lambda row, hunt=hunt: (-hunt.ranking[row], row))[:20]
        assert result.games[at].measures["precision_20"] == np.mean([row < 40 for row in best])
    assert result.measures["kinds_found"].median == 1.0
    assert simulation.results[3].measures["labels_for_95"].median == math.inf


def test_processes_give_what_one_gives(made: HuntSet) -> None:
    config = SimulationConfig(strategies=("alpha", "similarity"), rounds=2, page_size=10, seeds=2)
    one, two = simulate(made, config, jobs=1), simulate(made, config, jobs=2)
    for left, right in zip(one.results, two.results, strict=True):
        for game, other in zip(left.games, right.games, strict=True):
            game.measures.pop("seconds_a_round"), other.measures.pop("seconds_a_round")
            np.testing.assert_equal(asdict(game), asdict(other))  # nan equals nan there


# -- the verb


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, release: Any, capsys: pytest.CaptureFixture, tmp_path: Path) -> Callable[..., str]:
    """Run ``discovery hunt simulate`` on the small release; returns what it printed."""
    monkeypatch.setattr("discovery.release.release.open_release", lambda path, survey_roots=None: release)
    monkeypatch.chdir(tmp_path)

    def called(*words: str, status: int = 0) -> str:
        assert main(["hunt", "simulate", "small", "--jobs", "1", *words]) == status
        out, err = capsys.readouterr()
        if status:
            (err,) = [line for line in err.splitlines() if line.startswith("discovery: error: ")]
            assert out == ""
        return err if status else out

    return called


def test_the_verb_writes_json_and_a_picture_and_prints_a_table(run: Callable, tmp_path: Path) -> None:
    words = ["--truth", "truth_class=target", "--strategy", "alpha:0.9", "similarity", "--examples", "3", "5", "--rounds", "2"]
    words += ["--seeds", "2"]
    text = run(*words, "--noise", "0.05", "--kind", "mag_r", "--out", "a.json", "--plot", "a.png")
    assert "40 targets among 399 objects, a prevalence of 10 %" in text and "5 % wrong clicks" in text
    assert [line.split()[:2] for line in text.splitlines()[3:7]] == [
        ["alpha:0.9", "3"], ["alpha:0.9", "5"], ["similarity", "3"], ["similarity", "5"]
    ]  # fmt: skip
    document = json.loads((tmp_path / "a.json").read_bytes())
    assert len(document["simulation"]["results"]) == 4 and document["simulation"]["config"]["noise"] == 0.05
    assert document["simulation"]["results"][0]["measures"]["labels_for_95"]["median"] is None
    assert len(document["simulation"]["results"][0]["games"]) == 2 and document["simulation"]["kinds"] == 7
    assert (tmp_path / "a.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    printed = json.loads(run(*words, "--prevalence", "0.05", "--json"))
    assert printed["simulation"]["targets"] == 19 and printed["simulation"]["objects"] == 377


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["--truth", "truth_class=nothing"], "holds for none of 399"),
        (["--truth", "row >= 0"], "holds for all 399"),
        (["--truth", "truth_class=target", "--examples", "40"], "40 targets and 359 others are too few"),
        (["--truth", "truth_class=target", "--noise", "0.6"], "between 0 and 0.5"),
        (["--truth", "truth_class=target", "--strategy", "wish"], "alpha, top, similarity, linear, protege, random"),
        (["--truth", "truth_class ="], "not valid SQL"),
        (["--truth", "truth_class=target", "--kind", "colour"], "no column 'colour'"),
        (["--truth", "truth_class=target", "--where", "row < 0"], "holds for none of its 400"),
        (["--truth", "truth_class=target", "--seeds", "0"], "seeds is 0"),
        (["--truth", "truth_class=target", "--plot", "a.txt"], ".png"),
        (["--truth", "truth_class=target", "--out", "absent/a.json"], "absent"),
        (["--truth", "truth_class=target", "--objects", "50"], "--prevalence"),
        (["--truth", "truth_class=target", "--prevalence", "2"], "between 0 and 1"),
    ],
)
def test_what_cannot_be_simulated_is_one_line(run: Callable, words: list[str], match: str) -> None:
    assert match in run(*words, status=1)


# -- the bench


BENCH = """
title = "Small"
introduction = "Play it again."
strategies = ["similarity", "random"]
rounds = 2
seeds = 2

[[sets]]
name = "kept"
npz = "sets/made.npz"

[[sets]]
name = "drawn"
release = "small"
truth = "truth_class=target"
prevalence = 0.05
strategies = ["random"]
examples = [2, 3]
page_size = 5
"""


@pytest.fixture
def bench(run: Callable, made: HuntSet, tmp_path: Path, capsys: pytest.CaptureFixture) -> Callable[..., str]:
    """Run ``discovery hunt bench`` on a text; returns what it printed."""
    (tmp_path / "sets").mkdir()
    write_set(tmp_path / "sets" / "made.npz", made)

    def called(text: str, *words: str, status: int = 0) -> str:
        (tmp_path / "b.toml").write_text(text)
        assert main(["hunt", "bench", "b.toml", "--out", "out", "--jobs", "1", *words]) == status
        out, err = capsys.readouterr()
        if status:
            (err,) = [line for line in err.splitlines() if line.startswith("discovery: error: ")]
        return err if status else out

    return called


def test_a_bench_plays_its_sets_with_their_own_settings(bench: Callable, tmp_path: Path) -> None:
    text = bench(BENCH)
    document = json.loads((tmp_path / "out" / "bench.json").read_bytes())
    kept, drawn = document["simulations"]
    assert [(one["strategy"], one["examples"]) for one in kept["results"]] == [("similarity", 5), ("random", 5)]
    assert [(one["strategy"], one["examples"]) for one in drawn["results"]] == [("random", 2), ("random", 3)]
    assert (kept["objects"], kept["targets"], drawn["objects"], drawn["targets"]) == (400, 40, 377, 19)
    assert kept["config"]["page_size"] == 10 and drawn["results"][0]["curve"]["labels"][-1] == 10
    page = (tmp_path / "out" / "bench.md").read_text()
    assert {result["measures"]["share_of_ideal_50"]["median"] for result in kept["results"]} == {None}  # 20 labels
    areas = [result["measures"]["aupr"]["median"] for result in kept["results"]]
    assert f"| kept | 400 | 10 % | 5 | - | - / {areas[0]:.3f} | - / {areas[1]:.3f} |" in page
    for one in ("# Small", "Play it again.", "## kept", "## drawn", "a prevalence of 5.04 %", "![drawn](drawn.png)", "| similarity |"):
        assert one in page
    assert (tmp_path / "out" / "kept.png").is_file() and (tmp_path / "out" / "drawn.png").is_file()
    assert "kept: 40 targets among 400" in text and "drawn: 19 targets among 377" in text


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("seeds = 2", "seed = 2", "unknown field `seed`"),
        ("prevalence", "prevalance", "unknown field `prevalance`"),
        ("rounds = 2", 'rounds = "two"', "rounds"),
        ("rounds = 2", "rounds = 0", "rounds is 0"),
        ('"random"]\nrounds', '"wish"]\nrounds', "set kept: unknown strategy 'wish'"),
        ('npz = "sets/made.npz"', "", "either release or npz"),
        ('truth = "truth_class=target"', "", "needs a truth"),
        ('npz = "sets/made.npz"', 'npz = "sets/made.npz"\ntruth = "a=b"', "belong to a release"),
        ('npz = "sets/made.npz"', 'npz = "sets/gone.npz"', "gone.npz"),
        ('name = "drawn"', 'name = "kept"', "a name of its own"),
        ('name = "drawn"', 'name = "../drawn"', "a name of its own"),
        ("examples = [2, 3]", "examples = [19]", "19 targets and 358 others are too few"),
        ("title =", "= title", "invalid"),
    ],
)
def test_a_wrong_bench_file_is_one_line_and_plays_nothing(
    bench: Callable, tmp_path: Path, old: str, new: str, match: str
) -> None:
    assert old in BENCH and match.lower() in bench(BENCH.replace(old, new), status=1).lower()
    assert not (tmp_path / "out").exists()


def test_the_page_of_a_bench_may_stand_elsewhere(bench: Callable, tmp_path: Path) -> None:
    bench(BENCH.replace("rounds = 2", "rounds = 5"), "--page", "page.md")
    page = (tmp_path / "page.md").read_text()
    simulations = json.loads((tmp_path / "out" / "bench.json").read_bytes())["simulations"]
    found, chance = (result["measures"] for result in simulations[0]["results"])
    assert found["aupr"]["median"] is None  # similarity has found every target
    assert chance["aupr"]["median"] is not None
    cells = f"{found['share_of_ideal_50']['median']:.3f} / - | {chance['share_of_ideal_50']['median']:.3f} / {chance['aupr']['median']:.3f}"
    assert f"| kept | 400 | 10 % | 5 | 50 | {cells} |" in page
    assert "![kept](out/kept.png)" in page and not (tmp_path / "out" / "bench.md").exists()


def test_a_stopper_is_measured_and_negatives_are_named(made: HuntSet) -> None:
    kinds = np.where(made.truth, "", np.where(np.arange(len(made.truth)) % 2 == 0, "even", "odd"))
    hunt_set = dataclasses.replace(made, kinds=kinds)
    plain = SimulationConfig(strategies=("auto",), examples=(3,), rounds=6, page_size=10, seeds=2, stopper="dry:2")
    results = [
        simulate(hunt_set, config, jobs=1).results[0]
        for config in (plain, dataclasses.replace(plain, named_negatives=True))
    ]
    for result in results:
        for game in result.games:
            pages = np.diff(game.found)[: 10 * 6].reshape(6, 10).any(axis=1)
            dry = [at for at in range(1, 6) if not pages[at - 1 : at + 1].any()]
            stops = 10 * (dry[0] + 1) if dry else np.inf
            assert game.measures["stop_labels"] == stops
            if dry:
                assert game.measures["stop_recall"] == game.found[stops] / (hunt_set.targets - 3)
    rankings = [
        play_hunt(ArrayEmbeddings(made.vectors), made.truth, strategy="auto", rounds=2, negative_classes=names).ranking
        for names in (None, kinds)
    ]
    assert not np.array_equal(*rankings)
    with pytest.raises(HuntError, match="only be named where the set has kinds"):
        simulate(dataclasses.replace(made, kinds=None), dataclasses.replace(plain, named_negatives=True), jobs=1)
    with pytest.raises(HuntError, match="holds no control sample"):
        SimulationConfig(stopper="quantile:0.9")
