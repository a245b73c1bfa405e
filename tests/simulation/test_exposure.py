"""Noise and PSF against the published fits."""

import numpy as np
import pytest
import scipy.stats

from discovery.simulation.scenes.exposure import (
    LEAST_SIGMA_NMGY,
    PSF_FITS,
    SIGMA_FITS,
    Exposure,
    add_noise,
    draw_exposure,
)


@pytest.fixture(scope="module")
def exposures() -> list[Exposure]:
    rng = np.random.default_rng(3)
    return [draw_exposure(rng) for _ in range(3000)]


@pytest.mark.parametrize("band", range(3))
def test_draws_follow_the_published_lognormals(exposures: list[Exposure], band: int) -> None:
    sigma = np.array([exposure.sigma_nmgy[band] for exposure in exposures])
    psf = np.array([exposure.psf_sigma_pixels[band] for exposure in exposures])
    for values, (shape, loc, scale) in ((sigma, SIGMA_FITS[band]), (psf, PSF_FITS[band])):
        published = scipy.stats.lognorm(shape, loc, scale)
        for quantile in (0.1, 0.5, 0.9):
            assert np.quantile(values, quantile) == pytest.approx(published.ppf(quantile), rel=0.03)
    assert sigma.min() >= LEAST_SIGMA_NMGY


def test_depth_gives_the_noise_back(exposures: list[Exposure]) -> None:
    """1/sigma^2 = psfdepth * 4 pi (psfsize / 2.3548 / 0.262)^2, as formats.md has it."""
    exposure = exposures[0]
    inverse_variance = exposure.psfdepth * 4 * np.pi * (exposure.psfsize_arcsec / 2.3548 / 0.262) ** 2
    np.testing.assert_allclose(inverse_variance**-0.5, exposure.sigma_nmgy)


def test_noise_is_the_drawn_sigma_on_empty_sky_and_more_on_sources(exposures: list[Exposure]) -> None:
    rng = np.random.default_rng(0)
    empty = add_noise(rng, np.zeros((3, 200, 200), np.float32), exposures[0])
    np.testing.assert_allclose(empty.std(axis=(1, 2)), exposures[0].sigma_nmgy, rtol=0.02)
    bright = add_noise(rng, np.full((3, 200, 200), 5.0, np.float32), exposures[0])
    assert (bright.std(axis=(1, 2)) > 1.5 * exposures[0].sigma_nmgy).all()
    np.testing.assert_allclose(bright.mean(axis=(1, 2)), 5.0, rtol=0.01)
