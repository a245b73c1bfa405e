"""Units of images: converted where the zero point is certain, else refused by name."""

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits

from discovery.errors import StampError
from discovery.readers import open_survey, read_stamp_file
from discovery.readers.bricks.coadds import BrickImages
from discovery.readers.flux_units import nanomaggies_a_unit

SCALE_ARCSEC = 0.262
PIXEL = (SCALE_ARCSEC * u.arcsec) ** 2


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("nJy", u.nJy),
        ("nJy/pixel", u.nJy),
        ("uJy", u.uJy),
        ("mJy", u.mJy),
        ("Jy", u.Jy),
        ("JY/pixel", u.Jy),
        ("MJy/sr", u.MJy / u.sr),
        ("MJy sr-1", u.MJy / u.sr),
        ("MJy.sr**-1", u.MJy / u.sr),
        ("uJy/arcsec2", u.uJy / u.arcsec**2),
        ("nJy arcsec^-2", u.nJy / u.arcsec**2),
    ],
)
def test_magnitudes_are_those_of_astropy(text, unit):
    flux = 7 * unit * (1 if unit.is_equivalent(u.Jy) else PIXEL)
    nanomaggies = 7 * nanomaggies_a_unit(text, SCALE_ARCSEC)
    assert 22.5 - 2.5 * np.log10(nanomaggies) == pytest.approx(flux.to_value(u.ABmag), abs=2e-4)


@pytest.mark.parametrize("text", ["", " ", "nanomaggy", "nanomaggies", "Nano-maggies/pixel", "nmgy"])
def test_nanomaggies_stay(text):
    assert nanomaggies_a_unit(text, None) == 1


@pytest.mark.parametrize("text", ["adu", "ELECTRONS/S", "counts/s", "Jy/beam", "MJY", "mag", "erg/s/cm2/Angstrom", "1e-9 Jy"])
def test_other_units_are_refused_by_name(text):
    with pytest.raises(StampError, match=text.replace("/", ".")):
        nanomaggies_a_unit(text, SCALE_ARCSEC)


def test_cutouts_are_converted_and_it_is_said(tmp_path, layouts):
    planes = layouts.planes(64)
    layouts.cutout(tmp_path / "plain.fits", planes)
    header = fits.getheader(tmp_path / "plain.fits")
    for number, (unit, factor) in enumerate((("nJy", 3630.78), ("MJy/sr", 3630.78e-15 / PIXEL.to_value(u.sr)))):
        folder = tmp_path / str(number)
        folder.mkdir()
        header["BUNIT"] = unit
        fits.PrimaryHDU(planes * np.float32(factor), header).writeto(folder / "a.fits")
        survey = open_survey(folder)
        np.testing.assert_allclose(survey.read(0, 1)[0].pixels, planes, rtol=1e-6)
        assert f"{unit} converted to nanomaggies" in survey.recognised
    header["BUNIT"] = "ELECTRONS/S"
    fits.PrimaryHDU(planes, header).writeto(tmp_path / "counts.fits")
    with pytest.raises(StampError, match="'ELECTRONS/S'"):
        read_stamp_file(tmp_path / "counts.fits")
    del header["CTYPE*"]
    header["BUNIT"] = "MJy/sr"
    fits.PrimaryHDU(planes, header).writeto(tmp_path / "nowhere.fits")
    with pytest.raises(StampError, match="pixel scale"):
        read_stamp_file(tmp_path / "nowhere.fits")


def test_coadds_are_converted(tmp_path, layouts):
    plane = layouts.planes(100)[0]
    header = layouts.tan(100, 10, 1).to_header()
    header["BUNIT"] = "nJy"
    fits.PrimaryHDU(plane * np.float32(3630.78), header).writeto(tmp_path / "a.fits")
    images = BrickImages({"g": tmp_path / "a.fits"}, {})
    np.testing.assert_allclose(images.cut(50, 50, 40)[0][0], plane[30:70, 30:70], rtol=1e-6)
