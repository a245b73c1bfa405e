"""Augmentation: one random view of each stamp, in flux where that is where it happens.

A stamp of display colours is taken back to (scaled) flux by the inverse of ``dr2_rgb``, turned, zoomed and shifted
there, dimmed by dust, blurred to a worse PSF, given more noise, and rendered again. The amounts follow the
lognormal fits to the Legacy Survey's noise and PSF that Stein et al. (2021, ssl-legacysurvey) publish.

Every stamp's random numbers depend on (seed, step, view, its position in the global batch) alone, in blocks of
`BLOCK` stamps: processes that share a batch draw what one process would.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from discovery.stamps.imaging_surveys import SURVEYS

BLOCK = 8
LEGACY = SURVEYS["legacy"]
NATIVE_SIDE = 152
"""Pixels of 0.262 arcsec across an uncropped training stamp: what the fits' pixels are scaled by."""

# Lognormal (shape, loc, scale) of g, r, z: noise in nanomaggies a pixel (at least 0.001), PSF sigma in pixels.
NOISE_FITS = ((0.2264926, -0.0006735, 0.0037602), (0.2431146, -0.0023663, 0.0067417), (0.1334844, -0.0143416, 0.0260779))
PSF_FITS = ((0.2109966, 1.0807153, 1.3153171), (0.3008485, 1.2394326, 0.9164757), (0.3471172, 1.1928363, 0.8233702))
SMALLEST_NOISE = 0.001
EXTINCTION = (3.214, 2.165, 1.211)
"""A_band / E(B-V) of DECam g, r, z (Schlafly and Finkbeiner 2011, as the Legacy Surveys use them)."""
TAPS = 7
SCALARS = 22


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """How far a view goes from its stamp.

    Attributes
    ----------
    zoom : tuple of float
        Range of the side of the view in sides of the stamp (a random crop below 1).
    shift : float
        Largest shift of the centre, in half sides.
    reddening : float
        Largest E(B-V) added or taken away.
    gain : float
        Largest relative change of each band's brightness beyond dust, as between telescopes and stretches.
    noise, psf : float
        Share of the published noise and PSF that the added ones reach at most; 0 leaves them out.
    grey : float
        Share of views without colour.
    """

    zoom: tuple[float, float] = (0.75, 1.3)
    shift: float = 0.06
    reddening: float = 0.15
    gain: float = 0.15
    noise: float = 1.0
    psf: float = 1.0
    grey: float = 0.15


def view(pixels: Tensor, size: int, config: AugmentConfig, key: Sequence[int], positions: Tensor) -> Tensor:
    """Return one random view of each stamp.

    Parameters
    ----------
    pixels : Tensor
        (B, 3, S, S) float in 0..1, dr2_rgb colours, channels g r z.
    size : int
        Side of the view in pixels.
    key : sequence of int
        Names the draw: seed, step, number of the view.
    positions : Tensor
        (B,) int64 place of each stamp in the global batch, increasing.

    Returns
    -------
    Tensor
        (B, 3, size, size) in 0..1.
    """
    chance = uniform(key, positions, SCALARS, pixels.device)
    turned = F.grid_sample(pixels, _grid(chance, size, config), mode="bilinear", padding_mode="reflection", align_corners=False)
    flux = to_flux(turned)
    flux = flux * _dust_and_gain(chance, config)[:, :, None, None]
    if config.psf:
        flux = _blur(flux, _psf_sigma(chance, size, config))
    if config.noise:
        unit = normal(key, positions, (3, size, size), pixels.device)
        flux = flux + unit * _noise_sigma(chance, config)[:, :, None, None]
    seen = to_colours(flux)
    grey = (chance[:, 20] < config.grey)[:, None, None, None]
    return torch.where(grey, seen.mean(1, keepdim=True), seen)


def uniform(key: Sequence[int], positions: Tensor, columns: int, device: torch.device) -> Tensor:
    """Return (B, columns) in 0..1 that depend on the key and the (increasing) positions alone."""
    return _blocks(lambda generator: torch.rand(BLOCK, columns, generator=generator, device=device), key, positions, device)


def normal(key: Sequence[int], positions: Tensor, shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Return (B, *shape) normal numbers that depend on the key and the (increasing) positions alone."""
    draw = lambda generator: torch.randn(BLOCK, *shape, generator=generator, device=device)  # noqa: E731
    return _blocks(draw, [*key, 1], positions, device)


def to_flux(colours: Tensor) -> Tensor:
    """Return ``dr2_rgb`` inverted but for its clipping: colours (B, 3, H, W) to nanomaggies a pixel of the Legacy style.

    With ``f`` the mean of the planes, ``I = sinh(sqrt(Q) f) / Q`` and ``flux_b = (plane_b I / f - m) / s_b``.
    """
    mean = colours.mean(1, keepdim=True).clamp_min(1e-4)
    intensity = torch.sinh(math.sqrt(LEGACY.Q) * mean) / LEGACY.Q
    return (colours * (intensity / mean) - LEGACY.m) / _scales(colours)


def to_colours(flux: Tensor) -> Tensor:
    """Return nanomaggies (B, 3, H, W) rendered in the Legacy style, as `discovery.stamps.preprocess.dr2_rgb` does."""
    scaled = flux * _scales(flux) + LEGACY.m
    intensity = scaled.clamp_min(0).mean(1, keepdim=True).clamp_min(1e-6)
    return (scaled * (torch.asinh(LEGACY.Q * intensity) / math.sqrt(LEGACY.Q) / intensity)).clamp(0, 1)


def _blocks(draw: Callable[[torch.Generator], Tensor], key: Sequence[int], positions: Tensor, device: torch.device) -> Tensor:
    places = positions.tolist()
    parts = []
    for block in sorted({place // BLOCK for place in places}):
        generator = torch.Generator(device).manual_seed(_seed(*key, block))
        rows = [place - BLOCK * block for place in places if place // BLOCK == block]
        parts.append(draw(generator)[rows])
    return torch.cat(parts)


def _scales(like: Tensor) -> Tensor:
    return like.new_tensor(LEGACY.scales)[:, None, None]


def _seed(*key: int) -> int:
    """Mix some integers into 63 bits (the multiplier is that of splitmix64)."""
    mixed = 0
    for part in key:
        mixed = ((mixed ^ part) * 0xBF58476D1CE4E5B9 + 0x9E3779B97F4A7C15) & (2**64 - 1)
        mixed ^= mixed >> 31
    return mixed >> 1


def _between(chance: Tensor, column: int, low: float, high: float) -> Tensor:
    return chance[:, column] * (high - low) + low


def _grid(chance: Tensor, size: int, config: AugmentConfig) -> Tensor:
    """Return sampling positions (B, size, size, 2): rotation, mirror, zoom and shift in one."""
    angle, zoom = _between(chance, 0, 0, 2 * math.pi), _between(chance, 1, *config.zoom)
    mirror = torch.where(chance[:, 2] < 0.5, -1.0, 1.0)
    shift_x, shift_y = (_between(chance, column, -config.shift, config.shift) for column in (3, 4))
    cosine, sine = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    rows = [torch.stack([cosine * mirror, -sine, shift_x], 1), torch.stack([sine * mirror, cosine, shift_y], 1)]
    return F.affine_grid(torch.stack(rows, 1), [len(chance), 3, size, size], align_corners=False)


def _dust_and_gain(chance: Tensor, config: AugmentConfig) -> Tensor:
    """Return factors (B, 3): dust reddens by the extinction law, gain moves each band and all of them."""
    excess = _between(chance, 5, -config.reddening, config.reddening)
    dust = 10 ** (-0.4 * excess[:, None] * chance.new_tensor(EXTINCTION))
    bands = 1 + config.gain * (2 * chance[:, 6:9] - 1)
    return dust * bands * (1 + config.gain * (2 * chance[:, 9:10] - 1))


def _lognormal(chance: Tensor, fits: tuple[tuple[float, float, float], ...]) -> Tensor:
    """Return (B, 3) draws of the fits from uniform numbers, by the inverse distribution."""
    shape, place, scale = chance.new_tensor(fits).T
    normal = math.sqrt(2) * torch.erfinv((2 * chance - 1).clamp(-0.9999, 0.9999))
    return place + scale * torch.exp(shape * normal)


def _noise_sigma(chance: Tensor, config: AugmentConfig) -> Tensor:
    """Return (B, 3): a share of the published noise, the same share in every band."""
    sigma = _lognormal(chance[:, 10:13], NOISE_FITS).clamp_min(SMALLEST_NOISE)
    return sigma * config.noise * chance[:, 13:14]


def _psf_sigma(chance: Tensor, size: int, config: AugmentConfig) -> Tensor:
    """Return (B, 3) in pixels of the view: what blurs one published PSF into a wider one, half of the time."""
    one, other = _lognormal(chance[:, 14:17], PSF_FITS), _lognormal(chance[:, 17:20], PSF_FITS)
    extra = (other**2 - one**2).clamp_min(0).sqrt() * (size / NATIVE_SIDE) * config.psf
    return extra * (chance[:, 21:22] < 0.5)


def _blur(image: Tensor, sigma: Tensor) -> Tensor:
    """Convolve each band of each stamp with its own Gaussian: image (B, 3, H, W), sigma (B, 3) pixels."""
    batch, bands, height, width = image.shape
    offset = torch.arange(TAPS, device=image.device) - TAPS // 2
    kernel = torch.exp(-0.5 * (offset / sigma.reshape(-1, 1).clamp_min(1e-3)) ** 2)
    kernel = kernel / kernel.sum(1, keepdim=True)  # (B 3, taps)
    flat = F.pad(image.reshape(1, batch * bands, height, width), (TAPS // 2,) * 4, mode="reflect")
    flat = F.conv2d(flat, kernel[:, None, :, None], groups=batch * bands)
    flat = F.conv2d(flat, kernel[:, None, None, :], groups=batch * bands)
    return flat.view(batch, bands, height, width)
