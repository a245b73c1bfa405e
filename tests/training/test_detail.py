"""The table of detail: targets, what is ranked, and figures that can be worked out by hand."""

import json
import shutil
import zipfile

import cv2
import numpy as np
import pytest

from discovery.cli import main
from discovery.encoders.encoder import load_encoder
from discovery.errors import ConfigError
from training.data.stamps import load_stamps
from training.evaluation.detail import (
    Case,
    DetailTarget,
    all_labels,
    case_of,
    detail,
    from_examples,
    linear_scores,
    surveys_of,
)

pytestmark = pytest.mark.slow


def target(**changes):
    return DetailTarget(**{"name": "kinds", "surveys": {"SURVEY": "labels.csv"}, "column": "kind", "value": "edge_on", **changes})


def test_a_target_says_which_stamps_are_such():
    bars = target(value=None, column="bar", high=0.5, missing=-1)
    assert bars.truth([0.5, 0.25, -1, None, 1.0]).tolist() == [1, 0, -1, -1, 1]
    lenses = target(value=None, column="grade", high=2.0, low=1.3)
    assert lenses.truth([2.0, 1.5, 1.0]).tolist() == [1, -1, 0]
    assert target().truth(["edge_on", "round", None]).tolist() == [1, 0, -1]


def test_only_held_out_stamps_are_ranked_unless_nothing_was_learned(survey, cache):
    stamps = load_stamps(str(survey), cache)
    surveys = {survey.name: stamps}
    seen = case_of(target(surveys={survey.name: "labels.csv"}), surveys, survey)
    assert len(seen.truth) == 120 and (seen.ranked == ~stamps.trains).all()
    assert case_of(target(surveys={survey.name: "labels.csv"}, transfer=True), surveys, survey).ranked.all()
    with pytest.raises(ConfigError, match="0 of"):
        case_of(target(surveys={survey.name: "labels.csv"}, value="ring"), surveys, survey)
    with pytest.raises(ConfigError, match="no column 'halo'"):
        case_of(target(surveys={survey.name: "labels.csv"}, column="halo"), surveys, survey)


def two_heaps(count=200, share=0.1, apart=1.0):
    rng = np.random.default_rng(0)
    truth = rng.random(count) < share
    vectors = rng.normal(size=(count, 6)) + apart * truth[:, None] * np.array([3, 0, 0, 0, 0, 0])
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), truth


def test_examples_find_a_heap_and_not_noise():
    vectors, truth = two_heaps(apart=3.0)
    assert from_examples(vectors, truth, seed=0) > 0.9
    vectors, truth = two_heaps(apart=0.0)
    assert np.mean([from_examples(vectors, truth, seed) for seed in range(20)]) < 0.25


def test_a_prevalence_thins_the_targets():
    vectors, truth = two_heaps(count=2000, share=0.5, apart=0.0)
    found = [from_examples(vectors, truth, seed, prevalence=0.02) for seed in range(5)]
    assert np.mean(found) < 0.1


def test_a_linear_model_learns_from_other_stamps_than_it_scores():
    vectors, truth = two_heaps(apart=3.0)
    train, test = np.arange(100), np.arange(100, 200)
    scores = linear_scores(vectors, truth, train, test)
    assert scores[truth[test]].min() > np.median(scores)
    case = Case(target=target(transfer=True), rows=[], truth=truth, ranked=np.ones(200, bool))
    noise = np.random.default_rng(5).normal(size=(200, 40)).astype(np.float32)
    scores, ranked = all_labels(case, noise)
    assert len(scores) == 200 and (ranked == truth).all()
    assert abs(np.corrcoef(scores, truth)[0, 1]) < 0.4  # cross-validated: noise is not learned by heart


def test_encoders_and_pixels_stand_beside_one_another(survey, cache):
    asked = (
        target(surveys={survey.name: "labels.csv"}),
        target(name="other", surveys={survey.name: "labels.csv"}, transfer=True, prevalence=0.2),
    )
    stamps, encoder = load_stamps(str(survey), cache), load_encoder(device="cpu")
    result = detail([("first", encoder)], {survey.name: stamps}, survey, targets=asked, seeds=3)
    pixels = "PCA-64 of the pixels"
    assert [(line["target"], line["space"]) for line in result["lines"]] == [
        *(("kinds", "first"), ("kinds", pixels), ("other, transfer", "first"), ("other, transfer", pixels))
    ]
    for line in result["lines"]:
        assert len(line["from_5_examples"]["values"]) == 3 and 0 <= line["all_labels"]["low"] <= line["all_labels"]["high"] <= 1
    assert result["lines"][0]["all_labels"]["median"] > 0.9
    with pytest.raises(ConfigError, match="No target's surveys"):
        detail([("first", encoder)], {"x": stamps}, survey, targets=asked)


def test_the_command_measures_the_surveys_that_are_there(survey, tmp_path, capsys):
    data = tmp_path / "data"
    shutil.copytree(survey, data / "decals_rings")
    table = (survey / "labels.csv").read_text().replace(",kind", ",ring").replace(",edge_on", ",1").replace(",round", ",0")
    (data / "decals_rings" / "labels.csv").write_text(table)
    verb = ["train", "evaluate", "detail", "default", "--data", str(data), "--cache", str(tmp_path / "stamps"), "--seeds", "2"]
    assert main([*verb, "--beside", "timm:test_efficientnet", "--device", "cpu", "--out", str(tmp_path / "table.json"), "--json"]) == 0
    lines = json.loads((tmp_path / "table.json").read_text())["lines"]
    assert [line["space"] for line in lines] == ["lvm-tiny64-2", "test_efficientnet-untrained-0", "PCA-64 of the pixels"]
    assert main([*verb, "--survey", "nosuch"]) == 1
    assert "no survey nosuch" in capsys.readouterr().err


def test_one_band_is_measured_as_three_equal_ones(tmp_path):
    folder = tmp_path / "euclid"
    folder.mkdir()
    grey = np.random.default_rng(0).integers(0, 255, (40, 40), np.uint8)
    with zipfile.ZipFile(folder / "stamps.zip", "w") as archive:
        archive.writestr("a.png", cv2.imencode(".png", grey)[1].tobytes())
    (folder / "labels.csv").write_text("object_id,file,label\na,a.png,merger\n")
    stamps = surveys_of(tmp_path, tmp_path / "stamps")["euclid"]
    assert stamps.name == "euclid" and (stamps.pixels[0][0] == stamps.pixels[0][2]).all()
