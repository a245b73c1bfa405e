"""The paper's degradations against GalSim and direct sums."""

import galsim
import numpy as np
import pytest
import torch

from discovery.errors import ConfigError
from training.data.degrade import Degradation, blurred_by, degraded, masks, moffat


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("fwhm", [2.0, 5.3, 8.0])
def test_the_psf_is_galsims(fwhm):
    own = moffat(torch.tensor([fwhm]), 2.5, 41)[0]
    oracle = galsim.Moffat(beta=2.5, fwhm=fwhm).drawImage(nx=41, ny=41, scale=1.0, method="no_pixel").array
    np.testing.assert_allclose(own, oracle / oracle.sum(), rtol=1e-3, atol=1e-7)
    assert own.argmax() == 41 * 20 + 20


def test_the_blur_is_the_convolution():
    stamps = torch.rand(2, 3, 16, 16, generator=generator())
    fwhm = torch.tensor([2.0, 4.0])
    blurred = blurred_by(stamps, fwhm, 2.5)
    kernel = moffat(fwhm, 2.5, 32)
    wide = np.pad(stamps.numpy(), ((0, 0), (0, 0), (8, 8), (8, 8)), mode="reflect")
    for place in ((3, 4), (8, 8), (0, 15)):  # the sum wraps around the mirrored margin, as the FFT does
        total = sum(
            kernel[1, 16 + dy, 16 + dx].item() * wide[1, 2, (place[0] + 8 - dy) % 32, (place[1] + 8 - dx) % 32]
            for dy in range(-16, 16)
            for dx in range(-16, 16)
        )
        assert blurred[1, 2][place].item() == pytest.approx(total, abs=1e-5)


def test_blurring_keeps_the_flux_of_what_lies_in_the_middle():
    stamps = torch.zeros(1, 3, 64, 64)
    stamps[0, :, 32, 32] = 1
    assert blurred_by(stamps, torch.tensor([3.0]), 2.5).sum((2, 3)).tolist()[0] == pytest.approx([1] * 3, abs=0.01)


def test_noise_has_the_stated_spread():
    how = Degradation(fwhm=(0.05, 0.05), sigma=(10.0, 10.0))  # no blur
    stamps = torch.full((20, 3, 32, 32), 0.5)
    noise = degraded(stamps, how, generator()) - stamps
    assert noise.std().item() * 255 == pytest.approx(10, rel=0.02)
    assert abs(noise.mean().item()) < 1e-3
    spread = (degraded(torch.full((400, 3, 16, 16), 0.5), Degradation(), generator()) - 0.5).std((1, 2, 3)) * 255
    assert 0.9 < spread.min() < 2 and 14 < spread.max() < 16
    assert spread.mean().item() == pytest.approx(8, abs=0.7)


def test_degradations_follow_the_generator_alone():
    stamps = torch.rand(4, 3, 32, 32, generator=generator())
    for make in (lambda g: degraded(stamps, Degradation(), g), lambda g: masks(4, 32, Degradation(), g)):
        assert torch.equal(make(generator(3)), make(generator(3)))
        assert not torch.equal(make(generator(3)), make(generator(4)))


@pytest.mark.parametrize("patch", [4, 8, 16])
def test_masks_are_whole_patches_up_to_70_percent(patch):
    drawn = masks(200, 64, Degradation(), generator(), patch)
    assert drawn.shape == (200, 1, 64, 64) and set(drawn.unique().tolist()) == {0.0, 1.0}
    cells = drawn.view(200, 64 // patch, patch, 64 // patch, patch)
    assert torch.equal(cells.amax((2, 4)), cells.amin((2, 4)))  # each patch is masked as a whole
    share = drawn.mean((1, 2, 3))
    assert share.min() > 0 and share.max() <= 0.71 + patch**2 / 64**2 / 2
    assert share.mean().item() == pytest.approx(0.35, abs=0.06)


def test_every_patch_size_occurs():
    drawn = masks(60, 64, Degradation(), generator())
    halves = drawn.view(60, 4, 16, 4, 16)
    coarse = (halves.amax((2, 4)) == halves.amin((2, 4))).all(dim=2).all(dim=1)
    assert 5 < coarse.sum() < 40  # those of 16 pixels


def test_scaled_degradations_are_smaller():
    how = Degradation(scale=0.5)
    assert how.sides == (2, 4, 8)
    for wrong in (0.0, 0.3, 9.0):
        with pytest.raises(ConfigError, match="scale"):
            Degradation(scale=wrong)
    with pytest.raises(ConfigError, match="divide"):
        masks(2, 24, Degradation(), generator())
