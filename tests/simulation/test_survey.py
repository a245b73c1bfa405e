"""The written surveys: layout, catalogue, determinism, and that both formats show one sky."""

import json
from pathlib import Path

import astropy.units as u
import h5py
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS

from discovery.errors import ConfigError
from discovery.simulation import CLASSES, SurveyPlan, write_survey
from discovery.simulation.command import SurveyOptions, simulate_survey
from discovery.simulation.files.brick_grid import brick_at

pytestmark = pytest.mark.slow

GALAXIES = 48
BANDED = ("flux", "fiberflux", "psfdepth", "psfsize", "fracin", "nobs", "transmission")
SINGLE = (
    "inds", "ra", "dec", "brickid", "objid", "release", "ebv", "maskbits", "source_type", "shape_r", "shape_e1", "shape_e2", "z_spec",
)  # fmt: skip
REDSHIFTS = ("mean", "median", "std", "l68", "u68", "l95", "u95")


def test_file_has_the_layout_of_ssl_legacysurvey(stamp_file: Path) -> None:
    assert stamp_file.name == "images_npix152_000000000_000000048.h5"
    with h5py.File(stamp_file) as file:
        assert file["images"].shape == (GALAXIES, 3, 152, 152)
        assert file["images"].dtype == np.float32
        assert all(file[name].shape == (GALAXIES, 3) for name in BANDED)
        names = (*SINGLE, *(f"z_phot_{name}" for name in REDSHIFTS), "z_training", "truth_class")
        assert all(file[name].shape == (GALAXIES,) for name in names)
        assert file["ra"].dtype == file["dec"].dtype == np.float64
        assert file["inds"].dtype == np.int64
        assert np.isfinite(file["images"][:]).all()
        np.testing.assert_array_equal(file["inds"][:], np.arange(GALAXIES))


def test_catalogue_is_plausible(stamp_file: Path) -> None:
    with h5py.File(stamp_file) as file:
        classes, counts = np.unique(file["truth_class"][:].astype(str), return_counts=True)
        assert set(classes) == set(CLASSES)
        assert counts.min() >= 5
        flux_z = file["flux"][:, 2]
        assert (np.diff(flux_z) <= 0).all()
        assert (file["fiberflux"][:, 2] > 0).all()
        mag = 22.5 - 2.5 * np.log10(file["flux"][:])
        assert 13.5 < mag[:, 2].min() < mag[:, 2].max() < 20
        assert 0.2 < np.median(mag[:, 0] - mag[:, 1]) < 1.2
        assert (file["z_spec"][:] == -99).mean() > 0.6
        stars = file["truth_class"][:] == b"star"
        assert set(file["source_type"][:][stars]) == {b"PSF"}
        assert (file["z_phot_mean"][:][~stars] > 0).all()
        sky = SkyCoord(file["ra"][:], file["dec"][:], unit="deg")
    _, nearest, _ = sky.match_to_catalog_sky(sky, nthneighbor=2)
    assert nearest.min() > 20 * u.arcsec


def test_true_shapes_are_in_the_pixels(stamp_file: Path) -> None:
    """Second moments of the light of edge-on galaxies (north up, east left) point where the columns say."""
    with h5py.File(stamp_file) as file:
        names = file["truth_class"][:].astype(str)
        radius, e1, e2 = (file[name][:] for name in ("shape_r", "shape_e1", "shape_e2"))
        images = file["images"][:].sum(axis=1)
    assert not radius[names == "star"].any() and not np.hypot(e1, e2)[names == "star"].any()
    galaxies = ~np.isin(names, ("star", "artefact"))
    assert (radius[galaxies] >= 1.0).all() and (np.hypot(e1, e2) < 1).all()
    up, right = np.mgrid[-20:20, -20:20] + 0.5
    for image, one, two in zip(images[names == "edge_on"], e1[names == "edge_on"], e2[names == "edge_on"], strict=True):
        light = np.clip(image[56:96, 56:96], 0, None) ** 1.5
        xx, yy, xy = (float((light * product).sum()) for product in (right**2, up**2, right * up))
        measured = np.degrees(np.arctan2(-2 * xy, yy - xx)) / 2  # from north through east; x counts towards the west
        stated = np.degrees(np.arctan2(two, one)) / 2
        assert abs((measured - stated + 90) % 180 - 90) < 12


def test_stated_noise_and_psf_are_in_the_pixels(stamp_file: Path) -> None:
    with h5py.File(stamp_file) as file:
        depth, size = file["psfdepth"][:], file["psfsize"][:]
        sigma = (depth * 4 * np.pi * (size / 2.3548 / 0.262) ** 2) ** -0.5
        images = file["images"][:]
    difference = np.diff(images[:, :, :12, :], axis=3)
    measured = 1.4826 * np.median(np.abs(difference), axis=(2, 3)) / np.sqrt(2)
    assert np.median(measured / sigma) == pytest.approx(1.0, abs=0.05)


def test_same_seed_gives_the_same_bytes_whatever_the_processes(stamp_file: Path, tmp_path: Path) -> None:
    plan = SurveyPlan(galaxies=GALAXIES, seed=11)
    (again,) = write_survey(tmp_path, plan, processes=1, progress=False)
    with h5py.File(stamp_file) as first, h5py.File(again) as second:
        assert set(first) == set(second)
        for name in first:
            assert first[name][:].tobytes() == second[name][:].tobytes(), name
    assert [path.suffix for path in tmp_path.iterdir()] == [".h5"]


def test_bricks_show_the_sky_of_the_stamps(stamp_file: Path, brick_folder: Path) -> None:
    (tractor,) = brick_folder.glob("south/tractor/*/tractor-*.fits")
    catalogue = fits.getdata(tractor, 1)
    name = str(catalogue["BRICKNAME"][0])
    folder = brick_folder / "south" / "coadd" / name[:3] / name
    with h5py.File(stamp_file) as file:
        stamps = file["images"][:]
        np.testing.assert_allclose(catalogue["RA"], file["ra"][:], atol=1e-12)
        np.testing.assert_array_equal(catalogue["OBJID"], file["objid"][:])
        np.testing.assert_array_equal(catalogue["truth_class"], file["truth_class"][:].astype(str))
        np.testing.assert_allclose(catalogue["FLUX_R"], file["flux"][:, 1])
        for column in ("shape_r", "shape_e1", "shape_e2"):
            np.testing.assert_array_equal(catalogue[column.upper()], file[column][:])
    for index, band in enumerate("grz"):
        image, header = fits.getdata(folder / f"legacysurvey-{name}-image-{band}.fits.fz", 1, header=True)
        assert image.shape == (3600, 3600)
        x, y = WCS(header).all_world2pix(catalogue["RA"], catalogue["DEC"], 0)
        sigma = 1.4826 * np.median(np.abs(image))
        for stamp, column, row in zip(stamps, np.rint(x).astype(int), np.rint(y).astype(int), strict=True):
            cut = image[row - 76 : row + 76, column - 76 : column + 76]
            np.testing.assert_allclose(cut, stamp[index], atol=0.4 * sigma)


def test_brick_planes_fit_together(brick_folder: Path) -> None:
    (mask_file,) = brick_folder.glob("south/coadd/*/*/*-maskbits.fits.fz")
    mask, header = fits.getdata(mask_file, 1, header=True)
    brick_primary = mask & 1 == 0
    assert 0.88 < brick_primary.mean() < 0.93
    sky = WCS(header).pixel_to_world([1799.5, 0.0], [1799.5, 0.0])
    assert sky[0].ra.deg == pytest.approx(header["CRVAL1"])
    assert sky[0].separation(sky[1]).deg == pytest.approx(np.sqrt(2) * 1799.5 * 0.262 / 3600, rel=1e-4)
    assert not brick_primary[0, 0]
    for band in "grz":
        (path,) = brick_folder.glob(f"south/coadd/*/*/*-invvar-{band}.fits.fz")
        image = fits.getdata(str(path).replace("invvar", "image"), 1)
        pull = image * np.sqrt(fits.getdata(path, 1))
        assert 1.4826 * np.median(np.abs(pull)) == pytest.approx(1.0, abs=0.03)


def test_brick_names_and_numbers_are_those_of_the_survey(shared_data: Path) -> None:
    known = Table.read(shared_data / "brick" / "coadd_0959p805" / "survey-bricks.fits.gz")[0]
    brick = brick_at(int(known["BRICKROW"]), int(known["BRICKCOL"]))
    assert (brick.name, brick.brickid) == (known["BRICKNAME"], known["BRICKID"])
    assert brick.ra_border_deg == pytest.approx((known["RA1"], known["RA2"]))
    assert brick.dec_border_deg == pytest.approx((known["DEC1"], known["DEC2"]))


def test_sky_positions_are_the_tangent_projection_of_astropy() -> None:
    brick = brick_at(440, 123)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [brick.ra_deg, brick.dec_deg]
    wcs.wcs.crpix = [1800.5, 1800.5]
    wcs.wcs.cd = np.diag([-0.262 / 3600, 0.262 / 3600])
    x, y = np.random.default_rng(0).uniform(0, 3599, (2, 50))
    ra, dec = brick.sky_position(x, y)
    expected_ra, expected_dec = wcs.all_pix2world(x, y, 0)
    np.testing.assert_allclose(ra, expected_ra, atol=1e-10)
    np.testing.assert_allclose(dec, expected_dec, atol=1e-10)


def test_verb_prints_one_json_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    simulate_survey(tmp_path / "made", options=SurveyOptions(galaxies=45, seed=2, processes=1, json=True))
    document = json.loads(capsys.readouterr().out)
    assert document["classes"] == dict.fromkeys(CLASSES, 5)
    assert Path(document["paths"][0]).is_file()


@pytest.mark.parametrize("wrong", [{"processes": 0}, {"survey_format": "jpeg"}])
def test_wrong_options_are_one_clear_error(tmp_path: Path, wrong: dict) -> None:
    with pytest.raises(ConfigError, match="give"):
        write_survey(tmp_path, SurveyPlan(galaxies=45), progress=False, **wrong)


def test_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("not a folder")
    with pytest.raises(ConfigError, match="taken"):
        write_survey(tmp_path / "taken", SurveyPlan(galaxies=45), progress=False)
