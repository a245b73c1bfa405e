"""Pixels however they were stored: scaled, blank, quantised, without a number; compared with astropy's reading."""

import numpy as np
import pytest
from astropy.io import fits

from discovery.files.fits_images import open_image
from discovery.readers import open_survey
from discovery.readers.bricks.coadds import BrickImages
from discovery.readers.pixel_checks import fill_holes
from discovery.stamps.stamp import Damaged

BLANK = {8: 255, 16: -32768, 32: -(2**31), 64: -(2**63)}
TYPES = {8: np.uint8, 16: np.int16, 32: np.int32, 64: np.int64}


def scaled(planes, bits=16, blank=True, step=2e-4, zero=0.5, **cards):
    step = 0.02 if bits == 8 else step
    stored = np.clip(np.rint((planes - zero) / step), np.iinfo(TYPES[bits]).min + 1, np.iinfo(TYPES[bits]).max - 1).astype(TYPES[bits])
    if blank:
        stored[..., :12, :30] = BLANK[bits]
        cards["BLANK"] = BLANK[bits]
    hdu = fits.PrimaryHDU(stored)
    hdu.header.update({"BSCALE": step, "BZERO": zero, "BANDS": "grz"} | cards)
    return hdu


def only(folder):
    found = open_survey(folder).read(0, 10)
    assert len(found) == 1
    assert not isinstance(found[0], Damaged), found[0]
    return found[0]


@pytest.mark.parametrize("bits", [8, 16, 32, 64])
@pytest.mark.parametrize("packing", ["plain", "gz", "extension", "rice"])
def test_scaled_integers_are_those_of_astropy_and_blank_is_no_flux(tmp_path, layouts, bits, packing):
    if packing == "rice" and bits == 64:
        pytest.skip("not compressible so")
    hdu = scaled(layouts.planes(64), bits)
    path = tmp_path / ("a.fits.gz" if packing == "gz" else "a.fits")
    if packing == "rice":
        write_packed(hdu, path)
    elif packing == "extension":
        image = fits.ImageHDU(hdu.data)
        image.header.update({name: hdu.header[name] for name in ("BSCALE", "BZERO", "BLANK", "BANDS")})
        fits.HDUList([fits.PrimaryHDU(), image]).writeto(path)
    else:
        hdu.writeto(path)
    right = right_values(hdu)
    with open_image(path) as image:
        np.testing.assert_allclose(image.read(slice(None)), right, rtol=3e-7, atol=1e-7)
    stamp = only(tmp_path)
    seen = np.isfinite(right)
    assert not seen[:, :12, :30].any() and np.all(stamp.pixels[~seen] == 0)
    np.testing.assert_allclose(stamp.pixels[seen], right[seen], rtol=3e-7, atol=1e-7)
    assert stamp.covered_fraction == pytest.approx(1 - 360 / 4096)


def write(hdu, path):
    hdu.writeto(path)
    return path


def write_packed(hdu, path):
    """Write stored integers Rice-compressed, with the cards that scale them."""
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(hdu.data, compression_type="RICE_1")]).writeto(path)
    with fits.open(path, mode="update", disable_image_compression=True) as opened:
        opened[1].header.extend(hdu.header, unique=True, strip=True)
        opened[1].header.update({name: hdu.header[name] for name in ("BSCALE", "BZERO", "BLANK")})
    return path


def right_values(hdu):
    """The stored integers as the standard defines their values (FITS 4.0, section 4.4.2.5)."""
    stored = hdu.data
    return np.where(stored == hdu.header["BLANK"], np.nan, stored.astype(np.float64) * hdu.header["BSCALE"] + hdu.header["BZERO"])


def test_unsigned_integers_with_blank(tmp_path, layouts):
    stored = np.rint(layouts.planes(64) * 1000 + 20000).astype(np.int32)
    stored[:, 60:, :] = 65535
    hdu = fits.PrimaryHDU((stored - 32768).astype(np.int16))
    hdu.header.update({"BZERO": 32768, "BSCALE": 1, "BLANK": 32767, "BANDS": "grz"})
    hdu.writeto(tmp_path / "a.fits")
    stamp = only(tmp_path)
    np.testing.assert_array_equal(stamp.pixels[:, :60], stored[:, :60])
    assert not stamp.pixels[:, 60:].any() and stamp.covered_fraction == pytest.approx(60 / 64)


@pytest.mark.parametrize("level", [4, 16])
@pytest.mark.parametrize("method", [-1, 1, 2])
def test_zeros_of_quantisation_were_observed(tmp_path, layouts, level, method):
    planes = layouts.planes(64)
    planes[:, :, :7] = 0  # the survey's edge
    planes[0, 30:36, 40:48] = 0
    packed = fits.CompImageHDU(planes, fits.Header({"BANDS": "grz"}), quantize_level=level, quantize_method=method, dither_seed=7)
    fits.HDUList([fits.PrimaryHDU(), packed]).writeto(tmp_path / "a.fits.fz")
    data = fits.getdata(tmp_path / "a.fits.fz", 1)
    stamp = only(tmp_path)
    np.testing.assert_array_equal(stamp.pixels, data)
    if method == -1:
        assert (data == 0).mean() > (7 * 64 + 16) / 4096 + 0.002, "quantisation was meant to make zeros"
    if method != 1:  # dither 1 leaves no zeros
        assert stamp.covered_fraction == pytest.approx(1 - (7 * 64 + 48) / 4096, abs=0.002)


def test_zeros_of_scaled_integers_were_observed(tmp_path, layouts):
    planes = np.random.default_rng(3).normal(0, 0.001, (3, 64, 64)) + layouts.planes(64) * 0.2
    hdu = scaled(planes, blank=False, step=2e-3)
    hdu.writeto(tmp_path / "a.fits")
    stamp = only(tmp_path)
    assert (stamp.pixels == 0).mean() > 0.05 and stamp.covered_fraction == 1


def test_zeros_of_ordinary_numbers_were_not_observed(tmp_path, layouts):
    planes = layouts.planes(64)
    planes[1, 5, 5:40] = 0
    layouts.cutout(tmp_path / "a.fits", planes)
    stamp = only(tmp_path)
    assert np.array_equal(stamp.pixels, planes) and stamp.covered_fraction == 1 - 35 / 4096


@pytest.mark.parametrize("inherit", [True, False, None])
@pytest.mark.parametrize("packed", [False, True])
def test_bands_of_an_empty_primary_header_count_for_its_extension(tmp_path, layouts, inherit, packed):
    planes = layouts.planes(64)
    primary = fits.PrimaryHDU()
    primary.header.update({"BANDS": "zrg", "BUNIT": "nanomaggy", "CRVAL1": 7.0, "EQUINOX": 2000.0})
    header = layouts.tan(64, 150.1, 2.2).to_header()
    if inherit is not None:
        header["INHERIT"] = inherit
    image = fits.CompImageHDU(planes, header, compression_type="GZIP_1", quantize_level=0) if packed else fits.ImageHDU(planes, header)
    fits.HDUList([primary, image]).writeto(tmp_path / "a.fits")
    stamp = only(tmp_path)
    assert np.array_equal(stamp.pixels, planes if inherit is False else planes[::-1])
    assert (stamp.ra_deg, stamp.dec_deg) == pytest.approx((150.1, 2.2))


def test_bands_of_the_extension_itself_come_first(tmp_path, layouts):
    planes = layouts.planes(32)
    primary = fits.PrimaryHDU()
    primary.header["BANDS"] = "zrg"
    own = {"INHERIT": True, "BAND0": "r", "BAND1": "g", "BAND2": "z"}
    fits.HDUList([primary, fits.ImageHDU(planes, fits.Header(own))]).writeto(tmp_path / "a.fits")
    assert np.array_equal(only(tmp_path).pixels, planes[[1, 0, 2]])


def test_some_pixels_without_a_number_are_filled_and_counted(tmp_path, layouts):
    planes = layouts.planes(64)
    broken = planes.copy()
    broken[2, 31:34, 31:34] = np.nan  # a saturated core
    broken[2, 60:, 10:20] = np.inf  # at the border
    layouts.cutout(tmp_path / "a.fits", broken)
    stamp = only(tmp_path)
    seen = np.isfinite(broken)
    assert np.array_equal(stamp.pixels[seen], planes[seen])
    assert stamp.pixels[2, 31:34, 31:34].min() > 0.6 and not stamp.pixels[2, 60:, 10:20].any()
    assert stamp.covered_fraction == 1 - 49 / 4096


def test_more_than_half_without_a_number_is_damaged(tmp_path, layouts):
    planes = layouts.planes(64)
    planes[1, :33] = np.nan
    layouts.cutout(tmp_path / "a.fits", planes)
    layouts.cutout(tmp_path / "b.fits", layouts.planes(64))
    assert "2112 of 12288 pixels are not finite" in open_survey(tmp_path).read(0, 1)[0].reason


def test_a_hole_is_filled_by_what_is_around_it():
    plane = np.full((1, 40, 40), 3.0, np.float32)
    plane[0, 5:30, 8:20] = np.nan
    np.testing.assert_allclose(fill_holes(plane), 3, rtol=1e-5)


@pytest.mark.parametrize("packed", [False, True])
def test_coadds_leave_blank_pixels_out(tmp_path, layouts, packed):
    wcs = layouts.tan(100, 10, 1).to_header()
    plane = scaled(layouts.planes(100)[0], BUNIT="nanomaggy")
    plane.header.update(wcs)
    path = write(plane, tmp_path / "image.fits")
    right = right_values(plane)
    if packed:
        path = write_packed(plane, tmp_path / "image.fits.fz")
    images = BrickImages({"g": path}, {})
    for load in (False, True):
        if load:
            images.load()
        pixels, covered = images.cut(20, 20, 40)
        part = right[:40, :40]
        np.testing.assert_allclose(pixels[0], np.nan_to_num(part), rtol=3e-7, atol=1e-7)
        assert covered[0] == np.isfinite(part).mean() == 1 - 360 / 1600


def test_line_feeds_in_cards_stop_nothing(tmp_path, layouts):
    header = fits.Header({"BANDS": "zrg", "ORIGIN": "CASA 4.7.0-REL (r38335)X"})
    planes = layouts.planes(64)
    for name, hdus in (
        ("plain.fits", [fits.PrimaryHDU(planes, header)]),
        ("packed.fits.fz", [fits.PrimaryHDU(), fits.CompImageHDU(planes, header, compression_type="GZIP_1", quantize_level=0)]),
    ):
        fits.HDUList(hdus).writeto(tmp_path / name)
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes().replace(b"(r38335)X'", b"(r38335)\n'"))
    found = open_survey(tmp_path).read(0, 2)
    for stamp in found:
        assert np.array_equal(stamp.pixels, planes[::-1])
    with open_image(tmp_path / "packed.fits.fz") as image:
        assert image.header["ORIGIN"] == "CASA 4.7.0-REL (r38335)"
