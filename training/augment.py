"""Augmentation: one random view of each stamp of a batch."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

ZOOM = (0.75, 1.3)
SHIFT = 0.06
GAIN = 0.15
GREY_SHARE, BLUR_SHARE = 0.15, 0.3
NOISE = 0.04


def view(pixels: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Turn, flip, zoom, shift, tint, blur and add noise.

    Parameters
    ----------
    pixels : Tensor
        (B, 3, S, S) float in 0..1.
    size : int
        Side of the view in pixels.

    Returns
    -------
    Tensor
        (B, 3, size, size) in 0..1.
    """
    count = len(pixels)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(count, *shape, generator=generator) * (high - low) + low

    turned = F.grid_sample(
        pixels, _grid(uniform, pixels.shape[-1], size), mode="bilinear", padding_mode="reflection", align_corners=False
    )
    turned = turned * uniform(1 - GAIN, 1 + GAIN, 3, 1, 1) * uniform(1 - GAIN, 1 + GAIN, 1, 1, 1)
    turned = turned.clamp(0, 1) ** uniform(0.8, 1.25, 1, 1, 1)
    grey = uniform(0, 1, 1, 1, 1) < GREY_SHARE
    turned = torch.where(grey, turned.mean(1, keepdim=True), turned)
    blurred = F.avg_pool2d(turned, 3, stride=1, padding=1, count_include_pad=False)
    turned = torch.where(uniform(0, 1, 1, 1, 1) < BLUR_SHARE, blurred, turned)
    noise = torch.randn(turned.shape, generator=generator) * uniform(0, NOISE, 1, 1, 1)
    return (turned + noise).clamp(0, 1)


def _grid(uniform, side: int, size: int) -> Tensor:
    """Return sampling positions (B, size, size, 2): rotation, mirror, zoom and shift in one."""
    angle, zoom = uniform(0, 2 * math.pi), uniform(*ZOOM)
    mirror = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
    cosine, sine = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    shift_x, shift_y = uniform(-SHIFT, SHIFT), uniform(-SHIFT, SHIFT)
    rows = [torch.stack([cosine * mirror, -sine, shift_x], 1), torch.stack([sine * mirror, cosine, shift_y], 1)]
    return F.affine_grid(torch.stack(rows, 1), [len(angle), 3, size, size], align_corners=False)
