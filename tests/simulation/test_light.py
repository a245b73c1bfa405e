"""The scene against GalSim's own drawing in real space, and against closed forms."""

import galsim
import numpy as np
import pytest

from discovery.simulation.config import STAMP_PIXELS
from discovery.simulation.scenes.disks import Body
from discovery.simulation.scenes.encounters import run_encounter
from discovery.simulation.scenes.lenses import LensMass, add_lens, ray_shooting
from discovery.simulation.scenes.light import Scene, grid
from discovery.simulation.scenes.photometry import colour, flux_from_mag
from discovery.simulation.scenes.structure import disk_frame, gaussian_ring, knots

FWHM_PIXELS = np.array([5.5, 5.0, 4.5])


def _galsim_image(profile: galsim.GSObject, fwhm_pixels: float) -> np.ndarray:
    seen = galsim.Convolve(profile, galsim.Moffat(beta=3.5, fwhm=fwhm_pixels))
    return seen.drawImage(nx=STAMP_PIXELS, ny=STAMP_PIXELS, scale=1.0, method="no_pixel").array


def test_sersic_profile_is_what_galsim_draws() -> None:
    flux = np.array([3.0, 5.0, 8.0])
    scene = Scene()
    scene.add_sersic(index=2.0, radius_pixels=6.0, flux_nmgy=flux, axis_ratio=0.6, angle=0.7, x=4.3, y=-7.6)
    image = scene.observe(FWHM_PIXELS)
    profile = galsim.Sersic(n=2.0, half_light_radius=6.0).shear(q=0.6, beta=0.7 * galsim.radians)
    for band in range(3):
        expected = _galsim_image(flux[band] * profile.shift(4.3, -7.6), FWHM_PIXELS[band])
        np.testing.assert_allclose(image[band], expected, atol=2e-3 * expected.max())


def test_star_is_the_psf_at_its_place() -> None:
    scene = Scene()
    scene.add_point(x=-20.25, y=11.5, flux_nmgy=np.ones(3))
    image = scene.observe(FWHM_PIXELS)
    expected = _galsim_image(galsim.DeltaFunction().shift(-20.25, 11.5), FWHM_PIXELS[1])
    np.testing.assert_allclose(image[1], expected, atol=1e-3 * expected.max())


def test_image_keeps_its_flux_and_centre_through_the_psf() -> None:
    scene = Scene()
    ring = gaussian_ring(disk_frame(0.7, 0.4, 3.0, -5.0).radius, 12.0, 2.0)
    scene.add_image(ring, np.array([1.0, 2.0, 4.0]))
    image = scene.observe(FWHM_PIXELS)
    np.testing.assert_allclose(image.sum(axis=(1, 2)), [1.0, 2.0, 4.0], rtol=2e-3)
    axis = np.arange(STAMP_PIXELS) - (STAMP_PIXELS - 1) / 2
    assert (image[0] * axis[None, :]).sum() == pytest.approx(3.0, abs=0.02)
    assert (image[0] * axis[:, None]).sum() == pytest.approx(-5.0, abs=0.02)


def test_colours_and_magnitudes() -> None:
    g, r, z = colour(0.8, 0.5)
    assert -2.5 * np.log10(g / r) == pytest.approx(0.8)
    assert -2.5 * np.log10(r / z) == pytest.approx(0.5)
    assert flux_from_mag(22.5) == pytest.approx(1.0)
    assert flux_from_mag(17.5) == pytest.approx(100.0)


def test_rays_follow_the_isothermal_sphere_with_shear() -> None:
    mass = LensMass(einstein_pixels=8.0, axis_ratio=1.0, angle=0.0, shear=0.05, shear_angle=0.0)
    x, y = np.random.default_rng(0).uniform(-20, 20, (2, 500))
    source_x, source_y = ray_shooting(mass, x, y)
    radius = np.hypot(x, y)
    np.testing.assert_allclose(source_x, x - 8.0 * x / radius - 0.05 * x, atol=2e-3)
    np.testing.assert_allclose(source_y, y - 8.0 * y / radius + 0.05 * y, atol=2e-3)


def test_rays_follow_the_isothermal_ellipsoid() -> None:
    """Closed form of Kormann, Schneider & Bartelmann (1994, A&A 284, 285), equations 27a and b."""
    ratio = 0.7
    mass = LensMass(einstein_pixels=8.0, axis_ratio=ratio, angle=0.0, shear=0.0, shear_angle=0.0)
    x, y = np.random.default_rng(1).uniform(2, 20, (2, 500))
    source_x, source_y = ray_shooting(mass, x, y)
    flattening = np.sqrt(1 - ratio**2)
    strength = 8.0 * np.sqrt(ratio) / flattening
    elliptical = np.sqrt(ratio**2 * x**2 + y**2)
    np.testing.assert_allclose(x - source_x, strength * np.arctan(flattening * x / elliptical), atol=2e-3)
    np.testing.assert_allclose(y - source_y, strength * np.arctanh(flattening * y / elliptical), atol=2e-3)


def test_lensed_light_is_blue_and_away_from_the_red_centre() -> None:
    rng = np.random.default_rng(5)
    distance = np.hypot(*grid())
    for _ in range(5):
        scene = Scene()
        add_lens(rng, scene, Body(radius_pixels=6.0))
        arcs = scene.planes
        assert arcs[0].sum() > 0.4 * arcs[2].sum()
        centroid = (arcs[0] * distance).sum() / arcs[0].sum()
        assert 4.0 < centroid < 20.0


def test_encounters_throw_stars_far_out() -> None:
    furthest = []
    for seed in range(6):
        encounter = run_encounter(np.random.default_rng(seed), mass_ratio=0.8, second_disk=True)
        stars = np.concatenate(encounter.stars)
        assert np.isfinite(stars).all()
        np.testing.assert_allclose(encounter.nuclei[0], 0.0, atol=1e-12)
        near_first = np.hypot(*encounter.stars[0].T)
        furthest.append(np.quantile(near_first, 0.97))
        assert np.median(near_first) < 3.0
    assert np.median(furthest) > 1.5  # the disk ended at 1.15


def test_knots_fall_only_where_there_is_light() -> None:
    weight = np.zeros((256, 256), np.float32)
    weight[40:50, 60:70] = 1.0
    drawn = knots(np.random.default_rng(0), weight, 200)
    assert drawn.sum() > 200
    assert drawn[40:50, 60:70].sum() == pytest.approx(drawn.sum())
    assert knots(np.random.default_rng(0), weight, 0).sum() == 0
