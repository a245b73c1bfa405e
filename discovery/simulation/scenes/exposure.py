"""What the telescope adds: PSF and noise drawn from the published fits, and the depths that follow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from discovery.simulation.config import PIXEL_SCALE_ARCSEC, Visit
from discovery.simulation.scenes.photometry import flux_from_mag

FWHM_PER_SIGMA = 2.3548
SIGMA_FITS = (
    (0.2264926, -0.0006735, 0.0037602),
    (0.2431146, -0.0023663, 0.0067417),
    (0.1334844, -0.0143416, 0.0260779),
)
"""Lognormal (shape, loc, scale) of the pixel noise in nanomaggies, bands g r z (Stein et al. 2021)."""
PSF_FITS = (
    (0.2109966, 1.0807153, 1.3153171),
    (0.3008485, 1.2394326, 0.9164757),
    (0.3471172, 1.1928363, 0.8233702),
)
"""Lognormal (shape, loc, scale) of the PSF's sigma in pixels."""
LEAST_SIGMA_NMGY = 0.001
SKY_MAG_PER_ARCSEC2 = np.array([22.0, 20.9, 18.9])
"""Night sky, which sets how much photon noise a source adds to the noise of the sky."""


@dataclass(frozen=True, kw_only=True)
class Exposure:
    """Conditions of one stamp, each (3,) float64 for g, r, z."""

    sigma_nmgy: np.ndarray
    psf_sigma_pixels: np.ndarray

    @property
    def psf_fwhm_pixels(self) -> np.ndarray:
        """Full width at half maximum in pixels, (3,) float64."""
        return FWHM_PER_SIGMA * self.psf_sigma_pixels

    @property
    def psfsize_arcsec(self) -> np.ndarray:
        """Full width at half maximum, as the column ``psfsize``."""
        return self.psf_fwhm_pixels * PIXEL_SCALE_ARCSEC

    @property
    def psfdepth(self) -> np.ndarray:
        """Inverse variance of a point source, 1 / nanomaggies^2: 1/sigma^2 / (4 pi psf_sigma^2)."""
        return self.sigma_nmgy**-2.0 / (4 * np.pi * self.psf_sigma_pixels**2)

    def scaled(self, visit: Visit) -> Exposure:
        """Return the conditions with the visit's wider PSF and stronger noise."""
        return Exposure(sigma_nmgy=self.sigma_nmgy * visit.noise, psf_sigma_pixels=self.psf_sigma_pixels * visit.psf)


def draw_exposure(rng: np.random.Generator) -> Exposure:
    """Return noise and PSF of one stamp, drawn at random."""
    sigma = [loc + scale * np.exp(shape * rng.standard_normal()) for shape, loc, scale in SIGMA_FITS]
    psf = [loc + scale * np.exp(shape * rng.standard_normal()) for shape, loc, scale in PSF_FITS]
    return Exposure(sigma_nmgy=np.maximum(sigma, LEAST_SIGMA_NMGY), psf_sigma_pixels=np.array(psf))


def add_noise(rng: np.random.Generator, image: np.ndarray, exposure: Exposure) -> np.ndarray:
    """Return the (3, H, W) image with sky noise and the photon noise of the sources."""
    sky_nmgy = flux_from_mag(SKY_MAG_PER_ARCSEC2) * PIXEL_SCALE_ARCSEC**2
    sigma = exposure.sigma_nmgy.astype(np.float32)[:, None, None]
    brightening = 1 + np.maximum(image, 0) / sky_nmgy.astype(np.float32)[:, None, None]
    noise = rng.standard_normal(image.shape, dtype=np.float32)
    return image + noise * sigma * np.sqrt(brightening)
