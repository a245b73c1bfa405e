"""Positions and cones as people type them, at every door: degrees or sexagesimal, radii in arcsec, arcmin or degrees."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from discovery.errors import QueryError

WIDEST_ARCSEC = 180 * 3600.0
ARCSEC = {
    "arcsec": 1.0, "arcsecs": 1.0, '"': 1.0, "″": 1.0, "''": 1.0,
    "arcmin": 60.0, "arcmins": 60.0, "'": 60.0, "′": 60.0,
    "deg": 3600.0, "degree": 3600.0, "degrees": 3600.0, "d": 3600.0, "°": 3600.0,
}  # fmt: skip
"""Arcsec in each unit that a radius may have."""
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_SEXAGESIMAL = r"[+-]?\d+(?:[:hd°\s]\s*\d+(?:[:m'′\s]\s*\d+(?:\.\d*)?\s*[s\"″]?)?\s*m?)\s*"
_RADIUS = rf"\s*({_NUMBER})\s*(\D*?)\s*"


class Cone(NamedTuple):
    """A part of the sky: all within a radius of a position. As text it is what every door takes as a cone."""

    ra_deg: float
    dec_deg: float
    radius_arcsec: float

    def __str__(self) -> str:
        return f"{self.ra_deg!r},{self.dec_deg!r},{self.radius_arcsec!r}"


def sexagesimal(ra_deg: float, dec_deg: float) -> str:
    """Return a position as hours and degrees: ``10:00:24.00 +02:12:00.0``."""
    from astropy.coordinates import SkyCoord

    position = SkyCoord(ra_deg, dec_deg, unit="deg")
    ra = position.ra.to_string(unit="hourangle", sep=":", precision=2, pad=True)
    dec = position.dec.to_string(unit="deg", sep=":", precision=1, pad=True, alwayssign=True)
    return f"{ra.replace('24:00:00.00', '00:00:00.00')} {dec}"


def parse_position(text: str) -> tuple[float, float] | None:
    """Parse ``RA,DEC`` (or separated by a space): degrees, or sexagesimal hours and degrees.

    Returns
    -------
    tuple of float or None
        (ra, dec) in degrees; None if the text does not look like a position.

    Raises
    ------
    QueryError
        If it looks like one but its numbers are out of range.
    """
    degrees = re.fullmatch(rf"\s*({_NUMBER})\s*(?:,|\s)\s*({_NUMBER})\s*", text)
    if degrees:
        ra, dec = float(degrees[1]), float(degrees[2])
    else:
        parts = text.split(",") if "," in text else text.split(maxsplit=1) if ":" in text or "h" in text else []
        if len(parts) != 2 or not all(re.fullmatch(rf"\s*{_SEXAGESIMAL}", part) for part in parts):
            return None
        ra, dec = _sexagesimal(text, *parts)
    if not (-360 <= ra <= 360 and -90 <= dec <= 90):
        raise QueryError(f"'{text}' is no position: ra goes from 0 to 360 degrees and dec from -90 to 90.")
    return ra % 360, dec


def parse_cone(text: str) -> Cone:
    """Parse ``RA,DEC,RADIUS``: a position in any form, and a radius in arcsec or with a unit (30arcsec, 2arcmin, 2', 0.5deg).

    Raises
    ------
    QueryError
        If it is not of that form, or out of range.
    """
    place, _, size = text.strip().rpartition("," if "," in text else " ")
    position, radius_arcsec = parse_position(place) if place else None, _radius_arcsec(size)
    if position is None or radius_arcsec is None:
        raise QueryError(
            f"'{text}' is no cone: give RA,DEC,RADIUS such as 150.1,2.2,60 (arcsec), 150.1,2.2,2arcmin or 150.1,2.2,0.5deg."
        )
    return checked_cone(*position, radius_arcsec)


def checked_cone(ra_deg: float, dec_deg: float, radius_arcsec: float) -> Cone:
    """Return a cone given in numbers; QueryError for a place or a radius that cannot be."""
    ra_deg, dec_deg, radius_arcsec = float(ra_deg), float(dec_deg), float(radius_arcsec)
    if not (math.isfinite(ra_deg) and -360 <= ra_deg <= 360 and -90 <= dec_deg <= 90):
        raise QueryError(f"ra {ra_deg:g}, dec {dec_deg:g} is no position; give degrees, dec between -90 and 90.")
    if not 0 < radius_arcsec <= WIDEST_ARCSEC:
        raise QueryError(f"A radius of {radius_arcsec:g} arcsec is no cone; give more than 0 and at most 180 degrees.")
    return Cone(ra_deg, dec_deg, radius_arcsec)


def _radius_arcsec(text: str) -> float | None:
    given = re.fullmatch(_RADIUS, text)
    if given is None or given[2].lower() not in {"", *ARCSEC}:
        return None
    return float(given[1]) * ARCSEC.get(given[2].lower(), 1.0)


def _sexagesimal(text: str, ra: str, dec: str) -> tuple[float, float]:
    from astropy.coordinates import Angle

    try:
        return float(Angle(ra.strip(), unit="hourangle").degree), float(Angle(dec.strip(), unit="deg").degree)
    except ValueError as problem:
        raise QueryError(f"'{text}' is no position: {problem}") from problem
