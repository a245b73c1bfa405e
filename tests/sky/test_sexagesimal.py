"""Positions as hours and degrees."""

import pytest
from astropy import units
from astropy.coordinates import SkyCoord
from hypothesis import given
from hypothesis import strategies as st

from discovery.sky.places import parse_position, sexagesimal


@given(ra=st.floats(0, 359.999), dec=st.floats(-89.99, 89.99))
def test_it_is_the_position_that_astropy_reads(ra, dec):
    read = SkyCoord(sexagesimal(ra, dec), unit=(units.hourangle, units.deg))
    assert read.separation(SkyCoord(ra, dec, unit="deg")) < 0.1 * units.arcsec


@pytest.mark.parametrize(
    ("ra", "dec", "text"),
    [
        (150.1, 2.2, "10:00:24.00 +02:12:00.0"),
        (0.0, -0.001, "00:00:00.00 -00:00:03.6"),
        (359.99999999, 89.99999999, "00:00:00.00 +90:00:00.0"),
        (7.49999999, -9.99999999, "00:30:00.00 -10:00:00.0"),
    ],
)
def test_rounding_carries_over(ra, dec, text):
    assert sexagesimal(ra, dec) == text
    assert parse_position(text.replace(" ", ","))
