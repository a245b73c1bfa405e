"""Cones on the sky as ranges of HEALPix pixels, which a table in their order is searched by."""

from __future__ import annotations

import numpy as np

ORDER = 29
MOST_BORDER_PIXELS = 128
"""The border of a cone is divided further while it has no more pixels than this."""
_MARGIN = 1 + 1e-6


def cone_ranges(ra_deg: float, dec_deg: float, radius_deg: float) -> tuple[np.ndarray, np.ndarray]:
    """Cover a cone with pixels: those that lie in it altogether, and those that its border may cross.

    Pixels are divided from order 0 on, wherever the distance of the centre does not decide: a pixel's points lie within
    its reach (`pixel_reach_deg`) of its centre. So poles and right ascension 0 are like any other place.

    Parameters
    ----------
    ra_deg, dec_deg : float
        The cone's centre.
    radius_deg : float
        Its radius, up to 180 degrees.

    Returns
    -------
    inside, border : numpy.ndarray
        (n, 2) int64, n at most `most_ranges`: first and last pixel, both inclusive, of order 29 in nested order, rising.
        Every point of the cone lies in one of them, every point of ``inside`` in the cone.
    """
    whole, crossed = _pixels(ra_deg, dec_deg, radius_deg)
    most = most_ranges(radius_deg)
    largest = np.argsort(whole[:, 0] - whole[:, 1], kind="stable")
    inside, rest = whole[np.sort(largest[:most])], whole[largest[most:]]
    return inside, _joined(np.concatenate([crossed, rest]), most)


def most_ranges(radius_deg: float) -> int:
    """Return how many ranges of each kind a cone has at most.

    A table in the order of the pixels is read in blocks of many rows, so that many ranges pay for wide cones alone.
    """
    return 6 if radius_deg < 2 else 12 if radius_deg < 20 else 24


def _pixels(ra_deg: float, dec_deg: float, radius_deg: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the ranges that lie in the cone and those that its border may cross, as many as there are."""
    order, pixels = 0, np.arange(12)
    inside: list[np.ndarray] = []
    while True:
        apart, reach = _separation_deg(pixels, order, ra_deg, dec_deg), pixel_reach_deg(order)
        whole = apart + reach <= radius_deg
        inside.append(_at_full_order(pixels[whole], order))
        pixels = pixels[~whole & (apart <= radius_deg + reach)]
        if order == ORDER or len(pixels) > MOST_BORDER_PIXELS or not len(pixels):
            return _merged(np.concatenate(inside)), _merged(_at_full_order(pixels, order))
        pixels, order = (4 * pixels[:, None] + np.arange(4)).ravel(), order + 1


def pixel_reach_deg(order: int) -> float:
    """Return the largest distance of a pixel's corner from its centre (Gorski et al. 2005; ``max_pixrad`` of HEALPix C++)."""
    nside = 2**order
    one = _direction(2 / 3, np.pi / (4 * nside))
    other = _direction(1 - (1 - 1 / nside) ** 2 / 3, 0.0)
    angle = np.arctan2(np.linalg.norm(np.cross(one, other)), one @ other)
    return float(np.degrees(angle)) * _MARGIN


def _direction(z: float, phi: float) -> np.ndarray:
    radius = np.sqrt((1 - z) * (1 + z))
    return np.array([radius * np.cos(phi), radius * np.sin(phi), z])


def _separation_deg(pixels: np.ndarray, order: int, ra_deg: float, dec_deg: float) -> np.ndarray:
    """Distance of the pixels' centres from a position, (n,) float64: haversine formula."""
    from astropy_healpix import healpix_to_lonlat

    lon, lat = healpix_to_lonlat(pixels, 2**order, order="nested")
    ra, dec, here_ra, here_dec = lon.rad, lat.rad, np.radians(ra_deg), np.radians(dec_deg)
    half = np.sin((dec - here_dec) / 2) ** 2 + np.cos(dec) * np.cos(here_dec) * np.sin((ra - here_ra) / 2) ** 2
    return np.degrees(2 * np.arcsin(np.sqrt(np.minimum(half, 1))))


def _at_full_order(pixels: np.ndarray, order: int) -> np.ndarray:
    shift = 2 * (ORDER - order)
    pixels = pixels.astype(np.int64)
    return np.stack([pixels << shift, ((pixels + 1) << shift) - 1], axis=1)


def _merged(ranges: np.ndarray) -> np.ndarray:
    """Return ranges in rising order, those without a gap between them as one."""
    ranges = ranges[np.argsort(ranges[:, 0])]
    gaps = ranges[1:, 0] - ranges[:-1, 1] - 1
    return _divided(ranges, np.flatnonzero(gaps > 0))


def _joined(ranges: np.ndarray, most: int) -> np.ndarray:
    """Return at most so many ranges that hold the given ones, joined over the smallest gaps."""
    ranges = _merged(ranges)
    gaps = ranges[1:, 0] - ranges[:-1, 1] - 1
    return _divided(ranges, np.sort(np.argsort(gaps, kind="stable")[::-1][: most - 1]))


def _divided(ranges: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Return rising ranges as a few, a new one beginning behind each place in ``after``."""
    if not len(ranges):
        return ranges
    return np.stack([ranges[np.append(0, after + 1), 0], ranges[np.append(after, len(ranges) - 1), 1]], axis=1)
