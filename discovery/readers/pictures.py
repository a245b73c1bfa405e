"""JPEG and PNG pictures as stamps: display colours 0..1, channel 0 the blue plane.

A grey picture has one band, which is repeated in all three planes. Where a picture is transparent, the black of an empty sky shows. Of
a picture that is not square the central square is the stamp. The orientation that EXIF states counts.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from discovery.errors import StampError
from discovery.readers.pixel_checks import central_square, check_sides

SUFFIXES = (".jpg", ".jpeg", ".png")
MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")
GREY_MODES = {"1": 255, "L": 255, "LA": 255, "I;16": 65535, "I;16B": 65535, "I": 65535}
"""Pillow's modes of one band, and the value that is white."""
ORIENTATION = 0x0112
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns a picture upright, by the orientation that its EXIF states."""


@dataclass(frozen=True, kw_only=True)
class PictureHeader:
    """What the beginning of a picture tells.

    Attributes
    ----------
    grey : bool
        Whether it has one band.
    height, width : int
        Pixels.
    """

    grey: bool
    height: int
    width: int


def read_picture_header(data: bytes) -> PictureHeader | None:
    """Return the header of a picture of which ``data`` is at least the beginning; None where it cannot be read."""
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as image:
            return PictureHeader(grey=image.mode in GREY_MODES, height=image.height, width=image.width)
    except Exception:  # Pillow raises many types on damaged data; the stamp itself is listed as damaged when it is read
        return None


def decode_picture(data: bytes) -> np.ndarray:
    """Return the pixels of a JPEG or PNG.

    The announced size is checked before anything is decoded.

    Parameters
    ----------
    data : bytes
        The file.

    Returns
    -------
    numpy.ndarray
        (3, S, S) float32 in 0..1, planes B, G, R of the picture's central square.

    Raises
    ------
    StampError
        No picture, damaged, or too small or large.
    """
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as image:
            check_sides(image.height, image.width)
            turn = _turn(image)
            return central_square(_planes(image if turn is None else image.transpose(turn)))
    except StampError:
        raise
    except Exception as error:  # Pillow's decoders raise many types on damaged data
        raise StampError(f"cannot be decoded as JPEG or PNG: {_first_line(error)}") from error


def _turn(image: Image.Image) -> Image.Transpose | None:
    """Return how a picture has to be turned so that it lies as every viewer shows it; None where it does."""
    try:
        return UPRIGHT.get(image.getexif().get(ORIENTATION, 1))
    except Exception:  # Pillow raises many types on damaged EXIF, without which a picture is as good
        return None


def _planes(image: Image.Image) -> np.ndarray:
    """Return (3, H, W) float32 in 0..1, planes B, G, R."""
    white = GREY_MODES.get(image.mode)
    if image.has_transparency_data and white != 65535:
        stored = np.asarray(image.convert("LA" if white == 255 else "RGBA"))  # (H, W, bands and alpha)
        shown = stored[:, :, :-1] * (stored[:, :, -1:] / np.float32(255))
    elif white is None:
        shown = np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
    else:
        shown = np.asarray(image.convert("L") if image.mode == "1" else image)[:, :, None]
    planes = np.ascontiguousarray(shown[:, :, ::-1].transpose(2, 0, 1))  # (bands, H, W), B G R
    scaled = np.divide(planes, np.float32(white or 255), dtype=np.float32)
    return scaled if len(scaled) == 3 else np.repeat(scaled, 3, axis=0)


def _first_line(error: Exception) -> str:
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return text.split("<_io")[0].strip()[:200]
