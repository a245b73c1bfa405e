"""The stretch, the tiles and what keeps the flux."""

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from discovery.restoration.flux import conserve_flux, pixel_noise
from discovery.restoration.images import mended, restored_change
from discovery.restoration.inpaint import fill
from discovery.restoration.mosaic import open_mosaic
from discovery.restoration.stretch import stretch, unstretch
from discovery.restoration.tiles import apply_tiles, cover
from discovery.stamps.imaging_surveys import SURVEYS
from discovery.stamps.preprocess import dr2_rgb

fluxes = arrays(np.float64, (3, 2, 3), elements=st.floats(-1e3, 1e5))
styles = st.sampled_from(sorted(SURVEYS))


@given(fluxes, styles)
def test_stretch_and_back_is_the_same_flux(flux, survey):
    style = SURVEYS[survey]
    back = unstretch(stretch(flux, style), style)
    scale = np.abs(flux).max(axis=0) + 0.01  # the bands of a pixel share one gain, and so its rounding
    assert np.all(np.abs(back - flux) <= 1e-11 * scale)


@given(arrays(np.float64, (3, 2, 2), elements=st.floats(-0.5, 2)), styles)
def test_back_and_stretch_is_the_same_picture(picture, survey):
    style = SURVEYS[survey]
    np.testing.assert_allclose(stretch(unstretch(picture, style), style), picture, atol=1e-10)


@given(arrays(np.float32, (3, 3, 3), elements=st.floats(-0.25, 50, width=32)), styles)
def test_the_stretch_is_the_viewers_before_clipping(flux, survey):
    style = SURVEYS[survey]
    np.testing.assert_allclose(np.clip(stretch(flux, style), 0, 1), dr2_rgb(flux, style), atol=2e-5)


def test_no_flux_overflows():
    style = SURVEYS["legacy"]
    assert np.isfinite(unstretch(np.full((3, 2, 2), 1e6), style)).all()


@given(st.integers(1, 200), st.integers(1, 200), st.integers(2, 64), st.data())
def test_the_weights_of_a_cover_add_up_to_one(height, width, size, data):
    overlap = data.draw(st.integers(0, size - 1))
    total = np.zeros((height, width))
    for window in cover(height, width, size, overlap):
        assert (window.weight > 0).all()
        total[window.rows, window.columns] += window.weight
    np.testing.assert_allclose(total, 1, atol=1e-12)


@pytest.mark.parametrize("shape", [(20, 90), (64, 64), (65, 200), (5, 7)])
def test_tiles_of_a_network_that_does_nothing_are_the_image(shape):
    planes = np.random.default_rng(0).normal(0, 1, (3, *shape))
    np.testing.assert_allclose(apply_tiles(lambda tiles: tiles, planes, 64, 32), planes, atol=1e-6)


def test_tiles_without_wanted_pixels_are_left_out():
    only = np.zeros((64, 256), bool)
    only[30, 200] = True
    seen = []

    def network(tiles):
        seen.append(len(tiles))
        return tiles + 1

    answer = apply_tiles(network, np.zeros((3, 64, 256)), 64, 32, only=only)
    assert sum(seen) < 4
    np.testing.assert_allclose(answer[:, 30, 200], 1)
    assert not answer[:, :, :100].any()


def test_tiles_blend_without_a_step():
    def network(tiles):  # each tile its own level: the worst that neighbours can differ
        return np.broadcast_to(np.arange(len(tiles))[:, None, None, None] % 2, tiles.shape)

    answer = apply_tiles(network, np.zeros((3, 64, 400)), 64, 32)
    assert np.abs(np.diff(answer, axis=-1)).max() <= 1.05 / 33


def test_missing_pixels_are_filled_from_their_surroundings():
    y, x = np.mgrid[:60, :60]
    plane = np.stack([1 + 0.01 * x, 2 + 0.01 * y, np.full((60, 60), 3.0)])
    missing = np.hypot(y - 30, x - 30) < 12
    damaged = np.where(missing, np.nan, plane)
    filled = fill(damaged, missing)
    np.testing.assert_array_equal(filled[:, ~missing], plane[:, ~missing])
    np.testing.assert_allclose(filled, plane, atol=0.15)


def apertures(shape, centre, radii):
    y, x = np.mgrid[: shape[0], : shape[1]]
    distance = np.hypot(y - centre[0], x - centre[1])
    return [distance <= radius for radius in radii]


@pytest.mark.parametrize("kind", ["brighter", "noise", "sharper", "tilted"])
@pytest.mark.parametrize("size", [2.0, 9.0])
def test_apertures_keep_their_flux(kind, size):
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:160, :140]
    light = np.exp(-np.hypot(y - 80, x - 70) / size)
    flux = np.stack([0.3 * light, light, 2 * light]) + rng.normal(0, 0.004, (3, 160, 140))
    change = {
        "brighter": 0.3 * flux,
        "noise": rng.normal(0, 0.3, flux.shape) * np.abs(flux),
        "sharper": 2 * (flux - ndimage.gaussian_filter(flux, (0, 2, 2))),
        "tilted": flux * (x - 30) / 100,
    }[kind]
    kept = conserve_flux(change, flux)
    for aperture in apertures(flux.shape[1:], (80, 70), (8, 9, 10, 13, 18, 25, 40, 60)):
        before = flux[:, aperture].sum(axis=1)
        assert np.all(np.abs(kept[:, aperture].sum(axis=1)) < 0.02 * before)
    assert np.abs(kept).max() > 0


def test_small_changes_pass():
    rng = np.random.default_rng(2)
    flux = 1 + rng.normal(0, 0.01, (3, 80, 80))
    change = np.zeros_like(flux)
    change[:, ::4, ::4], change[:, ::4, 2::4] = 0.02, -0.02
    np.testing.assert_allclose(conserve_flux(change, flux), change, atol=1e-3)
    assert not conserve_flux(np.zeros_like(flux), flux).any()


def test_pixel_noise():
    assert pixel_noise(np.random.default_rng(0).normal(5, 0.02, (200, 200))) == pytest.approx(0.02, rel=0.05)


class Averages:
    """A network whose answer under the mask is the mean of what is known in the tile, and that counts its calls."""

    side, checksum = 64, ""

    def __init__(self):
        self.seen = 0

    def restore(self, image):
        return image

    def reconstruct(self, image, mask):
        self.seen += len(image)
        known = 1 - mask
        mean = (image * known).sum(axis=(2, 3), keepdims=True) / known.sum(axis=(2, 3), keepdims=True)
        return np.broadcast_to(mean, image.shape)


@pytest.mark.parametrize("radius", [5, 40, 90])
def test_a_hole_of_any_size_is_mended(radius):
    style, network = SURVEYS["legacy"], Averages()
    y, x = np.mgrid[:250, :301]
    missing = np.hypot(y - 120, x - 150) <= radius
    flux = np.where(missing, np.nan, np.array([0.02, 0.03, 0.05])[:, None, None])
    made = mended(flux, missing, network, style)
    np.testing.assert_allclose(made[:, missing], np.array([[0.02], [0.03], [0.05]]) * np.ones(missing.sum()), rtol=1e-3)
    assert network.seen < 200


def test_bright_cores_are_left_to_themselves():
    """Where the stretched image is beyond what the network sees, its answer counts less, and then not at all."""
    network = Averages()
    network.restore = lambda image: image - 0.1 * (image >= 0.99)  # as if a plateau were to be flattened
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:80, :80]
    flux = np.exp(-np.hypot(y - 40, x - 40) / 3) * np.array([[[20.0]], [[30.0]], [[50.0]]]) + rng.normal(0, 0.005, (3, 80, 80))
    change = restored_change(flux, np.zeros((80, 80), bool), network, SURVEYS["legacy"])
    core = np.hypot(y - 40, x - 40) < 3
    assert np.abs(change[:, core] / flux[:, core]).max() < 0.02


def test_areas_of_zeros_are_found_across_the_parts_that_are_read(tmp_path):
    stored = np.random.default_rng(0).integers(-2, 3, (3, 600, 40)).astype(np.int16)
    area = (slice(252, 257), slice(10, 16))  # one row of it in the second part
    stored[1][area] = 0
    fits.HDUList([fits.PrimaryHDU(stored, fits.Header({"BANDS": "grz"}))]).writeto(tmp_path / "a.fits")
    with open_mosaic(tmp_path / "a.fits") as mosaic:
        broken, empty = mosaic.unseen()
    right = np.zeros((600, 40), bool)
    right[area] = True
    assert not broken.any() and empty[right].all() and empty.sum() <= right.sum() + 10
