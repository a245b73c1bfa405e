"""Strong lenses: a blue source traced through an SIE plus external shear around a red elliptical."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from lenstronomy.LensModel.Profiles.shear import Shear
from lenstronomy.LensModel.Profiles.sie import SIE
from lenstronomy.Util.param_util import phi_q2_ellipticity, shear_polar2cartesian

from discovery.simulation.config import PIXEL_SCALE_ARCSEC
from discovery.simulation.scenes.disks import Body, Shape
from discovery.simulation.scenes.light import CENTRE, GRID_PIXELS, Scene
from discovery.simulation.scenes.photometry import colour

OVERSAMPLING = 3
"""Rays a pixel in each direction: sources are about a pixel in size."""


@dataclass(frozen=True, kw_only=True)
class LensMass:
    """A singular isothermal ellipsoid and external shear; angles in radians, Einstein radius in pixels."""

    einstein_pixels: float
    axis_ratio: float
    angle: float
    shear: float
    shear_angle: float


def add_lens(rng: np.random.Generator, scene: Scene, body: Body) -> Shape:
    """Add the lensing galaxy and the images of its source, arcs, rings, quads and pairs."""
    axis_ratio, angle = rng.uniform(0.6, 1.0), rng.uniform(0, np.pi)
    light = colour(rng.uniform(1.2, 1.65), rng.uniform(0.75, 1.15))
    scene.add_sersic(
        index=float(rng.choice([3.0, 4.0])),
        radius_pixels=body.radius_pixels,
        flux_nmgy=light,
        axis_ratio=axis_ratio,
        angle=angle,
        x=body.x,
        y=body.y,
    )
    einstein_pixels = rng.triangular(1.5, 2.3, 4.0) / PIXEL_SCALE_ARCSEC
    mass = LensMass(
        einstein_pixels=einstein_pixels,
        axis_ratio=float(np.clip(axis_ratio + rng.normal(0.05, 0.05), 0.5, 0.97)),
        angle=angle + rng.normal(0, 0.1),
        shear=abs(rng.normal(0, 0.05)),
        shear_angle=rng.uniform(0, np.pi),
    )
    arcs = _trace(rng, mass, body)
    source = colour(rng.uniform(0.0, 0.45), rng.uniform(-0.05, 0.35))
    scene.add_image(arcs, rng.uniform(0.12, 0.4) * source)
    return Shape(axis_ratio=axis_ratio, angle=angle, sersic=4.0)


def ray_shooting(mass: LensMass, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where the rays through x, y (pixels from the lens) meet the source plane.

    The deflections are lenstronomy's, taken profile by profile: its ``LensModel`` would import 5 s of
    cosmology.
    """
    e1, e2 = phi_q2_ellipticity(mass.angle, mass.axis_ratio)
    gamma1, gamma2 = shear_polar2cartesian(mass.shear_angle, mass.shear)
    mass_x, mass_y = SIE().derivatives(x, y, theta_E=mass.einstein_pixels, e1=e1, e2=e2)
    shear_x, shear_y = Shear().derivatives(x, y, gamma1=gamma1, gamma2=gamma2)
    return x - mass_x - shear_x, y - mass_y - shear_y


def _trace(rng: np.random.Generator, mass: LensMass, body: Body) -> np.ndarray:
    """Return the image (256, 256) of a random source, surface brightness conserved along each ray."""
    half = int(np.ceil(3.0 * mass.einstein_pixels)) + 3
    fine = (np.arange(2 * half * OVERSAMPLING) + 0.5) / OVERSAMPLING - half
    column, row = round(CENTRE + 0.5 + body.x), round(CENTRE + 0.5 + body.y)
    x, y = np.meshgrid(fine - (CENTRE + 0.5 + body.x - column), fine - (CENTRE + 0.5 + body.y - row))
    source_x, source_y = ray_shooting(mass, x.ravel(), y.ravel())
    light = _source_light(rng, source_x, source_y, mass.einstein_pixels).reshape(x.shape)
    binned = light.reshape(2 * half, OVERSAMPLING, 2 * half, OVERSAMPLING).mean(axis=(1, 3))
    image = np.zeros((GRID_PIXELS, GRID_PIXELS), np.float32)
    image[row - half : row + half, column - half : column + half] = binned
    return image


def _source_light(rng: np.random.Generator, x: np.ndarray, y: np.ndarray, einstein_pixels: float) -> np.ndarray:
    """Return the brightness of an exponential source with a few clumps, off the axis of the lens."""
    distance = einstein_pixels * rng.triangular(0.0, 0.15, 0.55)
    direction = rng.uniform(0, 2 * np.pi)
    x0, y0 = distance * np.cos(direction), distance * np.sin(direction)
    radius = rng.uniform(0.25, 0.6) / PIXEL_SCALE_ARCSEC
    axis_ratio, angle = rng.uniform(0.4, 1.0), rng.uniform(0, np.pi)
    along = (x - x0) * np.cos(angle) + (y - y0) * np.sin(angle)
    across = ((y - y0) * np.cos(angle) - (x - x0) * np.sin(angle)) / axis_ratio
    light = np.exp(-1.678 * np.hypot(along, across) / radius)
    for _ in range(rng.integers(0, 3)):
        cx, cy = rng.normal(0, 0.7 * radius, 2)
        light += 0.6 * np.exp(-0.5 * ((x - x0 - cx) ** 2 + (y - y0 - cy) ** 2) / (0.25 * radius) ** 2)
    return light
