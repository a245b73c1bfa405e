"""The coadded images of one brick, and stamps cut out of them.

A brick is 3600 x 3600 pixels. Its planes are decoded whole, one after another, when many stamps come
from it (about 200 MB for three bands and their coverage); for single stamps only the compressed tiles that
they touch are decoded.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from discovery.errors import StampError
from discovery.files.fits_blocks import check_complete
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
        exactly 0 was not.

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
        with _opened(path, f"image-{band}") as hdu:
            self.shape: tuple[int, int] = hdu.shape
            wcs = celestial_wcs(hdu.header)
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
            pixels[index][target] = np.where(observed, image, 0)
            covered[index] = np.count_nonzero(observed) / side**2
        return pixels, covered

    def close(self) -> None:
        """Forget the decoded planes."""
        self._planes = {}

    def _window(self, band: str, window: tuple[slice, slice]) -> tuple[np.ndarray, np.ndarray]:
        """Return image (float32) and observed (bool) of a part of the brick."""
        image = self._read(self._images[band], f"image-{band}", window)
        if band in self._invvars:
            observed = self._read(self._invvars[band], f"invvar-{band}", window) > 0
        else:
            observed = image != 0
        return image, observed

    def _read(self, path: Path, name: str, window: tuple[slice, slice]) -> np.ndarray:
        with _opened(path, name) as hdu:
            if hdu.shape != self.shape:
                raise StampError(f"it has {hdu.shape} pixels, other planes {self.shape}")
            return np.asarray(hdu.section[window], np.float32)


class _opened:
    """The image HDU of a coadd file as a context; anything that goes wrong within is a StampError."""

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._name = name
        self._hdus: Any = None

    def __enter__(self) -> Any:
        from astropy.io import fits

        try:
            _check_file(self._path)
            self._hdus = fits.open(self._path, memmap=False, lazy_load_hdus=True)
            hdu = self._hdus[0]
            if hdu.header["NAXIS"] == 0:
                hdu = self._hdus[1]
            if not hdu.is_image or len(hdu.shape) != 2:
                raise StampError("holds no image of rows and columns")
            if max(hdu.shape) > MAX_BRICK_SIDE:
                raise StampError(f"{hdu.shape} pixels; a brick has at most {MAX_BRICK_SIDE} a side")
            return hdu
        except Exception as error:
            self.__exit__(type(error), error, None)
            raise

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self._hdus is not None:
            self._hdus.close()
        if isinstance(error, Exception):
            text = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
            raise StampError(f"{self._name} of the brick cannot be read: {text}") from error


def _check_file(path: Path) -> None:
    n_bytes = path.stat().st_size
    if n_bytes > MAX_BRICK_BYTES:
        raise StampError(f"{n_bytes} bytes; a brick's plane has at most {MAX_BRICK_BYTES}")
    if path.suffix == ".gz":
        with gzip.open(path) as file:
            if len(file.read(MAX_BRICK_BYTES)) == MAX_BRICK_BYTES:
                raise StampError("too large when unpacked")
        return
    with path.open("rb") as file:
        check_complete(file, n_bytes)
