"""Lens detection: fields whose pastes give nothing away, average precision, and both detectors."""

import csv
import dataclasses
import itertools
import json
import zipfile

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import cross_val_score
from torchvision.models import resnet50

from discovery.cli import main
from discovery.encoders.encoder import make_encoder, timm_encoder
from discovery.encoders.lvm import LVM, LVMConfig
from discovery.errors import ConfigError, EncoderError
from discovery.stamps.preprocess import CropConfig
from training.data.stamps import is_training
from training.finetuning.detection.config import DetectorPlan
from training.finetuning.detection.fields import FieldPlan, make_field
from training.finetuning.detection.network import Detection, lvm_detector, resnet_detector
from training.finetuning.detection.precision import Detections, average_precision, by_survey
from training.finetuning.detection.run import (
    DetectionPlan,
    Fields,
    field_batches,
    find_lenses,
    pack,
    undecided_ap,
)
from training.finetuning.detection.sources import LensRule, load_sources, parse_rule

pytestmark = pytest.mark.slow

STAMP = 72
SMALL = DetectorPlan(size=64, width=16, proposals=20, sampled=16)


def write_survey(folder, kinds, *, noise, sky, ra=10.0):
    """A folder of pictures: each kind is an elliptical galaxy, lenses with a blue ring about it."""
    rng = np.random.default_rng(len(kinds))
    y, x = np.mgrid[:STAMP, :STAMP] - STAMP / 2
    folder.mkdir()
    with zipfile.ZipFile(folder / "stamps.zip", "w") as archive, (folder / "labels.csv").open("w") as table:
        lines = csv.writer(table)
        lines.writerow(["object_id", "file", "ra", "dec", "kind", "grade"])
        for i, kind in enumerate(kinds):
            light = 0.6 * np.exp(-np.hypot(x, y / rng.uniform(0.6, 1)) / rng.uniform(3, 5))[None].repeat(3, 0)
            if kind == "lens":
                light[0] += 0.5 * np.exp(-(((np.hypot(x, y) - 9) / 1.8) ** 2))
            picture = sky + light + rng.normal(0, noise, light.shape)
            coded = cv2.imencode(".png", (np.clip(picture, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0))[1]
            archive.writestr(f"{i}.png", coded.tobytes())
            lines.writerow([f"{folder.name}{i}", f"{i}.png", ra + 0.1 * i, 5.0, kind, 3 - i % 4])
    return str(folder)


@pytest.fixture(scope="module")
def survey(tmp_path_factory):
    return write_survey(tmp_path_factory.mktemp("detection") / "made", ["lens", "plain"] * 40, noise=0.03, sky=0.1)


@pytest.fixture(scope="module")
def sources(survey):
    return load_sources([f"{survey}@kind:lens"])


@pytest.fixture(scope="module")
def encoder():
    config = LVMConfig(embed_dim=16, depths=(1, 1, 1, 1), heads=(2, 2, 2, 2), image_size=64)
    torch.manual_seed(0)
    about = {"config": dataclasses.asdict(config), "convention": "dr2_rgb", "crop": CropConfig(), "input_size": 64}
    return make_encoder(LVM(config), name="small", architecture="lvm", **about)


def test_rules_say_which_objects_are_lenses():
    assert parse_rule("a/b") == LensRule(path="a/b")
    assert parse_rule("a@truth_class:lens") == LensRule(path="a", column="truth_class", value="lens")
    assert parse_rule("a@grade>=2") == LensRule(path="a", column="grade", least=2.0)
    assert parse_rule("a@grade>=2,<1.3") == LensRule(path="a", column="grade", least=2.0, below=1.3)
    for wrong in ("a@grade", "a@grade>2", "a@grade>=x", "a@", "@kind:lens", "a@grade>=1,<2"):
        with pytest.raises(ConfigError, match="source"):
            parse_rule(wrong)


def test_a_threshold_leaves_out_what_lies_between(survey):
    training, held_out = load_sources([f"{survey}@grade>=3,<1"])
    counts = [part.counts()["made"] for part in (training, held_out)]
    assert sum(c["lenses"] for c in counts) == 20 and sum(c["others"] for c in counts) == 20


def test_held_out_fields_hold_no_training_object(sources):
    training, held_out = (part.object_ids() for part in sources)
    assert training and held_out and not training & held_out
    assert all(is_training(name) for _, name in training) and not any(is_training(name) for _, name in held_out)


def test_a_held_out_object_at_the_place_of_a_training_object_is_dropped(survey, tmp_path):
    same = write_survey(tmp_path / "again", ["lens", "plain"] * 40, noise=0.03, sky=0.1)
    apart = write_survey(tmp_path / "apart", ["lens", "plain"] * 40, noise=0.03, sky=0.1, ra=100.0)
    one, other = (load_sources([f"{survey}@kind:lens", f"{path}@kind:lens"])[1].object_ids() for path in (same, apart))
    places = {name: {i for i in range(80) if is_training(f"{name}{i}")} for name in ("made", "again", "apart")}
    expected = {("again", f"again{i}") for i in range(80) if i not in places["again"] | places["made"]}
    assert {pair for pair in one if pair[0] == "again"} == expected
    assert {pair for pair in other if pair[0] == "apart"} == {("apart", f"apart{i}") for i in range(80) if i not in places["apart"]}


def test_fields_follow_from_seed_and_index(sources):
    plan = FieldPlan(size=128, per_field=2, seed=3)
    first = [make_field(plan, sources[0], index) for index in range(3)]
    for index in (2, 0):
        again = make_field(plan, sources[0], index)
        np.testing.assert_array_equal(again.pixels, first[index].pixels)
        np.testing.assert_array_equal(again.boxes, first[index].boxes)
    assert not np.array_equal(first[0].pixels, first[1].pixels)
    kept = Fields(DetectionPlan(size=128, per_field=2, seed=3), sources[0], 2, held_out=False)
    for _ in range(2):  # made, then unpacked
        np.testing.assert_array_equal(kept[1].masks, make_field(kept.plan, sources[0], 1).masks)


def test_other_seeds_train_on_other_fields_and_are_measured_on_the_same(sources):
    plans = [DetectionPlan(size=64, per_field=1, seed=seed) for seed in (0, 1)]
    for held_out in (False, True):
        one, other = (Fields(plan, sources[held_out], 1, held_out=held_out)[0].pixels for plan in plans)
        assert np.array_equal(one, other) == held_out


def test_a_field_holds_as_many_lenses_as_others_each_in_its_box(sources):
    for index in range(6):
        field = make_field(FieldPlan(size=256, per_field=2), sources[0], index)
        assert field.pixels.shape == (3, 256, 256) and field.pixels.dtype == np.uint8
        assert field.lens.sum() == 2 and (~field.lens).sum() == 2
        for box, mask in zip(field.boxes, field.masks, strict=True):
            rows, columns = np.nonzero(mask)
            assert box.tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            grey, beside = field.pixels.mean(0), ~field.masks.any(0)
            assert grey[mask].mean() > grey[beside].mean() + 3 * grey[beside].std() / np.sqrt(mask.sum())
        assert field.masks.sum(0).max() == 1


def ring_statistics(field):
    """Scatter beside each mask, its fine part and its correlation, per band, in units of the field's own; then the level."""
    anything = field.masks.any(0)
    sky = distance(anything) > 25
    lines = []
    for mask in field.masks:
        away = distance(mask)
        ring, numbers, levels = (away > 2) & (away < 11) & ~anything, [], []
        for band in field.pixels.astype(float):
            level = np.median(band[sky])
            scaled = (band - level) / (1.4826 * np.median(np.abs(band[sky] - level)))
            values, beside = scaled[ring], np.roll(scaled, -1, 1)[ring]
            numbers += [values.std(), np.percentile(np.abs(values - beside), 60), np.corrcoef(values, beside)[0, 1]]
            levels.append(np.median(values))
        lines.append(numbers + levels)
    return lines


def distance(mask):
    return cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)


def told_apart(features, lens):
    """Balanced accuracy of a forest, cross-validated: 0.5 is chance."""
    forest = RandomForestClassifier(40, random_state=0, min_samples_leaf=3)
    return cross_val_score(forest, np.array(features), np.array(lens), cv=5, scoring="balanced_accuracy").mean()


def test_the_paste_gives_no_clue(tmp_path):
    """Lenses come from a clean survey and the others from a noisy one with a bright sky; the galaxies are alike."""
    clean = write_survey(tmp_path / "clean", ["good"] * 60, noise=0.01, sky=0.03)
    noisy = write_survey(tmp_path / "noisy", ["good"] * 60, noise=0.06, sky=0.15, ra=40.0)
    training, _ = load_sources([f"{clean}@kind:good", noisy])
    fields = [make_field(FieldPlan(size=192, per_field=3, seed=1), training, index) for index in range(25)]
    lens = np.concatenate([field.lens for field in fields])
    assert len(lens) == 150 and (lens == (np.concatenate([field.survey for field in fields]) == 0)).all()
    naive = [ring_statistics(square_pastes(field, training)) for field in fields]
    assert told_apart(np.concatenate(naive), lens) > 0.9  # the check can fail
    assert told_apart(np.concatenate([ring_statistics(field) for field in fields]), lens) < 0.62  # 0.5 +- 0.04 is chance


def square_pastes(field, sources):
    """The field with the sky of its own survey as it is in a square about every object."""
    pixels, rng = field.pixels.copy(), np.random.default_rng(0)
    for box, survey in zip(field.boxes.astype(int), field.survey, strict=True):
        cut = sources.cut(int(survey), int((sources.lenses, sources.others)[survey][survey][0]))
        window = pixels[:, max(0, box[1] - 12) : box[3] + 12, max(0, box[0] - 12) : box[2] + 12]
        window[:] = np.clip(30 + 255 * cut.light[:, :12, :12].std() * rng.standard_normal(window.shape), 0, 255)
    return dataclasses.replace(field, pixels=pixels)


def test_the_noise_about_real_pastes_gives_no_clue(shared_data):
    """Lenses of one telescope and galaxies of another: the worst that real sources offer."""
    training, _ = load_sources([f"{shared_data / 'lens_candidates'}@expert_grade>=2,<0", str(shared_data / "sdss_pool")])
    found = []
    for seed in (2, 3, 4):  # one draw of 144 objects differs from the next by 0.05
        fields = [make_field(FieldPlan(size=256, per_field=3, seed=seed), training, index) for index in range(24)]
        lens = np.concatenate([field.lens for field in fields])
        noise = np.concatenate([ring_statistics(field) for field in fields])[:, :9]  # wings are light of the galaxy itself
        found.append(told_apart(noise, lens))
    assert np.mean(found) < 0.62  # 0.588 on these; the 45 lenses come back several times, so that a forest knows some by heart


def perfect(fields):
    return [Detections(boxes=f.boxes[f.lens], scores=np.linspace(0.9, 0.8, f.lens.sum()), masks=f.masks[f.lens]) for f in fields]


def test_average_precision_is_one_for_the_truth_and_lower_for_shifted_detections(sources, capsys):
    fields = [make_field(FieldPlan(size=128, per_field=1), sources[0], i) for i in range(4)]
    truth = perfect(fields)
    assert set(average_precision(fields, truth).values()) == {1.0}
    moved = [dataclasses.replace(f, boxes=f.boxes + 3, masks=np.roll(f.masks, 3, (1, 2))) for f in truth]
    measured = average_precision(fields, moved)
    assert 0 < measured["box_ap"] < 0.9 and 0 < measured["mask_ap"] < 0.9
    nothing = [Detections(boxes=np.zeros((0, 4)), scores=np.zeros(0), masks=np.zeros((0, 128, 128), bool)) for _ in fields]
    assert set(average_precision(fields, nothing).values()) == {0.0}
    assert capsys.readouterr().out == ""


def test_average_precision_is_that_of_the_ranking(sources):
    fields = [make_field(FieldPlan(size=256, per_field=2), sources[0], 0)]
    field, truth = fields[0], perfect(fields)[0]
    other = np.flatnonzero(~field.lens)[:1]
    mixed = Detections(
        boxes=np.concatenate([truth.boxes, field.boxes[other]]),
        scores=np.array([0.9, 0.7, 0.8]),  # a non-lens between two lenses
        masks=np.concatenate([truth.masks, field.masks[other]]),
    )
    measured = average_precision(fields, [mixed])
    assert measured["box_ap50"] == pytest.approx((51 * 1 + 50 * 2 / 3) / 101, abs=1e-4)  # 101 recalls, half at precision 1
    assert by_survey(fields, [mixed], ["made"]) == {
        "made": {"lenses": 2, "lenses_found": 1.0, "others": 2, "others_taken_for_lenses": 0.5}
    }


def test_chance_is_the_share_of_lenses_among_the_objects(sources):
    fields = [make_field(FieldPlan(size=256, per_field=2), sources[0], index) for index in range(12)]
    assert undecided_ap(fields) == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("backbone", ["lvm", "resnet50"])
def test_a_detector_learns_a_batch_and_answers(backbone, sources, encoder):
    torch.manual_seed(0)
    detector = lvm_detector(encoder, SMALL) if backbone == "lvm" else resnet_detector(None, SMALL)
    fields = [make_field(FieldPlan(size=64, per_field=1), sources[0], i) for i in range(2)]
    model, batch = Detection(detector).train(), pack(fields)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(6):
        loss, parts = model(batch)
        assert set(parts) == {"classifier", "box_reg", "mask", "objectness", "rpn_box_reg"}
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-2:]) < np.mean(losses[:2])
    assert all(value.grad is not None for value in model.parameters() if value.requires_grad)
    found = find_lenses(detector, fields)
    assert len(found) == 2 and found[0].masks.shape[1:] == (64, 64) and len(found[0].boxes) == len(found[0].scores)


def test_batches_go_on_at_any_step(sources):
    plan = DetectionPlan(fields=5, size=64, per_field=1, batch=2)
    fields = Fields(plan, sources[0], 5, held_out=False)
    seen = list(itertools.islice(field_batches(fields, plan, 0), 5))
    again = next(field_batches(fields, plan, 3))
    assert all(torch.equal(again[name], seen[3][name]) for name in again)
    assert not torch.equal(seen[0]["image"], seen[2]["image"])
    assert again["image"].shape == (2, 3, 64, 64) and again["masks"].shape == (2, 1, 64, 64)


def test_the_backbones_take_what_fits_them(encoder, tmp_path):
    with pytest.raises(EncoderError, match="no LVM"):
        lvm_detector(timm_encoder("resnet18", input_size=64), SMALL)
    state = resnet50(weights=None).state_dict()
    save_file(state, tmp_path / "resnet50.safetensors")
    detector = resnet_detector(tmp_path / "resnet50.safetensors", SMALL)
    torch.testing.assert_close(detector.backbone.trunk.layer3[2].conv2.weight, state["layer3.2.conv2.weight"])
    save_file({"head.weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(EncoderError, match="no ResNet50"):
        resnet_detector(tmp_path / "other.safetensors", SMALL)


def run_verb(survey, encoder, folder, *more):
    encoder.save(folder / "encoder")
    words = ["train", "finetune", "detection", f"{survey}@kind:lens", "--out", str(folder / "run"), "--json"]
    words += ["--encoder", str(folder / "encoder"), "--test-fields", "2", "--size", "64", "--per-field", "1", "--width", "16"]
    words += ["--proposals", "10", "--batch", "2", "--device", "cpu", *more]
    return main(words)


def test_the_verb_trains_both_backbones_on_one_schedule(survey, encoder, tmp_path, capsys):
    assert run_verb(survey, encoder, tmp_path, "--fields", "2", "--steps", "1") == 0
    result = json.loads(capsys.readouterr().out)
    assert [row["backbone"] for row in result["rows"]] == ["lvm", "resnet50"]
    for row in result["rows"]:
        assert 0 <= row["box_ap"] <= 1 and 0 <= row["mask_ap50"] <= 1 and row["parameters"] > row["backbone_parameters"]
    assert json.loads((tmp_path / "run" / "detection.json").read_text()) == result
    assert (tmp_path / "run" / "examples.png").read_bytes()[:4] == b"\x89PNG"


def test_the_verb_goes_on_where_it_stopped(survey, encoder, tmp_path, capsys):
    options = ("--backbone", "lvm", "--fields", "4", "--fields", "2", "--steps", "2")
    results = []
    for _ in range(2):  # the second time nothing is left to train
        assert run_verb(survey, encoder, tmp_path, *options) == 0
        results.append(json.loads(capsys.readouterr().out))
        for row in results[-1]["rows"]:
            del row["test_seconds_a_field"]
    assert results[0] == results[1] and [row["fields"] for row in results[0]["rows"]] == [4, 2]
    assert run_verb(survey, encoder, tmp_path, *options, "--seed", "1") == 1
    assert "another configuration" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "Name at least one source"),
        (["SURVEY@kind"], "write PATH"),
        (["SURVEY@colour:blue"], "no column 'colour'"),
        (["SURVEY@kind:ring"], "there are lens, plain"),
        (["SURVEY@kind>=2"], "holds no numbers"),
        (["SURVEY"], "no lens in the training part"),
        (["SURVEY@kind:lens", "--size", "100"], "multiple of 32"),
        (["SURVEY@kind:lens", "--fields", "0"], "at least 1"),
        (["SURVEY@kind:lens", "--fields", "2", "--batch", "4"], "smaller batch"),
    ],
)
def test_bad_input_is_one_line(words, said, survey, tmp_path, capsys):
    words = [word.replace("SURVEY", survey) for word in words]
    assert main(["train", "finetune", "detection", *words, "--out", str(tmp_path), "--device", "cpu"]) == 1
    captured = capsys.readouterr()
    assert said in captured.err and captured.err.count("\n") == 1 and captured.out == ""
