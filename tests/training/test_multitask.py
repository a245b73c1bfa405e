"""Multitask finetuning on a tiny encoder: heads, files, measures, strategies, resume, errors."""

import dataclasses
import itertools
import json

import msgspec
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from discovery.cli import main
from discovery.encoders.encoder import make_encoder
from discovery.encoders.image_heads import (
    MultitaskModel,
    load_multitask,
    pasted,
    read_multitask_card,
    save_multitask,
)
from discovery.encoders.lvm import LVM, LVMConfig
from discovery.errors import ConfigError, EncoderError
from discovery.stamps.preprocess import CropConfig
from training.data.degrade import Degradation, degraded
from training.data.stamps import load_stamps
from training.finetuning.class_figures import class_figures
from training.finetuning.multitask.measures import measured, patch_table, picture_figures
from training.finetuning.multitask.multitask import (
    Multitask,
    MultitaskConfig,
    multitask,
    qualities,
    task_of_step,
)
from training.finetuning.multitask.tasks import (
    GZ2_GROUPS,
    TASKS,
    Sizes,
    balanced,
    pictures,
    recoloured,
    task_batch,
    task_data,
)
from training.loop.config import LoopConfig

pytestmark = pytest.mark.slow

TINY = LVMConfig(embed_dim=16, depths=(1, 1, 1, 1), heads=(2, 2, 2, 2), image_size=64)
SIZES = Sizes(classification=(40, 20), restoration=(30, 10), reconstruction=(30, 10), validation=(8, 4))


@pytest.fixture(scope="module")
def encoder():
    return tiny_encoder()


def tiny_encoder(**changes):
    torch.manual_seed(0)
    parts = {
        "name": "trial", "architecture": "lvm", "config": dataclasses.asdict(TINY), "convention": "dr2_rgb",
        "crop": CropConfig(), "input_size": 64,
    }  # fmt: skip
    return make_encoder(LVM(TINY), **(parts | changes), device="cpu")


@pytest.fixture(scope="module")
def data(survey, cache):
    return task_data(load_stamps(f"{survey}@kind", cache), SIZES, seed=0)


def config(strategy="active", steps=4, **changes):
    loop = {"learning_rate": 1e-3, "evaluate_every": 2, "checkpoint_minutes": 0.0} | changes
    return MultitaskConfig(strategy=strategy, loop=LoopConfig(steps=steps, **loop), batch=8, width=8)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return MultitaskModel(LVM(TINY), ["a", "b", "c"], width=8).eval()


def test_an_untrained_picture_head_gives_its_input(model):
    image = torch.rand(2, 3, 64, 64)
    mask = torch.zeros(2, 1, 64, 64)
    mask[:, :, 8:24, 16:32] = 1
    assert torch.equal(model.restore(image), image)
    assert torch.equal(model.reconstruct(image, mask), image * (1 - mask))
    assert model.classify(image).shape == (2, 3)
    mended = pasted(image, torch.full_like(image, 7.0), mask)
    assert torch.equal(mended[mask.expand_as(image) == 0], image[mask.expand_as(image) == 0])
    assert (mended[mask.expand_as(image) == 1] == 7).all()


def test_what_lies_under_a_mask_is_not_seen(model):
    torch.manual_seed(1)
    other = MultitaskModel(LVM(TINY), ["a", "b"], width=8).eval()
    torch.nn.init.normal_(other.reconstruct_head.last.weight)
    image, mask = torch.rand(1, 3, 64, 64), torch.zeros(1, 1, 64, 64)
    mask[:, :, :32] = 1
    changed = torch.where(mask > 0, torch.rand(1, 3, 64, 64), image)
    assert torch.equal(other.reconstruct(image, mask), other.reconstruct(changed, mask))
    assert not torch.allclose(other.reconstruct(image, mask), image * (1 - mask))


@pytest.mark.parametrize("task", TASKS)
def test_every_head_trains_one_step(encoder, data, task):
    module = Multitask(encoder, data.classes, config("uniform")).eval()  # without drop path
    rows = data.train[task][:8]
    clean, labels = pictures(data.stamps, rows, 64), torch.from_numpy(data.labels[rows])
    batch = task_batch(task, clean, labels, Degradation(), torch.Generator().manual_seed(0))
    optimizer = torch.optim.SGD([p for p in module.parameters() if p.requires_grad], lr=0.01)
    before = module(batch)[0]
    before.backward()
    heads = {"classification": "class_head", "restoration": "restore_head", "reconstruction": "reconstruct_head"}
    touched = {name.split(".")[1] for name, p in module.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert heads.pop(task) in touched and not touched & set(heads.values())
    optimizer.step()
    assert module(batch)[0] < before


def test_class_measures_are_the_definitions():
    truth, answer = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 1, 0])
    told = class_figures(truth, answer, 3)
    precision, recall = [2 / 3, 2 / 3, 0], [2 / 3, 1, 0]
    f1 = [2 / 3, 4 / 5, 0]
    expected = {"accuracy": 4 / 6, "precision": np.mean(precision), "recall": np.mean(recall), "f1": np.mean(f1)}
    assert told == pytest.approx(expected)


def test_picture_measures_are_the_definitions():
    rng = np.random.default_rng(0)
    truth = rng.uniform(size=(3, 3, 16, 16)).astype(np.float32)
    answer = truth + rng.normal(0, [[[[0.01]]], [[[0.1]]], [[[0.3]]]], truth.shape).astype(np.float32)
    told = picture_figures(truth, answer)
    errors = np.mean((truth.astype(float) - answer) ** 2, axis=(1, 2, 3))
    assert told["mse"] == pytest.approx(errors.mean())
    assert told["psnr"] == pytest.approx(np.mean(10 * np.log10(1 / errors)))
    assert told["ssim"] == pytest.approx(np.mean([ssim(a, b) for a, b in zip(truth, answer, strict=True)]), abs=1e-6)
    assert picture_figures(truth, truth) == pytest.approx({"mse": 0, "psnr": 80, "ssim": 1})


def ssim(truth, answer):
    """Wang et al. 2004, equation 13, over every whole window of 7 x 7 pixels."""
    values = []
    for x, y in zip(truth.astype(float), answer.astype(float), strict=True):
        windows = [np.lib.stride_tricks.sliding_window_view(plane, (7, 7)).reshape(-1, 49) for plane in (x, y)]
        (mx, my), (vx, vy) = ([w.mean(1) for w in windows], [w.var(1, ddof=1) for w in windows])
        cov = ((windows[0] - mx[:, None]) * (windows[1] - my[:, None])).sum(1) / 48
        c1, c2 = 0.01**2, 0.03**2
        values.append(np.mean((2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))))
    return np.mean(values)


def test_tasks_take_their_stamps_from_their_part(data):
    stamps = data.stamps
    for task in TASKS:
        assert (stamps.trains & ~stamps.validates)[data.train[task]].all()
        assert stamps.validates[data.validation[task]].all() and not stamps.trains[data.test[task]].any()
        assert len(set(data.train[task])) == len(data.train[task])
    assert [len(data.train[task]) for task in TASKS] == [40, 30, 30]
    assert abs(int(data.labels[data.train["classification"]].sum()) - 20) <= 1  # two classes, equally many


def test_rows_are_balanced_as_far_as_there_are_enough():
    labels = np.array([0] * 50 + [1] * 3 + [2] * 50)
    chosen = balanced(np.arange(103) + 1000, labels, 21)
    assert np.bincount(labels[chosen - 1000]).tolist() == [9, 3, 9]
    assert len(balanced(np.arange(103), labels, 500)) == 103


def test_galaxy_zoos_classes_become_the_papers(shared_data):
    names = {member for members in GZ2_GROUPS.values() for member in members}
    header = (shared_data / "gz2" / "gz2.csv") if (shared_data / "gz2" / "gz2.csv").exists() else next((shared_data / "gz2").glob("*.csv"))
    lines = header.read_text().splitlines()
    column = lines[0].split(",").index("label")
    assert {line.split(",")[column] for line in lines[1:]} == names


@pytest.mark.parametrize("strategy", ["frozen", "uniform", "active"])
def test_strategies(encoder, data, tmp_path, strategy):
    model = multitask(config(strategy), data, encoder, tmp_path)
    before, after = encoder.network.state_dict(), model.lvm.state_dict()
    same = all(torch.equal(after[name], before[name].half().float()) for name in encoder.network.encoder_state())
    assert same == (strategy == "frozen")
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    told = [[line[f"share_{task}"] for task in TASKS] for line in lines if "share_restoration" in line]
    assert len(told) == 2 and np.allclose(np.sum(told, axis=1), 1)
    assert np.allclose(told, 1 / 3) == (strategy != "active")
    if strategy == "active":
        first = lines[1]
        figures = {task: {n[len(task) + 1 :]: v for n, v in first.items() if n.startswith(task)} for task in TASKS}
        needs = [max(0.1, 1 - quality) for quality in qualities(figures).values()]
        assert told[0] == pytest.approx(np.array(needs) / sum(needs))


def test_steps_are_drawn_by_the_shares():
    shares = {"classification": 0.2, "restoration": 0.7, "reconstruction": 0.1}
    drawn = [task_of_step(shares, 5, step) for step in range(2000)]
    for task, share in shares.items():
        assert drawn.count(task) / 2000 == pytest.approx(share, abs=0.035)
    assert drawn[:50] == [task_of_step(shares, 5, step) for step in range(50)]
    assert drawn[:50] != [task_of_step(shares, 6, step) for step in range(50)]


def test_a_resumed_run_is_equal(encoder, data, tmp_path):
    whole = multitask(config(), data, encoder, tmp_path / "whole")
    seen = itertools.count()

    def stop_at_second(figures):
        if next(seen) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        multitask(config(), data, encoder, tmp_path / "cut", show=stop_at_second)
    resumed = multitask(config(), data, encoder, tmp_path / "cut")
    assert all(torch.equal(resumed.state_dict()[name], value) for name, value in whole.state_dict().items())
    lines = [(tmp_path / name / "metrics.jsonl").read_text().splitlines() for name in ("whole", "cut")]
    losses = [[(json.loads(line)["step"], json.loads(line)["loss"]) for line in some] for some in lines]
    assert losses[0] == losses[1]


def test_a_run_goes_on_from_another(encoder, data, tmp_path):
    first = multitask(config("frozen", steps=2), data, encoder, tmp_path / "first")
    next_ = multitask(config("frozen", steps=1, learning_rate=1e-9), data, encoder, tmp_path / "next", start_from=tmp_path / "first")
    assert all(torch.equal(next_.state_dict()[name], value) for name, value in first.state_dict().items())
    other = dataclasses.replace(config("frozen"), width=16)
    with pytest.raises(ConfigError, match="another architecture"):
        multitask(other, data, encoder, tmp_path / "other", start_from=tmp_path / "first")


def test_recoloured_stamps_differ_by_a_factor_a_band():
    stamps = torch.rand(20, 3, 8, 8) * 0.7 + 0.05
    factors = recoloured(stamps, 0.3, torch.Generator().manual_seed(0)) / stamps
    torch.testing.assert_close(factors.amax((2, 3)), factors.amin((2, 3)))
    assert 0.7 <= factors.min() < 0.75 and 1.25 < factors.max() <= 1.3 and factors[0].std() > 0.01
    with pytest.raises(ConfigError, match="recolour"):
        dataclasses.replace(config(), recolour=1.5)


def test_a_short_run_improves_on_the_degraded_input(encoder, data):
    torch.manual_seed(0)
    module = Multitask(encoder, data.classes, config("uniform")).train()
    clean = pictures(data.stamps, data.train["restoration"], 64)
    optimizer = torch.optim.AdamW([p for p in module.parameters() if p.requires_grad], lr=3e-3)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.05, total_iters=80)
    for step in range(80):
        generator = torch.Generator().manual_seed(step)
        batch = task_batch("restoration", clean[step % 3 * 8 :][:8], torch.zeros(8), Degradation(), generator)
        optimizer.zero_grad()
        module(batch)[0].backward()
        optimizer.step()
        schedule.step()
    figures = measured(module.eval().model, data, "test", Degradation())["restoration"]
    assert figures["psnr"] > figures["input_psnr"] + 0.1  # dB on these ten stamps; 0.16 reached
    assert figures["mse"] < figures["input_mse"]
    held_out = pictures(data.stamps, data.test["restoration"], 64)
    entered = degraded(held_out, Degradation(), torch.Generator().manual_seed(2))
    assert figures["input_mse"] == pytest.approx(float(((entered - held_out) ** 2).mean()), rel=1e-4)


def test_the_patch_table_measures_each_size(model, data):
    table = patch_table(model, data.stamps.pixels[:6], seed=0)
    assert list(table) == ["4", "8", "16"]
    for row in table.values():  # an untrained head: the answer is the masked input
        assert [row[name] for name in ("mse", "psnr", "ssim")] == [row[f"input_{name}"] for name in ("mse", "psnr", "ssim")]


def test_models_are_the_same_after_saving(model, tmp_path):
    card = save_multitask(tmp_path, model, {"name": "trial", "measured": {"psnr": 30.0}})
    loaded = load_multitask(tmp_path, device="cpu")
    assert read_multitask_card(tmp_path) == card and card.measured == {"psnr": 30.0}
    assert loaded.classes == ("a", "b", "c") and loaded.image_size == 64
    assert all(torch.equal(value, model.state_dict()[name].half().float()) for name, value in loaded.class_head.state_dict(prefix="class_head.").items())
    image = torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(loaded.classify(image), model.classify(image), atol=2e-3, rtol=2e-2)
    assert {value.dtype for value in load_file(tmp_path / "multitask.safetensors").values()} == {torch.float16}


def test_damaged_models_are_one_clear_error(model, tmp_path):
    with pytest.raises(EncoderError, match="No multitask model at"):
        load_multitask(tmp_path / "nothing")
    card = save_multitask(tmp_path, model, {"name": "trial"})
    path = tmp_path / "multitask.json"
    damages = (
        ({"width": 16}, "do not fit"),
        ({"checksum": "0"}, "checksum"),
        ({"config": {**card.config, "depths": "many"}}, "cannot be read"),
        ({"config": {**card.config, "heads": [3, 2, 2, 2]}}, "divisible"),
    )
    for change, message in damages:
        path.write_bytes(msgspec.json.encode(msgspec.structs.replace(card, **change)))
        with pytest.raises(EncoderError, match=message):
            load_multitask(tmp_path)
    path.write_text('{"name": "trial", "unknown": 1}')
    with pytest.raises(EncoderError, match="not valid"):
        load_multitask(tmp_path)
    path.write_bytes(msgspec.json.encode(card))
    (tmp_path / "multitask.safetensors").unlink()
    with pytest.raises(EncoderError, match=r"no multitask\.safetensors"):
        load_multitask(tmp_path)


def test_encoders_that_cannot_carry_the_heads_are_refused(data, tmp_path):
    for changes in ({"convention": "nmgy"}, {"mean": (0.1, 0.1, 0.1)}, {"channel_order": "zrg"}):
        with pytest.raises(ConfigError, match="cannot carry"):
            multitask(config(), data, tiny_encoder(**changes), tmp_path)


def test_surveys_that_do_not_serve_are_refused(survey, cache):
    labelled = load_stamps(f"{survey}@kind", cache)
    with pytest.raises(ConfigError, match="no labels"):
        task_data(load_stamps(str(survey), cache), SIZES, 0)
    with pytest.raises(ConfigError, match="'barred', which"):
        task_data(labelled, SIZES, 0, {"disc": ("edge_on", "barred"), "round": ("round",)})
    with pytest.raises(ConfigError, match="at least two"):
        task_data(labelled, SIZES, 0, {"all": ("edge_on", "round")})
    with pytest.raises(ConfigError, match="no stamps"):
        task_data(dataclasses.replace(labelled, validates=np.zeros(120, bool)), SIZES, 0)
    with pytest.raises(ConfigError, match="at least 1"):
        Sizes(restoration=(0, 10))


def test_the_verb_trains_prints_and_exports(survey, cache, encoder, tmp_path, capsys):
    encoder.save(tmp_path / "encoder")
    command = [
        "train", "multitask", f"{survey}@kind", "--encoder", str(tmp_path / "encoder"), "--out", str(tmp_path / "run"),
        "--cache", str(cache), "--steps", "2", "--batch", "4", "--width", "8", "--classification", "40", "20",
        "--restoration", "30", "6", "--reconstruction", "30", "6", "--validation", "8", "4", "--device", "cpu",
        "--export", str(tmp_path / "model"), "--json",
    ]  # fmt: skip
    assert main(command) == 0
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert told == json.loads((tmp_path / "run" / "multitask.json").read_text())
    assert told["stamps"]["restoration"] == [30, 6] and set(told["patches"]) == {"4", "8", "16"}
    assert "gain" in err and "accuracy" in err
    card = read_multitask_card(tmp_path / "model")
    assert card.measured["test"] == told["test"] and card.encoder == encoder.checksum
    model = load_multitask(tmp_path / "model", device="cpu")
    data = task_data(load_stamps(f"{survey}@kind", cache), dataclasses.replace(SIZES, restoration=(30, 6), reconstruction=(30, 6)), 0)
    assert measured(model, data, "test", Degradation())["restoration"] == pytest.approx(told["test"]["restoration"], rel=1e-4)
    assert main([*command[:-1], "--group", "round"]) == 1
    assert "NAME=CLASS+CLASS" in capsys.readouterr().err
    assert main([*command[:-1], "--seed", "1"]) == 1
    assert "another configuration" in capsys.readouterr().err
