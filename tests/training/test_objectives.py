"""The parts of the loss against oracles, and that each one trains the model."""

import dataclasses

import numpy as np
import pytest
import torch

from discovery.errors import ConfigError
from training.pretraining.objectives import (
    OBJECTIVES,
    Classifiers,
    close_skips,
    contrast,
    masked_error,
    patch_masks,
)
from training.pretraining.pretrain import Pretraining, adopted, views
from training.pretraining.recipes import RECIPES, changed, read_config

pytestmark = pytest.mark.slow


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


def test_masks_hide_the_stated_share_in_whole_patches():
    visible = patch_masks(torch.rand(7, 16, generator=torch.Generator().manual_seed(0)), 64, 16, 0.6)
    assert visible.shape == (7, 1, 64, 64)
    patches = visible.view(7, 4, 16, 4, 16)
    assert torch.equal(patches.amax((2, 4)), patches.amin((2, 4)))
    assert (patches.amax((2, 4)).sum((1, 2)) == 16 - round(0.6 * 16)).all()


def test_masked_error_counts_masked_pixels_alone():
    target, picture = torch.zeros(2, 3, 8, 8), torch.full((2, 3, 8, 8), 0.5)
    visible = torch.ones(2, 1, 8, 8)
    visible[0, :, :4] = 0
    picture[:, :, 4:] = 9
    assert masked_error(picture, target, visible).item() == pytest.approx(0.25)


def test_what_is_masked_reaches_the_picture_neither_by_pixels_nor_by_skips():
    """Changing masked pixels changes nothing; and the skips are zero over every masked pixel, open elsewhere."""
    config = read_config("debug")
    module = Pretraining(config, [2]).eval()
    stamp = torch.rand(2, 3, 64, 64)
    visible = patch_masks(torch.rand(2, 16), 64, 16, 0.6)
    other = torch.where(visible.bool(), stamp, torch.rand_like(stamp))
    assert torch.equal(module.mended(stamp, visible), module.mended(other, visible))
    _, skips = module.lvm.encode(stamp)
    for skip, closed in zip(skips[:3], close_skips(skips[:3], visible), strict=True):
        grown = torch.nn.functional.interpolate(visible, skip.shape[1:3])[:, 0].bool()
        assert (closed[~grown] == 0).all() and torch.equal(closed[grown], skip[grown])


@pytest.mark.parametrize("objective", sorted(OBJECTIVES.keys() - {"questions"}))
def test_each_objective_lowers_its_loss_on_a_fixed_batch(objective):
    config = changed(read_config("debug"), {"objectives": {objective: 1.0}}, "test")
    torch.manual_seed(0)
    module = Pretraining(config, [2])
    module.train()
    pixels = (torch.rand(16, 3, 8, 8) * 255).repeat_interleave(16, 2).repeat_interleave(16, 3).byte()
    batch = {"pixels": pixels, "part": torch.zeros(16, dtype=torch.long), "label": torch.arange(16) % 2}
    batch = views({**batch, "position": torch.arange(16), "step": torch.tensor(3)}, config)
    optimizer = torch.optim.Adam([p for p in module.parameters() if p.requires_grad], lr=1e-3)
    losses = []
    for _ in range(25):
        loss, parts = module(batch)
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad is not None for p in module.parameters() if p.requires_grad)  # what DDP waits for
        optimizer.step()
        losses.append(parts[objective].item())
    assert np.mean(losses[-3:]) < 0.9 * np.mean(losses[:2])


def test_weights_move_between_image_sizes():
    config = read_config("debug")
    large = changed(config, {"model": {"image_size": 128}}, "test")
    torch.manual_seed(0)
    small, big = Pretraining(config, [2]), Pretraining(large, [2])
    taken = adopted(big, small.state_dict(), "small")
    name = "lvm.layers.3.blocks.0.attn.relative_position_bias_table"
    one, other = small.state_dict()[name], taken[name]
    assert one.shape == (9, 2) and other.shape == (49, 2)
    torch.testing.assert_close(other.view(7, 7, 2)[::3, ::3], one.view(3, 3, 2))
    torch.testing.assert_close(taken["lvm.conv_first.weight"], small.state_dict()["lvm.conv_first.weight"])
    wide = changed(config, {"model": {"embed_dim": 32}}, "test")
    with pytest.raises(ConfigError, match="another model"):
        adopted(Pretraining(wide, [2]), small.state_dict(), "small")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"loop": {"steps": 0}}, "steps"),
        ({"batch": 1}, "batch"),
        ({"objectives": {"contrast": 0.0}}, "weight above 0"),
        ({"objectives": {"contrats": 1.0}}, "contrats"),
        ({"colour": 1}, "unknown key colour"),
        ({"loop": {"step": 4}}, "unknown key loop.step"),
        ({"model": {"depth": [1]}}, "unknown key model.depth"),
        ({"batch": "many"}, "batch"),
        ({"loop": 4}, "is a table"),
        ({"mask_patch": 6}, "mask_patch"),
    ],
)
def test_wrong_configurations_are_refused(wrong, message):
    with pytest.raises(ConfigError, match=message):
        changed(read_config("debug"), wrong, "run.toml")


def test_recipes_are_the_stated_ones():
    assert set(RECIPES) == {"debug", "tiny", "detail", "base"}
    base = read_config("base")
    assert base.batch == 512 and base.loop.optimizer == "adam" and base.objectives["reconstruct"] == 1
    assert base.model.embed_dim == 96 and base.model.depths == (8, 8, 8, 8)
    assert dataclasses.replace(base, batch=256).batch == 256
