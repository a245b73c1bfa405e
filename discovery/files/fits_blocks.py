"""The lengths that a FITS file announces, checked before anything reads its data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

from astropy.io.fits import Header

from discovery.errors import StampError

BLOCK_BYTES = 2880
MAX_HEADER_BLOCKS = 5000
MAX_HDUS = 64
PRINTABLE = bytes(byte if 32 <= byte < 127 else 32 for byte in range(256))
"""Translates a header to what FITS allows in it: a line feed, say, becomes a blank."""


def check_complete(file: IO[bytes], n_bytes: int) -> None:
    """Refuse a FITS file that is shorter than its headers say.

    Parameters
    ----------
    file : binary file
        At its beginning; is left anywhere.
    n_bytes : int
        Its length.

    Raises
    ------
    StampError
        No FITS file, or truncated.
    """
    for _, start, length in headers(file, n_bytes):
        if start + length > n_bytes:
            raise StampError(f"truncated: {n_bytes} bytes of {start + length}")


def headers(file: IO[bytes], n_bytes: int) -> Iterator[tuple[Header, int, int]]:
    """Yield header, start and length of the data of each HDU.

    Raises
    ------
    StampError
        No FITS file, or a header has no end.
    """
    position = 0
    for number in range(MAX_HDUS):
        if position >= n_bytes:
            return
        file.seek(position)
        text = _header_text(file, number)
        if not text:
            return
        header = Header.fromstring(text.translate(PRINTABLE))
        start = position + -(-len(text) // BLOCK_BYTES) * BLOCK_BYTES
        length = _data_bytes(header)
        yield header, start, length
        position = start + -(-length // BLOCK_BYTES) * BLOCK_BYTES


def _header_text(file: IO[bytes], number: int) -> bytes:
    text = bytearray()
    for _ in range(MAX_HEADER_BLOCKS):
        block = file.read(BLOCK_BYTES)
        if not text and not block.startswith((b"SIMPLE  =", b"XTENSION=")):
            if number == 0:
                raise StampError("no FITS file")
            return b""  # filling after the last HDU
        text += block
        for card in range(0, len(block), 80):
            if block[card : card + 80].rstrip() == b"END":
                return bytes(text[: len(text) - len(block) + card + 80])
        if len(block) < BLOCK_BYTES:
            break
    raise StampError("truncated: a FITS header has no END")


def _data_bytes(header: Header) -> int:
    try:
        axes = [int(header[f"NAXIS{axis}"]) for axis in range(1, int(header["NAXIS"]) + 1)]
        if not axes:
            return 0
        pixels = 1
        for length in axes:
            pixels *= length
        groups, extra = int(header.get("GCOUNT", 1)), int(header.get("PCOUNT", 0))
        return abs(int(header["BITPIX"])) // 8 * groups * (extra + pixels)
    except (KeyError, ValueError, TypeError) as error:
        raise StampError(f"a FITS header without a usable size: {error}") from error
