"""From a stamp to an object that can be placed elsewhere: its light above the sky, and where it fades out."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from discovery.stamps.preprocess import to_colours
from discovery.stamps.stamp import Stamp

SIGNIFICANT_SIGMA = 3.0
"""Pixels of the smoothed band mean above the sky by this much of its scatter belong to an object."""
SMOOTHING_PIXELS = 1.0
BRIDGE_PIXELS = 3
"""Half the gap over which parts are joined, so that the arcs of a lens stay with their galaxy."""
CENTRE_PIXELS = 5
LEAST_PIXELS = 12
OPAQUE_PIXELS, FEATHER_PIXELS = 3.0, 7.0
"""Around the significant pixels all light is kept for the first of these, then it fades out over the second."""
LEAST_NOISE = 1 / 255
SPARSE = 2
"""Sky statistics look at every second pixel in each direction."""
MAD_TO_SIGMA = 1.4826


@dataclass(frozen=True, kw_only=True)
class ObjectCut:
    """An object of a stamp.

    Attributes
    ----------
    light : numpy.ndarray
        (3, H, W) float32, display colours above the stamp's sky, the whole stamp.
    core : numpy.ndarray
        (H, W) bool: the object's significant pixels.
    extent_pixels : int
        Larger side of the core's bounding box.
    psf_fwhm_pixels : float
    """

    light: np.ndarray
    core: np.ndarray
    extent_pixels: int
    psf_fwhm_pixels: float


@dataclass(frozen=True, kw_only=True)
class Paste:
    """An object brought to a field's scale and PSF.

    Attributes
    ----------
    light : numpy.ndarray
        (3, h, w) float32, faded out at the border.
    weight : numpy.ndarray
        (h, w) float32, 1 on the object and 0 where nothing of the stamp is left.
    noise : numpy.ndarray
        (3,) scatter of the stamp's sky that ``light`` still has where ``weight`` is 1.
    core : numpy.ndarray
        (h, w) bool.
    """

    light: np.ndarray
    weight: np.ndarray
    noise: np.ndarray
    core: np.ndarray


def cut_object(stamp: Stamp, psf_fwhm_pixels: float) -> ObjectCut | None:
    """Return the object in the middle of a stamp; None where there is none, or it fills the stamp."""
    colours = to_colours(stamp)
    if not np.isfinite(colours).all():
        return None
    sky = np.median(colours[:, ::SPARSE, ::SPARSE].reshape(3, -1), axis=1)
    light = (colours - sky[:, None, None]).astype(np.float32)
    smooth = cv2.GaussianBlur(light.mean(0), (0, 0), SMOOTHING_PIXELS)
    core = central_part(smooth > SIGNIFICANT_SIGMA * _scatter(smooth[::SPARSE, ::SPARSE].reshape(1, -1)))
    if core is None:
        return None
    rows, columns = np.flatnonzero(core.any(1)), np.flatnonzero(core.any(0))
    extent = int(max(np.ptp(rows), np.ptp(columns))) + 1
    if extent > 0.9 * max(core.shape):
        return None
    return ObjectCut(light=light, core=core, extent_pixels=extent, psf_fwhm_pixels=psf_fwhm_pixels)


def fit_to_field(cut: ObjectCut, *, scale: float, psf_fwhm_pixels: float, turn: int) -> Paste:
    """Return a cut shrunk by ``scale``, blurred to the field's PSF, turned (0 to 7: four rotations, mirrored or not) and faded out.

    The field's PSF must be at least ``scale`` times the stamp's.
    """
    side = [max(8, round(length * scale)) for length in cut.core.shape]
    light = cv2.resize(cut.light.transpose(1, 2, 0), (side[1], side[0]), interpolation=cv2.INTER_AREA)
    wider = psf_fwhm_pixels**2 - (cut.psf_fwhm_pixels * scale) ** 2
    if wider > 0:
        light = cv2.GaussianBlur(light, (0, 0), float(np.sqrt(wider)) / 2.3548)
    core = cv2.resize(cut.core.astype(np.float32), (side[1], side[0]), interpolation=cv2.INTER_AREA) > 0.3
    weight = _weight(core)
    outside = light[weight == 0][:: SPARSE**2].T
    noise = _scatter(outside) if outside.shape[1] > 20 else np.full(3, np.inf)
    window = np.ix_(np.flatnonzero((weight > 0).any(1)), np.flatnonzero((weight > 0).any(0)))
    light, weight, core = (_turned(part[window], turn) for part in (light * weight[..., None], weight, core))
    return Paste(light=light.transpose(2, 0, 1), weight=weight, noise=noise.astype(np.float32), core=core)


def central_part(significant: np.ndarray) -> np.ndarray | None:
    """Return the connected significant pixels at the middle (H, W), or None."""
    size = 2 * BRIDGE_PIXELS + 1
    bridged = cv2.dilate(significant.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)))
    _, labels = cv2.connectedComponents(bridged)
    labels = labels * significant
    middle = tuple(slice(max(0, n // 2 - CENTRE_PIXELS), n // 2 + CENTRE_PIXELS + 1) for n in significant.shape)
    near = labels[middle][labels[middle] > 0]
    if not len(near):
        return None
    part = labels == np.bincount(near).argmax()
    return part if part.sum() >= LEAST_PIXELS else None


def _weight(core: np.ndarray) -> np.ndarray:
    """Return 1 on and near the core, falling as a cosine to 0; always 0 at the border of the stamp."""
    away = cv2.distanceTransform((~core).astype(np.uint8), cv2.DIST_L2, 5)
    inward = np.minimum.outer(_to_edge(core.shape[0]), _to_edge(core.shape[1]))
    kept = _fade((away - OPAQUE_PIXELS) / FEATHER_PIXELS)
    return (kept * _fade(1 - inward / FEATHER_PIXELS)).astype(np.float32)


def _fade(x: np.ndarray) -> np.ndarray:
    return (1 + np.cos(np.pi * np.clip(x, 0, 1))) / 2


def _to_edge(length: int) -> np.ndarray:
    place = np.arange(length)
    return np.minimum(place, length - 1 - place)


def _turned(picture: np.ndarray, turn: int) -> np.ndarray:
    picture = np.rot90(picture, turn % 4)
    return np.ascontiguousarray(picture[:, ::-1] if turn >= 4 else picture)


def _scatter(values: np.ndarray) -> np.ndarray:
    """Return the standard deviation of each row (n, N) by the median absolute deviation, which ignores other objects."""
    values = np.ascontiguousarray(values)
    away = np.abs(values - np.median(values, axis=1, keepdims=True))
    return np.maximum(MAD_TO_SIGMA * np.median(away, axis=1), LEAST_NOISE)
