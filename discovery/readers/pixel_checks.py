"""What makes the pixels of a stamp unusable, and the reason in words."""

from __future__ import annotations

import cv2
import numpy as np

from discovery.errors import StampError
from discovery.stamps.stamp import MAX_SIDE_PIXELS, MIN_COVERED_FRACTION, MIN_SIDE_PIXELS, StampKind

BAND_NAMES = ("g", "r", "z")
AREA_PIXELS = 5
LEAST_WEIGHT = 0.05
"""Less than one of nine pixels."""


def check_side(height: int, width: int) -> None:
    """Refuse a stamp that is not square, or absurdly small or large, before its pixels are decoded.

    Raises
    ------
    StampError
        The sides do not fit.
    """
    if height != width:
        raise StampError(f"not square: {height} x {width} pixels")
    check_sides(height, width)


def check_sides(height: int, width: int) -> None:
    """Refuse a stamp that is absurdly small or large, before its pixels are decoded.

    Raises
    ------
    StampError
        A side does not fit.
    """
    for side in (height, width):
        if not MIN_SIDE_PIXELS <= side <= MAX_SIDE_PIXELS:
            raise StampError(
                f"a side of {side} pixels; stamps have {MIN_SIDE_PIXELS} to {MAX_SIDE_PIXELS} pixels a side"
            )


def central_square(planes: np.ndarray) -> np.ndarray:
    """Return the largest square in the middle of (3, H, W) pixels, (3, S, S); square ones as they are."""
    height, width = planes.shape[-2:]
    side = min(height, width)
    if height == width:
        return planes
    top, left = (height - side) // 2, (width - side) // 2
    return np.ascontiguousarray(planes[..., top : top + side, left : left + side])


def usable_pixels(
    pixels: np.ndarray, kind: StampKind, *, bands: tuple[str, ...] = BAND_NAMES, quantised: bool = False
) -> tuple[np.ndarray, float]:
    """Return pixels that an encoder can take, and the fraction of them observed in the worst band; refuse unusable ones.

    A flux pixel that is not finite was not observed, nor one of exactly 0: sky noise never gives that, and coadds are
    filled with it. Where numbers were stored in steps, sky noise does give 0, and only areas of it were not observed.
    Pixels that are not finite are filled, see `fill_holes`. Display colours have no such marks; there only a picture of
    one single colour is refused.

    Parameters
    ----------
    pixels : numpy.ndarray
        (3, H, W) float32.
    kind : {"nmgy", "rgb"}
        What the numbers are.
    bands : tuple of str
        Names of the planes, for the messages.
    quantised : bool
        The numbers were stored in steps.

    Raises
    ------
    StampError
        Oddly shaped, empty, or observed in too few pixels of a band; display colours that are not finite.
    """
    check_side(*pixels.shape[-2:])
    finite = np.isfinite(pixels)
    whole = bool(finite.all())
    if not whole and (kind == "rgb" or finite.mean(axis=(1, 2)).min() < MIN_COVERED_FRACTION):
        raise StampError(f"{np.count_nonzero(~finite)} of {pixels.size} pixels are not finite")
    if kind == "rgb":
        if pixels.min() == pixels.max():
            raise StampError("empty: every pixel has the same value")
        return pixels, 1.0
    if whole and not quantised:
        number = np.count_nonzero(pixels, axis=(1, 2))
    else:
        number = np.count_nonzero(finite & ~unobserved_zeros(pixels, quantised), axis=(1, 2))
        pixels = pixels if whole else fill_holes(pixels)
    return pixels, check_coverage(number / (pixels.shape[1] * pixels.shape[2]), pixels, bands)  # (3,)


def unobserved_zeros(pixels: np.ndarray, quantised: bool) -> np.ndarray:
    """Return which flux pixels are exactly 0 because nothing was observed there, bool of the same shape (..., H, W).

    All of them; of numbers stored in steps those in areas of 5 x 5 pixels, which noise does not leave.
    """
    zeros = pixels == 0
    if not quantised or not zeros.any():
        return zeros
    flat = zeros.reshape(-1, *zeros.shape[-2:])
    square = np.ones((AREA_PIXELS, AREA_PIXELS), np.uint8)
    areas = [cv2.morphologyEx(plane.astype(np.uint8), cv2.MORPH_OPEN, square) for plane in flat]
    return np.stack(areas).astype(bool).reshape(zeros.shape)


def fill_holes(pixels: np.ndarray) -> np.ndarray:
    """Return (n, H, W) pixels with those that are not finite filled: 0 where they reach the border, as coadds do; else from around."""
    holes = ~np.isfinite(pixels)
    filled = np.where(holes, 0, pixels)
    for plane, hole in zip(filled, holes, strict=True):
        _, parts = cv2.connectedComponents(hole.astype(np.uint8))
        outer = np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]])
        known, inner = ~hole, hole & ~np.isin(parts, outer)
        while inner.any():  # from the rim inwards
            weight = cv2.blur(known.astype(np.float32), (3, 3))
            around = cv2.blur(np.where(known, plane, 0), (3, 3))
            rim = inner & (weight > LEAST_WEIGHT)
            plane[rim] = around[rim] / weight[rim]
            known, inner = known | rim, inner & ~rim
    return filled


def check_coverage(covered: np.ndarray, pixels: np.ndarray, bands: tuple[str, ...] = BAND_NAMES) -> float:
    """Refuse a flux stamp with an empty or barely observed band; return the least covered fraction.

    Parameters
    ----------
    covered : numpy.ndarray
        (3,) fraction of the pixels observed in each band.
    pixels : numpy.ndarray
        (3, H, W) float32, finite.
    bands : tuple of str
        Names of the planes, for the messages.

    Raises
    ------
    StampError
        The first band that cannot be used.
    """
    for band, fraction, plane in zip(bands, covered, pixels, strict=True):
        if fraction == 0 or plane.min() == plane.max():
            raise StampError(f"band {band} is empty")
        if fraction < MIN_COVERED_FRACTION:
            raise StampError(f"band {band} covers only {100 * fraction:.0f} % of the stamp")
    return float(covered.min())
