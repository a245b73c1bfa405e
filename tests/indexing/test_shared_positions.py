"""One position for many different stamps hides none of them; one object given several times stays one."""

import json

import h5py
import numpy as np
import pytest
from astropy.io import fits

from discovery.release.release import open_release
from index.cli import index, index_survey
from index.options import IndexOptions


def pictures(count, seed=0):
    """Return (count, 3, 48, 48) float32 of round galaxies of different sizes on noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:48, :48] - 23.5
    light = np.exp(-np.hypot(x, y) / rng.uniform(2, 7, (count, 1, 1)))
    return (light[:, None] + rng.normal(0, 0.004, (count, 3, 48, 48))).astype(np.float32)


def write(path, images, ra, dec):
    with h5py.File(path, "w") as file:
        file["images"], file["ra"], file["dec"] = images, ra, dec
    return path


@pytest.fixture
def make(tmp_path, small_encoder):
    def run(survey, **changes):
        options = {"encoder": small_encoder, "out": tmp_path / "out", "workers": 0, "shard_positions": 5, "name": "r"}
        release = open_release(index_survey([survey], **{**options, **changes}))
        return release, json.loads((release.path / "report.json").read_text())

    return run


def test_a_placeholder_for_all_hides_none(tmp_path, make, small_encoder, capsys, caplog):
    path = write(tmp_path / "a.h5", pictures(12), np.zeros(12), np.zeros(12))
    release, report = make(path)
    assert release.primary.all() and (report["duplicates"], report["shared_positions"]) == (0, 12)
    assert "cannot be theirs" in caplog.text and "0,0 (12 objects)" in caplog.text
    small_encoder.save(tmp_path / "encoder")
    index(path, options=IndexOptions(name="c", encoder=str(tmp_path / "encoder"), out=tmp_path / "cli", workers=0))
    assert "warning: 12 objects with different stamps have exactly the position of others" in capsys.readouterr().out


def test_cutouts_that_kept_their_parents_header(tmp_path, make):
    header = fits.Header({"BANDS": "grz", "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 150.1, "CRVAL2": 2.2})
    header.update({"CRPIX1": 24.5, "CRPIX2": 24.5, "CD1_1": -7e-5, "CD2_2": 7e-5})
    (tmp_path / "b").mkdir()
    for number, planes in enumerate(pictures(8)):
        fits.PrimaryHDU(planes, header).writeto(tmp_path / "b" / f"cut{number}.fits")
    release, report = make(tmp_path / "b")
    assert release.primary.sum() == 8 and report["shared_positions"] == 8


def test_one_object_again_and_again_stays_one(tmp_path, make):
    images = np.concatenate([np.repeat(pictures(1), 6, axis=0), pictures(3, seed=1)])
    release, report = make(write(tmp_path / "a.h5", images, np.repeat([150.0, 151.0], [6, 3]), np.full(9, 2.0)))
    assert release.primary.tolist() == [True, *[False] * 5, True, False, False]
    assert (report["duplicates"], report["shared_positions"]) == (7, 0)


def test_a_release_that_grows_keeps_them_apart(tmp_path, make):
    older, _ = make(write(tmp_path / "a.h5", pictures(5), np.zeros(5), np.zeros(5)))
    newer = write(tmp_path / "b.h5", pictures(6, seed=1), np.zeros(6), np.zeros(6))
    grown, report = make(newer, name="grown", add=older.path, encoder=None)
    assert grown.count == 11 and grown.primary.all() and report["shared_positions"] == 11
