"""The field around an object: faint galaxies and stars, now and then a brighter one."""

from __future__ import annotations

import numpy as np

from discovery.simulation.config import PIXEL_SCALE_ARCSEC, STAMP_PIXELS
from discovery.simulation.scenes.light import CENTRE, GRID_PIXELS, Scene
from discovery.simulation.scenes.photometry import colour, flux_from_mag

MEAN_FAINT = 9.0
"""Expected neighbours of z magnitude 18.5 to 23 on a stamp and its margin."""
BRIGHT_CHANCE = 0.12
REACH_PIXELS = STAMP_PIXELS / 2 + 12


def add_neighbours(rng: np.random.Generator, scene: Scene, clear_pixels: float) -> None:
    """Add unrelated sources, none nearer to the centre than ``clear_pixels``."""
    for _ in range(rng.poisson(MEAN_FAINT)):
        mag = 23.0 + np.log10(1 - rng.random() * (1 - 10 ** (-0.35 * 4.5))) / 0.35
        _add_faint(rng, scene, mag, clear_pixels)
    if rng.random() < BRIGHT_CHANCE:
        _add_bright(rng, scene, rng.uniform(15.0, 18.5), max(clear_pixels, 25.0))


def draw_star_colour(rng: np.random.Generator) -> np.ndarray:
    """Return fluxes (3,) with z = 1 along the stellar locus, M dwarfs included."""
    g_minus_r = rng.choice([rng.uniform(0.25, 0.8), rng.uniform(0.8, 1.5)])
    r_minus_z = 0.55 * g_minus_r - 0.05 + rng.normal(0, 0.04)
    if g_minus_r > 1.3:
        r_minus_z = rng.uniform(0.75, 2.0)
    return colour(g_minus_r, r_minus_z)


def _add_faint(rng: np.random.Generator, scene: Scene, mag_z: float, clear_pixels: float) -> None:
    x, y = _place(rng, clear_pixels)
    if rng.random() < 0.15:
        radius, axis_ratio, light = 0.5, 1.0, draw_star_colour(rng)
    else:
        radius = 10 ** rng.normal(0.15 - 0.1 * (mag_z - 20), 0.15) * 0.45 / PIXEL_SCALE_ARCSEC
        axis_ratio = rng.uniform(0.35, 1.0)
        light = _galaxy_colour(rng, rng.uniform(0.2, 1.6))
    _draw_patch(scene, x, y, radius, axis_ratio, rng.uniform(0, np.pi), flux_from_mag(mag_z) * light)


def _add_bright(rng: np.random.Generator, scene: Scene, mag_z: float, clear_pixels: float) -> None:
    x, y = _place(rng, clear_pixels)
    flux_z = flux_from_mag(mag_z)
    if rng.random() < 0.5:
        scene.add_point(x=x, y=y, flux_nmgy=flux_z * draw_star_colour(rng))
        return
    scene.add_sersic(
        index=float(rng.choice([1.0, 2.0, 4.0])),
        radius_pixels=10 ** (0.5 - 0.14 * (mag_z - 17)) / PIXEL_SCALE_ARCSEC,
        flux_nmgy=flux_z * _galaxy_colour(rng, rng.uniform(0.4, 1.0)),
        axis_ratio=rng.uniform(0.4, 1.0),
        angle=rng.uniform(0, np.pi),
        x=x,
        y=y,
    )


def _galaxy_colour(rng: np.random.Generator, g_minus_r: float) -> np.ndarray:
    return colour(g_minus_r, max(0.75 * g_minus_r + rng.normal(0.02, 0.12), 0.0))


def _place(rng: np.random.Generator, clear_pixels: float) -> tuple[float, float]:
    """Draw a position in the square of the stamp and a little more, outside the clear circle."""
    while True:
        x, y = rng.uniform(-REACH_PIXELS, REACH_PIXELS, 2)
        if np.hypot(x, y) > clear_pixels:
            return float(x), float(y)


def _draw_patch(
    scene: Scene, x: float, y: float, radius: float, axis_ratio: float, angle: float, flux_nmgy: np.ndarray
) -> None:
    """Draw a small exponential profile on just the pixels it reaches."""
    half = int(np.ceil(5 * radius)) + 2
    column, row = round(CENTRE + x), round(CENTRE + y)
    columns = np.arange(max(column - half, 0), min(column + half + 1, GRID_PIXELS))
    rows = np.arange(max(row - half, 0), min(row + half + 1, GRID_PIXELS))
    dx, dy = columns[None, :] - (CENTRE + x), rows[:, None] - (CENTRE + y)
    along = dx * np.cos(angle) + dy * np.sin(angle)
    across = (dy * np.cos(angle) - dx * np.sin(angle)) / axis_ratio
    image = np.exp(-1.678 * np.sqrt(along**2 + across**2 + 0.15) / radius)
    light = flux_nmgy / image.sum()
    scene.planes[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] += (
        light[:, None, None] * image
    ).astype(np.float32)
