"""The coadded images of one brick, and stamps cut out of them.

A brick is 3600 x 3600 pixels. Its planes are decoded whole, one after another, when many stamps come
from it (about 200 MB for three bands and their coverage); for single stamps only the compressed tiles that
they touch are decoded.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from discovery.errors import StampError
from discovery.files.fits_images import FitsImage, open_image
from discovery.readers.flux_units import nanomaggies_a_unit
from discovery.readers.pixel_checks import fill_holes, unobserved_zeros
from discovery.sky.image_headers import celestial_wcs, pixels_at

MAX_BRICK_SIDE = 8192
MAX_BRICK_BYTES = 1 << 30


class BrickImages:
    """Images of a brick in three bands.

    Parameters
    ----------
    images : mapping of str to Path
        File of each band, in the order of the stamp's channels.
    invvars : mapping of str to Path
        Inverse variance of some or all bands: 0 where a pixel was not observed. Without it a pixel of
        exactly 0 was not; a pixel that is not finite never was.

    Raises
    ------
    StampError
        The first band cannot be read.
    """

    def __init__(self, images: Mapping[str, Path], invvars: Mapping[str, Path]) -> None:
        from astropy.wcs.utils import proj_plane_pixel_area

        self._images = dict(images)
        self._invvars = dict(invvars)
        self._planes: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        band, path = next(iter(self._images.items()))
        with _opened(path, f"image-{band}") as image:
            self.shape: tuple[int, int] = (image.shape[0], image.shape[1])
            wcs = celestial_wcs(image.header)
        if wcs is None:
            raise StampError(f"image-{band} has no WCS")
        self.wcs = wcs
        self.pixel_scale_arcsec = float(np.sqrt(proj_plane_pixel_area(self.wcs)) * 3600)

    def locate(self, ra_deg: np.ndarray, dec_deg: np.ndarray) -> np.ndarray:
        """Return the pixels nearest to positions: (N, 2) int64 row and column, -1 where the WCS has none."""
        x, y = pixels_at(self.wcs, ra_deg, dec_deg)
        places = np.stack([y, x], axis=1)  # (N, 2)
        places[~np.isfinite(places).all(axis=1) | (np.abs(places) > 1e6).any(axis=1)] = -MAX_BRICK_SIDE
        return np.rint(places).astype(np.int64)

    def load(self) -> None:
        """Decode all planes.

        Raises
        ------
        StampError
            A plane is damaged or of another size.
        """
        for band in self._images:
            if band not in self._planes:
                everything = (slice(0, self.shape[0]), slice(0, self.shape[1]))
                self._planes[band] = self._window(band, everything)

    def cut(self, row: int, column: int, side: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the stamp whose pixel (side // 2, side // 2) is the given one.

        Parameters
        ----------
        row, column : int
            Pixel in the brick.
        side : int
            Pixels a side.

        Returns
        -------
        pixels : numpy.ndarray
            (3, side, side) float32 nanomaggies, 0 where nothing was observed or beyond the brick.
        covered : numpy.ndarray
            (3,) observed fraction in each band.

        Raises
        ------
        StampError
            The object is not in the brick, or a plane is damaged.
        """
        if not (0 <= row < self.shape[0] and 0 <= column < self.shape[1]):
            raise StampError("its position is not in the brick's image")
        starts = np.array([row, column]) - side // 2
        first = np.maximum(starts, 0)
        last = np.minimum(starts + side, self.shape)
        inside = (slice(first[0], last[0]), slice(first[1], last[1]))
        target = tuple(slice(a - s, b - s) for a, b, s in zip(first, last, starts, strict=True))
        pixels = np.zeros((len(self._images), side, side), np.float32)
        covered = np.zeros(len(self._images))
        for index, band in enumerate(self._images):
            if band in self._planes:
                image, observed = (plane[inside] for plane in self._planes[band])
            else:
                image, observed = self._window(band, inside)
            pixels[index][target] = np.where(observed | ~np.isfinite(image), image, 0)
            covered[index] = np.count_nonzero(observed) / side**2
        return pixels if np.isfinite(pixels).all() else fill_holes(pixels), covered

    def close(self) -> None:
        """Forget the decoded planes."""
        self._planes = {}

    def _window(self, band: str, window: tuple[slice, slice]) -> tuple[np.ndarray, np.ndarray]:
        """Return image (float32) and observed (bool) of a part of the brick."""
        image, stored = self._read(self._images[band], f"image-{band}", window)
        if band in self._invvars:
            observed = self._read(self._invvars[band], f"invvar-{band}", window)[0] > 0
        else:
            observed = ~unobserved_zeros(image, stored.quantised)
        factor = nanomaggies_a_unit(str(stored.header.get("BUNIT", "")), self.pixel_scale_arcsec)
        return image if factor == 1 else image * np.float32(factor), observed & np.isfinite(image)

    def _read(self, path: Path, name: str, window: tuple[slice, slice]) -> tuple[np.ndarray, FitsImage]:
        with _opened(path, name) as image:
            if image.shape != self.shape:
                raise StampError(f"it has {image.shape} pixels, other planes {self.shape}")
            return image.read(*window).astype(np.float32, copy=False), image


@contextlib.contextmanager
def _opened(path: Path, name: str) -> Iterator[FitsImage]:
    """Yield the image of a coadd file; anything that goes wrong within is a StampError."""
    try:
        n_bytes = path.stat().st_size
        if n_bytes > MAX_BRICK_BYTES:
            raise StampError(f"{n_bytes} bytes; a brick's plane has at most {MAX_BRICK_BYTES}")
        with open_image(path, limit=MAX_BRICK_BYTES) as image:
            if len(image.shape) != 2:
                raise StampError("holds no image of rows and columns")
            if max(image.shape) > MAX_BRICK_SIDE:
                raise StampError(f"{image.shape} pixels; a brick has at most {MAX_BRICK_SIDE} a side")
            yield image
    except Exception as error:  # astropy raises many types on damaged files
        text = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise StampError(f"{name} of the brick cannot be read: {text}") from error
