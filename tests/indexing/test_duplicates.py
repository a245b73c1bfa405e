import numpy as np
from astropy.coordinates import SkyCoord
from hypothesis import given, settings
from hypothesis import strategies as st

from index.duplicates import primary_rows

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
