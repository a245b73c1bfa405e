"""One FITS cutout: planes chosen by the BANDS keyword, position and pixel scale from the WCS."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from discovery.errors import StampError
from discovery.files.containers import MAX_FILE_BYTES, file_stem
from discovery.files.fits_images import END_CARD, FitsImage, open_image
from discovery.readers.flux_units import nanomaggies_a_unit
from discovery.readers.pixel_checks import check_side
from discovery.sky.image_headers import centre_and_scale

if TYPE_CHECKING:
    from astropy.io.fits import Header

SUFFIXES = (".fits", ".fit", ".fits.gz", ".fits.fz")
MAX_PLANES = 16
BAND_CHOICES = (("g", "r", "z"), ("g", "r", "i"))
_NUMBER = r"\d{1,3}\.\d+"
_NUMBERS = re.compile(rf"(?<![\d.]){_NUMBER}(?:(?:[_, ]+[+-]?|[+-]){_NUMBER})+(?![\d.])")


@dataclass(frozen=True, kw_only=True)
class CutoutHeader:
    """What the header of a cutout tells.

    Attributes
    ----------
    bands : tuple of str
        The bands of the three planes that become the stamp.
    planes : tuple of int
        Where they stand in the file.
    bands_stated : bool
        False when the file names no bands and its three planes are taken as g, r, z.
    side : int
        Pixels a side.
    quantised : bool
        The numbers were stored in steps, so that a pixel of exactly 0 may well have been observed.
    unit : str
        BUNIT, empty where there is none.
    nanomaggies : float
        How many nanomaggies per pixel a unit is.
    pixel_scale_arcsec, ra_deg, dec_deg : float or None
        From the WCS, the position that of the centre; None without one.
    """

    bands: tuple[str, ...]
    planes: tuple[int, ...]
    bands_stated: bool
    side: int
    quantised: bool
    unit: str
    nanomaggies: float
    pixel_scale_arcsec: float | None
    ra_deg: float | None
    dec_deg: float | None


def decode_cutout(data: bytes) -> tuple[CutoutHeader, np.ndarray]:
    """Return header and pixels of one cutout.

    Parameters
    ----------
    data : bytes
        The FITS file, also gzipped or fpacked.

    Returns
    -------
    header : CutoutHeader
        Bands, scale and position.
    pixels : numpy.ndarray
        (3, H, W) float32, nanomaggies, bands g, r, z (or i); NaN where there is no value.

    Raises
    ------
    StampError
        Truncated, damaged, oddly shaped, too large, or bands are missing.
    """
    with _opened(data) as image:
        seen = read_cutout_header(image.header, image.shape, quantised=image.quantised)
        pixels = image.read_planes(seen.planes)
    if seen.nanomaggies != 1:
        pixels *= seen.nanomaggies
    return seen, pixels.astype(np.float32, copy=False)


def cutout_header(data: bytes) -> CutoutHeader:
    """Return the header of one cutout without reading its pixels.

    Raises
    ------
    StampError
        As `decode_cutout`, but for damage in the pixels.
    """
    with _opened(data) as image:
        return read_cutout_header(image.header, image.shape, quantised=image.quantised)


def has_end(data: bytes) -> bool:
    """Tell whether the beginning of a FITS file holds its whole primary header."""
    return END_CARD in data


def read_cutout_header(header: Header, shape: tuple[int, ...], *, quantised: bool = False) -> CutoutHeader:
    """Return what a header tells, checking shape, size and bands before any pixel is read.

    Raises
    ------
    StampError
        Oddly shaped, too large, or bands are missing.
    """
    if len(shape) != 3:
        raise StampError(f"an image of {len(shape)} dimensions; a cutout has planes, rows and columns")
    n_planes, height, width = shape
    if n_planes > MAX_PLANES:
        raise StampError(f"{n_planes} planes; a cutout has at most {MAX_PLANES}")
    check_side(height, width)
    stated = stated_bands(header)
    bands, planes = choose_planes(stated, n_planes)
    ra_deg, dec_deg, scale = centre_and_scale(header, height, width) or (None, None, None)
    unit = str(header.get("BUNIT", "")).strip()
    return CutoutHeader(
        bands=bands,
        planes=planes,
        bands_stated=stated is not None,
        side=height,
        quantised=quantised,
        unit=unit,
        nanomaggies=nanomaggies_a_unit(unit, scale),
        pixel_scale_arcsec=scale,
        ra_deg=ra_deg,
        dec_deg=dec_deg,
    )


def stated_bands(header: Header) -> tuple[str, ...] | None:
    """Return the bands that a header names in BANDS or else in BAND0, BAND1, ...; None when it names none."""
    text = header.get("BANDS")
    if isinstance(text, str) and text.strip():
        text = text.strip()
        return tuple(re.split(r"[\s,;]+", text)) if re.search(r"[\s,;]", text) else tuple(text)
    named: list[str] = []
    while f"BAND{len(named)}" in header:
        named.append(str(header[f"BAND{len(named)}"]).strip())
    return tuple(named) or None


def choose_planes(stated: tuple[str, ...] | None, n_planes: int) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return the three bands to use and the planes they are in: g r z where there is z, else g r i.

    Raises
    ------
    StampError
        Bands are missing, or nothing says which plane is which.
    """
    if stated is None:
        if n_planes != 3:
            raise StampError(f"{n_planes} planes and no BANDS keyword that says which is which")
        return BAND_CHOICES[0], (0, 1, 2)
    if len(stated) != n_planes:
        raise StampError(f"{n_planes} planes, but BANDS names {len(stated)}: {' '.join(stated)}")
    for wanted in BAND_CHOICES:
        if all(stated.count(band) == 1 for band in wanted):
            return wanted, tuple(stated.index(band) for band in wanted)
    raise StampError(f"bands are missing: the file has {' '.join(stated)}, needed are g r z (or g r i)")


def position_in_name(name: str) -> tuple[float, float] | None:
    """Return (ra, dec) in degrees from a name such as ``cutout_12.1566_-1.2476.fits``; None without one."""
    runs = _NUMBERS.findall(file_stem(name))
    numbers = re.findall(rf"[+-]?{_NUMBER}", runs[0]) if len(runs) == 1 else []
    if len(numbers) != 2:
        return None
    ra_deg, dec_deg = map(float, numbers)
    return (ra_deg, dec_deg) if ra_deg < 360 and abs(dec_deg) <= 90 else None


@contextlib.contextmanager
def _opened(data: bytes) -> Iterator[FitsImage]:
    """Yield the image of a cutout; whatever is wrong with it is a StampError."""
    try:
        with open_image(data, limit=MAX_FILE_BYTES) as image:
            yield image
    except StampError:
        raise
    except Exception as error:  # astropy raises many types on damaged files
        text = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise StampError(f"cannot be read as FITS: {text}") from error
