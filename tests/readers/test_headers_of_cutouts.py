"""Positions from headers of every age and length, compared with wcslib's reading of them."""

import warnings

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS

from discovery.readers import open_survey
from discovery.readers.bricks.coadds import BrickImages

STEP_DEG = 0.262 / 3600
TURN = {"PC001001": np.cos(0.5), "PC001002": -np.sin(0.5), "PC002001": np.sin(0.5), "PC002002": np.cos(0.5)}


def header_at(ra_deg=150.1, dec_deg=2.2, side=64, *, matrix=True, **cards):
    header = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": ra_deg, "CRVAL2": dec_deg, "CRPIX1": (side + 1) / 2, "CRPIX2": (side + 1) / 2})
    if matrix:
        header.update({"CD1_1": -STEP_DEG, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": STEP_DEG})
    else:
        header.update({"CDELT1": -STEP_DEG, "CDELT2": STEP_DEG})
    header.update(cards)
    return header


def wcslib_place(header, x, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return WCS(header, naxis=2).pixel_to_world(x, y).icrs


def separation(stamp, right):
    return right.icrs.separation(SkyCoord(stamp.ra_deg, stamp.dec_deg, unit="deg")).arcsec


@pytest.mark.parametrize(
    "header",
    [
        header_at(RADECSYS="FK4"),
        header_at(RADECSYS="FK4-NO-E"),
        header_at(EPOCH=1950.0),
        header_at(EQUINOX=1950.0),
        header_at(EQUINOX=1975.0, RADESYS="FK5"),
        header_at(EPOCH=2000.0, RADECSYS="FK5"),
        header_at(CRPIX1=-300.0, matrix=False, **TURN),
        header_at(CRPIX1=-300.0, matrix=False, CROTA2=30.0),
        header_at(CRPIX1=-300.0, matrix=False, CROTA1=30.0),
    ],
    ids=["radecsys", "no-e", "epoch", "equinox", "fk5", "usual", "pc00", "crota2", "crota1"],
)
def test_old_keywords_are_read_as_wcslib_does(tmp_path, layouts, header):
    fits.PrimaryHDU(layouts.planes(64), header).writeto(tmp_path / "a.fits")
    stamp = open_survey(tmp_path).read(0, 1)[0]
    assert separation(stamp, wcslib_place(header, 31.5, 31.5)) < 0.03
    assert stamp.pixel_scale_arcsec == pytest.approx(0.262)


def test_units_in_other_spellings_are_degrees(tmp_path, layouts):
    for number, unit in enumerate(("Degrees", "degree", "DEG", "deg ")):
        fits.PrimaryHDU(layouts.planes(32), header_at(side=32, CUNIT1=unit, CUNIT2=unit)).writeto(tmp_path / f"{number}.fits")
    turned = header_at(side=32, CUNIT1="Degrees", CUNIT2="Degrees", CRPIX1=-300.0, matrix=False, CROTA2=30.0)
    fits.PrimaryHDU(layouts.planes(32), turned).writeto(tmp_path / "turned.fits")
    stamps = open_survey(tmp_path).read(0, 5)
    for stamp in stamps[:4]:
        assert (stamp.ra_deg, stamp.dec_deg, stamp.pixel_scale_arcsec) == pytest.approx((150.1, 2.2, 0.262))
    turned.update({"CUNIT1": "deg", "CUNIT2": "deg"})
    assert separation(stamps[4], wcslib_place(turned, 15.5, 15.5)) < 1e-5


@pytest.mark.parametrize("cards", [900, 9000])
@pytest.mark.parametrize("extension", [False, True])
def test_headers_of_any_length_keep_the_position(tmp_path, layouts, cards, extension):
    inputs = [f"IN{number:05d} = 'skycell.1234.{number}.unconv.fits'".ljust(80) for number in range(cards)]
    header = fits.Header.fromstring(header_at(BANDS="grz").tostring(endcard=False, padding=False) + "".join(inputs))  # one by one takes seconds
    assert len(header) > cards
    planes = layouts.planes(64)
    image = fits.ImageHDU(planes, header) if extension else fits.PrimaryHDU(planes, header)
    fits.HDUList([fits.PrimaryHDU(), image] if extension else [image]).writeto(tmp_path / "a.fits")
    survey = open_survey(tmp_path)
    line = survey.table().to_pylist()[0]
    assert (line["ra"], line["dec"]) == pytest.approx((150.1, 2.2))
    assert "bands grz (by BANDS)" in survey.recognised
    assert np.array_equal(survey.read(0, 1)[0].pixels, planes)


@pytest.mark.parametrize("cards", [{}, {"RADECSYS": "FK4"}, {"EPOCH": 1950.0}])
def test_objects_are_found_in_coadds_of_any_equinox(tmp_path, cards):
    header = header_at(side=100, **cards)
    path = tmp_path / "legacysurvey-a-image-g.fits"
    fits.PrimaryHDU(np.ones((100, 100), np.float32), header).writeto(path)
    place = wcslib_place(header, 20, 70)
    assert BrickImages({"g": path}, {}).locate(np.array([place.ra.deg]), np.array([place.dec.deg])).tolist() == [[70, 20]]
