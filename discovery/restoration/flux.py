"""What keeps the flux in apertures when an image is restored.

A network that sharpens and denoises also shifts large areas a little: a bias in the stretched space that the eye does
not see is several per cent of a galaxy's flux. Sharpening and denoising move flux over a few pixels only, so the
smooth part of the change is taken out of it again. What is left sums to nearly zero in any aperture much larger than
the smoothing; where it does not (compact sources, strong changes) the change is made weaker, locally, until it does.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import fft, ndimage

SMOOTHING_PIXELS = 3.0
"""Sigma of the Gaussian that is taken out of a change: about the widest PSF (FWHM 8) that the network was taught to sharpen."""
RADII_PIXELS = (8.0, 11.3, 16.0, 22.6, 32.0, 45.3, 64.0)
"""Apertures that are watched, about every second pixel."""
TOLERANCE = 0.0175
"""Largest change of the flux in an aperture; leaves a margin to 2 % for the apertures in between."""
CENTRED = 0.25
"""An aperture is centred where the centroid of its light lies within this share of its radius from the middle."""
TOLERANCE_ELSEWHERE = 0.1
"""For an aperture whose edge cuts through a source: sharpening must move light across it."""
NOISE_SHARE = 1.0
"""...or this many times the aperture's own sky noise, where that is more: on empty sky a percentage means nothing."""
ROUNDS = 12
HASTE = 0.95
"""A change that is too large is made this much smaller than it need be, so that few rounds suffice."""
BINNING = 2
BLEND_PIXELS = 4.0


def conserve_flux(change: np.ndarray, flux: np.ndarray) -> np.ndarray:
    """Return a change of an image that leaves the flux in apertures as it was.

    For every circular aperture of at least 8 pixels' radius that is centred on its light the change's sum is at most
    1.75 % of the aperture's flux, or its sky noise (of one sigma) where that is more; for others, whose edge cuts through a
    source, 10 %. The change is multiplied with a smooth map (1 nearly everywhere) and its own Gaussian-smoothed
    version is subtracted, which conserves the image's total exactly; the map is lowered around the apertures that
    change too much until none does. If twelve rounds do not suffice the whole change is scaled, which always does.

    Parameters
    ----------
    change, flux : numpy.ndarray
        (3, H, W) nanomaggies, finite.

    Returns
    -------
    numpy.ndarray
        (3, H, W) float64; zero where ``change`` is zero everywhere.
    """
    return np.stack([_conserve(*pair) for pair in zip(change, flux, strict=True)])


def pixel_noise(flux: np.ndarray) -> float:
    """Return the sky noise of an (H, W) plane: median absolute difference of neighbours, as a sigma."""
    steps = np.abs(np.diff(flux, axis=-1))
    return float(1.4826 * np.median(steps) / np.sqrt(2)) if steps.size else 0.0


def _conserve(change: np.ndarray, flux: np.ndarray) -> np.ndarray:
    if not change.any():
        return np.zeros(change.shape)
    watch = _Apertures(flux)
    strength = np.ones(change.shape)
    for _ in range(ROUNDS):
        kept = _without_smooth_part(change * strength)
        allowed = watch.allowed_share(kept)
        if allowed.min() >= 1:
            return kept
        strength *= _enlarged(np.where(allowed < 1, HASTE * allowed, 1), change.shape)
    kept = _without_smooth_part(change * strength)
    return kept * min(1.0, watch.allowed_share(kept).min())


def _without_smooth_part(change: np.ndarray) -> np.ndarray:
    return change - ndimage.gaussian_filter(change, SMOOTHING_PIXELS, mode="reflect")


def _enlarged(allowed: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return the (h, w) shares of the binned image at full size, smooth, and not above the share at any pixel's place."""
    reach = round(2 * BLEND_PIXELS / BINNING)
    low = ndimage.minimum_filter(allowed, 2 * reach + 1, mode="nearest")
    smooth = ndimage.gaussian_filter(low, BLEND_PIXELS / BINNING, mode="nearest")
    return np.repeat(np.repeat(smooth, BINNING, 0), BINNING, 1)[: shape[0], : shape[1]]


class _Apertures:
    """The fluxes of a plane in circles around every place of a grid, and how much each may change."""

    def __init__(self, flux: np.ndarray) -> None:
        binned = _binned(flux)
        self._shape = binned.shape
        reach = max(RADII_PIXELS[0], min(flux.shape) / 2)
        self._grid, self._circles = _circles(binned.shape, tuple(r / BINNING for r in RADII_PIXELS if r <= reach))
        spectrum = fft.rfft2(binned, self._grid)
        sky = NOISE_SHARE * pixel_noise(flux) * np.sqrt(np.pi) * BINNING
        self._limits = [np.maximum(self._most(spectrum, circle), sky * circle.radius) for circle in self._circles]

    def allowed_share(self, change: np.ndarray) -> np.ndarray:
        """Return the largest factor (h, w) in 0..1 that each place's change may have for the sake of all circles around it."""
        spectrum = fft.rfft2(_binned(change), self._grid)
        allowed = np.ones(self._shape)
        for circle, limit in zip(self._circles, self._limits, strict=True):
            moved = np.abs(self._sums(spectrum, circle.disk))
            share = np.ones(self._shape)
            np.divide(limit, moved, out=share, where=moved > limit)
            if share.min() < 1:
                size = 2 * int(np.ceil(circle.radius)) + 1
                allowed = np.minimum(allowed, ndimage.minimum_filter(share, size, mode="nearest"))
        return allowed

    def _most(self, spectrum: np.ndarray, circle: _Circle) -> np.ndarray:
        """Return how much the flux around each place may change: more where the circle is not centred on its light."""
        total = np.abs(self._sums(spectrum, circle.disk))
        away = np.hypot(self._sums(spectrum, circle.rows), self._sums(spectrum, circle.columns))
        return np.where(away <= CENTRED * circle.radius * total, TOLERANCE, TOLERANCE_ELSEWHERE) * total

    def _sums(self, spectrum: np.ndarray, circle: np.ndarray) -> np.ndarray:
        return fft.irfft2(spectrum * circle, self._grid)[: self._shape[0], : self._shape[1]]


@dataclass(frozen=True, kw_only=True)
class _Circle:
    """Spectra of a disk about pixel (0, 0) of a periodic grid, and of the disk times the rows' and columns' numbers."""

    radius: float
    disk: np.ndarray
    rows: np.ndarray
    columns: np.ndarray


@lru_cache(maxsize=2)
def _circles(shape: tuple[int, int], radii: tuple[float, ...]) -> tuple[tuple[int, ...], list[_Circle]]:
    """Return the sides of a grid in which no circle about a pixel of ``shape`` meets its copies, and the circles' spectra."""
    grid = tuple(fft.next_fast_len(side + int(np.ceil(max(radii))) + 1, real=True) for side in shape)
    rows, columns = (fft.fftfreq(side, 1 / side) for side in grid)
    circles = []
    for radius in radii:
        disk = np.clip(radius + 0.5 - np.hypot(rows[:, None], columns[None, :]), 0, 1)  # edge pixels count in part
        spectra = (fft.rfft2(disk), fft.rfft2(disk * rows[:, None]), fft.rfft2(disk * columns[None, :]))
        circles.append(_Circle(radius=radius, disk=spectra[0], rows=spectra[1], columns=spectra[2]))
    return grid, circles


def _binned(plane: np.ndarray) -> np.ndarray:
    """Return sums of 2 x 2 pixels; an odd side is continued by zeros."""
    even = np.pad(plane, [(0, side % BINNING) for side in plane.shape])
    return even.reshape(even.shape[0] // BINNING, BINNING, -1, BINNING).sum(axis=(1, 3))
