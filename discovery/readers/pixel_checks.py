"""What makes the pixels of a stamp unusable, and the reason in words."""

from __future__ import annotations

import numpy as np

from discovery.errors import StampError
from discovery.stamps.stamp import MAX_SIDE_PIXELS, MIN_COVERED_FRACTION, MIN_SIDE_PIXELS, StampKind

BAND_NAMES = ("g", "r", "z")


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


def check_pixels(pixels: np.ndarray, kind: StampKind, *, bands: tuple[str, ...] = BAND_NAMES) -> float:
    """Refuse unusable pixels; return the fraction of pixels observed in the worst band.

    A flux pixel of exactly 0 was not observed: sky noise never gives that, and coadds are filled with it.
    Display colours have no such mark; there only a picture of one single colour is refused.

    Parameters
    ----------
    pixels : numpy.ndarray
        (3, H, W) float32.
    kind : {"nmgy", "rgb"}
        What the numbers are.
    bands : tuple of str
        Names of the planes, for the messages.

    Raises
    ------
    StampError
        Oddly shaped, non-finite, empty, or observed in too few pixels of a band.
    """
    check_side(*pixels.shape[-2:])
    check_finite(pixels)
    if kind == "rgb":
        if pixels.min() == pixels.max():
            raise StampError("empty: every pixel has the same value")
        return 1.0
    covered = np.count_nonzero(pixels, axis=(1, 2)) / (pixels.shape[1] * pixels.shape[2])  # (3,)
    return check_coverage(covered, pixels, bands)


def check_finite(pixels: np.ndarray) -> None:
    """Refuse pixels that are not all finite.

    Raises
    ------
    StampError
        Says how many are not.
    """
    if not np.isfinite(pixels).all():
        n_bad = int(np.count_nonzero(~np.isfinite(pixels)))
        raise StampError(f"{n_bad} of {pixels.size} pixels are not finite")


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
