"""The training program: its parts against oracles, and exact resume."""

import csv
import dataclasses
import itertools
import json
import zipfile

import cv2
import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from discovery.encoder import load_encoder
from discovery.errors import ConfigError
from training import augment
from training.cli import export
from training.data import batches, is_training, load_stamps
from training.evaluate import evaluate, knn_accuracy
from training.objectives import Classifiers, contrast
from training.pretrain import Pretraining, adopt, pretrain
from training.recipes import recipe


@pytest.fixture(scope="module")
def survey(tmp_path_factory):
    """A folder with a zip of 120 pictures of two kinds, and their labels."""
    folder = tmp_path_factory.mktemp("survey")
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:64, :64] - 32
    with zipfile.ZipFile(folder / "stamps.zip", "w") as archive, (folder / "labels.csv").open("w") as table:
        lines = csv.writer(table)
        lines.writerow(["object_id", "file", "kind"])
        for i in range(120):
            narrow = 0.2 if i % 2 else 1.0
            light = np.exp(-(x**2 + (y / narrow) ** 2) / rng.uniform(60, 150))[..., None] * 200
            picture = np.clip(light + rng.normal(10, 4, (64, 64, 3)), 0, 255).astype(np.uint8)
            archive.writestr(f"{i}.png", cv2.imencode(".png", picture)[1].tobytes())
            lines.writerow([f"g{i}", f"{i}.png", "edge_on" if i % 2 else "round"])
    return folder


def debug(**changes):
    return dataclasses.replace(recipe("debug"), **changes)


def test_contrast_is_the_formula():
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 6, 5))
    both = np.concatenate([one, other])
    both /= np.linalg.norm(both, axis=1, keepdims=True)
    losses = []
    for i in range(12):
        scores = np.exp(both @ both[i] / 0.3)
        losses.append(-np.log(scores[(i + 6) % 12] / (scores.sum() - scores[i])))
    assert contrast(torch.tensor(one), torch.tensor(other), 0.3).item() == pytest.approx(np.mean(losses), rel=1e-5)


def test_classifiers_ignore_what_has_no_label():
    heads = Classifiers(4, [2, 0])
    features = torch.randn(3, 4)
    part = torch.tensor([0, 0, 1])
    loss, _ = heads(features, part, torch.tensor([1, -1, -1]))
    alone, _ = heads(features[:1], part[:1], torch.tensor([1]))
    assert loss.item() == pytest.approx(alone.item())
    assert heads(features, part, torch.full((3,), -1))[0].item() == 0


def test_views_are_turned_copies_of_the_stamp(survey, tmp_path):
    stamps = torch.from_numpy(load_stamps(str(survey), tmp_path).pixels[:16].copy()).float() / 255
    one = augment.view(stamps, 64, torch.Generator().manual_seed(1))
    same = augment.view(stamps, 64, torch.Generator().manual_seed(1))
    other = augment.view(stamps, 64, torch.Generator().manual_seed(2))
    assert one.shape == (16, 3, 64, 64) and one.min() >= 0 and one.max() <= 1
    assert torch.equal(one, same) and not torch.allclose(one, other, atol=0.05)
    assert (one.mean((1, 2, 3)) - stamps.mean((1, 2, 3))).abs().max() < 0.15


def test_the_loader_gives_each_training_stamp_once_an_epoch(survey, tmp_path):
    stamps = load_stamps(f"{survey}@kind", tmp_path)
    assert stamps.classes == ("edge_on", "round")
    assert stamps.trains.tolist() == [is_training(name) for name in stamps.object_ids]
    count = int(stamps.trains.sum())
    seen = [pixels for pixels, _, _ in itertools.islice(batches([stamps], 4, 0, 0), count // 4)]
    sums = sorted(np.concatenate(seen).sum((1, 2, 3)).tolist())
    allowed = sorted(stamps.pixels[stamps.trains].sum((1, 2, 3)).tolist())
    assert len(set(sums)) == len(sums) and set(sums) <= set(allowed)
    late = next(batches([stamps], 4, 0, 3))[0]
    np.testing.assert_array_equal(late, seen[3])


def test_a_resumed_run_of_the_same_length_is_equal(survey, tmp_path, monkeypatch):
    parts = [load_stamps(f"{survey}@kind", tmp_path)]
    config = debug(steps=4, checkpoint_minutes=0.0)
    whole = torch.load(pretrain(config, parts, tmp_path / "whole"), weights_only=True)
    monkeypatch.setattr("training.pretrain.batches", lambda *a: itertools.islice(batches(*a), 2))
    pretrain(config, parts, tmp_path / "cut")
    monkeypatch.undo()
    resumed = torch.load(pretrain(config, parts, tmp_path / "cut"), weights_only=True)
    assert all(torch.equal(resumed["model"][k], v) for k, v in whole["model"].items())


def test_training_learns_and_exports_an_encoder(survey, tmp_path, capsys):
    parts = [load_stamps(f"{survey}@kind", tmp_path)]
    config = debug(steps=25, learning_rate=2e-3)
    pretrain(config, parts, tmp_path / "run")
    curve = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [point["step"] for point in curve] == [20, 25]
    assert curve[-1]["classify"] < 0.55  # two classes: chance is ln 2 = 0.69
    export(tmp_path / "run", tmp_path / "encoder", name="trial")
    encoder = load_encoder(tmp_path / "encoder")
    assert encoder.card.training["steps"] == 25
    result = evaluate(encoder, parts[0], limit=30)
    assert result["train"] == 30 and result["held_out"] == min(30, int((~parts[0].trains).sum()))
    assert result["knn"]["encoder"] > 0.8
    with pytest.raises(ConfigError, match="no labels"):
        evaluate(encoder, load_stamps(str(survey), tmp_path))


def test_a_run_folder_of_another_configuration_is_refused(survey, tmp_path):
    parts = [load_stamps(f"{survey}@kind", tmp_path)]
    pretrain(debug(steps=1), parts, tmp_path / "run")
    with pytest.raises(ConfigError, match="another configuration"):
        pretrain(debug(steps=1, seed=5), parts, tmp_path / "run")


def test_weights_move_between_image_sizes():
    small, large = (Pretraining(debug(model=dataclasses.replace(recipe("debug").model, image_size=s)), [2]) for s in (64, 128))
    adopt(large, small.state_dict())
    name = "lvm.layers.3.blocks.0.attn.relative_position_bias_table"
    one, other = small.state_dict()[name], large.state_dict()[name]
    assert one.shape == (9, 2) and other.shape == (49, 2)
    torch.testing.assert_close(other.view(7, 7, 2)[::3, ::3], one.view(3, 3, 2))
    torch.testing.assert_close(large.state_dict()["lvm.conv_first.weight"], small.state_dict()["lvm.conv_first.weight"])


def test_knn_accuracy_agrees_with_scikit_learn():
    rng = np.random.default_rng(0)
    train, test = rng.normal(size=(200, 8)), rng.normal(size=(80, 8))
    train, test = (part / np.linalg.norm(part, axis=1, keepdims=True) for part in (train, test))
    labels, truth = (train[:, 0] > 0).astype(int) + (train[:, 1] > 0.3), (test[:, 0] > 0).astype(int) + (test[:, 1] > 0.3)
    oracle = KNeighborsClassifier(20, metric="cosine").fit(train, labels)
    assert knn_accuracy(train, labels, test, truth) == pytest.approx(oracle.score(test, truth))


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"batch": 1}, {"contrast": 0.0, "classify": 0.0, "reconstruct": 0.0}])
def test_wrong_configurations_are_refused(wrong):
    with pytest.raises(ConfigError):
        debug(**wrong)


def test_unknown_names_are_refused(survey, tmp_path):
    with pytest.raises(ConfigError, match="tiny64"):
        recipe("huge")
    with pytest.raises(ConfigError, match="colour"):
        load_stamps(f"{survey}@colour", tmp_path)
