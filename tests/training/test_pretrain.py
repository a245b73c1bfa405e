"""The pretraining program: resume, several processes, its files, its errors."""

import json
import math
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from discovery.cli import main
from discovery.encoders.encoder import load_encoder
from discovery.errors import ConfigError, TrainingError
from training.commands.export import EncoderExportOptions, export
from training.data.stamps import load_stamps
from training.loop.checkpoint import load_checkpoint
from training.loop.config import LoopConfig
from training.loop.loop import train
from training.loop.optimizer import rate
from training.pretraining.pretrain import pretrain
from training.pretraining.recipes import changed, read_config

pytestmark = pytest.mark.slow

SMALL = {"loop": {"steps": 4, "evaluate_every": 2, "warmup": 1}, "batch": 16}


def small(**changes):
    config = changed(read_config("debug"), SMALL, "test")
    return changed(config, changes, "test")


@pytest.fixture(scope="module")
def parts(survey, cache):
    return [load_stamps(f"{survey}@kind", cache)]


@pytest.fixture(scope="module")
def finished(parts, tmp_path_factory):
    """A run of four steps with every objective."""
    run = tmp_path_factory.mktemp("runs") / "whole"
    pretrain(small(), parts, run)
    return run


def test_a_run_leaves_its_files(finished):
    lines = [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    assert {"loss", "contrast", "masked", "lr", "stamps_per_s", "wait", "grad_norm"} <= lines[0].keys()
    assert "knn_" not in "".join(lines[0]) and 0 <= lines[0]["wait"] <= 1
    assert list((finished / "tensorboard").glob("events.out.tfevents.*"))
    with Image.open(finished / "reconstructions" / "0000004.png") as sheet:
        assert sheet.size[0] == 4 * 64 * 2 and np.asarray(sheet).std() > 5
    assert load_checkpoint(finished).record == {"step": 4}


def test_a_run_killed_and_gone_on_with_is_equal(survey, cache, parts, finished, tmp_path):
    """The process is killed (SIGKILL) after some step; the same command then ends with equal weights and equal losses."""
    run = tmp_path / "cut"
    code = (
        "import sys, torch; torch.set_num_threads(1); from pathlib import Path\n"
        "from training.data.stamps import load_stamps; from training.pretraining.pretrain import pretrain; from training.pretraining.recipes import changed, read_config\n"
        f"config = changed(changed(read_config('debug'), {SMALL!r}, 't'), {{'loop': {{'checkpoint_minutes': 0.0}}}}, 't')\n"
        "pretrain(config, [load_stamps(sys.argv[1], Path(sys.argv[2]))], Path(sys.argv[3]))\n"
    )
    command = [sys.executable, "-c", code, f"{survey}@kind", str(cache), str(run)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            if line.startswith("step") and line.split()[1].startswith("2/"):
                process.send_signal(signal.SIGKILL)
                break
    config = changed(small(), {"loop": {"checkpoint_minutes": 0.0}}, "test")
    assert 1 <= load_checkpoint(run).record["step"] <= 4
    pretrain(config, parts, run)
    one, other = load_checkpoint(finished), load_checkpoint(run)
    for part in ("model", "ema", "optimizer"):
        mine, theirs = getattr(one, part), getattr(other, part)
        assert mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)
    losses = [[json.loads(line)["loss"] for line in (r / "metrics.jsonl").read_text().splitlines()] for r in (finished, run)]
    assert losses[0] == losses[1]


def test_sigterm_saves_and_says_how_to_go_on(tmp_path):
    """A queue's warning ends the run after its step; going on then ends as an undisturbed run does."""

    class Warned(torch.nn.Module):
        def __init__(self, at):
            super().__init__()
            self.weight, self.at = torch.nn.Parameter(torch.ones(3)), at

        def forward(self, batch):
            if int(batch["step"]) == self.at:
                os.kill(os.getpid(), signal.SIGTERM)
            return (self.weight * batch["x"]).sum().square(), {}

    def batches(step):
        while True:
            yield {"x": torch.full((3,), float(step + 1)), "step": torch.tensor(step)}
            step += 1

    config = LoopConfig(steps=8, learning_rate=0.1)
    with pytest.raises(TrainingError, match="run the same command to go on"):
        train(Warned(3), batches, config, tmp_path / "run", record={})
    assert 4 <= load_checkpoint(tmp_path / "run").record["step"] < 8
    ends = [load_checkpoint(train(Warned(-1), batches, config, tmp_path / name, record={})) for name in ("run", "whole")]
    assert torch.equal(ends[0].model["weight"], ends[1].model["weight"])


def test_two_processes_give_the_loss_of_one(survey, cache, tmp_path):
    """gloo, two processes on this machine, against one process with the same global batch: every loss and the weights."""
    load_stamps(f"{survey}@kind", cache)
    config = tmp_path / "two.toml"
    config.write_text(
        'recipe = "debug"\nbatch = 16\n[model]\ndrop_path = 0.0\nattention_dropout = 0.0\n'
        "[loop]\nsteps = 6\nwarmup = 0\nema = 0.9\noptimizer = 'adam'\n"
    )
    verb = ["train", "pretrain", str(config), f"{survey}@kind", "--cache", str(cache), "--threads", "1"]
    assert main([*verb, "--out", str(tmp_path / "one")]) == 0
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "discovery.cli"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*start, *verb, "--out", str(tmp_path / "two")], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    one, two = ([json.loads(line) for line in (tmp_path / n / "metrics.jsonl").read_text().splitlines()] for n in ("one", "two"))
    assert len(one) == len(two) == 6
    for a, b in zip(one, two, strict=True):
        for name in ("loss", "contrast", "classify", "reconstruct", "masked", "denoise", "accuracy", "grad_norm"):
            assert a[name] == pytest.approx(b[name], rel=2e-3, abs=1e-6), (a["step"], name)
    assert one[0]["loss"] == pytest.approx(two[0]["loss"], rel=1e-6)


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_checkpoint(tmp_path):
    class Fragile(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(3))

        def forward(self, batch):
            return (self.weight * batch["x"]).sum().square(), {}

    def batches(step):
        while True:
            yield {"x": torch.full((3,), math.nan if step == 3 else 1.0)}
            step += 1

    config = LoopConfig(steps=9, learning_rate=0.1, checkpoint_minutes=0.0)
    with pytest.raises(TrainingError, match="not finite at step 4"):
        train(Fragile(), batches, config, tmp_path, record={})
    kept = load_checkpoint(tmp_path)
    assert kept.record["step"] == 3 and torch.isfinite(kept.model["weight"]).all()


def test_accumulated_batches_are_one_large_batch(tmp_path):
    """Two batches of four an update move the weights as one batch of eight."""
    rows = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))

    class Mean(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.tensor([1.0, -2.0, 0.5]))

        def forward(self, batch):
            loss = (batch["x"] @ self.weight - 1).square().mean()
            return loss, {"same": loss}

    def batches(size):
        return lambda step: ({"x": rows[i * size : (i + 1) * size]} for i in range(step, 40 // size))

    ends = []
    for accumulate, size in ((1, 8), (2, 4)):
        config = LoopConfig(steps=5, learning_rate=0.05, accumulate=accumulate, warmup=1)
        run = tmp_path / str(accumulate)
        train(Mean(), batches(size), config, run, record={})
        ends.append(load_checkpoint(run).model["weight"])
    torch.testing.assert_close(ends[0], ends[1])


def test_the_rate_warms_up_and_falls_to_zero():
    config = LoopConfig(steps=100, learning_rate=2.0, warmup=10)
    rates = [rate(config, step) for step in range(100)]
    assert rates[0] == pytest.approx(0.2) and rates[9] == pytest.approx(2.0) and max(rates) <= 2.0
    assert rates[54] == pytest.approx(1.0, abs=0.05) and rates[99] < 0.01
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_the_average_follows_the_weights(tmp_path):
    class Moving(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def forward(self, batch):
            return (self.weight - 1).square().sum(), {}

    config = LoopConfig(steps=30, learning_rate=0.05, ema=0.9)
    train(Moving(), lambda step: iter([{"x": torch.zeros(1)}] * 30), config, tmp_path, record={})
    saved = load_checkpoint(tmp_path)
    assert 0 < saved.ema["weight"].item() < saved.model["weight"].item()
    assert saved.best["weight"].item() == saved.ema["weight"].item()


def test_training_learns_and_exports_an_encoder(parts, tmp_path):
    config = small(objectives={"contrast": 1.0, "classify": 1.0}, loop={"steps": 25, "learning_rate": 2e-3, "evaluate_every": 25})
    pretrain(config, parts, tmp_path / "run")
    curve = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert np.mean([point["classify"] for point in curve[-3:]]) < 0.6  # two classes: chance is ln 2 = 0.69
    export(tmp_path / "run", tmp_path / "encoder", options=EncoderExportOptions(name="trial"))
    encoder = load_encoder(tmp_path / "encoder")
    assert encoder.card.training["steps"] == 25
    saved = load_checkpoint(tmp_path / "run").best["lvm.norm.weight"].half().float()
    assert torch.equal(dict(encoder.network.named_parameters())["norm.weight"], saved)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["huge", "SURVEY"], "No recipe 'huge'"),
        (["missing.toml", "SURVEY"], "No configuration file"),
        (["debug", "SURVEY@colour"], "colour"),
        (["debug", "SURVEY", "--objective", "masked"], "NAME=WEIGHT"),
        (["debug", "SURVEY", "--batch", "100000"], "100000"),
        (["debug"], "survey"),
        (["debug", "SURVEY", "--start-from", "nowhere"], "no checkpoint"),
        (["debug", "SURVEY@kind", "--start-from", "RUN", "--objective", "contrast=1"], "another model"),
    ],
)
def test_wrong_commands_are_one_clear_line(arguments, message, survey, cache, finished, tmp_path, capsys):
    if "RUN" in arguments:
        config = tmp_path / "wide.toml"
        config.write_text('recipe = "debug"\n[model]\nembed_dim = 32\n')
        arguments = [str(config), *arguments[1:]]
    named = [a.replace("SURVEY", str(survey)).replace("RUN", str(finished)) for a in arguments]
    assert main(["train", "pretrain", *named, "--cache", str(cache), "--out", str(tmp_path / "run"), "--threads", "1"]) == 1
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1 and message in error[0]


def test_a_run_may_start_from_the_shipped_encoder(parts, tmp_path):
    config = changed(read_config("tiny"), {"batch": 16, "loop": {"steps": 1, "learning_rate": 1e-9, "warmup": 0, "ema": 0.0}}, "test")
    pretrain(config, parts, tmp_path / "run", start_from="default")
    shipped, trained = load_encoder("default").network.state_dict(), load_checkpoint(tmp_path / "run").model
    assert all(torch.allclose(trained[f"lvm.{name}"], shipped[name], atol=1e-6) for name in shipped if name.startswith("layers."))


def test_a_run_folder_of_another_configuration_is_refused(parts, finished):
    with pytest.raises(ConfigError, match=r"another configuration \(loop differ"):
        pretrain(small(loop={"seed": 5}), parts, finished)


def test_a_damaged_checkpoint_is_one_clear_line(finished, tmp_path):
    broken = tmp_path / "checkpoint.safetensors"
    broken.write_bytes((finished / "checkpoint.safetensors").read_bytes()[:1000])
    with pytest.raises(ConfigError, match="damaged"):
        load_checkpoint(tmp_path)


def test_the_shown_configuration_is_the_one_that_is_read(tmp_path, capsys):
    assert main(["train", "pretrain", "tiny", "--show", "--steps", "7"]) == 0
    path = tmp_path / "shown.toml"
    path.write_text(capsys.readouterr().out)
    assert read_config(str(path)) == changed(read_config("tiny"), {"loop": {"steps": 7}}, "test")


def test_released_weights_convert_and_come_back(shared_reference, tmp_path):
    source = shared_reference / "released_lvm_tiny.safetensors"
    assert main(["train", "convert", str(source), str(tmp_path / "encoder")]) == 0
    encoder = load_encoder(tmp_path / "encoder")
    assert encoder.card.convention == "nmgy" and encoder.card.config["attention_scale"] == 8
    assert main(["train", "convert", str(tmp_path / "encoder"), str(tmp_path / "back.pth")]) == 0
    from safetensors.torch import load_file

    released, back = load_file(source), torch.load(tmp_path / "back.pth", weights_only=True)["model"]
    assert back.keys() == {name for name in released if not name.startswith("prelu.")}
    assert all(torch.equal(back[name], released[name]) for name in back)
    assert main(["train", "convert", str(source), str(tmp_path / "encoder")]) == 1


def test_a_card_is_printed(finished, capsys):
    assert main(["train", "card", "default", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["architecture"] == "lvm"
    assert main(["train", "card", str(finished)]) == 0
    assert "step" in capsys.readouterr().out
    assert main(["train", "card", "/nowhere"]) == 1
    assert "No encoder at" in capsys.readouterr().err
