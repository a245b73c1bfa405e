"""A timm network with questions: trained, exported, indexed and searched; views; weights to start from."""

import csv
import json

import numpy as np
import pytest
import torch

from discovery.cli import main
from discovery.encoders.encoder import load_encoder, mean_over_views, read_card
from discovery.encoders.inference_network import folded
from discovery.encoders.timm_network import TimmNetwork, fitted_by_order, timm_backbone
from discovery.errors import ConfigError, EncoderError
from discovery.stamps.stamp import Stamp
from training.data.stamps import load_stamps
from training.encoder_folders import export_run
from training.loop.checkpoint import load_checkpoint
from training.pretraining.pretrain import Pretraining, pretrain
from training.pretraining.questions import read_questions
from training.pretraining.recipes import changed, read_config

pytestmark = pytest.mark.slow

MODEL = "timm:test_efficientnet"
CONFIG = f"""
recipe = "detail"
network = "{MODEL}"
bottleneck = 16
batch = 16
[model]
image_size = 64
[loop]
steps = 12
warmup = 2
learning_rate = 3e-3
ema = 0.5
log_every = 1
evaluate_every = 6
"""
QUESTIONS = """
[repeats]
SURVEY = 2
[[question]]
name = "kind"
kind = "classes"
columns = ["kind"]
surveys = { SURVEY = "FOLDER/labels.csv" }
[[question]]
name = "narrow"
kind = "attributes"
columns = ["narrow"]
missing = -1
surveys = { SURVEY = "more.csv" }
"""


@pytest.fixture(scope="module")
def trained(survey, cache, tmp_path_factory):
    """A run of twelve steps by the command line, and its encoder of four views."""
    folder = tmp_path_factory.mktemp("timm")
    (folder / "config.toml").write_text(CONFIG)
    (folder / "questions.toml").write_text(QUESTIONS.replace("SURVEY", survey.name).replace("FOLDER", str(survey)))
    (folder / "out.txt").write_text("g0\ng1\n")
    with (folder / "more.csv").open("w") as file:
        csv.writer(file).writerows([["object_id", "narrow"], *([f"g{i}", -1 if i % 3 == 0 else i % 2] for i in range(120))])
    weights = folder / "start.pth"
    torch.manual_seed(3)
    torch.save({f"other.{n}": v for n, v in timm_backbone(MODEL[5:]).state_dict().items()}, weights)
    verb = ["train", "pretrain", str(folder / "config.toml"), f"{survey}@kind", "--questions", str(folder / "questions.toml")]
    more = ["--leave-out", str(folder / "out.txt"), "--start-from", str(weights), "--cache", str(cache), "--threads", "1"]
    assert main([*verb, *more, "--out", str(folder / "run")]) == 0
    export_run(folder / "run", folder / "encoder", name="trial", views=4)
    return folder


def test_questions_and_contrast_learn_together(trained, survey, cache):
    curve = [json.loads(line) for line in (trained / "run" / "metrics.jsonl").read_text().splitlines()]
    assert {"questions", "contrast", "classes", "attributes", "knn_" + survey.name} <= curve[-1].keys()
    assert np.mean([p["questions"] for p in curve[-3:]]) < np.mean([p["questions"] for p in curve[:3]])
    config = json.loads((trained / "run" / "config.json").read_text())
    stamps = load_stamps(str(survey), cache)
    learned = stamps.trains & ~stamps.validates & ~np.isin(np.array(stamps.object_ids), ["g0", "g1"])
    assert [one["training"] for one in config["data"]] == [learned.sum()] * 2  # twice an epoch
    assert config["left_out"] == 2 and config["questions"]["question"][0]["classes"] == ["edge_on", "round"]


def test_the_average_has_the_statistics_of_batch_norms(trained):
    saved = load_checkpoint(trained / "run")
    names = [name for name in saved.model if name.endswith("running_mean")]
    assert names and all(name in saved.ema for name in names)
    assert any(not torch.equal(saved.ema[name], saved.model[name]) for name in names)


def test_the_card_says_what_the_encoder_is(trained):
    card = read_card(trained / "encoder")
    assert (card.architecture, card.views, card.dimension, card.channel_order) == ("timm", 4, 16, "zrg")
    assert card.config == {"model": MODEL[5:], "bottleneck": 16}
    assert card.training["steps"] == 12 and card.training["questions"][1]["name"] == "narrow"
    assert card.training["started_from"] == {"weights": "start.pth"} and card.training["left_out"] == 2


def test_four_views_do_not_change_under_a_turn(trained):
    encoder = load_encoder(trained / "encoder", device="cpu")
    y, x = np.mgrid[:96, :96] - 47.5
    light = [np.exp(-(x**2 + (y / 2) ** 2) / width) + 0.4 * np.exp(-((x - 14) ** 2 + (y + 6) ** 2) / 8) for width in (60, 120, 200)]
    pixels = np.stack([np.clip(one * np.array([0.4, 0.6, 0.8])[:, None, None], 0, 1) for one in light]).astype(np.float32)
    one, other = (
        encoder.embed([Stamp(object_id="a", pixels=p, kind="colours", pixel_scale_arcsec=None) for p in some])
        for some in (pixels, np.rot90(pixels, axes=(2, 3)).copy())
    )
    assert np.abs(one - other).max() < 1e-3
    assert np.abs(one[0] - one[2]).max() > 1e-2
    mirrored = encoder.embed([Stamp(object_id="a", pixels=p[:, ::-1].copy(), kind="colours", pixel_scale_arcsec=None) for p in pixels])
    assert np.abs(one - mirrored).max() > 1e-3  # turns alone do not forgive a mirror


@pytest.mark.parametrize("model", ["test_efficientnet", "test_resnet", "test_vit"])
def test_folded_batch_norms_give_the_same_features(model):
    torch.manual_seed(0)
    network = TimmNetwork(model, 8).eval()
    for name, value in network.named_buffers():
        if name.endswith("running_mean"):
            value.normal_()
        if name.endswith("running_var"):
            value.uniform_(0.5, 2)
    size = network.settings["input_size"][-1]
    quick = folded(network, size)
    image = torch.rand(3, 3, size, size)
    with torch.inference_mode():
        expected = network(image)
        assert (quick(image) - expected).abs().max() <= 1e-3 * expected.abs().max()
    norms = [one for one in quick.modules() if isinstance(one, torch.nn.BatchNorm2d)]
    assert quick is not network and len(norms) == (model == "test_resnet")  # its first one stands behind a block


def test_a_network_in_another_order_is_left_as_it_is():
    class Crossed(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.norm = torch.nn.Conv2d(3, 3, 3), torch.nn.BatchNorm2d(3)
            self.norm.running_mean += 1

        def forward(self, image):
            return self.first(self.norm(image)).flatten(1)

    network = Crossed().eval()
    assert folded(network, 16) is network


@pytest.mark.parametrize("views", [1, 4, 8])
def test_views_are_the_mean_of_turns_and_flips(views):
    image = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    weights = torch.rand(3 * 64, 5, generator=torch.Generator().manual_seed(1))
    network = lambda x: x.flatten(1) @ weights  # noqa: E731
    turns = [torch.rot90(image, n, (2, 3)) for n in range(4)] + [torch.rot90(image.flip(3), n, (2, 3)) for n in range(4)]
    expected = torch.stack([network(seen) for seen in turns[:views]]).mean(0)
    torch.testing.assert_close(mean_over_views(network, image, views), expected)
    if views == 8:
        torch.testing.assert_close(mean_over_views(network, image.flip(2), views), expected)


def test_training_and_the_encoder_see_one_embedding(trained):
    """What a validation of the run looks at is what the exported encoder gives (float16 weights apart)."""
    config = changed(read_config(str(trained / "config.toml")), {"views": 4, "objectives": {"contrast": 1.0}}, "test")
    module = Pretraining(config, [2])
    saved = load_checkpoint(trained / "run").best
    module.load_state_dict({name: value for name, value in saved.items() if name in module.state_dict()})
    image = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        own = torch.nn.functional.normalize(module.eval().features(image), dim=1).numpy()
    given = load_encoder(trained / "encoder", device="cpu").embed_inputs(image[:, None].numpy())
    assert (own * given).sum(1).min() > 0.999


def test_it_is_indexed_and_searched(trained, survey, tmp_path, capsys):
    main(["index", str(survey), "--name", "r", "--out", str(tmp_path), "--encoder", str(trained / "encoder"), "--json"])
    capsys.readouterr()
    assert main(["search", str(tmp_path / "r"), "--like", "g3", "-k", "5", "--json"]) == 0
    hits = json.loads(capsys.readouterr().out)["hits"]
    assert len(hits) == 5


def test_a_run_goes_on_from_an_encoder_or_a_run(trained, survey, cache, tmp_path):
    config = changed(read_config(str(trained / "config.toml")), {"loop": {"steps": 1, "warmup": 0}}, "test")
    parts, asked = [load_stamps(str(survey), cache)], read_questions(trained / "questions.toml")
    for source in ("encoder", "run"):
        pretrain(config, parts, tmp_path / source, start_from=trained / source, questions=asked)
    with pytest.raises(ConfigError, match="another model"):
        pretrain(config, parts, tmp_path / "lvm", start_from="default", questions=asked)
    with pytest.raises(ConfigError, match="belong together"):
        pretrain(config, parts, tmp_path / "none")


def test_foreign_weights_fit_by_name_or_by_order():
    own = TimmNetwork(MODEL[5:], 8).backbone.state_dict()
    renamed = {f"x{number}": value for number, value in enumerate(own.values())} | {"fc": torch.zeros(3)}
    taken = fitted_by_order(renamed, own)
    assert list(taken) == list(own) and all(torch.equal(taken[name], own[name]) for name in own)
    assert fitted_by_order(dict(reversed(own.items())), own).keys() == own.keys()
    with pytest.raises(EncoderError, match="fewer than"):
        fitted_by_order({"a": torch.zeros(1)}, own)
    with pytest.raises(EncoderError, match="do not fit"):
        fitted_by_order({f"x{n}": torch.zeros(2, 2, 2) for n in range(len(own))}, own)


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"network": "resnet"}, "write lvm, or timm:NAME"), ({"objectives": {"masked": 1.0}}, "needs the LVM's decoder")],
)
def test_wrong_networks_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        changed(read_config("detail"), changes, "test")
