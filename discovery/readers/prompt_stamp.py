"""One stamp by itself: the FITS cutout, JPEG or PNG that a person searches with."""

from __future__ import annotations

from pathlib import Path

from discovery.errors import StampError
from discovery.files.containers import MAX_FILE_BYTES, check_bytes, file_stem
from discovery.files.fits_images import GZIP_MAGIC
from discovery.files.fits_images import MAGIC as FITS_MAGIC
from discovery.readers.pictures import MAGIC as PICTURE_MAGIC
from discovery.readers.stamp_files import decode_stamp
from discovery.stamps.stamp import Stamp


def read_stamp_file(path: Path | str) -> Stamp:
    """Return the stamp in one FITS, JPEG or PNG file.

    Raises
    ------
    StampError
        There is no such file, or it is no usable stamp.
    """
    path = Path(path)
    if not path.is_file():
        raise StampError(f"the stamp {path} does not exist or is no file")
    check_bytes(path.stat().st_size)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StampError(f"the stamp {path} cannot be read: {error.strerror}") from error
    return read_stamp_bytes(data, path.name)


def read_stamp_bytes(data: bytes, name: str, *, max_bytes: int = MAX_FILE_BYTES) -> Stamp:
    """Return the stamp in the content of a FITS, JPEG or PNG file, recognised by how it begins.

    Parameters
    ----------
    data : bytes
        The content.
    name : str
        File name: its stem becomes the object_id; it may hold a position.
    max_bytes : int
        Longer content is refused.

    Raises
    ------
    StampError
        Too long, of no known kind, or no usable stamp. The message begins with the name.
    """
    name = name.replace("\\", "/").rsplit("/", 1)[-1]
    try:
        if len(data) > max_bytes:
            raise StampError(f"{len(data)} bytes; at most {max_bytes} are read")
        check_bytes(len(data))
        if data.startswith((FITS_MAGIC, GZIP_MAGIC)):
            kind = ".fits"
        elif data.startswith(PICTURE_MAGIC):
            kind = ".jpg"
        else:
            raise StampError("neither FITS nor JPEG nor PNG")
        stem = file_stem(name) or "stamp"
        return decode_stamp(data, stem + kind, object_id=stem)
    except StampError as error:
        raise StampError(f"{name}: {error}") from error
