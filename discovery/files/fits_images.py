"""The image of a FITS file, plain, gzipped or compressed: its whole header, and its pixels with NaN where there are none."""

from __future__ import annotations

import contextlib
import gzip
import io
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io.fits import Header

from discovery.errors import StampError
from discovery.files.fits_blocks import BLOCK_BYTES, PRINTABLE, headers

MAGIC = b"SIMPLE  ="
END_CARD = b"END" + b" " * 77
GZIP_MAGIC = b"\x1f\x8b"
MAX_UNPACKED_BYTES = 1 << 32
STORED_TYPES = {8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
EVERYTHING = slice(None)
NOT_INHERITED = re.compile(
    r"(SIMPLE|XTENSION|BITPIX|NAXIS\d*|EXTEND|[PG]COUNT|GROUPS|EXT(NAME|VER|LEVEL)|CHECKSUM|DATASUM|BSCALE|BZERO|BLANK|INHERIT|COMMENT|HISTORY|)$"
)
ABOUT_PIXELS = re.compile(r"(BANDS|BAND\d+|BUNIT)$")
BANDS = re.compile(r"(BANDS|BAND\d+)$")
GEOMETRY = re.compile(r"(WCSAXES|(CTYPE|CRVAL|CRPIX|CDELT|CUNIT|CROTA)\d|(PC|CD|PV)\d+_\d+|(PC|CD)00\d00\d|(LON|LAT)POLE|[AB]P?_.*)$")

Part = int | slice


@dataclass(frozen=True, kw_only=True)
class FitsImage:
    """An image that can be read by parts.

    Attributes
    ----------
    header : astropy.io.fits.Header
        Of the image, with what it inherits from an empty primary header.
    shape : tuple of int
        As NumPy has it, the first axis the slowest.
    dtype : numpy.dtype
        Of what `read` gives: float64 where the file holds that, else float32.
    quantised : bool
        The numbers were stored in steps, so that a pixel of exactly 0 may well have been measured.
    compressed : bool
        Tiles are decoded to read it.
    section : callable
        Returns a part, as `read` does, in any number type.
    """

    header: Header
    shape: tuple[int, ...]
    dtype: np.dtype
    quantised: bool
    compressed: bool
    section: Callable[[tuple[Part, ...]], np.ndarray]

    def read(self, *part: Part) -> np.ndarray:
        """Return a part of the image in its dtype: scaled by BSCALE and BZERO, NaN where it is BLANK."""
        return np.ascontiguousarray(self.section(part), dtype=self.dtype)

    def read_planes(self, planes: Sequence[int], rows: slice = EVERYTHING, columns: slice = EVERYTHING) -> np.ndarray:
        """Return some planes of a cube in the given order, (n, H, W), as `read` does."""
        if self.compressed:
            first, last = min(planes), max(planes) + 1
            return np.ascontiguousarray(self.section((slice(first, last), rows, columns))[[plane - first for plane in planes]], dtype=self.dtype)
        parts = [self.section((plane, rows, columns)) for plane in planes]
        cube = np.empty((len(planes), *parts[0].shape), self.dtype)
        for target, part in zip(cube, parts, strict=True):
            target[:] = part
        return cube


@contextlib.contextmanager
def open_image(source: bytes | Path, *, limit: int = MAX_UNPACKED_BYTES) -> Iterator[FitsImage]:
    """Yield the first image of a FITS file: in the primary HDU, or else in an extension.

    Parameters
    ----------
    source : bytes or Path
        The content or the file; either may be gzipped.
    limit : int
        A gzipped one that is larger when unpacked is refused.

    Raises
    ------
    StampError
        No FITS file, truncated, or without an image.
    """
    with contextlib.ExitStack() as stack:
        data = _content(source, limit)
        if isinstance(data, bytes) and (header := primary_header(data))["NAXIS"] != 0:  # the usual cutout, the quick way
            yield _plain(data, header, _padded(data.find(END_CARD) + 80))
            return
        file: Any
        if isinstance(data, bytes):
            file = io.BytesIO(data)
        else:
            assert isinstance(source, Path), "only a file is mapped"
            file = stack.enter_context(source.open("rb"))
        hdus = list(headers(file, len(data)))
        number, header, start, primary = _find(hdus, len(data))
        if not header.get("ZIMAGE"):
            yield _plain(data, with_inherited(header, primary), start)
            return
        from astropy.io import fits

        file.seek(0)
        head = file.read(start) if isinstance(data, np.ndarray) else b""
        if isinstance(data, bytes) or head != head.translate(PRINTABLE):
            file = io.BytesIO(_printable(bytes(data), hdus))
        file.seek(0)
        hdu = stack.enter_context(fits.open(file, memmap=False, lazy_load_hdus=True, uint=False))[number]
        yield FitsImage(
            header=with_inherited(hdu.header, primary),
            shape=tuple(hdu.shape),
            dtype=_dtype(int(header["ZBITPIX"])),
            quantised=_is_quantised(header),
            compressed=True,
            section=hdu.section.__getitem__,
        )


def primary_header(data: bytes) -> Header:
    """Return the primary header of a FITS file of which `data` is at least the beginning.

    Raises
    ------
    StampError
        No FITS header, or it has no end.
    """
    if not data.startswith(MAGIC):
        raise StampError("no FITS file")
    end = data.find(END_CARD)
    if end < 0 or end % 80:
        raise StampError("truncated: the FITS header has no END")
    return Header.fromstring(data[: end + 80].translate(PRINTABLE))


def image_shape(header: Header) -> tuple[int, ...]:
    """Return the shape that the header of an image states, the first axis the slowest."""
    return tuple(int(header[f"NAXIS{axis}"]) for axis in range(int(header["NAXIS"]), 0, -1))


def with_inherited(header: Header, primary: Header | None) -> Header:
    """Return the header of an extension with the cards that it inherits from an empty primary header.

    Bands and unit count unless INHERIT is F, all other cards where it is T; what the extension says itself comes first,
    and one WCS is never mixed with another.
    """
    inherit = None if primary is None else header.get("INHERIT")
    if primary is None or inherit is False:
        return header
    own = list(header)
    hidden = [pattern for pattern, key in ((BANDS, BANDS), (GEOMETRY, re.compile("CTYPE1$"))) if any(map(key.match, own))]
    for card in primary.cards:
        name = card.keyword
        wanted = ABOUT_PIXELS.match(name) or (inherit is True and not NOT_INHERITED.match(name))
        if wanted and name not in header and not any(pattern.match(name) for pattern in hidden):
            header.append(card)
    return header


def _content(source: bytes | Path, limit: int) -> bytes | np.ndarray:
    """Return the unpacked content; a file that is not gzipped as a memory map."""
    if isinstance(source, bytes):
        return unpacked(io.BytesIO(source), limit) if source.startswith(GZIP_MAGIC) else source
    with source.open("rb") as file:
        if file.read(2) == GZIP_MAGIC:
            file.seek(0)
            return unpacked(file, limit)
    if source.stat().st_size == 0:
        raise StampError("an empty file")
    return np.memmap(source, np.uint8, "r")


def unpacked(file: Any, limit: int) -> bytes:
    """Return the content of a gzipped file.

    Raises
    ------
    StampError
        Damaged, or larger than the limit.
    """
    try:
        with gzip.GzipFile(fileobj=file) as packed:
            content = packed.read(limit + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise StampError(f"cannot be unpacked: {error}") from error
    if len(content) > limit:
        raise StampError(f"more than {limit} bytes when unpacked")
    return content


def _find(hdus: list[tuple[Header, int, int]], n_bytes: int) -> tuple[int, Header, int, Header | None]:
    """Return number, header and start of the data of the image's HDU, and the primary header where that is another."""
    for _, start, length in hdus:
        if start + length > n_bytes:
            raise StampError(f"truncated: {n_bytes} bytes of {start + length}")
    for number, (header, start, _) in enumerate(hdus):
        kind = str(header.get("XTENSION", "IMAGE")).strip()
        if header.get("ZIMAGE") or (kind == "IMAGE" and int(header["NAXIS"]) > 0):
            return number, header, start, hdus[0][0] if number and hdus[0][2] == 0 else None
    raise StampError("holds no image")


def _plain(data: bytes | np.ndarray, header: Header, start: int) -> FitsImage:
    shape = image_shape(header)
    bitpix = int(header["BITPIX"])
    stored = np.dtype(STORED_TYPES[bitpix])
    scale, zero = float(header.get("BSCALE", 1)), float(header.get("BZERO", 0))
    blank = header.get("BLANK") if bitpix > 0 else None
    blank = blank if isinstance(blank, int) else None

    def section(part: tuple[Part, ...]) -> np.ndarray:
        pixels = int(np.prod(shape, dtype=object))
        if len(data) < start + pixels * stored.itemsize:
            raise StampError(f"truncated: {len(data)} bytes of {start + pixels * stored.itemsize}")
        values = np.frombuffer(data, stored, pixels, start).reshape(shape)[part]
        return values if (scale, zero, blank) == (1, 0, None) else _scaled(values, scale, zero, blank)

    return FitsImage(
        header=header, shape=shape, dtype=_dtype(bitpix), quantised=bitpix > 0, compressed=False, section=section
    )


def _scaled(stored: np.ndarray, scale: float, zero: float, blank: int | None) -> np.ndarray:
    """Return physical values of stored ones; the stored integer that means 0 gives exactly that."""
    values = stored * scale + zero
    if stored.dtype.kind != "f" and scale:
        level = round(-zero / scale)
        if abs(level * scale + zero) < 1e-6 * abs(scale):
            values[stored == level] = 0
    if blank is not None:
        values[stored == blank] = np.nan
    return values


def _is_quantised(header: Header) -> bool:
    """Tell whether the header of a compressed image says that its numbers were stored in steps, zeros like others."""
    if int(header["ZBITPIX"]) > 0:
        return True
    columns = {str(header[name]).strip() for name in header if name.startswith("TTYPE")}
    return ("ZSCALE" in columns or "ZSCALE" in header) and str(header.get("ZQUANTIZ", "")).strip() != "SUBTRACTIVE_DITHER_2"


def _dtype(bitpix: int) -> np.dtype:
    return np.dtype(np.float64 if bitpix == -64 else np.float32)


def _printable(data: bytes, hdus: list[tuple[Header, int, int]]) -> bytes:
    """Return a FITS file with every header's unprintable bytes as blanks."""
    clean, position = bytearray(data), 0
    for _, start, length in hdus:
        clean[position:start] = clean[position:start].translate(PRINTABLE)
        position = start + _padded(length)
    return bytes(clean)


def _padded(length: int) -> int:
    return -(-length // BLOCK_BYTES) * BLOCK_BYTES
