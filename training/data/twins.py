"""Twins: the same galaxy in two surveys under two ids, found by its pixels.

First each stamp's nearest in the other survey is looked up: small grey pictures, one of them at several scales since
surveys cut differently, less the mean over circles around the middle (the light profiles of round galaxies are all
alike). Inclined disks still are: so the two are then laid over one another, shifted and scaled, and what remains at the
scale of a few pixels, arms, knots and stars beside the galaxy, is correlated; from `LEAST` on a look at pairs showed
twins. Twins without any such detail are not found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from training.data.stamps import Stamps

SIDE, FINE_SIDE = 32, 96
SCALES = tuple(1.05**power for power in range(-9, 10))
BLUR, FINE_BLURS = 1.0, (1.2, 5.0)
ALIKE, LEAST = 0.8, 0.83
CORE, RIM = 5, 44
"""Pixels of `FINE_SIDE` from the middle between which the fine structure is compared."""
READ = 1024


@dataclass(frozen=True, kw_only=True)
class Twin:
    """A stamp of one survey and the one of another that it looks most like."""

    one: str
    other: str
    surveys: tuple[str, str]
    correlation: float


def find_twins(parts: Sequence[Stamps], least: float = LEAST) -> list[Twin]:
    """Return the pairs of stamps of different surveys that show one galaxy, the most alike first."""
    found = []
    for at, one in enumerate(parts):
        for other in parts[at + 1 :]:
            small, large = sorted((one, other), key=lambda stamps: len(stamps.object_ids))
            found += _between(small, large, least)
    return sorted(found, key=lambda twin: -twin.correlation)


def left_out(twins: Sequence[Twin], parts: Sequence[Stamps]) -> set[str]:
    """Return the object_ids that must not be learned: they train or validate, and a twin of theirs is held out."""
    trains = {name: bool(kept) for stamps in parts for name, kept in zip(stamps.object_ids, stamps.trains, strict=True)}
    pairs = [(twin.one, twin.other) for twin in twins]
    return {one for pair in pairs for one, other in (pair, pair[::-1]) if trains[one] and not trains[other]}


def fine_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Return the correlation of the fine structure of two stamps (3, S, S), at the scale and shift where it is best."""
    middle = _unit(_fine(_grey(other), 1.0)[_RING])
    best = -1.0
    for scale in (1.05 ** (power / 2) for power in range(-18, 19)):
        seen = _fine(_grey(one), scale)
        for shift in ((y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)):
            best = max(best, float(_unit(np.roll(seen, shift, (0, 1))[_RING]) @ middle))
    return best


def _between(small: Stamps, large: Stamps, least: float) -> list[Twin]:
    alike, place = _nearest(small, large)
    found = []
    for row in np.flatnonzero(alike >= ALIKE):
        one, other = small.object_ids[int(row)], large.object_ids[int(place[row])]
        if one != other and (fine := fine_correlation(small.pixels[int(row)], large.pixels[int(place[row])])) >= least:
            found.append(Twin(one=one, other=other, surveys=(small.name, large.name), correlation=fine))
    return found


def _nearest(small: Stamps, large: Stamps) -> tuple[np.ndarray, np.ndarray]:
    """Return for each stamp of one survey the correlation with its nearest of the other, and that one's row."""
    whole = _pictures(large, 1.0)  # (n, SIDE SIDE)
    best, place = np.full(len(small.object_ids), -1.0, np.float32), np.zeros(len(small.object_ids), np.int64)
    for scale in SCALES:
        seen = _pictures(small, scale)
        for start in range(0, len(seen), READ):
            alike = seen[start : start + READ] @ whole.T
            nearest, rows = alike.argmax(1), np.arange(start, start + len(alike))
            value = alike[np.arange(len(alike)), nearest]
            better = value > best[rows]
            best[rows[better]], place[rows[better]] = value[better], nearest[better]
    return best, place


def _pictures(stamps: Stamps, scale: float) -> np.ndarray:
    """Return (N, SIDE SIDE) float32 of unit length: the middle of each stamp (scale below 1) or it in a frame, less its circles."""
    made = np.empty((len(stamps.object_ids), SIDE * SIDE), np.float32)
    for start in range(0, len(made), READ):
        for row, pixels in enumerate(stamps.pixels[start : start + READ], start):
            small = cv2.resize(_grey(pixels), (2 * SIDE, 2 * SIDE), interpolation=cv2.INTER_AREA)
            small = _scaled(small, scale, 2 * SIDE)
            made[row] = cv2.GaussianBlur(cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_AREA), (0, 0), BLUR).ravel()
    made -= (made @ _CIRCLES.T) @ (_CIRCLES > 0)
    made /= np.linalg.norm(made, axis=1, keepdims=True).clip(1e-6)
    return made


def _grey(pixels: np.ndarray) -> np.ndarray:
    return pixels.mean(0, dtype=np.float32)


def _scaled(grey: np.ndarray, scale: float, side: int) -> np.ndarray:
    """Return a picture enlarged around its middle, on ``side`` pixels."""
    zoom = scale * side / grey.shape[-1]
    shift = (side - 1) / 2 - zoom * (grey.shape[-1] - 1) / 2
    matrix = np.array([[zoom, 0, shift], [0, zoom, shift]], np.float32)
    return cv2.warpAffine(grey, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _fine(grey: np.ndarray, scale: float) -> np.ndarray:
    """Return the root of what two blurs differ in: faint arms count as well as bright knots."""
    seen = _scaled(grey, scale, FINE_SIDE)
    fine, coarse = (cv2.GaussianBlur(seen, (0, 0), blur) for blur in FINE_BLURS)
    return np.sign(fine - coarse) * np.sqrt(np.abs(fine - coarse))


def _unit(values: np.ndarray) -> np.ndarray:
    values = values - values.mean()
    return values / max(float(np.linalg.norm(values)), 1e-6)


def _radius(side: int) -> np.ndarray:
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    return np.hypot(x, y)


def _circles() -> np.ndarray:
    """Return (rings, SIDE SIDE): the weights of the mean over each ring of one pixel."""
    ring = _radius(SIDE).astype(int).ravel()
    weights = (ring == np.arange(ring.max() + 1)[:, None]).astype(np.float32)
    return weights / weights.sum(1, keepdims=True)


_CIRCLES = _circles()
_RING = (_radius(FINE_SIDE) > CORE) & (_radius(FINE_SIDE) < RIM)
