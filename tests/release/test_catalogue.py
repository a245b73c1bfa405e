import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from discovery.errors import QueryError


def positions(release):
    table = release.catalogue.rows(np.arange(release.count), ["ra", "dec"]).to_pydict()
    return SkyCoord(table["ra"], table["dec"], unit="deg")


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ra=st.floats(149, 152), dec=st.floats(1, 3), radius=st.floats(1, 7200))
def test_a_cone_holds_what_lies_within_its_radius(release, ra, dec, radius):
    apart = positions(release).separation(SkyCoord(ra, dec, unit="deg")).arcsec
    assert np.array_equal(release.catalogue.cone(ra, dec, radius), apart <= radius)


@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ra=st.floats(149, 152), dec=st.floats(1, 3))
def test_the_nearest_object(release, ra, dec):
    apart = positions(release).separation(SkyCoord(ra, dec, unit="deg")).arcsec
    row, separation = release.catalogue.nearest_position(ra, dec, radius_arcsec=7200)
    assert row == np.argmin(apart)
    assert separation == pytest.approx(apart.min(), abs=1e-4)
    with pytest.raises(QueryError, match="no object within"):
        release.catalogue.nearest_position(ra, -80, radius_arcsec=3)


@pytest.mark.parametrize("cone", [(0, 91, 1), (0, 0, 0), (0, 0, -1), (float("nan"), 0, 1), (0, 0, float("nan")), (0, 0, 1e9), (800, 0, 1)])
def test_bad_cones(release, cone):
    with pytest.raises(QueryError):
        release.catalogue.cone(*cone)


def test_rows_come_in_the_order_asked_for(release):
    table = release.catalogue.rows([5, 3, 5, 0], ["object_id", "row", "ROW"])
    assert table.column_names == ["object_id", "row"]
    assert table["row"].to_pylist() == [5, 3, 5, 0]
    assert release.catalogue.rows([]).num_rows == 0
    with pytest.raises(QueryError, match="outside"):
        release.catalogue.rows([240])
    with pytest.raises(QueryError, match="no column 'nosuch'"):
        release.catalogue.rows([1], ["nosuch"])


def test_a_listing_shows_each_object_once(release):
    everything = release.catalogue.select()
    assert everything["row"].to_pylist() == np.flatnonzero(release.primary).tolist()
    assert release.catalogue.number() == 238
    assert everything.column_names == [name for name, _ in release.catalogue.columns()]
    clean = release.catalogue.select(flagged=False, columns=["row"])
    assert clean["row"].to_pylist() == np.flatnonzero(release.primary & release.clean).tolist()
    page = release.catalogue.select("mag_r < 18", ["row"], limit=5, offset=2)
    matching = np.flatnonzero(release.catalogue.where("mag_r < 18") & release.primary)
    assert page["row"].to_pylist() == matching[2:7].tolist()
    assert release.catalogue.number("mag_r < 18") == len(matching)
    for bad in ({"limit": 0}, {"limit": -1}, {"offset": -1}):
        with pytest.raises(QueryError):
            release.catalogue.select(**bad)


def test_duplicates_point_to_a_primary_row_within_an_arcsec(release):
    primary = release.catalogue.primary_rows
    twins = np.flatnonzero(primary != np.arange(240))
    assert {frozenset((int(twin), int(primary[twin]))) for twin in twins} == {frozenset((30, 31)), frozenset((10, 200))}
    sky = positions(release)
    assert sky[twins].separation(sky[primary[twins]]).arcsec.max() < 1


def test_ids_find_their_rows(release):
    name = release.catalogue.rows([17], ["object_id"])["object_id"][0].as_py()
    assert release.catalogue.find_id(name) == 17
    for wrong in ("", "nosuch", "x' OR 1=1 --", "%"):
        with pytest.raises(QueryError, match="no object"):
            release.catalogue.find_id(wrong)
