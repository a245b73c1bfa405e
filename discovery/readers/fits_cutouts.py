"""One FITS cutout: planes chosen by the BANDS keyword, position and pixel scale from the WCS."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from discovery.errors import StampError
from discovery.files.containers import MAX_FILE_BYTES, check_bytes, file_stem
from discovery.readers.pixel_checks import check_side
from discovery.sky.image_headers import centre_and_scale

if TYPE_CHECKING:
    from astropy.io.fits import Header

SUFFIXES = (".fits", ".fit", ".fits.gz", ".fits.fz")
MAGIC = b"SIMPLE  ="
GZIP_MAGIC = b"\x1f\x8b"
END_CARD = b"END" + b" " * 77
BLOCK_BYTES = 2880
STORED_TYPES = {8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
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
    pixel_scale_arcsec, ra_deg, dec_deg : float or None
        From the WCS, the position that of the centre; None without one.
    """

    bands: tuple[str, ...]
    planes: tuple[int, ...]
    bands_stated: bool
    side: int
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
        (3, H, W) float32, nanomaggies, bands g, r, z (or i).

    Raises
    ------
    StampError
        Truncated, damaged, oddly shaped, too large, or bands are missing.
    """
    if data.startswith(GZIP_MAGIC):
        data = _unzipped(data)
    try:
        header = primary_header(data)
        if int(header["NAXIS"]) == 0:
            return _decode_compressed(data)
        seen = read_cutout_header(header)
        return seen, _plain_planes(data, header, seen)
    except StampError:
        raise
    except Exception as error:  # astropy raises many types on damaged files
        text = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise StampError(f"cannot be read as FITS: {text}") from error


def primary_header(data: bytes) -> Header:
    """Return the primary header of a FITS file of which `data` is at least the beginning.

    Raises
    ------
    StampError
        No FITS header, or it has no end.
    """
    from astropy.io.fits import Header

    if not data.startswith(MAGIC):
        raise StampError("no FITS file")
    end = data.find(END_CARD)
    if end < 0 or end % 80:
        raise StampError("truncated: the FITS header has no END")
    return Header.fromstring(data[: end + 80])


def has_end(data: bytes) -> bool:
    """Tell whether the beginning of a FITS file holds its whole primary header."""
    return END_CARD in data


def read_cutout_header(header: Header) -> CutoutHeader:
    """Return what a header tells, checking shape, size and bands before any pixel is read.

    Raises
    ------
    StampError
        Oddly shaped, too large, or bands are missing.
    """
    shape = tuple(int(header[f"NAXIS{axis}"]) for axis in range(int(header["NAXIS"]), 0, -1))
    if len(shape) != 3:
        raise StampError(f"an image of {len(shape)} dimensions; a cutout has planes, rows and columns")
    n_planes, height, width = shape
    if n_planes > MAX_PLANES:
        raise StampError(f"{n_planes} planes; a cutout has at most {MAX_PLANES}")
    check_side(height, width)
    stated = stated_bands(header)
    bands, planes = choose_planes(stated, n_planes)
    ra_deg, dec_deg, scale = centre_and_scale(header, height, width) or (None, None, None)
    return CutoutHeader(
        bands=bands,
        planes=planes,
        bands_stated=stated is not None,
        side=height,
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


def _plain_planes(data: bytes, header: Header, seen: CutoutHeader) -> np.ndarray:
    """Return the chosen planes of an uncompressed primary image, (3, H, W) float32."""
    start = -(-(data.find(END_CARD) + 80) // BLOCK_BYTES) * BLOCK_BYTES
    stored = np.dtype(STORED_TYPES[int(header["BITPIX"])])
    plane_pixels = seen.side * seen.side
    needed = start + int(header["NAXIS3"]) * plane_pixels * stored.itemsize
    if len(data) < needed:
        raise StampError(f"truncated: {len(data)} bytes of {needed}")
    scale, zero = float(header.get("BSCALE", 1)), float(header.get("BZERO", 0))
    pixels = np.empty((3, seen.side, seen.side), np.float32)
    for target, plane in zip(pixels, seen.planes, strict=True):
        offset = start + plane * plane_pixels * stored.itemsize
        values = np.frombuffer(data, stored, plane_pixels, offset).reshape(seen.side, seen.side)
        target[:] = values if (scale, zero) == (1, 0) else values * scale + zero
    return pixels


def _decode_compressed(data: bytes) -> tuple[CutoutHeader, np.ndarray]:
    """Return header and planes of an image in the first extension, fpacked or plain."""
    from astropy.io import fits

    from discovery.files.fits_blocks import check_complete

    check_complete(io.BytesIO(data), len(data))
    with fits.open(io.BytesIO(data), memmap=False, lazy_load_hdus=True) as hdus:
        hdu = hdus[1] if len(hdus) > 1 else None
        if hdu is None or not hdu.is_image:
            raise StampError("holds no image")
        seen = read_cutout_header(hdu.header)
        return seen, np.ascontiguousarray(hdu.data[list(seen.planes)], dtype=np.float32)


def _unzipped(data: bytes) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise StampError(f"cannot be unpacked: {error}") from error
    check_bytes(len(content))
    return content
