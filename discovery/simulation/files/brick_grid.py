"""The grid of Legacy Survey bricks: names, numbers, borders and the projection of each.

Rows of 0.25 degrees in declination, columns of at most 0.25 degrees on the sky, an even number of
them a row, numbered from the south pole (the scheme of ``survey-bricks.fits``).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from discovery.simulation.config import PIXEL_SCALE_ARCSEC

BRICK_DEG = 0.25
BRICK_PIXELS = 3600
ROWS = 721


@dataclass(frozen=True, kw_only=True)
class Brick:
    """One brick: borders and centre in degrees."""

    name: str
    brickid: int
    row: int
    column: int
    ra_deg: float
    dec_deg: float
    ra_border_deg: tuple[float, float]
    dec_border_deg: tuple[float, float]

    def sky_position(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return RA and Dec (degrees) of pixels counted from 0: the TAN projection about the centre.

        Calabretta & Greisen (2002, A&A 395, 1077), with CRPIX 1800.5 and north up, east left.
        """
        scale = np.radians(PIXEL_SCALE_ARCSEC / 3600)
        xi = -(np.asarray(x, np.float64) - (BRICK_PIXELS - 1) / 2) * scale
        eta = (np.asarray(y, np.float64) - (BRICK_PIXELS - 1) / 2) * scale
        dec0 = np.radians(self.dec_deg)
        ahead = np.cos(dec0) - eta * np.sin(dec0)
        ra = np.radians(self.ra_deg) + np.arctan2(xi, ahead)
        dec = np.arctan2(np.sin(dec0) + eta * np.cos(dec0), np.hypot(xi, ahead))
        return np.degrees(ra) % 360, np.degrees(dec)


def brick_at(row: int, column: int) -> Brick:
    """Return the brick of a row (0 at the south pole) and a column (from RA 0)."""
    columns = columns_of_row(row)
    width = 360.0 / columns
    dec = -90.0 + BRICK_DEG * row
    ra = (column + 0.5) * width
    sign = "m" if dec < 0 else "p"
    return Brick(
        name=f"{int(ra * 10 + 1e-9):04d}{sign}{int(abs(dec) * 10 + 1e-9):03d}",
        brickid=_first_of_row()[row] + column + 1,
        row=row,
        column=column,
        ra_deg=ra,
        dec_deg=dec,
        ra_border_deg=(column * width, (column + 1) * width),
        dec_border_deg=(max(dec - BRICK_DEG / 2, -90.0), min(dec + BRICK_DEG / 2, 90.0)),
    )


def columns_of_row(row: int) -> int:
    """Return how many bricks stand in a row; one on each pole."""
    if row in (0, ROWS - 1):
        return 1
    nearest = abs(-90.0 + BRICK_DEG * row) - BRICK_DEG / 2
    full = 360.0 / BRICK_DEG * np.cos(np.radians(nearest))
    return int(2 * np.ceil(full / 2))


@lru_cache(maxsize=1)
def _first_of_row() -> list[int]:
    counts = [columns_of_row(row) for row in range(ROWS)]
    return [0, *np.cumsum(counts).tolist()]
