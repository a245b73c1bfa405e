"""What is drawn over the large stamp of an object: scale bar, compass, crop."""

from __future__ import annotations

from dataclasses import dataclass

from discovery.stamps.render import BAR_FRACTION, BAR_LENGTHS_ARCSEC
from discovery.stamps.stamp import Stamp
from web.stamps.pictures import View
from web.stamps.stamps import displayed_box

NORTH_UP_FORMATS = ("ssl-legacysurvey", "stamps-hdf5", "galaxy10", "bricks", "fits-cutouts")
"""Layouts whose stamps are cut from coadds with north up and east left."""


@dataclass(frozen=True, kw_only=True)
class Overlay:
    """What is drawn over the large stamp, in units of its pixels."""

    side: float
    box: tuple[float, float, float, float] | None
    """x, y, width, height of the crop; None when the crop itself is shown."""
    bar_length: float | None
    bar_label: str
    north_up: bool
    field: str


def make_overlay(stamp: Stamp, array_box: tuple[int, int, int, int] | None, view: View, survey_format: str) -> Overlay:
    """Return what is drawn over a stamp: scale bar, compass, crop, in its pixels.

    Parameters
    ----------
    stamp : Stamp
        The whole stamp.
    array_box : tuple of int or None
        The crop (row0, row1, column0, column1) in the stamp's array.
    view : {"crop", "context"}
        Which part is shown.
    survey_format : str
        Layout of the survey; only some are known to have north up.
    """
    box = displayed_box(stamp, array_box)
    side = stamp.pixels.shape[1]
    shown = box[1] - box[0] if box and view == "crop" else side
    scale = stamp.pixel_scale_arcsec
    bar_arcsec = None
    if scale:
        bar_arcsec = max((x for x in BAR_LENGTHS_ARCSEC if x <= BAR_FRACTION * shown * scale), default=BAR_LENGTHS_ARCSEC[0])
    crop_box = None
    if box and view == "context" and box[1] - box[0] < side:
        crop_box = (float(box[2]), float(box[0]), float(box[3] - box[2]), float(box[1] - box[0]))
    return Overlay(
        side=float(shown),
        box=crop_box,
        bar_length=bar_arcsec / scale if scale and bar_arcsec else None,
        bar_label=f"{bar_arcsec:g}″" if bar_arcsec else "",
        north_up=survey_format in NORTH_UP_FORMATS,
        field=_field(shown, scale),
    )


def _field(side_pixels: int, scale: float | None) -> str:
    if scale is None:
        return f"Field {side_pixels} × {side_pixels} pixels; the files give no pixel scale."
    side = side_pixels * scale
    size = f"{side:.1f}″" if side < 120 else f"{side / 60:.2f}′"
    return f"Field {size} × {size}, {scale:.3g}″ a pixel."
