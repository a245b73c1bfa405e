"""Legacy Survey bricks: stamps at catalogue positions, old and new columns, and what is missing."""

import pickle
import shutil

import numpy as np
import pytest
from astropy.io import fits

from discovery.errors import SurveyError
from discovery.readers import open_survey
from discovery.readers.bricks.selection import CatalogueColumns, usual_selection
from discovery.stamps.stamp import Damaged, Stamp

SIDE = 64


@pytest.fixture(scope="module")
def brick(tmp_path_factory, layouts):
    root = tmp_path_factory.mktemp("bricks")
    images, places = layouts.brick(root)
    return root, images, places


def test_stamps_are_cut_where_the_catalogue_says(brick):
    root, images, places = brick
    survey = open_survey(root, side_pixels=SIDE)
    assert (
        survey.format == "bricks" and "MASKBITS" in survey.recognised and "DR8 and later" in survey.recognised
    )
    stamps = survey.read(0, len(survey))
    lines = [0, 1, 2, 3, 4, 6]  # 5 is a star, 7 lies beside a bright star
    assert [stamp.object_id for stamp in stamps] == [f"9010-330100-{line}" for line in lines]
    for line, stamp in zip(lines[:3], stamps, strict=False):
        row, column = places[line] - SIDE // 2
        assert np.allclose(stamp.pixels, images[:, row : row + SIDE, column : column + SIDE], atol=0.02)
        assert np.unravel_index(stamp.pixels[1].argmax(), (SIDE, SIDE)) == (SIDE // 2, SIDE // 2)
        assert stamp.pixel_scale_arcsec == pytest.approx(0.262) and stamp.covered_fraction == 1


def test_edges_and_unobserved_pixels_count_as_not_covered(brick):
    survey = open_survey(brick[0], side_pixels=SIDE)
    at_edge, off = survey.read(3, 5)
    assert isinstance(at_edge, Stamp) and at_edge.covered_fraction == pytest.approx(52 / 64)
    assert not at_edge.pixels[:, :12].any()
    assert (isinstance(off, Damaged) and "band g is empty" in off.reason) or "covers only" in off.reason


def test_single_stamps_from_tiles_equal_those_from_whole_planes(brick):
    survey = open_survey(brick[0], side_pixels=SIDE, select="all")
    one_by_one = [survey.read(i, i + 1)[0] for i in range(len(survey))]
    together = pickle.loads(pickle.dumps(survey)).read(0, len(survey))
    assert len(together) == 8
    for single, many in zip(one_by_one, together, strict=True):
        assert single.object_id == many.object_id
        if isinstance(single, Stamp):
            assert np.array_equal(single.pixels, many.pixels)


def test_every_catalogue_column_is_kept(brick):
    table = open_survey(brick[0]).table()
    assert {"RELEASE", "BRICKNAME", "FLUX_G", "MW_TRANSMISSION_Z", "DCHISQ", "MASKBITS", "SHAPE_R"} <= set(
        table.column_names
    )
    assert table["DCHISQ"][0].as_py() == [1] * 5 and table["TYPE"][0].as_py() == "DEV"
    assert "RA" not in table.column_names and table["ra"].null_count == 0
    assert table["source"][1].as_py() == "south/tractor/010/tractor-0100p005.fits:1"


def test_older_columns_in_lower_case(tmp_path, layouts):
    layouts.brick(tmp_path, old=True)
    survey = open_survey(tmp_path, side_pixels=SIDE)
    assert "DR7 and earlier" in survey.recognised and "ALLMASK_G = 0" in survey.recognised
    assert [name.split("-")[2] for name in survey.table()["object_id"].to_pylist()] == [
        "0",
        "1",
        "2",
        "3",
        "4",
        "6",
    ]
    assert set(survey.table()["type"].to_pylist()) == {"DEV", "EXP", "REX", "SIMP"}


def test_bricks_are_read_one_after_another_and_one_lacks_a_band(tmp_path, layouts):
    layouts.brick(tmp_path, "0100p005", at=(10.0, 0.5))
    layouts.brick(tmp_path, "0102p005", at=(10.25, 0.5), bands="gr")
    survey = open_survey(tmp_path, side_pixels=SIDE)
    found = survey.read(0, len(survey))
    assert "1 bricks lack a band" in survey.recognised
    assert all(isinstance(stamp, Stamp) for stamp in found[:4])
    assert {stamp.reason for stamp in found[6:]} == {
        "bands are missing: brick south/0102p005 has images in g r, needed are g r z"
    }
    assert survey.table(4, 9).equals(survey.table().slice(4, 5))


def test_sweeps_serve_bricks_without_a_tractor_file(tmp_path, layouts):
    layouts.brick(tmp_path)
    sweep = tmp_path / "south" / "sweep" / "9.0" / "sweep-010p000-020p005.fits"
    sweep.parent.mkdir(parents=True)
    (tmp_path / "south/tractor/010/tractor-0100p005.fits").rename(sweep)
    records = fits.getdata(sweep).copy()
    records["BRICKNAME"][1] = "9999p005"
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU(records)]).writeto(sweep, overwrite=True)
    ids = open_survey(tmp_path, side_pixels=SIDE).table()["object_id"].to_pylist()
    assert [name.split("-")[2] for name in ids] == ["0", "2", "3", "4", "6"]


def test_the_same_ids_in_two_bricks_get_the_brick(tmp_path, layouts):
    for region in ("a", "b"):
        layouts.brick(tmp_path / region)
    survey = open_survey(tmp_path, side_pixels=SIDE)
    ids = survey.table()["object_id"].to_pylist()
    assert len(set(ids)) == len(ids) == 12 and ids[0] == "a/south/0100p005/9010-330100-0"
    assert [stamp.object_id for stamp in survey.read(0, 12)] == ids
    assert open_survey(tmp_path, **survey.options).table().equals(survey.table())


@pytest.mark.parametrize("what", ["image-r", "invvar-z", "tractor"])
def test_truncated_files_are_told(tmp_path, layouts, what):
    layouts.brick(tmp_path)
    path = next(tmp_path.rglob(f"*{what}*.fits*"))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    survey = open_survey(tmp_path, side_pixels=SIDE)
    found = survey.read(0, len(survey))
    assert all(isinstance(stamp, Damaged) and "truncated" in stamp.reason for stamp in found)
    assert survey.table().num_rows == len(found)


def test_images_or_catalogues_alone_are_one_clear_error(tmp_path, layouts):
    layouts.brick(tmp_path / "all")
    shutil.copytree(tmp_path / "all/south/tractor", tmp_path / "catalogues")
    shutil.copytree(tmp_path / "all/south/coadd", tmp_path / "images")
    with pytest.raises(SurveyError, match="catalogues of bricks but no coadd images"):
        open_survey(tmp_path / "catalogues")
    with pytest.raises(SurveyError, match="no tractor or sweep catalogue"):
        open_survey(tmp_path / "images")
    with pytest.raises(SurveyError, match="no catalogue row in them was selected"):
        open_survey(tmp_path / "all", max_mag=5)


def test_usual_selection_by_brute_force():
    rng = np.random.default_rng(5)
    rows = 500
    records = np.zeros(
        rows,
        [
            ("TYPE", "S3"),
            ("MASKBITS", "i4"),
            ("FLUX_Z", "f4"),
            *((f"NOBS_{band}", "i2") for band in "GRZ"),
            ("BRICK_PRIMARY", "?"),
        ],
    )
    records["TYPE"] = rng.choice([b"PSF", b"DUP", b"DEV", b"SER"], rows)
    records["MASKBITS"] = 1 << rng.integers(0, 16, rows)
    records["FLUX_Z"] = rng.uniform(0, 30, rows)
    records["BRICK_PRIMARY"] = rng.random(rows) < 0.9
    for band in "GRZ":
        records[f"NOBS_{band}"] = rng.integers(0, 4, rows)
    keep, cuts = usual_selection(CatalogueColumns(records), rows, ("g", "r", "z"), 20.0)
    clear = {8, 9, 10, 12, 13}
    expected = [
        r["TYPE"] in (b"DEV", b"SER")
        and int(r["MASKBITS"]).bit_length() - 1 in clear
        and 22.5 - 2.5 * np.log10(r["FLUX_Z"]) < 20
        and all(r[f"NOBS_{band}"] > 0 for band in "GRZ")
        and r["BRICK_PRIMARY"]
        for r in records
    ]
    assert keep.tolist() == expected and sum(expected) > 5
    assert len(cuts) == 7


def test_array_columns_of_the_oldest_releases():
    records = np.zeros(3, [("decam_flux", "f4", (6,)), ("decam_nobs", "u1", (6,)), ("type", "S4")])
    records["decam_flux"] = np.arange(18).reshape(3, 6)
    columns = CatalogueColumns(records)
    assert columns.in_band("flux", "g").tolist() == [1, 7, 13]
    assert columns.in_band("flux", "z").tolist() == [4, 10, 16]
    assert columns.in_band("flux_ivar", "z") is None


def test_real_brick_that_lacks_r_gives_no_stamp_and_says_why(shared_data, tmp_path, layouts):
    source = shared_data / "brick" / "coadd_0959p805" / "coadd"
    shutil.copytree(source, tmp_path / "coadd")
    _write_catalogue(tmp_path / "tractor" / "095" / "tractor-0959p805.fits")
    survey = open_survey(tmp_path, select="all")
    found = survey.read(0, len(survey))
    assert {stamp.reason for stamp in found} == {
        "bands are missing: brick 0959p805 has images in g z, needed are g r z"
    }
    stand_in = tmp_path / "coadd/095/0959p805/legacysurvey-0959p805-image-r.fits.fz"
    shutil.copy(stand_in.with_name("legacysurvey-0959p805-image-g.fits.fz"), stand_in)
    reasons = {stamp.reason for stamp in open_survey(tmp_path, select="all").read(0, 4)}
    assert reasons and all("is empty" in reason or "covers only" in reason for reason in reasons)


def test_real_old_catalogues_are_understood(shared_data):
    for path in sorted((shared_data / "brick" / "catalogues").glob("tractor-*.fits")):
        columns = CatalogueColumns(fits.getdata(path))
        assert columns.describe() == "columns of DR7 and earlier (SHAPEDEV_R, SHAPEEXP_R)"


def _write_catalogue(path):
    from astropy.wcs import WCS

    image = next((path.parents[2] / "coadd").rglob("*image-g*"))
    with fits.open(image) as hdus:
        wcs = WCS(hdus[1].header)
    ra, dec = wcs.wcs_pix2world([300, 1800, 3000, 3500], [300, 1800, 600, 3500], 0)
    columns = [
        fits.Column("RA", "D", array=ra),
        fits.Column("DEC", "D", array=dec),
        fits.Column("TYPE", "4A", array=["DEV"] * 4),
    ]
    path.parent.mkdir(parents=True)
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns)]).writeto(path)
