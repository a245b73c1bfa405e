"""What disks are made of: arms, bars, rings, dust and texture, drawn as images on the grid.

Formulas: logarithmic arms after Binney & Tremaine (2008, section 6.1), bars after Ferrers (1877),
edge-on disks after van der Kruit & Searle (1981, A&A 95, 105).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.fft
import scipy.special

from discovery.simulation.scenes.light import GRID_PIXELS, grid


@dataclass(frozen=True, kw_only=True)
class DiskFrame:
    """Coordinates in the plane of an inclined disk, each (256, 256) float32.

    ``u`` and ``v`` are pixels along the projected major axis and, deprojected, across it; ``radius``
    and ``azimuth`` are their polar form.
    """

    u: np.ndarray
    v: np.ndarray
    radius: np.ndarray
    azimuth: np.ndarray


def disk_frame(axis_ratio: float, angle: float, x: float = 0.0, y: float = 0.0) -> DiskFrame:
    """Return the frame of a thin disk of the given projected axis ratio and position angle (radians)."""
    u, v = turned(angle, x, y)
    v = v / np.float32(axis_ratio)
    return DiskFrame(u=u, v=v, radius=np.hypot(u, v), azimuth=np.arctan2(v, u))


def turned(angle: float, x: float = 0.0, y: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Return coordinates along and across a direction through the point x, y."""
    gx, gy = grid()
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    dx, dy = gx - np.float32(x), gy - np.float32(y)
    return dx * cos + dy * sin, dy * cos - dx * sin


def exponential(radius: np.ndarray, scale_pixels: float, break_pixels: float = np.inf) -> np.ndarray:
    """Return an exponential disk that falls twice as steeply beyond ``break_pixels``."""
    image = np.exp(-radius / np.float32(scale_pixels))
    if np.isfinite(break_pixels):
        image *= np.exp(-np.maximum(radius - np.float32(break_pixels), 0) / np.float32(scale_pixels))
    return image


def smooth_step(radius: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return a cubic step, 0 below ``low`` and 1 above ``high``."""
    t = np.clip((radius - np.float32(low)) / np.float32(high - low), 0, 1)
    return t * t * (3 - 2 * t)


def arm_phase(
    frame: DiskFrame, *, arms: int, pitch_deg: float, start_pixels: float, start_azimuth: float, hand: int
) -> np.ndarray:
    """Return the phase of a logarithmic spiral: a multiple of 2 pi on the ridge of each arm."""
    winding = np.log(np.maximum(frame.radius, 0.5) / np.float32(start_pixels))
    winding /= np.float32(np.tan(np.radians(pitch_deg)))
    return np.float32(arms) * (np.float32(hand) * (frame.azimuth - np.float32(start_azimuth)) - winding)


def ridge(phase: np.ndarray, sharpness: float) -> np.ndarray:
    """Return 1 on the ridges of a phase, falling off between them (von Mises profile)."""
    return np.exp(np.float32(sharpness) * (np.cos(phase) - 1))


def ferrers_bar(frame: DiskFrame, *, length_pixels: float, width_pixels: float, angle: float) -> np.ndarray:
    """Return a bar of half-length ``length_pixels`` at ``angle`` in the plane of the disk."""
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    along = np.abs(frame.u * cos + frame.v * sin) / np.float32(length_pixels)
    across = np.abs(frame.v * cos - frame.u * sin) / np.float32(width_pixels)
    boxy = (along**2.5 + across**2.5) ** np.float32(0.8)
    return np.maximum(1 - boxy, 0) ** np.float32(1.2)


def gaussian_ring(radius: np.ndarray, radius_pixels: float, width_pixels: float) -> np.ndarray:
    """Return a ring of Gaussian cross section."""
    return np.exp(-0.5 * ((radius - np.float32(radius_pixels)) / np.float32(width_pixels)) ** 2)


def edge_on_disk(u: np.ndarray, v: np.ndarray, *, scale_pixels: float, height_pixels: float) -> np.ndarray:
    """Return an isothermal exponential disk seen from its edge: (u/h) K1(u/h) sech^2(v/z)."""
    along = np.maximum(np.abs(u), 0.3) / scale_pixels
    across = np.clip(v / np.float32(height_pixels), -15, 15)
    return (along * scipy.special.k1(along) / np.cosh(across) ** 2).astype(np.float32)


def texture(rng: np.random.Generator, scale_pixels: float) -> np.ndarray:
    """Return a Gaussian random field (256, 256) float32 of unit variance, smooth on ``scale_pixels``."""
    noise = rng.standard_normal((GRID_PIXELS, GRID_PIXELS), dtype=np.float32)
    spectrum = scipy.fft.rfft2(noise) * np.exp(-_wavenumber_squared() * np.float32(0.5 * scale_pixels**2))
    field = scipy.fft.irfft2(spectrum, s=noise.shape)
    return field / field.std()


def knots(rng: np.random.Generator, weight: np.ndarray, count: int) -> np.ndarray:
    """Return ``count`` unresolved star-forming regions placed by ``weight``, luminosities a power law."""
    image = np.zeros_like(weight)
    if count == 0:
        return image
    total = np.cumsum(weight, dtype=np.float64)
    if total[-1] <= 0:
        return image
    where = np.searchsorted(total, rng.random(count) * total[-1])
    luminosity = np.minimum((1 - rng.random(count)) ** -0.6, 6.0)
    np.add.at(image.reshape(-1), where, luminosity.astype(np.float32))
    return image


@lru_cache(maxsize=1)
def _wavenumber_squared() -> np.ndarray:
    kx = 2 * np.pi * np.fft.rfftfreq(GRID_PIXELS)
    ky = 2 * np.pi * np.fft.fftfreq(GRID_PIXELS)
    return (ky[:, None] ** 2 + kx[None, :] ** 2).astype(np.float32)
