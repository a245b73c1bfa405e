"""``discovery restore`` and ``reconstruct``: FITS in, FITS out, as the command line calls them."""

import json

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS

from discovery.cli import main
from discovery.encoders.image_heads import CARD_FILE, FOLDER

pytestmark = pytest.mark.slow

BIG = (90, 1500)
"""More than one field wide."""


def run(*arguments):
    return main([str(argument) for argument in arguments])


def fluxes(planes, centre, radii=(8, 12, 20, 40)):
    y, x = np.mgrid[: planes.shape[1], : planes.shape[2]]
    distance = np.hypot(y - centre[0], x - centre[1])
    return np.array([planes[:, distance <= radius].astype(float).sum(axis=1) for radius in radii])


def test_an_untrained_model_changes_nothing(image, idle, tmp_path, planes):
    assert run("restore", image, "--out", tmp_path / "out.fits", "--model", idle) == 0
    with fits.open(tmp_path / "out.fits") as made:
        np.testing.assert_array_equal(made[0].data, planes)
        assert not made["RESIDUAL"].data.any()


def test_restored_image_keeps_wcs_cards_and_flux(image, strong, tmp_path, planes):
    assert run("restore", image, "-o", tmp_path / "out.fits", "--model", strong) == 0
    with fits.open(image) as before, fits.open(tmp_path / "out.fits") as made:
        made.verify("exception")
        after, residual = made[0].data, made["RESIDUAL"].data
        assert after.dtype == before[0].data.dtype
        for hdu in made:
            np.testing.assert_array_equal(WCS(hdu.header, naxis=2).pixel_scale_matrix, WCS(before[0].header, naxis=2).pixel_scale_matrix)
            np.testing.assert_array_equal(WCS(hdu.header, naxis=2).wcs.crval, WCS(before[0].header, naxis=2).wcs.crval)
        for name in before[0].header:
            assert made[0].header[name] == before[0].header[name]
        assert json.loads((strong / CARD_FILE).read_text())["checksum"][:32] in str(made[0].header["HISTORY"])
    assert np.std(after - planes) > 5e-4, "the model was meant to change something"
    np.testing.assert_array_equal(residual, after - planes)
    before, after = fluxes(planes, (60, 50)), fluxes(after, (60, 50))
    assert np.all(np.abs(after / before - 1) < 0.02)


def test_float64_and_compressed_files(write_image, strong, tmp_path, planes):
    write_image(tmp_path / "double.fits", planes.astype(np.float64))
    single = write_image(tmp_path / "single.fits", planes, BUNIT="nanomaggy")
    with fits.open(single) as hdus:
        packed = fits.CompImageHDU(hdus[0].data, hdus[0].header, compression_type="GZIP_2", quantize_level=0)
        fits.HDUList([fits.PrimaryHDU(), packed]).writeto(tmp_path / "packed.fits.fz")
        hdus.writeto(tmp_path / "zipped.fits.gz")
    made = {}
    for name in ("double.fits", "single.fits", "packed.fits.fz", "zipped.fits.gz"):
        assert run("restore", tmp_path / name, "-o", tmp_path / "out.fits", "--model", strong, "--overwrite") == 0
        with fits.open(tmp_path / "out.fits") as hdus:
            made[name] = hdus[0].data
            assert hdus[0].header["OBSERVER"] == "Herschel"
    assert made["double.fits"].dtype.itemsize == 8
    np.testing.assert_allclose(made["double.fits"], made["single.fits"], atol=1e-6)
    np.testing.assert_array_equal(made["packed.fits.fz"], made["single.fits"])
    np.testing.assert_array_equal(made["zipped.fits.gz"], made["single.fits"])


def test_bands_in_another_order(write_image, strong, tmp_path, planes, image):
    turned = write_image(tmp_path / "zrg.fits", planes[::-1], bands="zrg")
    for name, path in (("a", image), ("b", turned)):
        assert run("restore", path, "-o", tmp_path / f"{name}.fits", "--model", strong) == 0
    np.testing.assert_array_equal(fits.getdata(tmp_path / "a.fits"), fits.getdata(tmp_path / "b.fits")[::-1])


def test_pixels_without_measurement_stay(write_image, strong, tmp_path, planes, capsys):
    damaged = planes.copy()
    damaged[1, 60:64, 50] = np.nan
    damaged[:, :10] = 0
    path = write_image(tmp_path / "damaged.fits", damaged)
    assert run("restore", path, "-o", tmp_path / "out.fits", "--model", strong, "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["left"], answer["bands"], answer["height"]) == (10 * 100 + 4, "grz", 120)
    after = fits.getdata(tmp_path / "out.fits")
    left = np.zeros(planes.shape[1:], bool)
    left[:10] = left[60:64, 50] = True
    np.testing.assert_array_equal(after[:, left], damaged[:, left])
    assert np.isfinite(after[:, ~left]).all()
    assert (after != damaged)[:, ~left].mean() > 0.99


def test_a_larger_image_is_worked_on_by_fields(write_image, strong, idle, tmp_path):
    rng = np.random.default_rng(0)
    y, x = np.mgrid[: BIG[0], : BIG[1]]
    light = sum(np.exp(-np.hypot(y - 45, x - place) / 6) for place in range(50, 1500, 140))
    planes = (np.array([0.2, 0.5, 0.8])[:, None, None] * light + rng.normal(0, 0.006, (3, *BIG))).astype(np.float32)
    path = write_image(tmp_path / "wide.fits", planes)
    assert run("restore", path, "-o", tmp_path / "same.fits", "--model", idle) == 0
    np.testing.assert_array_equal(fits.getdata(tmp_path / "same.fits"), planes)
    assert run("restore", path, "-o", tmp_path / "out.fits", "--model", strong) == 0
    after = fits.getdata(tmp_path / "out.fits")
    for place in range(50, 1500, 140):
        assert np.all(np.abs(fluxes(after, (45, place)) / fluxes(planes, (45, place)) - 1) < 0.02)
    steps = np.abs(np.diff(after - planes, axis=2)).mean(axis=(0, 1))
    for border in (1500 - 1024, 1024):  # where a field begins and where one ends
        assert steps[border - 1] < 1.5 * np.median(steps[border - 12 : border + 12])


def test_reconstruct_changes_the_masked_pixels_alone(image, strong, tmp_path, planes):
    broken = tmp_path / "broken.fits"
    data = planes.copy()
    data[0, 5, 5] = np.nan
    fits.writeto(broken, data, fits.getheader(image))
    fits.writeto(tmp_path / "mask.fits", np.pad(np.ones((9, 7), np.uint8), ((70, 41), (60, 33))))
    assert run("reconstruct", broken, "-o", tmp_path / "out.fits", "--mask", tmp_path / "mask.fits", "--model", strong) == 0
    mask = np.zeros(planes.shape[1:], bool)
    mask[70:79, 60:67] = mask[5, 5] = True
    with fits.open(tmp_path / "out.fits") as made:
        after = made[0].data
        np.testing.assert_array_equal(made["MASK"].data.astype(bool), mask)
        np.testing.assert_array_equal(made["RESIDUAL"].data, np.where(mask, after - data, 0))
        assert WCS(made["MASK"].header).has_celestial
    np.testing.assert_array_equal(after[:, ~mask].view(np.uint32), data[:, ~mask].astype(">f4").view(np.uint32))
    assert np.isfinite(after).all()
    assert (after != data)[:, mask].all()


def test_what_lies_under_the_mask_does_not_matter(image, strong, tmp_path, planes):
    other = planes.copy()
    other[:, 70:79, 60:67] = 1000
    fits.writeto(tmp_path / "other.fits", other, fits.getheader(image))
    for name, path in (("a", image), ("b", tmp_path / "other.fits")):
        assert run("reconstruct", path, "-o", tmp_path / f"{name}.fits", "--box", "70,79,60,67", "--model", strong) == 0
    np.testing.assert_array_equal(fits.getdata(tmp_path / "a.fits"), fits.getdata(tmp_path / "b.fits"))


def test_ways_to_say_what_is_masked(image, strong, tmp_path, planes):
    """Circle on the sky, circle in pixels, mask, segmentation map: the same pixels, found independently."""
    shape = planes.shape[1:]
    y, x = np.mgrid[: shape[0], : shape[1]]
    disk = np.hypot(y - 80.3, x - 65.2) <= 6.5
    place = WCS(fits.getheader(image), naxis=2).pixel_to_world(65.2, 80.3)
    position = f"{place.ra.deg:.8f},{place.dec.deg:.8f},{6.5 * 0.262:.6f}"
    text = SkyCoord(place).to_string("hmsdms", sep=":", precision=6).replace(" ", ",")
    fits.writeto(tmp_path / "mask.fits", disk.astype(np.int16))
    segments = 7 * disk.astype(np.int32) + 3 * (np.hypot(y - 60, x - 50) < 12)
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(segments)]).writeto(tmp_path / "segments.fits")
    ways = {
        "sky": ["--region", position],
        "hms": ["--region", f"{text},{6.5 * 0.262:.6f}arcsec"],
        "circle": ["--circle", "80.3,65.2,6.5"],
        "mask": ["--mask", tmp_path / "mask.fits"],
        "segments": ["--mask", tmp_path / "segments.fits", "--keep", 3],
    }
    for name, options in ways.items():
        out = tmp_path / f"by_{name}.fits"
        assert run("reconstruct", image, "-o", out, "--model", strong, *options) == 0
        np.testing.assert_array_equal(fits.getdata(out, "MASK").astype(bool), disk, err_msg=name)
    assert run("reconstruct", image, "-o", tmp_path / "two.fits", "--model", strong, "--box", "0,3,0,4", "--box", "9,10,9,11") == 0
    assert fits.getdata(tmp_path / "two.fits", "MASK").sum() == 3 * 4 + 2


def spoiled(tmp_path, write_image, planes):
    """Return bad images by what their error says."""
    whole = write_image(tmp_path / "whole.fits", planes).read_bytes()
    (tmp_path / "short.fits").write_bytes(whole[:50000])
    (tmp_path / "text.fits").write_text("not FITS")
    lost, part = planes.copy(), planes.copy()
    lost[2], part[0, :90] = 0, 0
    return {
        "truncated": tmp_path / "short.fits",
        "no FITS file": tmp_path / "text.fits",
        "cannot be read": tmp_path / "nowhere.fits",
        "4 planes": write_image(tmp_path / "four.fits", np.concatenate([planes, planes[:1]]), bands="griz"),
        "1 planes": write_image(tmp_path / "one.fits", planes[:1], bands="g"),
        "2 dimensions": write_image(tmp_path / "flat.fits", planes[0], bands=None),
        "bands are missing: the file has u g r": write_image(tmp_path / "ugr.fits", planes, bands="ugr"),
        "'adu'; convert": write_image(tmp_path / "adu.fits", planes, BUNIT="adu"),
        "band z is empty": write_image(tmp_path / "lost.fits", lost),
        "band g covers only 25 % of the image": write_image(tmp_path / "part.fits", part),
    }


def test_bad_images_are_one_line(strong, tmp_path, write_image, planes, capsys):
    for reason, path in spoiled(tmp_path, write_image, planes).items():
        for verb in (["restore"], ["reconstruct", "--box", "1,2,1,2"]):
            assert run(*verb, path, "--out", tmp_path / "out.fits", "--model", strong) == 1
            error = capsys.readouterr().err
            assert reason in error
            assert path.name in error
            assert error.count("\n") == 1
    assert not list(tmp_path.glob("*out.fits*"))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ([], "nothing to mend"),
        (["--box", "0,120,0,95"], "95 % is masked"),
        (["--box", "1,2,3"], "is no box"),
        (["--circle", "1,2,x"], "is no circle"),
        (["--circle", "1,2,0"], "radius 0"),
        (["--box", "130,140,5,9"], "holds no pixel of the image"),
        (["--region", "10,2,3"], "holds no pixel of the image"),
        (["--region", "10,2"], "is no cone"),
        (["--keep", "3"], "--mask"),
        (["--mask", "MASK"], "has 10x10; the image has 120x100"),
        (["--mask", "nowhere.fits"], "nowhere.fits cannot be read"),
        (["--box", "0,9,0,9", "--survey", "euclid"], "no survey 'euclid'"),
        (["--box", "0,9,0,9", "--model", "nowhere"], "No multitask model at nowhere"),
    ],
)
def test_bad_options_are_one_line(options, reason, image, strong, tmp_path, capsys):
    fits.writeto(tmp_path / "small.fits", np.ones((10, 10), np.uint8))
    options = [tmp_path / "small.fits" if option == "MASK" else option for option in options]
    model = [] if "--model" in options else ["--model", strong]
    assert run("reconstruct", image, "-o", tmp_path / "out.fits", *model, *options) == 1
    error = capsys.readouterr().err
    assert reason in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out.fits").exists()


def test_a_region_needs_a_position_on_the_sky(write_image, strong, tmp_path, planes, capsys):
    path = write_image(tmp_path / "bare.fits", planes, wcs=False)
    assert run("reconstruct", path, "-o", tmp_path / "out.fits", "--region", "10,2,3", "--model", strong) == 1
    assert "has no WCS" in capsys.readouterr().err


def test_nothing_is_overwritten_unasked(image, strong, tmp_path, capsys):
    out = tmp_path / "out.fits"
    out.write_text("precious")
    assert run("restore", image, "-o", out, "--model", strong) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert out.read_text() == "precious"
    assert run("restore", image, "-o", out, "--model", strong, "--overwrite") == 0
    assert run("restore", image, "-o", image, "--model", strong) == 1
    assert run("restore", image, "-o", tmp_path / "out.png", "--model", strong) == 1
    assert run("restore", image, "-o", tmp_path / "no" / "out.fits", "--model", strong) == 1


def test_real_cutouts(shared_data, strong, tmp_path, capsys):
    for path in sorted((shared_data / "fits_cutouts" / "dr9").glob("*.fits"))[:2]:
        assert run("restore", path, "-o", tmp_path / path.name, "--model", strong) == 0
        before, after = fits.getdata(path), fits.getdata(tmp_path / path.name)
        assert np.all(np.abs(fluxes(after, (127.5, 127.5)) / fluxes(before, (127.5, 127.5)) - 1) < 0.02)
        assert WCS(fits.getheader(tmp_path / path.name), naxis=2).wcs == WCS(fits.getheader(path), naxis=2).wcs
    bad = {"bad_pix": "band g covers only 24 %", "incomplete": "truncated", "incomplete_backup": "truncated"}
    for name, reason in bad.items():
        path = shared_data / "fits_cutouts" / "dr3_dr5" / f"zooniverse_decals__example_{name}.fits"
        assert run("restore", path, "-o", tmp_path / "bad.fits", "--model", strong) == 1
        error = capsys.readouterr().err
        assert reason in error
        assert error.count("\n") == 1


@pytest.mark.skipif(not (FOLDER / CARD_FILE).exists(), reason="no multitask model ships yet")
def test_the_shipped_model(image, tmp_path, planes):
    assert run("restore", image, "-o", tmp_path / "out.fits") == 0
    after = fits.getdata(tmp_path / "out.fits")
    assert np.all(np.abs(fluxes(after, (60, 50)) / fluxes(planes, (60, 50)) - 1) < 0.02)
    assert np.std(after[:, :25, :25]) < 0.9 * np.std(planes[:, :25, :25]), "the sky's noise should be less"
    assert run("reconstruct", image, "-o", tmp_path / "mended.fits", "--circle", "80,65,7") == 0
    mended = fits.getdata(tmp_path / "mended.fits")
    disk = fits.getdata(tmp_path / "mended.fits", "MASK").astype(bool)
    y, x = np.mgrid[:120, :100]
    smooth = np.exp(-np.hypot(y - 60, (x - 50) / 0.7) / 9)  # the galaxy without its companion
    alone = np.stack([amount * smooth for amount in (0.15, 0.4, 0.7)])
    far = np.abs(planes - alone)[:, disk].mean()
    assert np.abs(mended - alone)[:, disk].mean() < 0.5 * far


def scaled(path, planes, **cards):
    """Write an image as 16-bit integers, with 10 x 20 pixels of BLANK where cards say so."""
    stored = np.rint((planes - 0.5) / 1e-4).astype(np.int16)
    if "BLANK" in cards:
        stored[:, 5:15, 5:25] = cards["BLANK"]
    hdu = fits.PrimaryHDU(stored)
    hdu.header.update({"BANDS": "grz", "BUNIT": "nanomaggy", "BSCALE": 1e-4, "BZERO": 0.5} | cards)
    hdu.writeto(path)
    return path, np.where(stored == cards.get("BLANK"), np.nan, stored * 1e-4 + 0.5)


def test_scaled_integers_are_restored_and_blank_pixels_left(idle, tmp_path, planes):
    for cards in ({}, {"BLANK": -32768}):
        path, right = scaled(tmp_path / f"in{len(cards)}.fits", planes, **cards)
        assert run("restore", path, "-o", tmp_path / "out.fits", "--model", idle, "--overwrite") == 0
        with fits.open(tmp_path / "out.fits") as made:
            made.verify("exception")
            assert made[0].header["BITPIX"] == -32 and not {"BSCALE", "BZERO", "BLANK"} & set(made[0].header)
            np.testing.assert_allclose(made[0].data, right, rtol=3e-7, atol=1e-7)


def test_blank_pixels_of_scaled_integers_are_mended(idle, tmp_path, planes):
    path, right = scaled(tmp_path / "in.fits", planes, BLANK=-32768)
    assert run("reconstruct", path, "--box", "40,50,40,50", "-o", tmp_path / "out.fits", "--model", idle) == 0
    with fits.open(tmp_path / "out.fits") as made:
        mask = np.isnan(right[0])
        mask[40:50, 40:50] = True
        np.testing.assert_array_equal(made["MASK"].data, mask)
        assert np.isfinite(made[0].data).all()
        np.testing.assert_allclose(made[0].data[:, ~mask], right[:, ~mask], rtol=3e-7, atol=1e-7)


def test_bands_of_an_empty_primary_header_are_those_of_the_image(strong, image, tmp_path, planes, capsys):
    primary = fits.PrimaryHDU()
    primary.header.update({"BANDS": "zrg", "BUNIT": "nanomaggy"})
    extension = fits.ImageHDU(planes[::-1], fits.getheader(image), name="SCI")
    del extension.header["BANDS"]
    extension.header["INHERIT"] = True
    fits.HDUList([primary, extension]).writeto(tmp_path / "inherit.fits")
    for name, path in (("a", image), ("b", tmp_path / "inherit.fits")):
        assert run("restore", path, "-o", tmp_path / f"{name}.fits", "--model", strong) == 0
    np.testing.assert_array_equal(fits.getdata(tmp_path / "a.fits"), fits.getdata(tmp_path / "b.fits")[::-1])
    assert fits.getheader(tmp_path / "b.fits")["BANDS"] == "zrg"


def test_zeros_of_quantisation_are_restored(strong, tmp_path, planes):
    packed = fits.CompImageHDU(planes, fits.Header({"BANDS": "grz"}), quantize_level=4)
    fits.HDUList([fits.PrimaryHDU(), packed]).writeto(tmp_path / "q.fits.fz")
    data = fits.getdata(tmp_path / "q.fits.fz", 1)
    assert run("restore", tmp_path / "q.fits.fz", "-o", tmp_path / "out.fits", "--model", strong) == 0
    with fits.open(tmp_path / "out.fits") as made:
        assert (data == 0).mean() > 0.01 and (made["RESIDUAL"].data == 0).mean() < 0.005


def test_a_line_feed_in_a_card_is_cleaned(idle, write_image, tmp_path, planes):
    path = write_image(tmp_path / "casa.fits", planes, ORIGIN="CASA 4.7.0-REL (r38335)X")
    path.write_bytes(path.read_bytes().replace(b"(r38335)X'", b"(r38335)\n'"))
    assert run("restore", path, "-o", tmp_path / "out.fits", "--model", idle) == 0
    with fits.open(tmp_path / "out.fits") as made:
        made.verify("exception")
        assert made[0].header["ORIGIN"] == "CASA 4.7.0-REL (r38335)"
        np.testing.assert_array_equal(made[0].data, planes)


def test_other_units_are_converted(write_image, strong, image, tmp_path, planes):
    other = write_image(tmp_path / "nJy.fits", planes * np.float32(3630.78), BUNIT="nJy")
    for name, path in (("a", image), ("b", other)):
        assert run("restore", path, "-o", tmp_path / f"{name}.fits", "--model", strong) == 0
    np.testing.assert_allclose(fits.getdata(tmp_path / "b.fits"), fits.getdata(tmp_path / "a.fits"), atol=1e-5)
    assert fits.getheader(tmp_path / "b.fits")["BUNIT"] == "nanomaggy"
