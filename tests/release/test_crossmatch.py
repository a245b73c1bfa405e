"""Objects found again, against brute force and astropy."""

import numpy as np
import pyarrow as pa
import pytest
from astropy import units
from astropy.coordinates import SkyCoord
from hypothesis import given, settings
from hypothesis import strategies as st

from discovery.release.catalogue import Catalogue, write_catalogue
from discovery.sky import crossmatch
from discovery.sky.crossmatch import (
    BY_ID,
    BY_POSITION,
    NOT_FOUND,
    match_objects,
    nearest_on_sky,
    object_ids,
    positions,
    rows_named,
)


def brute_nearest(ra, dec, others_ra, others_dec, radius_arcsec):
    one, other = SkyCoord(ra, dec, unit="deg"), SkyCoord(others_ra, others_dec, unit="deg")
    apart = one[:, None].separation(other[None, :]).to_value(units.arcsec)
    nearest = apart.argmin(axis=1)
    apart = apart[np.arange(len(ra)), nearest]
    return np.where(apart <= radius_arcsec, nearest, -1), np.where(apart <= radius_arcsec, apart, np.nan)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), band=st.sampled_from([7, 60, 2**21]), pole=st.booleans())
def test_the_nearest_on_the_sky_is_astropys(seed, band, pole):
    rng = np.random.default_rng(seed)
    others_ra, others_dec = rng.uniform(0, 360, 200), rng.uniform(-0.001, 0.001, 200)
    others_ra[:100] = rng.choice([0.0, 359.9999], 100)
    if pole:
        others_dec = 90 - np.abs(others_dec)
    ra = np.r_[others_ra[:80] + rng.normal(0, 3e-4, 80), rng.uniform(0, 360, 20)] % 360
    dec = np.clip(np.r_[others_dec[:80] + rng.normal(0, 3e-4, 80), rng.uniform(-0.001, 0.001, 20)], -90, 90)
    before, crossmatch.BAND_OBJECTS = crossmatch.BAND_OBJECTS, band
    try:
        nearest, apart = nearest_on_sky(ra, dec, others_ra, others_dec, 1.0)
    finally:
        crossmatch.BAND_OBJECTS = before
    expected, separations = brute_nearest(ra, dec, others_ra, others_dec, 1.0)
    assert np.array_equal(nearest >= 0, expected >= 0)
    assert np.allclose(apart, separations, atol=1e-6, equal_nan=True)


def test_what_has_no_position_is_near_nothing():
    nan = np.nan
    nearest, apart = nearest_on_sky(np.array([10.0, nan, 10.0]), np.array([0.0, nan, nan]), np.array([nan, 10.0]), np.array([0.0, 0.0]), 1.0)
    assert nearest.tolist() == [1, -1, -1] and apart[0] == 0 and np.isnan(apart[1:]).all()
    empty = np.empty(0)
    assert nearest_on_sky(empty, empty, np.array([1.0]), np.array([1.0]), 1.0)[0].shape == (0,)
    assert nearest_on_sky(np.array([1.0]), np.array([1.0]), empty, empty, 1.0)[0].tolist() == [-1]


@pytest.fixture
def catalogue(tmp_path):
    """Five objects; the last has no position."""
    columns = {
        "row": np.arange(5),
        "object_id": ["a", "b", "c", "d", "e"],
        "ra": [10.0, 20.0, 30.0, 40.0, None],
        "dec": [0.0, 0.0, 0.0, 0.0, None],
        "primary_row": np.arange(5),
    }
    flags = {name: np.zeros(5, bool) for name in ("flag_star", "flag_masked", "flag_partial", "flag_artefact")}
    write_catalogue(tmp_path / "c.duckdb", [pa.table({**columns, **flags})])
    return Catalogue(tmp_path / "c.duckdb", 5)


def test_rows_by_name_and_positions(catalogue, monkeypatch):
    monkeypatch.setattr(crossmatch, "ROWS_AT_ONCE", 2)
    names = pa.array(["e", "nobody", None, "a", "e", "b"])
    assert rows_named(catalogue, names).tolist() == [4, -1, -1, 0, 4, 1]
    assert rows_named(catalogue, pa.array([], pa.string())).tolist() == []
    assert rows_named(catalogue, pa.array([None], pa.string())).tolist() == [-1]
    ra, dec = positions(catalogue)
    assert np.array_equal(ra, [10, 20, 30, 40, np.nan], equal_nan=True) and np.isnan(dec[4])


def test_ids_of_more_text_than_32_bits_address(catalogue):
    """`pa.string()` ends at 2 GiB."""
    assert object_ids(catalogue).type == pa.large_string()
    assert object_ids(catalogue).to_pylist() == ["a", "b", "c", "d", "e"]
    assert rows_named(catalogue, object_ids(catalogue)).tolist() == [0, 1, 2, 3, 4]


def test_an_object_is_found_by_id_then_by_position(catalogue):
    second = 1 / 3600
    names = pa.array(["a", "b", "e", "x", "c", "y"])
    ra = np.array([10 + 0.5 * second, 20 + 5 * second, 77.0, 40.0, 20.0, np.nan])
    found = match_objects(catalogue, names, ra, np.where(np.isnan(ra), np.nan, 0.0))
    assert found.rows.tolist() == [0, -1, 4, 3, 1, -1]
    assert found.by.tolist() == [BY_ID, NOT_FOUND, BY_ID, BY_POSITION, BY_POSITION, NOT_FOUND]
    assert found.taken.tolist() == [False, True, False, False, True, False]
    assert np.allclose(found.separation_arcsec, [0.5, np.nan, np.nan, 0, 0, np.nan], equal_nan=True, atol=1e-6)
