import numpy as np
from astropy.coordinates import SkyCoord
from hypothesis import given, settings
from hypothesis import strategies as st

from index.catalogue.duplicates import primary_rows

OFFSETS = st.lists(st.tuples(st.floats(-2, 2), st.floats(-2, 2), st.integers(0, 2)), min_size=1, max_size=25)


@settings(deadline=None, max_examples=40)
@given(OFFSETS, st.sampled_from([(10.0, 0.0), (0.0, 45.0), (200.0, 89.9997), (359.9999, -30.0)]))
def test_primary_rows_keep_apart_and_the_others_keep_near(offsets, centre):
    east, north, flags = np.array(offsets).T
    dec = np.clip(centre[1] + north / 3600, -90, 90)
    ra = (centre[0] + east / 3600 / np.cos(np.radians(dec))) % 360
    primary = primary_rows(ra, dec, flags)
    assert np.array_equal(primary[primary], primary)
    sky = SkyCoord(ra, dec, unit="deg")
    apart = sky[:, None].separation(sky[None]).arcsec
    own = np.flatnonzero(primary == np.arange(len(ra)))
    assert (apart[np.arange(len(ra)), primary] <= 1 + 1e-6).all()
    assert (apart[np.ix_(own, own)] + 10 * np.eye(len(own)) > 1 - 1e-6).all()


def test_the_clean_stamp_stands_for_the_object_and_unplaced_ones_for_themselves():
    ra = np.array([10.0, 10.0 + 0.5 / 3600, np.nan, np.nan, 50.0])
    dec = np.array([0.0, 0.0, np.nan, np.nan, 0.0])
    assert primary_rows(ra, dec, np.array([1, 0, 0, 0, 0])).tolist() == [1, 1, 2, 3, 4]
    assert primary_rows(ra, dec, np.zeros(5)).tolist() == [0, 0, 2, 3, 4]
    assert primary_rows(ra[:0], dec[:0], np.zeros(0)).tolist() == []


def one_after_the_other(ra, dec, flags, radius_arcsec=1.0) -> list[int]:
    """The definition, step by step."""
    sky = SkyCoord(ra, dec, unit="deg").cartesian.xyz.value.T
    chord = 2 * np.sin(np.radians(radius_arcsec / 3600) / 2)
    apart = np.linalg.norm(sky[:, None] - sky[None], axis=2)
    primary, chosen = list(range(len(ra))), []
    for row in sorted(range(len(ra)), key=lambda row: (flags[row], row)):
        near = [other for other in chosen if apart[row, other] <= chord]
        if near:
            primary[row] = min(near, key=lambda other: (apart[row, other], other))
        else:
            chosen.append(row)
    return primary


@settings(deadline=None, max_examples=40)
@given(OFFSETS, st.sampled_from([(10.0, 0.0), (0.0, 45.0), (200.0, 89.9997), (359.9999, -30.0)]), st.sampled_from([1, 2, 5, 100]))
def test_the_answer_is_the_definitions_whatever_the_zones(offsets, centre, rows_a_zone):
    east, north, flags = np.array(offsets).T
    dec = np.clip(centre[1] + north / 3600, -90, 90)
    ra = (centre[0] + east / 3600 / np.cos(np.radians(dec))) % 360
    assert primary_rows(ra, dec, flags, rows_a_zone=rows_a_zone).tolist() == one_after_the_other(ra, dec, flags)


def test_zones_of_a_crowded_field():
    rng = np.random.default_rng(4)
    ra, dec, flags = rng.uniform(10, 10.01, 1500), rng.uniform(-0.005, 0.005, 1500), rng.integers(0, 3, 1500)
    expected = one_after_the_other(ra, dec, flags)
    assert sum(row != at for at, row in enumerate(expected)) > 300
    for rows_a_zone in (40, 700, 1500):
        assert primary_rows(ra, dec, flags, rows_a_zone=rows_a_zone).tolist() == expected


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(-2, 2), st.integers(-2, 2), st.integers(0, 2)), min_size=1, max_size=40), st.sampled_from([1, 3, 100]))
def test_rows_of_one_position_are_taken_one_after_the_other_too(places, rows_a_zone):
    """On a grid of 0.6 arcsec, where most positions come several times and a nearer primary may come after the first row."""
    east, north, flags = np.array(places).T
    ra, dec = 10 + 0.6 * east / 3600, 0.6 * north / 3600
    expected = one_after_the_other(ra, dec, flags)
    found = primary_rows(ra, dec, flags, rows_a_zone=rows_a_zone)
    assert np.array_equal(found == np.arange(len(ra)), np.array(expected) == np.arange(len(ra)))
    assert np.allclose(distance(ra, dec, found), distance(ra, dec, expected), atol=1e-9)  # equally near ones are equally good


def distance(ra, dec, to):
    return np.hypot(ra - ra[to], dec - dec[to]) * 3600


def test_a_nearer_primary_that_came_later_stands_for_later_rows_of_a_position():
    east = np.array([0.0, 0.9, 1.3, 0.9])
    assert primary_rows(10 + east / 3600, np.zeros(4), np.array([0, 1, 2, 3])).tolist() == [0, 0, 2, 2]


def test_very_many_rows_of_one_position_are_no_pairs():
    """A placeholder: 60,000 rows would be 1.8e9 pairs, 29 GB."""
    ra, dec = np.zeros(60_002), np.zeros(60_002)
    ra[-2:] = 0.5 / 3600, 5.0
    flags = np.ones(60_002, np.uint8)
    flags[7] = 0
    primary = primary_rows(ra, dec, flags)
    assert (primary[:-1] == 7).all() and primary[-1] == 60_001
