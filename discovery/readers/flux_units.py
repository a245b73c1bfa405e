"""Units of images (BUNIT), of which the zero point is certain, in nanomaggies per pixel."""

from __future__ import annotations

import re

from discovery.errors import StampError

NANOJANSKY_A_NANOMAGGY = 3630.78
"""A source of AB magnitude 22.5 (Oke & Gunn 1983: AB = 8.90 - 2.5 log10 Jy)."""
SQUARE_ARCSEC_A_STERADIAN = 206264.80624709636**2
MAGGIES = re.compile(r"(?P<nano>nano-?|n(?=mgy))?(magg(y|ies)|mgy)(\s*/\s*pix(el)?)?", re.IGNORECASE)
JANSKYS = re.compile(
    r"(?P<prefix>[numkM]|U|N|µ|μ|nano|micro|milli)?\s*(?P<unit>Jy|jy|JY|[Jj]ansky)"
    r"\s*[.*]?\s*(?P<per>|/\s*pix(el)?|/\s*sr|sr\s*(\^|\*\*)?\s*\(?-1\)?|/\s*arcsec\s*(\^|\*\*)?\s*2|arcsec\s*(\^|\*\*)?\s*\(?-2\)?)"
)
NANOJANSKYS = {"n": 1.0, "N": 1.0, "nano": 1.0, "u": 1e3, "U": 1e3, "µ": 1e3, "μ": 1e3, "micro": 1e3, "m": 1e6, "milli": 1e6, "": 1e9, "k": 1e12, "M": 1e15}
KNOWN = "nanomaggy, maggy, nJy, uJy, mJy, Jy, and Jy, mJy ... MJy per sr or arcsec2"


def nanomaggies_a_unit(unit: str, pixel_scale_arcsec: float | None) -> float:
    """Return how many nanomaggies per pixel one unit of an image is; 1 where no unit is stated.

    Parameters
    ----------
    unit : str
        BUNIT.
    pixel_scale_arcsec : float or None
        Side of a pixel, which a surface brightness needs.

    Raises
    ------
    StampError
        A unit without a certain zero point, or a surface brightness without a pixel scale; names it.
    """
    unit = unit.strip()
    if not unit:
        return 1.0
    if maggies := MAGGIES.fullmatch(unit):
        return 1.0 if maggies["nano"] else 1e9
    found = JANSKYS.fullmatch(unit)
    if found is None or (found["prefix"] == "M" and found["unit"] == "JY"):  # may be milli too
        raise StampError(f"its unit (BUNIT) is '{unit}'; convert it to nanomaggies per pixel (zero points are certain for {KNOWN})")
    factor = NANOJANSKYS[found["prefix"] or ""] / NANOJANSKY_A_NANOMAGGY
    if not found["per"] or "pix" in found["per"]:
        return factor
    if pixel_scale_arcsec is None:
        raise StampError(f"its unit (BUNIT) is '{unit}', and without a pixel scale in the WCS that is no flux per pixel")
    area = pixel_scale_arcsec**2
    return factor * (area if "arcsec" in found["per"] else area / SQUARE_ARCSEC_A_STERADIAN)
