"""Light before the atmosphere: a scene collects profiles and drawn images, then meets its PSF.

Smooth profiles enter in Fourier space from GalSim, where a cuspy Sersic centre needs no subpixels;
structure enters as images. The PSF is band-limited well below the pixel's Nyquist frequency, so that
one grid at the pixel scale serves for both.
"""

from __future__ import annotations

from functools import lru_cache

import galsim
import numpy as np
import scipy.fft

from discovery.simulation.config import STAMP_PIXELS

GRID_PIXELS = 256
"""Side of the drawing grid; the stamp is its middle, the margin keeps Fourier copies out."""
CENTRE = (GRID_PIXELS - 1) / 2
_MARGIN = (GRID_PIXELS - STAMP_PIXELS) // 2


class Scene:
    """Light of one stamp in three bands, in nanomaggies.

    Positions are pixels from the centre of the stamp, x to the right (column), y up the rows;
    angles are radians from x towards y.
    """

    def __init__(self) -> None:
        self.planes = np.zeros((3, GRID_PIXELS, GRID_PIXELS), np.float32)
        self.spectrum = np.zeros((3, GRID_PIXELS, GRID_PIXELS // 2 + 1), np.complex64)
        self.flux_nmgy = np.zeros(3)

    def add_image(self, image: np.ndarray, flux_nmgy: np.ndarray) -> None:
        """Add an (H, W) image of any normalisation with the given total flux (3,)."""
        total = float(image.sum(dtype=np.float64))
        if total > 0:
            self.planes += (np.asarray(flux_nmgy)[:, None, None] / total).astype(np.float32) * image
            self.flux_nmgy = self.flux_nmgy + flux_nmgy

    def add_planes(self, planes: np.ndarray) -> None:
        """Add (3, H, W) images that already are in nanomaggies per pixel."""
        self.planes += planes
        self.flux_nmgy = self.flux_nmgy + planes.sum(axis=(1, 2), dtype=np.float64)

    def add_sersic(
        self,
        *,
        index: float,
        radius_pixels: float,
        flux_nmgy: np.ndarray,
        axis_ratio: float = 1.0,
        angle: float = 0.0,
        x: float = 0.0,
        y: float = 0.0,
    ) -> None:
        """Add a Sersic profile of half-light radius ``radius_pixels`` along the circularised axis."""
        profile = galsim.Sersic(n=index, half_light_radius=max(radius_pixels, 0.3))
        if axis_ratio < 1.0:
            profile = profile.shear(q=max(axis_ratio, 0.1), beta=angle * galsim.radians)
        self._add_spectrum(_fourier(profile), flux_nmgy, x, y)

    def add_point(self, *, x: float, y: float, flux_nmgy: np.ndarray) -> None:
        """Add a star."""
        self._add_spectrum(np.float32(1.0), flux_nmgy, x, y)

    def scale(self, factors: np.ndarray) -> None:
        """Multiply the light so far by a factor a band (3,)."""
        column = np.asarray(factors, np.float32)[:, None, None]
        self.planes *= column
        self.spectrum *= column
        self.flux_nmgy = self.flux_nmgy * factors

    def observe(self, psf_fwhm_pixels: np.ndarray) -> np.ndarray:
        """Return the stamp: convolved with a Moffat PSF (full width at half maximum in pixels, (3,)) and cut out.

        Returns
        -------
        numpy.ndarray
            (3, 152, 152) float32 nanomaggies per pixel, without noise.
        """
        spectrum = scipy.fft.rfft2(self.planes) + self.spectrum
        for band, fwhm_pixels in enumerate(psf_fwhm_pixels):
            spectrum[band] *= _fourier(galsim.Moffat(beta=3.5, fwhm=float(fwhm_pixels)))
        image = scipy.fft.irfft2(spectrum, s=(GRID_PIXELS, GRID_PIXELS))
        return image[:, _MARGIN:-_MARGIN, _MARGIN:-_MARGIN].astype(np.float32)

    def _add_spectrum(self, shape: np.ndarray | np.float32, flux_nmgy: np.ndarray, x: float, y: float) -> None:
        shifted = shape * _shift(x, y)
        self.spectrum += np.asarray(flux_nmgy, np.float32)[:, None, None] * shifted
        self.flux_nmgy = self.flux_nmgy + flux_nmgy


def _fourier(profile: galsim.GSObject) -> np.ndarray:
    """Return the profile's real Fourier transform (256, 129) float32 in the order of ``rfft2``."""
    half = GRID_PIXELS // 2
    bounds = galsim.BoundsI(0, half, -half, half - 1)
    image = galsim.ImageCF(bounds, scale=2 * np.pi / GRID_PIXELS)
    profile._drawKImage(image)
    return np.fft.ifftshift(image.array.real, axes=0)


def _shift(x: float, y: float) -> np.ndarray:
    """Return the phase factor (256, 129) that moves a profile from pixel (0, 0) to x, y from the centre."""
    kx, ky = _frequencies()
    return np.exp(-1j * ky * (CENTRE + y))[:, None] * np.exp(-1j * kx * (CENTRE + x))[None, :]


@lru_cache(maxsize=1)
def _frequencies() -> tuple[np.ndarray, np.ndarray]:
    kx = 2 * np.pi * np.fft.rfftfreq(GRID_PIXELS).astype(np.float32)
    ky = 2 * np.pi * np.fft.fftfreq(GRID_PIXELS).astype(np.float32)
    return kx, ky


@lru_cache(maxsize=1)
def grid() -> tuple[np.ndarray, np.ndarray]:
    """Return x and y of every pixel of the drawing grid, (256, 256) float32, pixels from the centre."""
    axis = np.arange(GRID_PIXELS, dtype=np.float32) - np.float32(CENTRE)
    y, x = np.meshgrid(axis, axis, indexing="ij")
    x.flags.writeable = y.flags.writeable = False
    return x, y
