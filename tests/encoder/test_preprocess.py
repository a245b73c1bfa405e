"""Colours and crops against golden boxes, the formula and OpenCV."""

import json

import cv2
import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from discovery.errors import EncoderError, StampError
from discovery.stamps.imaging_surveys import SURVEYS
from discovery.stamps.preprocess import (
    CropConfig,
    adaptive_crop_box,
    arcsinh,
    cut_and_resize,
    dr2_rgb,
    prepare,
)
from discovery.stamps.stamp import Stamp

LEGACY = SURVEYS["legacy"]


def picture_of(flux):
    return dr2_rgb(flux, LEGACY)[::-1].transpose(1, 2, 0)


def test_golden_boxes_of_real_cutouts(shared_reference, shared_data):
    golden = json.loads((shared_reference / "adaptive_crop_dr9.json").read_text())["boxes"]
    assert len(golden) == 10
    for name, box in golden.items():
        flux = fits.getdata(shared_data / "fits_cutouts" / "dr9" / name).astype(np.float32)
        assert adaptive_crop_box(picture_of(flux)) == tuple(box), name


def test_golden_boxes_of_made_stamps(shared_reference):
    golden = np.load(shared_reference / "adaptive_crop_synthetic.npz")
    names = [name for name in golden.files if not name.startswith("box_")]
    assert len(names) == 8
    for name in names:
        assert adaptive_crop_box(picture_of(golden[name].astype(np.float32))) == tuple(golden[f"box_{name}"]), name


def test_dr2_rgb_is_the_formula():
    flux = np.random.default_rng(0).normal(0.02, 0.05, (3, 5, 5)).astype(np.float32)
    flux[:, 0, 0] = -0.03 / np.array([6.0, 3.4, 2.2])  # intensity exactly zero or next to it
    wanted = np.empty((3, 5, 5))
    for row in range(5):
        for column in range(5):
            shifted = [float(flux[b, row, column]) * s + 0.03 for b, s in enumerate((6.0, 3.4, 2.2))]
            intensity = sum(max(0.0, v) for v in shifted) / 3 or 1e-6
            f = np.arcsinh(20 * intensity) / 20**0.5
            wanted[:, row, column] = [min(1, max(0, v * f / intensity)) for v in shifted]
    np.testing.assert_allclose(dr2_rgb(flux, LEGACY), wanted, atol=1e-5)


def test_the_quick_arcsinh_is_arcsinh():
    x = np.concatenate([[0], np.logspace(-12, 18, 20001), np.linspace(1e-6, 5, 20001)]).astype(np.float32)
    np.testing.assert_allclose(arcsinh(x), np.arcsinh(x.astype(np.float64)), rtol=5e-7, atol=0)
    assert arcsinh(np.float32([3e38]))[0] > 40


@settings(max_examples=40, deadline=None)
@given(st.integers(24, 90), st.integers(0, 2**32 - 1), st.floats(0, 0.3))
def test_boxes_are_those_of_the_published_steps(side, seed, noise):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] - side / 2
    picture = np.exp(-np.hypot(x, y / rng.uniform(0.3, 1)) / rng.uniform(2, 9))[..., None] * rng.uniform(0.2, 1, 3)
    picture = np.clip(picture + rng.normal(0, noise, picture.shape), 0, 1).astype(np.float32)
    assert adaptive_crop_box(picture) == published_box(picture)


def published_box(picture):
    """Every contour with all its points, one after another, as the published code goes."""
    side, grey = len(picture), cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    levels = ((grey - grey.min()) * 100 / (grey.max() - grey.min())).astype(np.uint8)
    _, binary = cv2.threshold(levels, 10, 255, cv2.THRESH_BINARY_INV + cv2.THRESH_OTSU)
    contours, _ = cv2.findContours(binary, cv2.RETR_TREE, cv2.CHAIN_APPROX_NONE)
    for contour in contours:
        left, top = contour[:, 0].min(axis=0)
        right, bottom = contour[:, 0].max(axis=0) + 1
        if 0 < left < side / 2 < right <= side and 0 < top < side / 2 < bottom <= side:
            reach = max(int(right - side / 2), int(bottom - side / 2), int(side / 2 - left), int(side / 2 - top)) + 10
            low, high = max(0, side // 2 - reach), side // 2 + min(reach, side // 2)
            return (low, high, low, high)
    return (0, side, 0, side)


@pytest.mark.parametrize("pixels", [np.zeros((20, 20, 3), np.float32), np.full((20, 20, 3), np.nan, np.float32)])
def test_pictures_without_a_galaxy_give_the_whole_stamp(pixels):
    assert adaptive_crop_box(pixels) == (0, 20, 0, 20)


@settings(max_examples=30, deadline=None)
@given(st.integers(24, 90), st.integers(0, 2**32 - 1))
def test_boxes_are_central_squares_inside_the_stamp(side, seed):
    picture = np.random.default_rng(seed).random((side, side, 3), np.float32)
    row0, row1, column0, column1 = adaptive_crop_box(picture)
    assert 0 <= row0 < row1 <= side and (row0, row1) == (column0, column1)
    assert row0 + row1 in (2 * (side // 2), side)


def test_the_mean_surface_brightness_is_kept_when_shrinking():
    pixels = np.random.default_rng(1).random((3, 256, 256), np.float32)
    np.testing.assert_allclose(cut_and_resize(pixels, (0, 256, 0, 256), 128).mean((1, 2)), pixels.mean((1, 2)), rtol=1e-5)


def flux_stamp(**changes):
    y, x = np.mgrid[:64, :64] - 32
    flux = np.exp(-(x**2 + y**2) / 50)[None] * np.array([0.1, 0.2, 0.3])[:, None, None]
    return Stamp(**{"object_id": "a", "pixels": flux.astype(np.float32), "kind": "nmgy", "pixel_scale_arcsec": 0.25, **changes})


def test_both_crops_are_two_inputs_and_the_side_is_in_arcsec():
    done = prepare(flux_stamp(), convention="dr2_rgb", crop=CropConfig(mode="both", fixed_arcsec=8.0), size=32)
    assert done.inputs.shape == (2, 3, 32, 32) and done.inputs.dtype == np.float32
    assert done.crop_side_arcsec == (done.box[1] - done.box[0]) * 0.25
    fixed = prepare(flux_stamp(), convention="nmgy", crop=CropConfig(mode="fixed", fixed_arcsec=8.0), size=32)
    np.testing.assert_array_equal(fixed.inputs[0], flux_stamp().pixels[:, 16:48, 16:48])


@pytest.mark.parametrize(
    ("changes", "convention", "crop", "match"),
    [
        ({"kind": "rgb"}, "nmgy", CropConfig(), "nanomaggies"),
        ({"pixel_scale_arcsec": None}, "dr2_rgb", CropConfig(mode="fixed", fixed_arcsec=5.0), "pixel scale"),
        ({"pixels": np.zeros((3, 4, 5), np.float32)}, "dr2_rgb", CropConfig(), "shape"),
        ({"pixels": np.full((3, 8, 8), np.inf, np.float32)}, "dr2_rgb", CropConfig(), "finite"),
    ],
)
def test_stamps_that_cannot_be_used_say_why(changes, convention, crop, match):
    with pytest.raises(StampError, match=match):
        prepare(flux_stamp(**changes), convention=convention, crop=crop, size=32)


@pytest.mark.parametrize("wrong", [{"mode": "fixed"}, {"fixed_arcsec": 5.0}, {"mode": "both", "fixed_arcsec": -1.0}])
def test_crops_that_contradict_themselves_are_refused(wrong):
    with pytest.raises(EncoderError, match="arcsec"):
        CropConfig(**wrong)
