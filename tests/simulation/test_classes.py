"""That each class looks like what it is called, measured on noiseless scenes."""

from collections.abc import Callable

import numpy as np
import pytest

from discovery.simulation.scenes.disks import Body, add_barred, add_edge_on, add_ring, add_spiral
from discovery.simulation.scenes.ellipticals import add_elliptical
from discovery.simulation.scenes.light import Scene
from discovery.simulation.scenes.mergers import add_merger

AXIS = np.arange(152) - 75.5
RADIUS = np.hypot(AXIS[None, :], AXIS[:, None])
PSF = np.full(3, 4.0)


def _images(add: Callable, seeds: range, radius_pixels: float = 14.0) -> list[np.ndarray]:
    images = []
    for seed in seeds:
        scene = Scene()
        add(np.random.default_rng(seed), scene, Body(radius_pixels=radius_pixels))
        assert (scene.flux_nmgy > 0).all()
        image = scene.observe(PSF)
        assert image.min() > -1e-2 * image.max()
        images.append(image)
    return images


def _axis_ratio(image: np.ndarray) -> float:
    """Return the axis ratio from second moments of the light above 5 % of the peak."""
    light = np.where(image > 0.05 * image.max(), image, 0)
    x, y = np.meshgrid(AXIS, AXIS)
    cov = np.cov(np.stack([x.ravel(), y.ravel()]), aweights=light.ravel())
    low, high = np.linalg.eigvalsh(cov)
    return float(np.sqrt(low / high))


def _asymmetry(image: np.ndarray) -> float:
    """Return the light that changes when the image is turned by 180 degrees, over all light (Conselice 2003)."""
    return float(np.abs(image - image[::-1, ::-1]).sum() / np.abs(image).sum())


def _unevenness(image: np.ndarray) -> float:
    """Return the scatter of the light along circles, relative to its mean, summed over eight annuli."""
    total = 0.0
    for low in range(6, 30, 3):
        ring = (low <= RADIUS) & (low + 3 > RADIUS)
        total += float(np.std(image[ring]) / np.mean(image[ring]))
    return total


def test_edge_on_disks_are_thin_and_ellipticals_are_not() -> None:
    edge_on = [_axis_ratio(image[1]) for image in _images(add_edge_on, range(8), 18.0)]
    elliptical = [_axis_ratio(image[1]) for image in _images(add_elliptical, range(8))]
    assert np.median(edge_on) < 0.4 < np.median(elliptical)


def test_spirals_are_bluer_and_less_even_than_ellipticals() -> None:
    spirals, ellipticals = _images(add_spiral, range(8)), _images(add_elliptical, range(8))
    colours = [[i[0].sum() / i[2].sum() for i in group] for group in (spirals, ellipticals)]
    assert np.median(colours[0]) > 1.3 * np.median(colours[1])
    assert np.median([_unevenness(i[0]) for i in spirals]) > np.median([_unevenness(i[0]) for i in ellipticals])


def test_mergers_are_the_least_symmetric() -> None:
    merger = [_asymmetry(image[1]) for image in _images(add_merger, range(8))]
    spiral = [_asymmetry(image[1]) for image in _images(add_spiral, range(8))]
    assert np.median(merger) > 1.5 * np.median(spiral)


def test_rings_have_more_light_outside_than_between() -> None:
    found = 0
    for image in _images(add_ring, range(10), 16.0):
        profile = [np.quantile(image[0][(r <= RADIUS) & (r + 2 > RADIUS)], 0.7) for r in range(0, 50, 2)]
        found += bool((np.diff(profile[2:]) > 0).any())
    assert found >= 7


def test_bars_are_red_and_elongated_inside() -> None:
    ratios = []
    for image in _images(add_barred, range(10), 16.0):
        inner = np.where(RADIUS < 12, image[2], 0)
        ratios.append(_axis_ratio(inner * (inner > 0.3 * inner.max())))
        assert image[0][RADIUS < 6].sum() / image[2][RADIUS < 6].sum() < image[0].sum() / image[2].sum() * 1.05
    assert np.median(ratios) < 0.75


@pytest.mark.parametrize("add", [add_elliptical, add_spiral, add_barred, add_edge_on, add_ring, add_merger])
def test_half_light_radius_is_about_what_was_asked(add: Callable) -> None:
    radii = []
    for image in _images(add, range(6), 12.0):
        order = np.argsort(RADIUS, axis=None)
        grown = np.cumsum(image[2].reshape(-1)[order]) / image[2].sum()
        radii.append(RADIUS.reshape(-1)[order][np.searchsorted(grown, 0.5)])
    assert 5.0 < np.median(radii) < 26.0
