"""Galaxy10 DECaLS: ``images`` uint8 (N, 256, 256, 3) R G B, ``ans`` (class), positions, ``pxscale``."""

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
"""What the numbers of ``ans`` mean."""


class Galaxy10(Hdf5Survey):
    """Galaxy10 files; the column ``ans_class`` spells out ``ans``."""

    format: str = "galaxy10"
    kind: StampKind = "rgb"

    @classmethod
    def claims(cls, images: h5py.Dataset) -> bool:
        """Tell whether ``images`` is uint8 (N, H, W, 3)."""
        return images.ndim == 4 and images.shape[3] == 3 and images.dtype == np.uint8

    def planes(self, stored: np.ndarray) -> np.ndarray:
        """Return display colours 0..1, blue plane first."""
        planes = np.ascontiguousarray(stored[:, :, ::-1].transpose(2, 0, 1))  # (3, H, W)
        return np.divide(planes, np.float32(255), dtype=np.float32)

    def extended(self, table: pa.Table) -> pa.Table:
        """Return the table with the names of the classes."""
        if "ans" not in table.column_names or "ans_class" in table.column_names:
            return table
        names = [
            CLASSES[int(code)] if code is not None and 0 <= int(code) < len(CLASSES) else None
            for code in table.column("ans").to_pylist()
        ]
        return table.append_column("ans_class", pa.array(names, pa.string()))

    def _describe_pixels(self) -> str:
        scale = "scale from pxscale" if "pxscale" in self._types else f"{self._scale:g} arcsec a pixel"
        classes = ", classes of ans spelled out in ans_class" if "ans" in self._types else ""
        return f"display colours R G B of g r z, {scale}{classes}"
