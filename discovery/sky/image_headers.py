"""Pixel scale and centre of an image from its FITS header.

Almost every cutout has a plain tangential projection, which is computed here in microseconds; anything
else goes through astropy, which needs milliseconds to set up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from astropy.io.fits import Header

DISTORTIONS = ("A_ORDER", "AP_ORDER", "PV1_1", "PV2_1", "CPDIS1", "CQDIS1", "D2IMDIS1", "CROTA2")


def centre_and_scale(header: Header, height: int, width: int) -> tuple[float, float, float] | None:
    """Return where the middle of an image is and how large its pixels are.

    Parameters
    ----------
    header : astropy.io.fits.Header
        Header with or without a celestial WCS in its first two axes.
    height, width : int
        Pixels of the image.

    Returns
    -------
    tuple of float or None
        Right ascension and declination (ICRS degrees) and pixel scale (arcsec, the root of a pixel's
        area); None without a usable WCS.
    """
    middle = ((width - 1) / 2, (height - 1) / 2)
    try:
        found = _tangential(header, *middle) if _is_plain(header) else _by_astropy(header, *middle)
    except Exception:  # wcslib raises many types; a WCS that cannot be used is as good as none
        return None
    return found if found is not None and np.isfinite(found).all() and found[2] > 0 else None


def _is_plain(header: Header) -> bool:
    """Tell whether the WCS is RA---TAN, DEC--TAN in ICRS or FK5 with a CD or PC matrix and no distortion."""
    return (
        header.get("CTYPE1") == "RA---TAN"
        and header.get("CTYPE2") == "DEC--TAN"
        and header.get("RADESYS", "ICRS") in ("ICRS", "FK5")
        and header.get("EQUINOX", 2000.0) == 2000.0
        and header.get("LONPOLE", 180.0) == 180.0
        and header.get("CUNIT1", "deg") == "deg"
        and not any(name in header for name in DISTORTIONS)
    )


def _tangential(header: Header, x: float, y: float) -> tuple[float, float, float] | None:
    """Return position and scale by the gnomonic projection (Calabretta & Greisen 2002, sections 2.2 and 5.1.3)."""
    if "CD1_1" in header or "CD2_2" in header:
        matrix = np.array([[float(header.get(f"CD{i}_{j}", 0)) for j in (1, 2)] for i in (1, 2)])
    elif "CDELT1" in header and "CDELT2" in header:
        steps = np.diag([float(header["CDELT1"]), float(header["CDELT2"])])
        matrix = steps @ np.array([[float(header.get(f"PC{i}_{j}", i == j)) for j in (1, 2)] for i in (1, 2)])
    else:
        return None
    offset = np.array([x + 1 - float(header["CRPIX1"]), y + 1 - float(header["CRPIX2"])])
    xi, eta = np.radians(matrix @ offset)
    ra0, dec0 = np.radians([float(header["CRVAL1"]), float(header["CRVAL2"])])
    below = np.cos(dec0) - eta * np.sin(dec0)
    ra = ra0 + np.arctan2(xi, below)
    dec = np.arctan2(np.sin(dec0) + eta * np.cos(dec0), np.hypot(xi, below))
    scale = np.sqrt(abs(np.linalg.det(matrix))) * 3600
    return float(np.degrees(ra) % 360), float(np.degrees(dec)), float(scale)


def _by_astropy(header: Header, x: float, y: float) -> tuple[float, float, float] | None:
    from astropy.wcs import WCS
    from astropy.wcs.utils import proj_plane_pixel_area

    wcs = WCS(header, naxis=2, fix=False)
    if not wcs.has_celestial:
        return None
    place = wcs.celestial.pixel_to_world(x, y).icrs
    return float(place.ra.deg), float(place.dec.deg), float(np.sqrt(proj_plane_pixel_area(wcs)) * 3600)
