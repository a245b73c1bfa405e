"""Images of three bands in FITS files: read by parts, written by parts, all header cards kept."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.io.fits.verify import VerifyError, VerifyWarning

from discovery.errors import StampError
from discovery.files.fits_images import FitsImage, open_image
from discovery.readers.fits_cutouts import choose_planes, stated_bands
from discovery.readers.flux_units import nanomaggies_a_unit
from discovery.readers.pixel_checks import AREA_PIXELS, check_coverage, unobserved_zeros
from discovery.sky.image_headers import centre_and_scale
from discovery.storage.atomic import made_beside

ROWS_A_PART = 256
NOT_KEPT = ("BSCALE", "BZERO", "BLANK", "CHECKSUM", "DATASUM", "DATAMIN", "DATAMAX")
"""Cards about how the numbers of the input were stored, or what they sum up to: not true of the output."""


class Mosaic:
    """A FITS image of three bands, open for reading. Make one with `open_mosaic`.

    Attributes
    ----------
    name : str
        File name, for messages.
    header : astropy.io.fits.Header
        Of the image; BUNIT is nanomaggy where another unit was converted.
    bands : tuple of str
        g r z (or i), the order in which `read` gives them.
    planes : tuple of int
        Where these stand in the file.
    dtype : numpy.dtype
        float64 where the file holds that, else float32.
    shape : tuple of int
        Height and width.
    """

    def __init__(self, path: Path, image: FitsImage) -> None:
        self.name = path.name
        self.header: fits.Header = _usable_cards(image.header)
        shape = image.shape
        if len(shape) != 3:
            raise StampError(f"an image of {len(shape)} dimensions; needed are three bands, (3, rows, columns)")
        if shape[0] != 3:
            raise StampError(f"{shape[0]} planes; needed are exactly three bands, g r z (or g r i), in one file")
        sky = centre_and_scale(self.header, *shape[1:])
        self._nanomaggies = nanomaggies_a_unit(str(self.header.get("BUNIT", "")), sky and sky[2])
        if self._nanomaggies != 1:
            self.header["BUNIT"] = "nanomaggy"
        self.bands, self.planes = choose_planes(stated_bands(self.header), 3)
        self.dtype = image.dtype
        self.shape = (int(shape[1]), int(shape[2]))
        self._image = image

    def read(self, rows: slice, columns: slice) -> np.ndarray:
        """Return a part (3, h, w) of the image in nanomaggies and its dtype, in the order of ``bands``."""
        part = self._image.read_planes(self.planes, rows, columns)
        return part if self._nanomaggies == 1 else part * self.dtype.type(self._nanomaggies)

    def row_parts(self) -> Iterator[slice]:
        """Yield the image's rows by parts."""
        for start in range(0, self.shape[0], ROWS_A_PART):
            yield slice(start, min(start + ROWS_A_PART, self.shape[0]))

    def unseen(self) -> tuple[np.ndarray, np.ndarray]:
        """Return which pixels hold no measurement, having checked that each band has enough that do.

        Returns
        -------
        broken : numpy.ndarray
            (H, W) bool, not finite in some band.
        empty : numpy.ndarray
            (H, W) bool, exactly 0 in some band and therefore not observed there, see `unobserved_zeros`.

        Raises
        ------
        StampError
            If a band is constant or covers less than half of the image.
        """
        broken, empty = np.zeros(self.shape, bool), np.zeros(self.shape, bool)
        covered, extremes = np.zeros(3), np.array([[np.inf, -np.inf]] * 3)
        for rows in self.row_parts():
            part = self.read(rows, slice(None))
            finite = np.isfinite(part)
            broken[rows] = ~finite.all(axis=0)
            zeros = self._unobserved_zeros(rows, part)
            empty[rows] = zeros.any(axis=0)
            covered += (finite & ~zeros).sum(axis=(1, 2))
            for band in range(3):
                values = part[band][finite[band]]
                if values.size:
                    extremes[band] = min(extremes[band, 0], values.min()), max(extremes[band, 1], values.max())
        extremes[~np.isfinite(extremes).all(axis=1)] = 0
        try:
            check_coverage(covered / (self.shape[0] * self.shape[1]), extremes, self.bands)
        except StampError as problem:
            raise StampError(f"{self.name}: {str(problem).replace('the stamp', 'the image')}") from None
        return broken, empty

    def _unobserved_zeros(self, rows: slice, part: np.ndarray) -> np.ndarray:
        """Return which pixels of some rows are 0 because nothing was observed there, of numbers in steps with a look at the rows around."""
        if not self._image.quantised:
            return unobserved_zeros(part, False)
        first = max(0, rows.start - AREA_PIXELS)
        wide = self.read(slice(first, min(self.shape[0], rows.stop + AREA_PIXELS)), slice(None))
        return unobserved_zeros(wide, True)[:, rows.start - first :][:, : part.shape[1]]


@contextlib.contextmanager
def open_mosaic(path: Path) -> Iterator[Mosaic]:
    """Yield an open FITS image (plain, gzipped, or in the first extension, fpacked or not) of bands g r z or g r i.

    Raises
    ------
    StampError
        No such file, no FITS, truncated, not three bands, or a unit without a certain zero point.
    """
    with contextlib.ExitStack() as stack:
        try:
            mosaic = Mosaic(path, stack.enter_context(open_image(path)))
        except StampError as problem:
            raise StampError(f"{path.name}: {problem}") from None
        except OSError as problem:
            raise StampError(f"{path.name}: cannot be read: {problem.strerror or problem}") from problem
        except Exception as problem:  # astropy raises many types on damaged files
            raise StampError(f"{path.name}: cannot be read as FITS: {first_line(problem)}") from problem
        yield mosaic


def first_line(problem: Exception) -> str:
    """Return the first line of a problem's message, or else its kind."""
    return str(problem).splitlines()[0][:200] if str(problem) else type(problem).__name__


@dataclass(frozen=True, kw_only=True)
class Written:
    """The planes of a file that is being written, as memory maps; both in the order of the input file.

    Attributes
    ----------
    image, residual : numpy.ndarray
        (3, H, W), big-endian; ``residual`` is to become image minus input.
    mask : numpy.ndarray or None
        (H, W) uint8.
    """

    image: np.ndarray
    residual: np.ndarray
    mask: np.ndarray | None


@contextlib.contextmanager
def write_like(mosaic: Mosaic, out: Path, history: list[str], *, overwrite: bool, masked: bool) -> Iterator[Written]:
    """Write a FITS file with the header of another: primary image, extension RESIDUAL, and MASK where wanted.

    The file is made beside and renamed when the block ends well; all planes begin as zeros.

    Raises
    ------
    StampError
        If the file is there and ``overwrite`` is not given, or it cannot be written.
    """
    check_out(out, overwrite)
    shapes: list[tuple[int, ...]] = [(3, *mosaic.shape), (3, *mosaic.shape)] + ([mosaic.shape] if masked else [])
    types = [mosaic.dtype] * 2 + ([np.dtype(np.uint8)] if masked else [])
    try:
        with made_beside(out) as beside:
            offsets = _write_headers(beside, mosaic.header, shapes, types, history)
            maps = [
                np.memmap(beside, dtype.newbyteorder(">"), "r+", offset, shape)
                for dtype, offset, shape in zip(types, offsets, shapes, strict=True)
            ]
            yield Written(image=maps[0], residual=maps[1], mask=maps[2] if masked else None)
            for plane in maps:
                plane.flush()
    except OSError as problem:
        raise StampError(f"{out} cannot be written: {problem.strerror or problem}") from problem


def check_image(path: Path) -> None:
    """Raise StampError if there is no such image, before any work is done."""
    if not path.is_file():
        raise StampError(f"{path.name}: cannot be read: there is no such file")


def check_out(out: Path, overwrite: bool) -> None:
    """Raise StampError if an output cannot be written there, before any work is done."""
    if out.is_dir() or not out.name.lower().endswith((".fits", ".fit")):
        raise StampError(f"'{out}' is no name for the result: give a file that ends in .fits")
    if out.exists() and not overwrite:
        raise StampError(f"{out} exists already; give another --out, or --overwrite")
    if not out.parent.is_dir():
        raise StampError(f"the folder of {out} does not exist; make it first")


def _write_headers(
    path: Path, header: fits.Header, shapes: list[tuple[int, ...]], types: list[np.dtype], history: list[str]
) -> list[int]:
    """Return where the data of each part begin in a file written with all its headers and zeros for data."""
    primary = _primary_header(header, types[0], history)
    offsets, position = [], 0
    with path.open("wb") as file:
        for number, (shape, dtype) in enumerate(zip(shapes, types, strict=True)):
            cards = primary if number == 0 else _extension_header(primary, ("RESIDUAL", "MASK")[number - 1], dtype)
            cards["NAXIS"] = len(shape)
            for axis, length in enumerate(reversed(shape), 1):
                cards[f"NAXIS{axis}"] = length
            text = cards.tostring().encode("ascii")
            file.seek(position)
            file.write(text)
            offsets.append(position + len(text))
            size = int(np.prod(shape)) * dtype.itemsize
            position = offsets[-1] + -(-size // 2880) * 2880
        file.truncate(position)
    return offsets


def _primary_header(header: fits.Header, dtype: np.dtype, history: list[str]) -> fits.Header:
    kept = header.copy(strip=False)
    for name in (*NOT_KEPT, "XTENSION", "PCOUNT", "GCOUNT", "EXTNAME"):
        kept.remove(name, ignore_missing=True, remove_all=True)
    cards = fits.PrimaryHDU(np.zeros((1, 1, 1), dtype), kept).header
    cards.set("EXTEND", True, after="NAXIS3")
    for line in history:
        cards.add_history(line)
    return cards


def _usable_cards(header: fits.Header) -> fits.Header:
    """Return the header without the cards that break the FITS standard beyond repair."""
    kept = fits.Header()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VerifyWarning)
        for card in header.cards:
            with contextlib.suppress(VerifyError, ValueError):
                _ = (str(card), card.value)  # raise for what cannot be written
                kept.append(card, end=True)
    return kept


def _extension_header(primary: fits.Header, name: str, dtype: np.dtype) -> fits.Header:
    """Return the header of an extension: the input's WCS and bands, and what its numbers are."""
    kept = primary.copy(strip=False)
    for dropped in ("HISTORY", "COMMENT", "EXTEND", "SIMPLE"):
        kept.remove(dropped, ignore_missing=True, remove_all=True)
    if name == "MASK":
        kept.remove("BUNIT", ignore_missing=True)
        kept.remove("NAXIS3", ignore_missing=True)
    cards = fits.ImageHDU(np.zeros((1,) * (2 if name == "MASK" else 3), dtype), kept, name=name).header
    cards.add_comment("this image minus the input" if name == "RESIDUAL" else "1 where the image was mended")
    return cards
