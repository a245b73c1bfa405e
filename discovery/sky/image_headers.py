"""Pixel scale and centre of an image from its FITS header, as wcslib reads it.

Almost every cutout has a plain tangential projection, which is computed here in microseconds; anything
else goes through astropy, which needs milliseconds to set up.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from astropy.io.fits import Header
    from astropy.wcs import WCS

NOT_PLAIN = re.compile(r"(AP?_ORDER|PV[12]_\d+|CPDIS\d|CQDIS\d|D2IMDIS\d|CROTA\d|(PC|CD)00\d00\d|PROJP\d+|AMDX1)$")
"""Distortions, rotations and old keywords that the quick way does not know."""
OLD_KEYWORDS = {"RADECSYS": "RADESYS", "EPOCH": "EQUINOX"} | {
    f"{name}00{i}00{j}": f"{name}{i}_{j}" for name in ("PC", "CD") for i in (1, 2) for j in (1, 2)
}
DEGREES = ("deg", "degs", "degree", "degrees")


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


def celestial_wcs(header: Header) -> WCS | None:
    """Return the WCS of the celestial axes among the first two, by wcslib; None where there is none.

    Units are understood in the usual spellings (``Degrees``); frames and rotations in old keywords (RADECSYS, EPOCH,
    PC001001, CROTA2) count as wcslib has it.

    Raises
    ------
    Exception
        wcslib raises many types on keywords that contradict one another.
    """
    from astropy.wcs import WCS

    wcs = WCS(_modern(header), naxis=2, fix=False)
    return wcs if wcs.has_celestial else None


def _modern(header: Header) -> Header:
    """Return the header with old keywords under their present names, and degrees as ``deg``; unchanged where it has none."""
    renamed = {old: new for old, new in OLD_KEYWORDS.items() if old in header}
    units = [name for name in ("CUNIT1", "CUNIT2") if header.get(name, "deg") != "deg" and _in_degrees(header, name)]
    if not renamed and not units:
        return header
    header = header.copy()
    for old, new in renamed.items():
        value = header.pop(old)
        header.setdefault(new, value)
    header.update(dict.fromkeys(units, "deg"))
    return header


def pixels_at(wcs: WCS, ra_deg: np.ndarray, dec_deg: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the columns and rows (from 0) of ICRS positions in an image, in whatever frame its WCS is."""
    from astropy.coordinates import FK5, ICRS, SkyCoord
    from astropy.wcs.utils import wcs_to_celestial_frame

    frame = wcs_to_celestial_frame(wcs)
    if wcs.wcs.lng == 0 and (isinstance(frame, ICRS) or (isinstance(frame, FK5) and frame.equinox.value == "J2000.000")):
        x, y = wcs.wcs_world2pix(ra_deg, dec_deg, 0)
    else:
        x, y = wcs.world_to_pixel(SkyCoord(ra_deg, dec_deg, unit="deg", frame="icrs"))
    return x, y


def _is_plain(header: Header) -> bool:
    """Tell whether the WCS is RA---TAN, DEC--TAN in ICRS or FK5 with a CD or PC matrix and no distortion."""
    names = set(header)  # looked up in here first: to ask a header for what it lacks takes long
    usual = (
        ("RADESYS", ("ICRS", "FK5")),
        ("RADECSYS", ("ICRS", "FK5")),
        ("EQUINOX", (2000.0,)),
        ("EPOCH", (2000.0,)),
        ("LONPOLE", (180.0,)),
    )
    return (
        header.get("CTYPE1") == "RA---TAN"
        and header.get("CTYPE2") == "DEC--TAN"
        and all(header[name] in values for name, values in usual if name in names)
        and all(_in_degrees(header, name) for name in ("CUNIT1", "CUNIT2") if name in names)
        and not any(map(NOT_PLAIN.match, names))
    )


def _in_degrees(header: Header, name: str) -> bool:
    unit = header.get(name, "deg")
    return isinstance(unit, str) and unit.strip().lower() in DEGREES


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
    from astropy.wcs.utils import proj_plane_pixel_area

    wcs = celestial_wcs(header)
    if wcs is None:
        return None
    place = wcs.pixel_to_world(x, y).icrs
    return float(place.ra.deg), float(place.dec.deg), float(np.sqrt(proj_plane_pixel_area(wcs)) * 3600)
