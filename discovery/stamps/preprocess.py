"""From a stamp to what an encoder eats: colours, the adaptive crop, the resize.

Training, indexing and prompts all come through `prepare`, so that an encoder sees the same numbers
everywhere. The conventions are those of the LVM paper's published code (Fu et al. 2024) and of the
Legacy Surveys viewer ("dr2_rgb").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import msgspec
import numpy as np

from discovery.errors import EncoderError, StampError
from discovery.stamps.imaging_surveys import SURVEYS, SurveyStyle
from discovery.stamps.stamp import Stamp

Box = tuple[int, int, int, int]
"""Rows and columns of a cut: row_start, row_stop, column_start, column_stop (stops exclusive)."""

Convention = Literal["dr2_rgb", "nmgy"]
MARGIN_PIXELS = 10
DARK = 1e-6
LARGEST = np.float32(1e18)


class CropConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What part of a stamp an encoder looks at.

    ``adaptive`` follows the galaxy, ``fixed`` is the central square of ``fixed_arcsec`` a side, ``both`` gives
    the two as two inputs.
    """

    mode: Literal["adaptive", "fixed", "both"] = "adaptive"
    fixed_arcsec: float | None = None

    def __post_init__(self) -> None:
        if (self.mode == "adaptive") != (self.fixed_arcsec is None):
            raise EncoderError(
                f"Crop '{self.mode}' with fixed_arcsec {self.fixed_arcsec}: fixed and both need a side in arcsec, adaptive takes none."
            )
        if self.fixed_arcsec is not None and not 0 < self.fixed_arcsec < 3600:
            raise EncoderError(f"fixed_arcsec is {self.fixed_arcsec}; give a side between 0 and 3600 arcsec.")

    @property
    def views(self) -> int:
        """Number K of inputs that a stamp gives."""
        return 2 if self.mode == "both" else 1


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What `prepare` makes of a stamp.

    Attributes
    ----------
    inputs : numpy.ndarray
        (K, 3, S, S) float32, channels g r z.
    box : Box
        The cut of the first view, in pixels of the stamp.
    crop_side_arcsec : float or None
        Its side; None when the pixel scale is not known.
    """

    inputs: np.ndarray
    box: Box
    crop_side_arcsec: float | None


def prepare(stamp: Stamp, *, convention: Convention, crop: CropConfig, size: int) -> Prepared:
    """Cut and resize a stamp in an encoder's convention.

    Raises
    ------
    StampError
        If the stamp is not square or not finite, has colours where the encoder needs fluxes, or has no
        pixel scale where the crop needs one.
    """
    _check(stamp)
    colours = to_colours(stamp)  # (3, H, W)
    if convention == "nmgy" and stamp.kind != "nmgy":
        raise StampError("holds display colours, and this encoder needs fluxes in nanomaggies; use one of convention dr2_rgb")
    source = stamp.pixels if convention == "nmgy" else colours
    boxes = [_box(stamp, colours, crop, view) for view in (("adaptive", "fixed") if crop.mode == "both" else (crop.mode,))]
    views = [cut_and_resize(source, box, size) for box in boxes]
    inputs = views[0][None] if len(views) == 1 else np.stack(views)  # (K, 3, S, S)
    side = None if stamp.pixel_scale_arcsec is None else (boxes[0][1] - boxes[0][0]) * stamp.pixel_scale_arcsec
    return Prepared(inputs=inputs, box=boxes[0], crop_side_arcsec=side)


def to_colours(stamp: Stamp) -> np.ndarray:
    """Return the stamp as display colours: (3, H, W) float32 in 0..1, channel 0 = g = blue."""
    return dr2_rgb(stamp.pixels, SURVEYS[stamp.survey]) if stamp.kind == "nmgy" else stamp.pixels


def dr2_rgb(flux_nmgy: np.ndarray, style: SurveyStyle) -> np.ndarray:
    """Render fluxes in the colours of the Legacy Surveys viewer.

    ``I = mean_b max(0, flux_b s_b + m)``, ``f = arcsinh(Q I) / sqrt(Q)``, ``plane_b = (flux_b s_b + m) f / I``, clipped
    to 0..1 (legacysurvey.org, get_rgb "dr2"; Lupton et al. 2004).

    Parameters
    ----------
    flux_nmgy : numpy.ndarray
        (3, H, W) nanomaggies per pixel, bands g r z.

    Returns
    -------
    numpy.ndarray
        (3, H, W) float32 in the same order: channel 0 = g = blue.
    """
    scaled = flux_nmgy * np.asarray(style.scales, np.float32)[:, None, None]
    scaled += np.float32(style.m)
    light = np.clip(scaled, 0, np.inf)  # twice as quick as np.maximum
    intensity = light[0] + light[1]
    intensity += light[2]
    intensity /= np.float32(3)
    intensity[intensity == 0] = DARK
    gain = arcsinh(np.float32(style.Q) * intensity)
    gain /= np.float32(np.sqrt(style.Q))
    gain /= intensity
    scaled *= gain
    return np.clip(scaled, 0, 1, out=scaled).astype(np.float32, copy=False)


def arcsinh(x: np.ndarray) -> np.ndarray:
    """Return arcsinh of float32 numbers >= 0 within 5e-7 of their size, five times as quick as `numpy.arcsinh`.

    ``arcsinh x = log1p(u), u = x + x^2 / (1 + sqrt(1 + x^2))`` and ``log1p u = log(w) u / (w - 1), w = fl(1 + u)``
    (Kahan; Goldberg 1991, "What every computer scientist should know about floating-point arithmetic", theorem 4):
    of these NumPy vectorises every step, the logarithm too. Numbers above 1e18 count as that.
    """
    x = np.clip(x, 0, LARGEST)
    u = x * x
    root = u + np.float32(1)
    np.sqrt(root, out=root)
    root += np.float32(1)
    u /= root
    u += x
    w = u + np.float32(1)
    step = w - np.float32(1)
    same = step == 0
    step[same] = 1
    np.log(w, out=w)
    w *= u
    w /= step
    w[same] = u[same]
    return w


def adaptive_crop_box(picture: np.ndarray) -> Box:
    """Find the square around the central galaxy, as the LVM paper's published code does.

    Otsu's threshold on the grey picture, contours in OpenCV's order; the first one whose bounding box holds the
    centre decides, with 10 pixels of margin. The grey weights are those of a B G R picture although the
    picture is R G B: so the published code has it.

    Parameters
    ----------
    picture : numpy.ndarray
        (S, S, 3) float32 R G B in 0..1, not quantised.

    Returns
    -------
    Box
        The whole stamp where no contour fits, and for constant or non-finite pictures.
    """
    side = picture.shape[0]
    whole = (0, side, 0, side)
    grey = cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_BGR2GRAY)
    low, high = grey.min(), grey.max()
    if not (np.isfinite(low) and np.isfinite(high)) or low == high:
        return whole
    levels = ((grey - low) * 100 / (high - low)).astype(np.uint8)
    _, binary = cv2.threshold(levels, 10, 255, cv2.THRESH_BINARY_INV + cv2.THRESH_OTSU)
    contours, _ = cv2.findContours(binary, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)
    middle = side / 2
    for contour in contours:
        x, y, width, height = cv2.boundingRect(contour)
        inside = x > 0 and y > 0 and x + width <= side and y + height <= side
        if inside and x < middle < x + width and y < middle < y + height:
            reach = max(int(x + width - middle), int(y + height - middle), int(middle - x), int(middle - y))
            return _central_box(side, reach + MARGIN_PIXELS)
    return whole


def cut_and_resize(pixels: np.ndarray, box: Box, size: int) -> np.ndarray:
    """Cut a box out of (3, H, W) and resize it to (3, size, size); flux stays surface brightness."""
    cut = np.asarray(pixels[:, box[0] : box[1], box[2] : box[3]], np.float32)
    how = cv2.INTER_AREA if cut.shape[1] > size else cv2.INTER_LINEAR
    resized = np.empty((len(cut), size, size), np.float32)
    cv2.split(cv2.resize(cv2.merge(list(cut)), (size, size), interpolation=how), list(resized))
    return resized


def _check(stamp: Stamp) -> None:
    shape = stamp.pixels.shape
    if len(shape) != 3 or shape[0] != 3 or shape[1] != shape[2]:
        raise StampError(f"has the shape {shape}, not (3, S, S)")
    if not np.isfinite(stamp.pixels).all():
        raise StampError("has pixels that are not finite")


def _box(stamp: Stamp, colours: np.ndarray, crop: CropConfig, view: str) -> Box:
    side = stamp.pixels.shape[1]
    if view == "adaptive":
        return adaptive_crop_box(cv2.merge([np.ascontiguousarray(plane) for plane in colours[::-1]]))
    if stamp.pixel_scale_arcsec is None or crop.fixed_arcsec is None:
        raise StampError("has no pixel scale, which a crop of fixed arcsec needs; give --pixel-scale or use the adaptive crop")
    return _central_box(side, max(1, round(crop.fixed_arcsec / stamp.pixel_scale_arcsec / 2)))


def _central_box(side: int, half: int) -> Box:
    middle, half = side // 2, min(half, side // 2)
    return (middle - half, middle + half, middle - half, middle + half)
