"""What of an image is to be mended: a mask file, circles on the sky or in pixels, boxes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS
from astropy.wcs.utils import proj_plane_pixel_scales

from discovery.errors import ConfigError, StampError
from discovery.files.fits_images import EVERYTHING, open_image
from discovery.restoration.mosaic import Mosaic, first_line
from discovery.sky.image_headers import celestial_wcs


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What is to be mended, all of it together.

    Attributes
    ----------
    mask : Path or None
        FITS image of the same height and width; what is not 0 (or not finite) is mended.
    keep : tuple of int
        Makes ``mask`` a segmentation map: every segment is mended but these (and 0, the sky).
    regions : tuple of (float, float, float)
        Circles on the sky: ra and dec in ICRS degrees, radius in arcsec.
    circles : tuple of (float, float, float)
        Circles in pixels: row, column, radius; counted from 0 at the middle of the first pixel.
    boxes : tuple of (int, int, int, int)
        First row, row after the last, first column, column after the last; counted from 0.
    zeros : bool
        Whether pixels that are exactly 0 in some band (not observed) are mended as well.
    """

    mask: Path | None = None
    keep: tuple[int, ...] = ()
    regions: tuple[tuple[float, float, float], ...] = ()
    circles: tuple[tuple[float, float, float], ...] = ()
    boxes: tuple[tuple[int, int, int, int], ...] = ()
    zeros: bool = False


def selected(selection: Selection, mosaic: Mosaic) -> np.ndarray:
    """Return the selected pixels of an image, (H, W) bool.

    Raises
    ------
    StampError
        If a mask cannot be read or has another size, or a shape does not touch the image.
    ConfigError
        If labels are to be kept and there is no mask, or a radius is not positive.
    """
    chosen = np.zeros(mosaic.shape, bool)
    if selection.mask is not None:
        chosen |= read_mask(selection.mask, mosaic.shape, selection.keep)
    elif selection.keep:
        raise ConfigError("--keep names segments to leave; give the segmentation map as --mask.")
    for ra_deg, dec_deg, radius_arcsec in selection.regions:
        chosen |= _touching(circle_on_sky(mosaic, ra_deg, dec_deg, radius_arcsec), f"the region at {ra_deg:g},{dec_deg:g}", mosaic)
    for row, column, radius in selection.circles:
        chosen |= _touching(circle(mosaic.shape, row, column, radius), f"the circle at row {row:g}, column {column:g}", mosaic)
    for box in selection.boxes:
        chosen |= _touching(_box(mosaic.shape, box), f"the box {','.join(map(str, box))}", mosaic)
    return chosen


def read_mask(path: Path, shape: tuple[int, int], keep: tuple[int, ...] = ()) -> np.ndarray:
    """Return a mask or a segmentation map (first image of a FITS file; planes are put together): (H, W) bool.

    Raises
    ------
    StampError
        If it cannot be read, has another size, or lacks a segment that is to be kept.
    """
    try:
        with open_image(path) as image:
            values = np.asarray(image.section((EVERYTHING,)))
    except Exception as problem:  # astropy raises many types on damaged files
        raise StampError(f"the mask {path.name} cannot be read: {first_line(problem)}") from problem
    if values is None or values.ndim not in (2, 3) or values.shape[-2:] != shape:
        found = "no image" if values is None else "x".join(map(str, values.shape))
        raise StampError(f"the mask {path.name} has {found}; the image has {shape[0]}x{shape[1]} pixels, and so must the mask")
    for label in keep:
        if not (values == label).any():
            raise StampError(f"the mask {path.name} has no segment {label}; it cannot be kept")
    return np.any(~np.isin(values, (0, *keep)).reshape(-1, *shape), axis=0)


def circle_on_sky(mosaic: Mosaic, ra_deg: float, dec_deg: float, radius_arcsec: float) -> np.ndarray:
    """Return the pixels whose middle lies within a radius of a position, (H, W) bool.

    Raises
    ------
    StampError
        If the image has no position on the sky.
    """
    wcs = _celestial(mosaic)
    centre = SkyCoord(ra_deg, dec_deg, unit="deg", frame="icrs")
    column, row = (float(value) for value in wcs.world_to_pixel(centre))
    near = np.zeros(mosaic.shape, bool)
    if not np.isfinite([column, row]).all():
        return near
    reach = 1.5 * radius_arcsec / (3600 * float(proj_plane_pixel_scales(wcs).min())) + 2
    rows = slice(max(0, int(row - reach)), max(0, min(mosaic.shape[0], int(row + reach) + 1)))
    columns = slice(max(0, int(column - reach)), max(0, min(mosaic.shape[1], int(column + reach) + 1)))
    y, x = np.mgrid[rows, columns]
    if y.size:
        near[rows, columns] = wcs.pixel_to_world(x, y).icrs.separation(centre).arcsec <= radius_arcsec
    return near


def circle(shape: tuple[int, int], row: float, column: float, radius: float) -> np.ndarray:
    """Return the pixels whose middle lies within a radius of a place, (H, W) bool."""
    if not radius > 0:
        raise ConfigError(f"A circle of radius {radius:g} holds nothing; give more than 0.")
    y, x = np.ogrid[: shape[0], : shape[1]]
    return (y - row) ** 2 + (x - column) ** 2 <= radius**2


def _box(shape: tuple[int, int], box: tuple[int, int, int, int]) -> np.ndarray:
    inside = np.zeros(shape, bool)
    first_row, end_row, first_column, end_column = (max(0, edge) for edge in box)
    inside[first_row:end_row, first_column:end_column] = True
    return inside


def _touching(chosen: np.ndarray, what: str, mosaic: Mosaic) -> np.ndarray:
    if not chosen.any():
        raise StampError(f"{mosaic.name}: {what} holds no pixel of the image ({mosaic.shape[0]} rows, {mosaic.shape[1]} columns)")
    return chosen


def _celestial(mosaic: Mosaic) -> WCS:
    try:
        wcs = celestial_wcs(mosaic.header)
    except Exception as problem:  # wcslib raises many types
        raise StampError(f"{mosaic.name}: its WCS cannot be used: {first_line(problem)}") from problem
    if wcs is None:
        raise StampError(f"{mosaic.name}: has no WCS, which a region on the sky needs; give --circle or --box in pixels")
    return wcs
