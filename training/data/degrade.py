"""The paper's degradations (Fu et al. 2024, section III): PSF and noise to take back, masked patches to fill.

All sizes are in pixels of the stamp that the network takes. The paper's stamps have 128 pixels; the shipped
encoder's have 64, so that the same numbers hide more of a galaxy there. ``Degradation.scale`` (0.5 at 64 pixels)
scales FWHM and patches to the same part of a galaxy instead.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from discovery.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Degradation:
    """How stamps are degraded; each range is drawn from uniformly, anew for each stamp.

    Attributes
    ----------
    fwhm : tuple of float
        Of the Moffat PSF, in pixels.
    beta : float
        Of the Moffat PSF; the paper names none, 2.5 is usual for seeing with the wings of real images (Trujillo et al.
        2001 discuss 2.5 to 4.765).
    sigma : tuple of float
        Of the Gaussian noise, on the scale 0 to 255. Noisy values are not clipped, so that noise stays unbiased.
    patches : tuple of int
        Sides of the masked patches in pixels; one side a stamp.
    masked : tuple of float
        Share of the patches that is masked; at least one patch always is.
    scale : float
        Factor on FWHM and patch sides.
    """

    fwhm: tuple[float, float] = (2.0, 8.0)
    beta: float = 2.5
    sigma: tuple[float, float] = (1.0, 15.0)
    patches: tuple[int, ...] = (4, 8, 16)
    masked: tuple[float, float] = (0.0, 0.7)
    scale: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.scale <= 4 or any(side * self.scale != round(side * self.scale) for side in self.patches):
            raise ConfigError(f"scale {self.scale} must be above 0 and make whole pixels of patches of {self.patches}; use 1 or 0.5.")

    @property
    def sides(self) -> tuple[int, ...]:
        """Sides of the patches in pixels of the stamp, scaled."""
        return tuple(round(side * self.scale) for side in self.patches)


def degraded(stamps: Tensor, how: Degradation, generator: torch.Generator) -> Tensor:
    """Return stamps blurred with a Moffat PSF, with Gaussian noise.

    Parameters
    ----------
    stamps : Tensor
        (B, 3, S, S) in 0..1.

    Returns
    -------
    Tensor
        (B, 3, S, S); noise may lie outside 0..1.
    """
    low, high = (value * how.scale for value in how.fwhm)
    blurred = blurred_by(stamps, _uniform(low, high, len(stamps), generator), how.beta)
    sigma = _uniform(*how.sigma, len(stamps), generator) / 255
    return blurred + sigma[:, None, None, None] * torch.randn(stamps.shape, generator=generator)


def blurred_by(stamps: Tensor, fwhm: Tensor, beta: float) -> Tensor:
    """Return each stamp convolved with its own PSF; beyond the edges the stamp is mirrored.

    Parameters
    ----------
    stamps : Tensor
        (B, 3, S, S), S even.
    fwhm : Tensor
        (B,) pixels.
    """
    side = stamps.shape[-1]
    margin = side // 2
    wide = F.pad(stamps, (margin,) * 4, mode="reflect")  # (B, 3, 2S, 2S)
    kernels = torch.fft.ifftshift(moffat(fwhm, beta, 2 * side), dim=(1, 2))
    product = torch.fft.rfft2(wide) * torch.fft.rfft2(kernels)[:, None]
    return torch.fft.irfft2(product, s=wide.shape[-2:])[..., margin:-margin, margin:-margin]


def moffat(fwhm: Tensor, beta: float, side: int) -> Tensor:
    """Return Moffat profiles, sampled at pixel centres and of sum 1 (Moffat 1969).

    ``(1 + (r / a)^2) ** -beta`` with ``a = FWHM / (2 sqrt(2 ** (1 / beta) - 1))``.

    Returns
    -------
    Tensor
        (B, side, side), the peak at pixel ``side // 2`` in both directions.
    """
    place = torch.arange(side) - side // 2
    squared = (place[:, None] ** 2 + place[None, :] ** 2).float()
    core = fwhm / (2 * math.sqrt(2 ** (1 / beta) - 1))
    profile = (1 + squared / core[:, None, None] ** 2) ** -beta
    return profile / profile.sum((1, 2), keepdim=True)


def masks(count: int, side: int, how: Degradation, generator: torch.Generator, patch: int | None = None) -> Tensor:
    """Return masks of patches on a grid, drawn at random.

    Parameters
    ----------
    count, side
        Number of masks and their side in pixels, a multiple of each patch.
    patch
        Side of all patches in pixels; drawn from ``how.sides`` for each mask when not given.

    Returns
    -------
    Tensor
        (count, 1, side, side) float: 1 where the stamp is hidden.
    """
    sides = how.sides if patch is None else (patch,)
    if wrong := [length for length in sides if length < 1 or side % length]:
        raise ConfigError(f"Patches of {wrong[0]} pixels do not divide a stamp of {side}; change the scale or the patches.")
    drawn = torch.stack([_mask(side, length, how, generator, count) for length in sides])  # (sizes, B, S, S)
    chosen = torch.randint(len(sides), (count,), generator=generator)
    return drawn[chosen, torch.arange(count)][:, None]


def _mask(side: int, patch: int, how: Degradation, generator: torch.Generator, count: int) -> Tensor:
    cells = side // patch
    hidden = (_uniform(*how.masked, count, generator) * cells**2).round().clamp(min=1)
    order = torch.rand(count, cells**2, generator=generator).argsort(1).argsort(1)
    grid = (order < hidden[:, None]).float().view(count, cells, cells)
    return grid.repeat_interleave(patch, 1).repeat_interleave(patch, 2)


def _uniform(low: float, high: float, count: int, generator: torch.Generator) -> Tensor:
    return torch.rand(count, generator=generator) * (high - low) + low
