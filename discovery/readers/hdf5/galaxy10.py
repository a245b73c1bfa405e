"""Colour pictures in HDF5, ``images`` uint8 (N, H, W, 3) R G B: Galaxy10 DECaLS, Galaxy10 SDSS, and any other set."""

from __future__ import annotations

import h5py
import numpy as np
import pyarrow as pa

from discovery.readers.hdf5.survey import Hdf5Survey
from discovery.stamps.stamp import StampKind

CLASSES = (
    "disturbed",
    "merging",
    "round smooth",
    "in-between smooth",
    "cigar",
    "barred spiral",
    "unbarred tight spiral",
    "unbarred loose spiral",
    "edge-on without bulge",
    "edge-on with bulge",
)
"""What the numbers of ``ans`` mean in Galaxy10 DECaLS."""

SDSS_CLASSES = (
    "disk face-on without spiral",
    "round smooth",
    "in-between smooth",
    "cigar",
    "edge-on with rounded bulge",
    "edge-on with boxy bulge",
    "edge-on without bulge",
    "tight spiral face-on",
    "medium spiral face-on",
    "loose spiral face-on",
)
"""What they mean in Galaxy10 SDSS (astroNN's documentation of Galaxy10.h5)."""


class ColourPictures(Hdf5Survey):
    """Files of colour pictures of unknown origin: numbers stay numbers, and the scale is what ``pxscale`` or the option says."""

    format: str = "pictures-hdf5"
    kind: StampKind = "rgb"
    classes: tuple[str, ...] = ()
    colours: str = "R G B"

    @classmethod
    def claims(cls, images: h5py.Dataset) -> bool:
        """Tell whether ``images`` is uint8 (N, H, W, 3)."""
        return images.ndim == 4 and images.shape[3] == 3 and images.dtype == np.uint8

    def planes(self, stored: np.ndarray) -> np.ndarray:
        """Return display colours 0..1, blue plane first."""
        planes = np.ascontiguousarray(stored[:, :, ::-1].transpose(2, 0, 1))  # (3, H, W)
        return np.divide(planes, np.float32(255), dtype=np.float32)

    def extended(self, table: pa.Table) -> pa.Table:
        """Return the table with the names of the classes, where the set of files is known."""
        if not self.classes or "ans" not in table.column_names or "ans_class" in table.column_names:
            return table
        names = [
            self.classes[int(code)] if code is not None and 0 <= int(code) < len(self.classes) else None
            for code in table.column("ans").to_pylist()
        ]
        return table.append_column("ans_class", pa.array(names, pa.string()))

    def _describe_pixels(self) -> str:
        scale = f"{self._scale:g} arcsec a pixel" if self._scale else "pixel scale not known"
        scale = "scale from pxscale" if "pxscale" in self._types else scale
        spelled = "spelled out in ans_class" if self.classes else "not spelled out: no known list of classes goes with these files"
        classes = f", classes of ans {spelled}" if "ans" in self._types else ""
        return f"display colours {self.colours}, {scale}{classes}"


class Galaxy10(ColourPictures):
    """Galaxy10 DECaLS: 256 pixels a side, ``ans``, ``pxscale``, positions; ``ans_class`` spells out ``ans``."""

    format: str = "galaxy10"
    classes: tuple[str, ...] = CLASSES
    colours: str = "R G B of g r z"

    @classmethod
    def claims(cls, images: h5py.Dataset) -> bool:
        """Tell whether these are the pictures of Galaxy10 DECaLS."""
        return super().claims(images) and images.shape[1:3] == (256, 256) and {"ans", "pxscale"} <= set(images.parent)


class Galaxy10Sdss(ColourPictures):
    """Galaxy10 SDSS, the older set: 69 pixels a side, ``ans`` of another list of classes; its scale differs from galaxy to galaxy.

    A picture is a third of one of Galaxy Zoo 2, which follows the Petrosian radius: no file tells its scale.
    """

    format: str = "galaxy10-sdss"
    classes: tuple[str, ...] = SDSS_CLASSES
    colours: str = "R G B of g r i"

    @classmethod
    def claims(cls, images: h5py.Dataset) -> bool:
        """Tell whether these are the pictures of Galaxy10 SDSS."""
        return super().claims(images) and images.shape[1:3] == (69, 69) and "ans" in images.parent
