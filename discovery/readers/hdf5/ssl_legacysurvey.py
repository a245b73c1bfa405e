"""DESI Legacy Imaging Surveys stamps in the ssl-legacysurvey layout (Stein et al. 2021).

Root datasets with N rows: ``images`` float32 (N, 3, 152, 152), bands g r z, nanomaggies, 0.262 arcsec
a pixel; ids, positions and catalogue values beside it, any of which may be absent.
"""

from __future__ import annotations

import h5py
import numpy as np

from discovery.readers.hdf5.survey import Hdf5Survey


class SslLegacySurvey(Hdf5Survey):
    """Any number of ssl-legacysurvey files."""

    format: str = "ssl-legacysurvey"
    layout_scale_arcsec: float | None = 0.262

    @classmethod
    def claims(cls, images: h5py.Dataset) -> bool:
        """Tell whether ``images`` is float (N, 3, H, W)."""
        return images.ndim == 4 and images.shape[1] == 3 and images.dtype.kind == "f"

    def planes(self, stored: np.ndarray) -> np.ndarray:
        """Return the stored planes, which already are g, r, z."""
        return np.ascontiguousarray(stored, np.float32)
