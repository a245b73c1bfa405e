"""Fluxes in the units that surveys state."""

from __future__ import annotations

import re

NANOMAGGY = re.compile(r"((1e-0?9|10\*\*-9|10\^-9|nano|n)[ -]?)(maggys?|maggies|mgys?)", re.IGNORECASE)
MAGGY = re.compile(r"maggys?|maggies|mgys?", re.IGNORECASE)
NANOJANSKY_IN_NANOMAGGY = 10 ** (0.4 * (31.4 - 22.5))
"""AB magnitude 0 is 10^-19.44 erg / s / cm2 / Hz: 1 nJy is AB magnitude 31.4, 1 nanomaggy 22.5."""


def nanomaggies_in(unit: str) -> float:
    """Return how many nanomaggies a flux of 1 is in a unit, NaN if it has no zero point; no unit is nanomaggies."""
    text = unit.strip()
    if not text or NANOMAGGY.fullmatch(text):
        return 1.0
    if MAGGY.fullmatch(text):
        return 1e9
    from astropy import units

    try:
        return float(units.Unit(text).to(units.nJy) / NANOJANSKY_IN_NANOMAGGY)
    except (ValueError, TypeError, units.UnitsError):
        return float("nan")
