"""Pictures for people: orientation of the colours, stretches, crops, scale bar, contact sheet."""

import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

from discovery.readers import open_survey, read_stamp_bytes
from discovery.stamps.imaging_surveys import SURVEYS
from discovery.stamps.render import (
    band_picture,
    contact_sheet,
    crop_picture,
    stamp_png,
    to_rgb_picture,
    upright,
)
from discovery.stamps.stamp import Stamp


def flux_stamp(planes, **more):
    return Stamp(object_id="a", pixels=planes, kind="nmgy", pixel_scale_arcsec=0.262, **more)


def opened(png):
    return np.asarray(Image.open(io.BytesIO(png)))


@pytest.mark.parametrize("survey", list(SURVEYS))
def test_colours_follow_the_viewer_formula(layouts, survey):
    planes = layouts.planes(32)
    style = SURVEYS[survey]
    picture = to_rgb_picture(flux_stamp(planes, survey=survey))
    expected = np.zeros((32, 32, 3))
    for row in range(32):
        for column in range(32):
            scaled = [float(planes[b, row, column]) * style.scales[b] + style.m for b in range(3)]
            total = sum(max(0, x) for x in scaled) / 3 or 1e-6
            stretched = np.arcsinh(style.Q * total) / np.sqrt(style.Q)
            for b, channel in ((2, 0), (1, 1), (0, 2)):  # z is red, r green, g blue
                expected[row, column, channel] = min(1, max(0, scaled[b] * stretched / total)) * 255
    assert picture.dtype == np.uint8 and np.abs(picture - expected).max() <= 0.51


def test_a_picture_is_shown_as_it_came(layouts):
    picture = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    stamp = read_stamp_bytes(layouts.picture(picture), "a.png")
    assert np.array_equal(to_rgb_picture(stamp), picture)
    assert np.array_equal(opened(stamp_png(stamp, size_pixels=24)), picture)
    assert np.array_equal(band_picture(stamp, "g")[:, :, 0], picture[:, :, 2])


@pytest.mark.parametrize("kind", ["nmgy", "rgb"])
def test_the_deep_stretch_shows_faint_parts(layouts, kind):
    planes = layouts.planes(64)
    stamp = (
        flux_stamp(planes)
        if kind == "nmgy"
        else Stamp(object_id="a", pixels=np.clip(planes, 0, 1), kind="rgb")
    )
    normal, deep = (to_rgb_picture(stamp, stretch).astype(float) for stretch in ("default", "deep"))
    ring = np.hypot(*np.mgrid[-32:32, -32:32]) // 1 == 20
    assert deep[ring].mean() > 1.4 * normal[ring].mean()
    assert band_picture(stamp, "r", "deep").mean() > band_picture(stamp, "r").mean()


def test_a_band_is_grey_and_shows_that_band(layouts):
    planes = layouts.planes(32)
    planes[2, :16] += 1
    picture = band_picture(flux_stamp(planes), "z")
    assert (picture == picture[:, :, :1]).all()
    assert picture[:16].mean() > picture[16:].mean() + 50
    assert (
        abs(
            band_picture(flux_stamp(planes), "g")[:16].mean()
            - band_picture(flux_stamp(planes), "g")[16:].mean()
        )
        < 5
    )


def test_crop_and_size(layouts):
    picture = to_rgb_picture(flux_stamp(layouts.planes(64)))
    assert np.array_equal(crop_picture(picture, (10, 30, 20, 40)), picture[10:30, 20:40])
    png = stamp_png(flux_stamp(layouts.planes(64)), box=(10, 30, 20, 40), size_pixels=20)
    assert np.array_equal(opened(png), picture[10:30, 20:40])
    assert opened(stamp_png(flux_stamp(layouts.planes(64)), size_pixels=200)).shape == (200, 200, 3)


@pytest.mark.parametrize(("box", "arcsec"), [(None, 10), ((40, 60, 40, 60), 2)])
def test_the_scale_bar_is_as_long_as_it_says(box, arcsec):
    stamp = flux_stamp(np.full((3, 100, 100), -1, np.float32))
    png = opened(stamp_png(stamp, box=box, size_pixels=400, scale_bar=True))
    white = (png == 255).all(axis=2)
    longest = max(len(run) for row in white for run in "".join("x" if v else " " for v in row).split())
    side = 100 if box is None else 20
    assert longest - 1 == pytest.approx(arcsec / 0.262 * 400 / side, abs=1)


def test_no_scale_bar_without_a_scale():
    stamp = Stamp(object_id="a", pixels=np.zeros((3, 50, 50), np.float32), kind="rgb")
    assert not opened(stamp_png(stamp, size_pixels=100, scale_bar=True)).any()


def test_contact_sheet_holds_every_stamp(tmp_path, layouts):
    stamps = [flux_stamp(layouts.planes(32, seed=i)) for i in range(5)]
    data = contact_sheet(
        stamps, [f"a very long title that does not fit {i}" for i in range(5)], tmp_path / "s.png"
    )
    assert (tmp_path / "s.png").read_bytes() == data
    sheet = opened(data)
    assert sheet.shape[1] > 3 * 128 and sheet.shape[0] > 2 * 128
    assert contact_sheet([], [])
    with pytest.raises(ValueError, match="5 stamps and 1 titles"):
        contact_sheet(stamps, ["one"])


def test_real_cutouts_render(shared_data):
    stamps = open_survey(shared_data / "fits_cutouts" / "dr9").read(0, 10)
    for stamp in stamps:
        picture = to_rgb_picture(stamp)
        middle, edge = picture[118:138, 118:138].mean(), picture[:10].mean()
        assert middle > edge + 60


def test_fluxes_are_shown_north_up():
    pixels = np.zeros((3, 20, 20), np.float32)
    pixels[:, 17:, :3] = 1.0  # north-east corner of an array whose first row is the southernmost
    flux = Stamp(object_id="a", pixels=pixels, kind="nmgy", pixel_scale_arcsec=None)
    assert to_rgb_picture(upright(flux))[:3, :3].min() > 150
    picture = dataclasses.replace(flux, kind="rgb")
    assert upright(picture) is picture
    sheet = np.asarray(Image.open(io.BytesIO(contact_sheet([flux], ["a"], size_pixels=20))))
    assert sheet[7:9, 7:9].min() > 150 and sheet[22:26, 7:9].max() < 120
