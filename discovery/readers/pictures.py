"""JPEG and PNG pictures as stamps: display colours 0..1, channel 0 the blue plane."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from discovery.errors import StampError
from discovery.readers.pixel_checks import check_side

SUFFIXES = (".jpg", ".jpeg", ".png")
MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")
COLOUR_MODES = ("RGB", "RGBA", "P", "RGBX")


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
        (3, H, W) float32 in 0..1, planes B, G, R of the picture.

    Raises
    ------
    StampError
        No picture, damaged, not square, too large, or without three colours.
    """
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as image:
            width, height = image.size
            check_side(height, width)
            if image.mode not in COLOUR_MODES:
                raise StampError(f"bands are missing: a picture of mode {image.mode}, not of three colours")
            picture = np.asarray(image if image.mode == "RGB" else image.convert("RGB"))  # (H, W, 3)
    except StampError:
        raise
    except Exception as error:  # Pillow's decoders raise many types on damaged data
        raise StampError(f"cannot be decoded as JPEG or PNG: {_first_line(error)}") from error
    planes = np.ascontiguousarray(picture[:, :, ::-1].transpose(2, 0, 1))  # (3, H, W), B G R
    return np.divide(planes, np.float32(255), dtype=np.float32)


def _first_line(error: Exception) -> str:
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return text.split("<_io")[0].strip()[:200]
