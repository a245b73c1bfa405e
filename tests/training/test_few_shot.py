"""Few-shot classification and `discovery train finetune classes`, on a tiny network."""

import copy
import csv
import itertools
import json

import numpy as np
import pyarrow.csv
import pytest
import torch

from discovery.cli import main
from discovery.encoders.encoder import load_encoder
from discovery.errors import ConfigError, TrainingError
from training.data.shots import shots
from training.data.stamps import load_stamps
from training.evaluation.few_shot import few_shot
from training.evaluation.networks import PictureNetwork
from training.evaluation.options import VARIANTS, WholeTraining
from training.evaluation.plots import draw_few_shot
from training.finetuning.classes.classification import (
    Head,
    Loss,
    WholeClassifier,
    fit,
    fit_linear,
    measures,
    predict,
    row_batches,
    stamp_batches,
    turned,
)
from training.finetuning.classes.classifier import load_classifier
from training.loop.config import LoopConfig
from training.spaces import EncoderSpace, Vectors

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")


@pytest.fixture
def stamps(survey, cache):
    return load_stamps(f"{survey}@kind", cache)


def test_shots_are_nested_balanced_and_seeded(stamps):
    train = np.flatnonzero(stamps.trains)
    small, large = shots(stamps, train, 4, 7), shots(stamps, train, 9, 7)
    assert set(small) <= set(large) <= set(train)
    assert np.bincount(stamps.labels[large]).tolist() == [9, 9]
    np.testing.assert_array_equal(small, shots(stamps, train, 4, 7))
    assert not np.array_equal(small, shots(stamps, train, 4, 8))


def test_batches_give_each_row_once_an_epoch_from_any_step():
    epoch = list(itertools.islice(row_batches(23, 8, 0, 0), 3))
    assert sorted(np.concatenate(epoch)) == list(range(23)) and min(map(len, epoch)) >= 7
    late = list(itertools.islice(row_batches(23, 8, 0, 2), 3))
    following = list(itertools.islice(row_batches(23, 8, 0, 0), 5))[2:]
    for one, other in zip(late, following, strict=True):
        np.testing.assert_array_equal(one, other)


def test_batches_of_stamps_are_the_same_from_any_step(stamps):
    rows = np.flatnonzero(stamps.trains)[:20]
    options = {"batch": 6, "size": 64, "seed": 3}
    long = list(itertools.islice(stamp_batches(stamps.pixels, rows, stamps.labels[rows], **options), 6))
    late = next(stamp_batches(stamps.pixels, rows, stamps.labels[rows], **options, first_step=5))
    assert torch.equal(late["pixels"], long[5]["pixels"]) and torch.equal(late["label"], long[5]["label"])


def test_turned_stamps_are_one_of_eight():
    stamp = torch.rand(1, 3, 6, 6)
    eight = [torch.rot90(one, k, (2, 3)) for k in range(4) for one in (stamp, stamp.flip(-1))]
    made = turned(stamp.repeat(60, 1, 1, 1), torch.Generator().manual_seed(0))
    which = [[torch.equal(one, other[0]) for other in eight].index(True) for one in made]
    assert set(which) == set(range(8))


def test_the_whole_classifier_starts_as_the_frozen_one(encoder, stamps):
    rows = np.flatnonzero(stamps.trains)[:24]
    vectors = Vectors(EncoderSpace("e", encoder), stamps).at(rows)
    head = fit_linear(vectors, stamps.labels[rows], 2)
    whole = WholeClassifier(encoder, head).eval()
    np.testing.assert_allclose(
        predict(whole, stamps.pixels, rows, 64), head.probabilities(vectors), atol=1e-5
    )


def test_finetuning_moves_the_encoder_and_leaves_the_original(encoder, stamps):
    before = copy.deepcopy(encoder.network.state_dict())
    rows = np.flatnonzero(stamps.trains)[:24]
    whole = WholeClassifier(encoder, Head(encoder.dimension, 2))
    batches = stamp_batches(stamps.pixels, rows, stamps.labels[rows], batch=12, size=64, seed=0)
    fit(Loss(whole), batches, LoopConfig(steps=2, learning_rate=1e-3), CPU)
    moved = {name: not torch.equal(value, before[name]) for name, value in whole.network.state_dict().items()}
    encoding = [name for name in encoder.network.encoder_state() if name.endswith(("weight", "bias"))]
    assert sum(moved[name] for name in encoding) > 0.9 * len(encoding)
    assert not any(moved[name] for name in moved if name.startswith(("layers_up", "low_conv")))
    assert all(torch.equal(value, before[name]) for name, value in encoder.network.state_dict().items())
    tuned = whole.encoder("tuned", {})
    assert tuned.checksum != encoder.checksum and tuned.dimension == encoder.dimension


def test_a_loss_that_is_not_finite_stops(encoder, stamps):
    head = Head(encoder.dimension, 2)
    torch.nn.init.constant_(head.body.weight, float("nan"))
    rows = np.flatnonzero(stamps.trains)[:8]
    with pytest.raises(TrainingError, match="not finite at step 1"):
        fit(
            Loss(WholeClassifier(encoder, head)),
            stamp_batches(stamps.pixels, rows, stamps.labels[rows], batch=8, size=64, seed=0),
            LoopConfig(steps=2, learning_rate=1e-3),
            CPU,
        )


def test_measures_by_hand():
    truth, called = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 0, 0])
    found = measures(called, truth, ("a", "b", "c"))
    assert found["accuracy"] == 0.5
    assert found["by_class"][0] == {
        "class": "a",
        "stamps": 3,
        "precision": 0.5,
        "recall": 0.6667,
        "f1": 0.5714,
    }
    assert found["by_class"][2]["f1"] == 0 and found["confusion"] == [[2, 1, 0], [1, 1, 0], [1, 0, 0]]
    assert found["recall"] == pytest.approx((2 / 3 + 1 / 2) / 3, abs=1e-4)


def test_the_few_shot_table_and_its_plot(encoder, stamps, tmp_path, monkeypatch):
    monkeypatch.setattr("training.finetuning.classes.classification.MLP_STEPS", 60)
    whole = WholeTraining(sizes=(4,), seeds=1, epochs=1, least_steps=2, batch=8, image_size=64)
    result = few_shot(encoder, stamps, sizes=(4, 200), seeds=2, networks=("alexnet",), whole=whole)
    lines = {(line["model"], line["stamps_a_class"]): line for line in result["lines"]}
    assert {name for name, _ in lines} == {*VARIANTS.values(), "AlexNet from scratch"}
    frozen = lines[VARIANTS["linear"], 200]
    assert frozen["accuracy"]["low"] > 0.8 and len(frozen["accuracy"]["values"]) == 2
    assert lines["AlexNet from scratch", 4]["seeds"] == 1 and ("AlexNet from scratch", 200) not in lines
    assert result["used"]["4"] == [4, 4] and max(result["used"]["200"]) < 200
    assert any("at 200 a class: edge_on" in note for note in result["notes"])
    draw_few_shot(result, tmp_path / "deep" / "curve.png")
    assert (tmp_path / "deep" / "curve.png").stat().st_size > 10_000


def test_the_few_shot_table_is_reproducible(encoder, stamps, monkeypatch):
    monkeypatch.setattr("training.finetuning.classes.classification.MLP_STEPS", 20)
    whole = WholeTraining(seeds=1, epochs=1, least_steps=2)
    one, other = (
        few_shot(
            encoder,
            stamps,
            sizes=(5,),
            seeds=1,
            variants=("mlp", "full"),
            networks=(),
            held_out=20,
            whole=whole,
        )
        for _ in range(2)
    )
    assert one["lines"] == other["lines"]


def test_pretrained_networks_take_all_but_the_last_layer(tmp_path, folder):
    torch.manual_seed(0)
    source = PictureNetwork("resnet50", 7).network
    torch.save(source.state_dict(), tmp_path / "resnet50.pth")
    network = PictureNetwork("resnet50", 3, tmp_path / "resnet50.pth").network
    assert torch.equal(network.layer4[2].conv3.weight, source.layer4[2].conv3.weight)
    assert network.fc.weight.shape == (3, 2048)
    with pytest.raises(ConfigError, match="does not fit torchvision's resnet50"):
        PictureNetwork("resnet50", 3, folder / "encoder.safetensors")


def finetune(capsys, *arguments):
    status = main(["train", "finetune", "classes", *map(str, arguments)])
    out, err = capsys.readouterr()
    return status, out, err.strip().splitlines()[-1] if status else ""


def test_a_frozen_classifier_is_kept_and_applied(survey, cache, folder, tmp_path, capsys):
    common = ("--encoder", folder, "--cache", cache, "--device", "cpu", "--out", tmp_path / "run")
    status, out, _ = finetune(
        capsys, f"{survey}@kind", *common, "--per-class", 12, "--predict", survey, "--json"
    )
    result = json.loads(out)
    assert status == 0 and result["trained_on"] == {"edge_on": 12, "round": 12} and result["accuracy"] > 0.8
    table = pyarrow.csv.read_csv(tmp_path / "run" / "predictions.csv").to_pydict()
    truth = {
        row["object_id"]: row["kind"]
        for row in csv.DictReader((survey / "labels.csv").read_text().splitlines())
    }
    assert (
        np.mean(
            [truth[name] == called for name, called in zip(table["object_id"], table["class"], strict=True)]
        )
        > 0.8
    )
    np.testing.assert_allclose(np.add(table["p_edge_on"], table["p_round"]), 1, atol=1e-5)
    stamps = load_stamps(str(survey), cache)
    again = load_classifier(tmp_path / "run", device="cpu").probabilities(
        stamps.pixels, np.arange(len(stamps.object_ids))
    )
    np.testing.assert_allclose(again[:, 0], table["p_edge_on"], atol=1e-6)
    held_out = {name for name, trains in zip(stamps.object_ids, stamps.trains, strict=True) if not trains}
    assert result["held_out"] == len(held_out)
    status, out, _ = finetune(capsys, f"{survey}@kind", *common, "--per-class", 12)
    assert status == 0 and "accuracy" in out
    status, _, line = finetune(capsys, f"{survey}@kind", *common, "--mode", "mlp")
    assert status == 1 and "trained otherwise" in line


def test_a_whole_classifier_goes_on_where_it_stopped(survey, cache, folder, tmp_path, capsys):
    common = (
        "--encoder",
        folder,
        "--cache",
        cache,
        "--device",
        "cpu",
        "--mode",
        "full",
        "--epochs",
        2,
        "--batch",
        32,
        "--per-class",
        20,
    )
    status, out, _ = finetune(capsys, f"{survey}@kind", *common, "--out", tmp_path / "run", "--json")
    assert status == 0 and json.loads(out)["accuracy"] > 0.7
    tuned = load_encoder(tmp_path / "run" / "encoder")
    assert tuned.checksum != load_encoder(folder).checksum
    checkpoint = (tmp_path / "run" / "checkpoint.safetensors").read_bytes()
    status, again, _ = finetune(capsys, f"{survey}@kind", *common, "--out", tmp_path / "run", "--json")
    assert status == 0 and json.loads(again) == json.loads(out)
    assert (tmp_path / "run" / "checkpoint.safetensors").read_bytes() == checkpoint


def test_wrong_input_is_one_line(survey, cache, folder, tmp_path, capsys):
    table = tmp_path / "few.csv"
    table.write_text(
        "object_id,verdict\n" + "".join(f"g{i},{'odd' if i % 2 else 'even'}\n" for i in range(8))
    )
    strangers = tmp_path / "strangers.csv"
    strangers.write_text("object_id,verdict\nx1,odd\n")
    cases = {
        (f"{survey}@colour",): "no column 'colour'",
        (str(survey),): "PATH@COLUMN",
        (f"{survey}@kind", "--per-class", 500): "'edge_on' of survey",
        (f"{survey}@kind", "--per-class", 1): "at least 2",
        (f"{survey}@verdict", "--labels", strangers): "No line of",
        (f"{survey}@verdict", "--labels", table, "--per-class", 50): "label more, or leave the class out",
        (f"{survey}@kind", "--mode", "full", "--epochs", 0): "steps is 0",
        (f"{survey}@kind", "--encoder", tmp_path): "No encoder at",
        (f"{survey}@kind", "--predictions", tmp_path / "a.doc", "--predict", survey): "a.doc",
    }
    for number, (arguments, message) in enumerate(cases.items()):
        encoder = () if "--encoder" in arguments else ("--encoder", folder)
        status, out, line = finetune(
            capsys, *arguments, *encoder, "--cache", cache, "--out", tmp_path / f"run{number}"
        )
        assert status == 1 and not out, arguments
        assert line.startswith("discovery: error: ") and message.replace("survey", survey.name) in line, line
    (tmp_path / "run" / "encoder").mkdir(parents=True)
    with pytest.raises(ConfigError, match="no classifier"):
        load_classifier(tmp_path / "run")
