"""Quality of a stamp, measured on its pixels."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from discovery.stamps.imaging_surveys import SURVEYS
from discovery.stamps.preprocess import Box, Prepared, dr2_rgb
from discovery.stamps.stamp import Stamp

COLOUR_STEPS = np.float32(2 / 255)
"""Least noise that is believed of an 8-bit picture."""
UNRESOLVED_SIGMA, UNRESOLVED_SHARE, UNRESOLVED_PIXELS = 10.0, 0.7, 5
STREAK_SIGMA, SKY_SIGMA, STREAK_SIDE = 4.0, 1.0, 0.3
CLIPPED_PIXELS = 8
SKY_COLOUR, SKY_SATURATION = 0.15, 0.5


@dataclass(frozen=True, kw_only=True)
class StampMeasures:
    """What is measured on a stamp beside its embedding."""

    box: Box
    crop_side_arcsec: float | None
    covered_fraction: float
    artefact: bool


def measure_stamp(stamp: Stamp, prepared: Prepared) -> StampMeasures:
    """Return the measures of one stamp."""
    return StampMeasures(
        box=prepared.box,
        crop_side_arcsec=prepared.crop_side_arcsec,
        covered_fraction=float(stamp.covered_fraction),
        artefact=looks_like_artefact(stamp),
    )


def looks_like_artefact(stamp: Stamp) -> bool:
    """Return whether pixels look like an artefact by one of four rules.

    * a streak or patch: a connected area bright in one band and not in the others, that reaches over 0.3 of the side
      (trails of satellites, ghosts, a band that ends);
    * unresolved: five or more pixels that stand out from their neighbours as nothing does that passed the
      atmosphere (cosmic rays, dead columns; fluxes only, since pictures may have been shrunk);
    * clipped: eight or more pixels of exactly the largest value of their band (saturated stars; fluxes only);
    * a coloured sky: the border's typical colour is far from grey (halos, lost sky subtraction).

    Measured: of the simulated survey's artefacts a third are found, with one false alarm in 1400; of real galaxies
    0.1 % (Galaxy Zoo 2) to 0.5 % (EFIGI, some of them rightly) are flagged, of an unselected SDSS strip 8 %, where by
    eye one stamp in ten is an artefact.
    """
    pixels = np.ascontiguousarray(stamp.pixels, np.float32)
    sparse = pixels[:, ::3, ::3].reshape(len(pixels), -1)
    sky = np.array([np.median(band) for band in sparse], np.float32)[:, None]
    floor = COLOUR_STEPS if stamp.kind == "rgb" else np.finfo(np.float32).tiny
    noise = np.array([np.median(band) for band in np.abs(sparse - sky)], np.float32)[:, None] * 1.4826
    sigmas = ((pixels - sky[..., None]) / np.maximum(noise, floor)[..., None]).astype(np.float32)  # (3, H, W)
    return bool(
        _has_coloured_sky(stamp)
        or _streak_side(sigmas) > STREAK_SIDE
        or (stamp.kind == "nmgy" and max(np.count_nonzero(band == band.max()) for band in pixels) >= CLIPPED_PIXELS)
        or (stamp.kind == "nmgy" and max(_unresolved(band) for band in sigmas) >= UNRESOLVED_PIXELS)
    )


def _has_coloured_sky(stamp: Stamp) -> bool:
    edge = np.concatenate([stamp.pixels[:, 0], stamp.pixels[:, -1], stamp.pixels[:, :, 0], stamp.pixels[:, :, -1]], axis=1)
    colour = np.median(edge, axis=1)[:, None, None].astype(np.float32)
    if stamp.kind == "nmgy":
        colour = dr2_rgb(colour, SURVEYS[stamp.survey])
    most, difference = float(colour.max()), float(colour.max() - colour.min())
    return difference > SKY_COLOUR and difference > SKY_SATURATION * most


def _unresolved(sigmas: np.ndarray) -> int:
    excess = sigmas - cv2.medianBlur(sigmas, 3)
    return int(np.count_nonzero((excess > UNRESOLVED_SIGMA) & (excess > UNRESOLVED_SHARE * sigmas)))


def _streak_side(sigmas: np.ndarray) -> float:
    """Return the longer side of the largest area that only one band sees, as a fraction of the stamp's side."""
    one, other, third = (cv2.blur(band, (3, 3)) for band in sigmas)
    most, least = cv2.max(one, other), cv2.min(one, other)
    second = cv2.max(least, cv2.min(most, third))
    alone = ((cv2.max(most, third) > STREAK_SIGMA) & (second < SKY_SIGMA)).astype(np.uint8)
    if not alone.any():
        return 0.0
    joined = cv2.morphologyEx(alone, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    _, _, areas, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    return float(areas[1:, cv2.CC_STAT_WIDTH : cv2.CC_STAT_HEIGHT + 1].max()) / sigmas.shape[1]
