"""Stars, and what goes wrong in images: trails, bleeding stars, halos, dead columns, cosmic rays, edges.

An artefact has two parts: light that passes the optics (a trail, a bright star) is put into the scene;
what the detector does is done to the finished pixels. MASKBITS follow Legacy Survey DR9.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from discovery.simulation.config import STAMP_PIXELS
from discovery.simulation.scenes.disks import Body, Shape
from discovery.simulation.scenes.light import Scene, grid
from discovery.simulation.scenes.neighbours import draw_star_colour
from discovery.simulation.scenes.photometry import colour, flux_from_mag

BRIGHT, MEDIUM = 1 << 1, 1 << 11
SATURATED = (1 << 2, 1 << 3, 1 << 4)
ALLMASK = (1 << 5, 1 << 6, 1 << 7)

Detector = Callable[[np.ndarray, np.ndarray], None]
"""Changes the pixels (3, H, W) and the mask (H, W) int32 of a stamp in place."""


def add_star(rng: np.random.Generator, scene: Scene, body: Body) -> Shape:
    """Add a star, one in eight with a companion."""
    scene.add_point(x=body.x, y=body.y, flux_nmgy=draw_star_colour(rng))
    if rng.random() < 0.125:
        apart, direction = rng.uniform(4, 14), rng.uniform(0, 2 * np.pi)
        scene.add_point(
            x=body.x + apart * np.cos(direction),
            y=body.y + apart * np.sin(direction),
            flux_nmgy=rng.uniform(0.1, 0.9) * draw_star_colour(rng),
        )
    return Shape(axis_ratio=1.0, angle=0.0, sersic=0.0)


def add_artefact(rng: np.random.Generator, scene: Scene, sigma_nmgy: np.ndarray) -> Detector:
    """Add the light of a random artefact and return what the detector makes of it.

    ``sigma_nmgy`` (3,) is the pixel noise, the measure of what is visible.
    """
    kinds = (_trail, _bleeding_star, _halo, _dead_columns, _cosmic_rays, _edge)
    chances = (0.3, 0.22, 0.16, 0.1, 0.12, 0.1)
    return kinds[int(rng.choice(len(kinds), p=chances))](rng, scene, sigma_nmgy)


def _trail(rng: np.random.Generator, scene: Scene, sigma_nmgy: np.ndarray) -> Detector:
    """Satellite or aircraft: a straight line, as a rule in one band, since bands are taken apart in time."""
    x, y = grid()
    bands = rng.choice(3, size=int(rng.choice([1, 1, 1, 2])), replace=False)
    angle = rng.uniform(0, np.pi)
    for band in bands:
        offset = rng.uniform(-40, 40)
        across = y * np.float32(np.cos(angle)) - x * np.float32(np.sin(angle)) - np.float32(offset)
        plane = np.zeros_like(scene.planes)
        width = rng.uniform(0.4, 1.4)
        glow = np.exp(-0.5 * (across / width) ** 2)
        if rng.random() < 0.25:
            glow += 0.7 * np.exp(-0.5 * ((across - rng.uniform(6, 14)) / width) ** 2)
        plane[band] = sigma_nmgy[band] * 10 ** rng.uniform(0.7, 1.6) * glow
        scene.add_planes(plane)
        angle += rng.normal(0, 0.3)
    masked = rng.random() < 0.5

    def detect(pixels: np.ndarray, mask: np.ndarray) -> None:
        if masked:
            for band in bands:
                mask |= np.where(pixels[band] > 8 * sigma_nmgy[band], ALLMASK[band], 0)

    return detect


def _bleeding_star(rng: np.random.Generator, scene: Scene, sigma_nmgy: np.ndarray) -> Detector:
    """A saturated star whose charge spills along the column."""
    x, y = _near_centre(rng, 35.0)
    scene.add_point(x=x, y=y, flux_nmgy=flux_from_mag(rng.uniform(9.5, 12.5)) * colour(0.6, 0.3))
    _add_spikes(rng, scene, x, y)
    length = [rng.uniform(8, 90) for _ in range(3)]
    level = rng.uniform(1.5, 5.0, 3)
    column, row = round(x + STAMP_PIXELS / 2), round(y + STAMP_PIXELS / 2)

    def detect(pixels: np.ndarray, mask: np.ndarray) -> None:
        for band in range(3):
            full = level[band] * (1.0, 1.3, 2.0)[band]
            mask |= np.where(pixels[band] > full, SATURATED[band] | ALLMASK[band], 0)
            np.minimum(pixels[band], full, out=pixels[band])
            low, high = (int(np.clip(row + s * length[band], 0, STAMP_PIXELS)) for s in (-1, 1))
            strip = np.s_[low:high, max(column - 1, 0) : column + 2]
            taper = 1 - np.abs(np.arange(low, high) - row) / (length[band] + 1)
            pixels[band][strip] += (full * 0.8 * taper)[:, None]
            mask[strip] |= SATURATED[band] | ALLMASK[band]
        mask |= BRIGHT

    return detect


def _halo(rng: np.random.Generator, scene: Scene, sigma_nmgy: np.ndarray) -> Detector:
    """The scattered light of a very bright star on the stamp or outside it, or its out-of-focus ghost."""
    x0, y0 = _near_centre(rng, 110.0)
    x, y = grid()
    distance = np.hypot(x - np.float32(x0), y - np.float32(y0))
    light = draw_star_colour(rng)
    strength = sigma_nmgy[2] * 10 ** rng.uniform(0.6, 1.5)
    if rng.random() < 0.5:
        glow = 30.0 / np.hypot(distance, 10.0) ** 1.4 * 8.0
        scene.add_point(x=x0, y=y0, flux_nmgy=flux_from_mag(rng.uniform(9.0, 11.5)) * light)
        _add_spikes(rng, scene, x0, y0)
    else:
        strength /= 4.0
        outer, inner = rng.uniform(35, 80), rng.uniform(0.2, 0.5)
        glow = 1 / (1 + np.exp(np.clip((distance - outer) / 1.5, -30, 30)))
        glow *= 1 - 0.9 / (1 + np.exp(np.clip((distance - inner * outer) / 2, -30, 30)))
    scene.add_planes((strength * light[:, None, None] * glow).astype(np.float32))
    flagged = rng.random() < 0.6

    def detect(pixels: np.ndarray, mask: np.ndarray) -> None:
        mask |= MEDIUM | BRIGHT if flagged else 0
        np.minimum(pixels, 8.0, out=pixels)

    return detect


def _dead_columns(rng: np.random.Generator, scene: Scene, sigma_nmgy: np.ndarray) -> Detector:
    """Columns or rows without data, or with a wrong level, in one or more bands."""
    bands = rng.choice(3, size=int(rng.integers(1, 4)), replace=False)
    starts = rng.integers(10, STAMP_PIXELS - 14, int(rng.integers(1, 5)))
    widths = rng.integers(1, 6, len(starts))
    level = rng.choice([0.0, 1.0]) * sigma_nmgy * rng.uniform(-8, 12)
    across = rng.random() < 0.3

    def detect(pixels: np.ndarray, mask: np.ndarray) -> None:
        for start, width in zip(starts, widths, strict=True):
            strip = np.s_[start : start + width, :] if across else np.s_[:, start : start + width]
            for band in bands:
                pixels[band][strip] = level[band] if level[band] == 0 else pixels[band][strip] + level[band]
                mask[strip] |= ALLMASK[band]

    return detect


def _cosmic_rays(rng: np.random.Generator, scene: Scene, sigma_nmgy: np.ndarray) -> Detector:
    """Short bright tracks without a PSF, in one band each."""
    tracks = [
        (int(rng.integers(3)), rng.uniform(0, STAMP_PIXELS, 2), rng.uniform(0, np.pi), rng.exponential(9) + 1)
        for _ in range(int(rng.integers(3, 16)))
    ]
    charge = rng.uniform(20, 150, len(tracks))

    def detect(pixels: np.ndarray, mask: np.ndarray) -> None:
        for (band, start, angle, length), amount in zip(tracks, charge, strict=True):
            steps = np.arange(0, length, 0.4)
            columns = (start[0] + steps * np.cos(angle)).astype(int)
            rows = (start[1] + steps * np.sin(angle)).astype(int)
            inside = (columns >= 0) & (columns < STAMP_PIXELS) & (rows >= 0) & (rows < STAMP_PIXELS)
            pixels[band][rows[inside], columns[inside]] += amount * sigma_nmgy[band]

    return detect


def _edge(rng: np.random.Generator, scene: Scene, sigma_nmgy: np.ndarray) -> Detector:
    """The border of what a band covers: no data beyond a straight line."""
    bands = rng.choice(3, size=int(rng.integers(1, 3)), replace=False)
    lines = [(rng.uniform(0, 2 * np.pi), rng.uniform(0, 45)) for _ in bands]
    axis = np.arange(STAMP_PIXELS) - (STAMP_PIXELS - 1) / 2

    def detect(pixels: np.ndarray, mask: np.ndarray) -> None:
        for band, (angle, offset) in zip(bands, lines, strict=True):
            beyond = np.cos(angle) * axis[None, :] + np.sin(angle) * axis[:, None] > offset
            pixels[band][beyond] = 0.0
            mask[beyond] |= ALLMASK[band]

    return detect


def _near_centre(rng: np.random.Generator, reach_pixels: float) -> tuple[float, float]:
    radius, direction = reach_pixels * np.sqrt(rng.random()), rng.uniform(0, 2 * np.pi)
    return float(radius * np.cos(direction)), float(radius * np.sin(direction))


def _add_spikes(rng: np.random.Generator, scene: Scene, x0: float, y0: float) -> None:
    """Add the four diffraction spikes of the telescope's spider."""
    x, y = grid()
    angle = rng.choice([0.0, np.pi / 4])
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    dx, dy = x - np.float32(x0), y - np.float32(y0)
    u, v = np.abs(dx * cos + dy * sin), np.abs(dy * cos - dx * sin)
    spikes = np.exp(-0.5 * (v / 0.8) ** 2 - u / 18) + np.exp(-0.5 * (u / 0.8) ** 2 - v / 18)
    flux = flux_from_mag(rng.uniform(15.0, 17.5)) * colour(0.5, 0.3)
    scene.add_planes((flux[:, None, None] * spikes / spikes.sum()).astype(np.float32))
