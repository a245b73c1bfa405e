"""From a target to its stamp: the scene, the exposure, and its line in a catalogue."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from discovery.simulation.config import PIXEL_SCALE_ARCSEC, STAMP_PIXELS
from discovery.simulation.scenes.artefacts import ALLMASK, MEDIUM, add_artefact, add_star
from discovery.simulation.scenes.disks import (
    Body,
    Shape,
    add_barred,
    add_edge_on,
    add_ring,
    add_spiral,
)
from discovery.simulation.scenes.ellipticals import add_elliptical
from discovery.simulation.scenes.exposure import Exposure, add_noise, draw_exposure
from discovery.simulation.scenes.lenses import add_lens
from discovery.simulation.scenes.light import Scene
from discovery.simulation.scenes.mergers import add_merger
from discovery.simulation.scenes.neighbours import add_neighbours
from discovery.simulation.scenes.photometry import flux_from_mag
from discovery.simulation.targets import Target

EXTINCTION = np.array([3.214, 2.165, 1.211])
"""A_b / E(B-V) in g, r, z (Legacy Survey DR9)."""
BUILDERS: dict[str, Callable[[np.random.Generator, Scene, Body], Shape]] = {
    "elliptical": add_elliptical,
    "spiral": add_spiral,
    "barred": add_barred,
    "edge_on": add_edge_on,
    "ring": add_ring,
    "merger": add_merger,
    "lens": add_lens,
    "star": add_star,
}


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A finished stamp and its measurements; bands g, r, z.

    ``pixels`` is (3, 152, 152) float32 nanomaggies, ``mask`` (152, 152) int32 MASKBITS, ``invvar``
    (3, 152, 152) float32, 0 where there are no data.
    """

    pixels: np.ndarray
    mask: np.ndarray
    invvar: np.ndarray
    flux_nmgy: np.ndarray
    fiberflux_nmgy: np.ndarray
    exposure: Exposure
    transmission: np.ndarray
    ebv: float
    nobs: np.ndarray
    fracin: np.ndarray
    maskbits: int
    source_type: str
    shape: Shape
    shape_r_arcsec: float
    redshift: float
    z_spec: float


def draw_target(seed: int, target: Target) -> Drawn:
    """Return one object drawn; everything random follows from the seed and the target's row."""
    rng = np.random.default_rng([seed, 1, target.row])
    usual = draw_exposure(rng)
    visit = rng if target.visit.number == 0 else np.random.default_rng([seed, 3, target.visit.number, target.row])
    exposure = (usual if visit is rng else draw_exposure(visit)).scaled(target.visit)
    ebv = float(np.clip(np.exp(rng.normal(-3.4, 0.5)), 0.005, 0.3))
    transmission = 10 ** (-0.4 * EXTINCTION * ebv)
    scene = Scene()
    body = Body(
        radius_pixels=_radius_arcsec(rng, target) / PIXEL_SCALE_ARCSEC, x=target.dx, y=target.dy
    )
    is_artefact = target.truth_class == "artefact"
    name = str(rng.choice(["elliptical", "spiral", "star"])) if is_artefact else target.truth_class
    shape = BUILDERS[name](rng, scene, body)
    scene.scale(target.flux_z_nmgy * transmission / transmission[2] / scene.flux_nmgy[2])
    flux = scene.flux_nmgy
    add_neighbours(rng, scene, 0.8 * body.radius_pixels + 4.0)
    detect = add_artefact(rng, scene, exposure.sigma_nmgy) if is_artefact else None
    clean = scene.observe(exposure.psf_fwhm_pixels)
    pixels = add_noise(rng, clean, exposure)
    if visit is not rng:
        pixels = add_noise(visit, clean, exposure)
    mask = np.zeros((STAMP_PIXELS, STAMP_PIXELS), np.int32)
    if clean.max() > 15.0:
        mask |= MEDIUM
    if detect is not None:
        detect(pixels, mask)
    lost = np.stack([(pixels[band] == 0) | (mask & ALLMASK[band] > 0) for band in range(3)])
    invvar = np.where(pixels == 0, 0, exposure.sigma_nmgy[:, None, None] ** -2.0).astype(np.float32)
    redshift = _redshift(rng, target)
    return Drawn(
        pixels=pixels,
        mask=mask,
        invvar=invvar,
        flux_nmgy=flux,
        fiberflux_nmgy=clean[:, _fiber(target)].sum(axis=1),
        exposure=exposure,
        transmission=transmission,
        ebv=ebv,
        nobs=rng.integers(1, 6, 3),
        fracin=np.clip(1 - lost[:, _CORE, _CORE].mean(axis=(1, 2)) - abs(rng.normal(0, 0.005, 3)), 0, 1),
        maskbits=int(np.bitwise_or.reduce(mask[_CENTRE, _CENTRE], axis=None)),
        source_type=_source_type(shape),
        shape=shape,
        shape_r_arcsec=0.0 if name == "star" else body.radius_pixels * PIXEL_SCALE_ARCSEC,
        redshift=redshift,
        z_spec=redshift if redshift > 0 and rng.random() < 0.12 else -99.0,
    )


_CORE = slice(STAMP_PIXELS // 2 - 12, STAMP_PIXELS // 2 + 12)
_CENTRE = slice(STAMP_PIXELS // 2 - 2, STAMP_PIXELS // 2 + 2)


def _fiber(target: Target) -> np.ndarray:
    """Return the pixels (152, 152) bool of a fibre of 1.5 arcsec on the object."""
    axis = np.arange(STAMP_PIXELS) - (STAMP_PIXELS - 1) / 2
    return np.hypot(axis[None, :] - target.dx, axis[:, None] - target.dy) * PIXEL_SCALE_ARCSEC < 0.75


def _radius_arcsec(rng: np.random.Generator, target: Target) -> float:
    """Draw a half-light radius that falls with magnitude, 4 arcsec at z = 17."""
    mag_z = 22.5 - 2.5 * np.log10(target.flux_z_nmgy)
    if target.truth_class == "lens":
        return float(np.clip(10 ** (rng.normal(0.32, 0.08) - 0.1 * (mag_z - 18)), 1.0, 3.5))
    factor = {"elliptical": 0.8, "merger": 0.8, "artefact": 0.7}.get(target.truth_class, 1.0)
    return float(np.clip(factor * 10 ** (rng.normal(0.62, 0.11) - 0.14 * (mag_z - 17)), 1.2, 9.0))


def _redshift(rng: np.random.Generator, target: Target) -> float:
    """Draw a redshift that rises with magnitude; 0 for stars."""
    if target.truth_class == "star":
        return 0.0
    if target.truth_class == "lens":
        return float(rng.uniform(0.25, 0.65))
    faintness = target.flux_z_nmgy / flux_from_mag(17.0)
    return float(np.clip(0.1 * faintness**-0.3 * np.exp(rng.normal(0, 0.3)), 0.01, 0.6))


def _source_type(shape: Shape) -> str:
    """Return the Tractor type that such a shape is fitted with."""
    if shape.sersic == 0:
        return "PSF"
    if shape.sersic == 1:
        return "EXP"
    return "DEV" if shape.sersic == 4 else "SER"
