"""Views: the way to flux and back, the amounts, and random numbers that no sharing of the batch changes."""

import dataclasses

import numpy as np
import torch

from discovery.stamps.imaging_surveys import SURVEYS
from discovery.stamps.preprocess import dr2_rgb
from training.data import augment
from training.data.augment import AugmentConfig
from training.data.stamps import load_stamps

STILL = AugmentConfig(zoom=(1.0, 1.0), shift=0.0, reddening=0.0, gain=0.0, noise=0.0, psf=0.0, grey=0.0)


def test_colours_are_those_of_the_library_and_go_back_to_flux():
    flux = np.random.default_rng(0).gamma(0.5, 0.02, (3, 16, 16)).astype(np.float32)
    colours = dr2_rgb(flux, SURVEYS["legacy"])
    ours = augment.to_colours(torch.from_numpy(flux)[None])[0]
    np.testing.assert_allclose(ours, colours, atol=2e-6)
    inside = (colours < 1).all(0)
    back = augment.to_flux(torch.from_numpy(colours)[None])[0].numpy()
    np.testing.assert_allclose(back[:, inside], flux[:, inside], rtol=1e-3, atol=1e-5)


def test_views_are_turned_copies_of_the_stamp(survey, cache):
    stamps = torch.from_numpy(np.stack(list(load_stamps(str(survey), cache).pixels[:16]))).float() / 255
    places = torch.arange(16)
    one = augment.view(stamps, 64, AugmentConfig(), (0, 1, 0), places)
    same = augment.view(stamps, 64, AugmentConfig(), (0, 1, 0), places)
    other = augment.view(stamps, 64, AugmentConfig(), (0, 2, 0), places)
    assert one.shape == (16, 3, 64, 64) and one.min() >= 0 and one.max() <= 1
    assert torch.equal(one, same) and not torch.allclose(one, other, atol=0.05)
    assert (one.mean((1, 2, 3)) - stamps.mean((1, 2, 3))).abs().max() < 0.15


def test_turning_alone_keeps_the_light_of_a_round_galaxy():
    y, x = torch.meshgrid(*[torch.arange(64) - 31.5] * 2, indexing="ij")
    galaxy = (0.8 * torch.exp(-(x**2 + y**2) / 200)).expand(4, 3, 64, 64).contiguous()
    turned = augment.view(galaxy, 64, STILL, (0, 0, 0), torch.arange(4))
    inside = (x**2 + y**2).sqrt() < 28
    assert (turned - galaxy)[..., inside].abs().max() < 0.01


def test_noise_follows_the_published_fits():
    """The sky of a dark stamp gets noise whose size is between nothing and the largest published draws."""
    dark = augment.to_colours(torch.zeros(64, 3, 64, 64))
    noisy = augment.to_flux(augment.view(dark, 64, dataclasses.replace(STILL, noise=1.0), (1, 0, 0), torch.arange(64)))
    sigma = noisy.std((2, 3))  # (64, 3)
    typical = torch.tensor([0.0031, 0.0044, 0.0117])
    share = (sigma / typical).median(0).values
    assert ((share > 0.35) & (share < 0.65)).all()  # half of it, in the median, of a share uniform in 0..1


def test_random_numbers_do_not_depend_on_how_the_batch_is_shared():
    stamps = torch.rand(32, 3, 16, 16)
    whole = augment.view(stamps, 16, AugmentConfig(), (3, 7, 1), torch.arange(32))
    halves = [augment.view(stamps[r], 16, AugmentConfig(), (3, 7, 1), torch.arange(32)[r]) for r in (slice(16), slice(16, 32))]
    torch.testing.assert_close(torch.cat(halves), whole)
