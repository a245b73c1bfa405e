"""The ssl-legacysurvey layout: HDF5 files of stamps with their catalogue at the root (Stein et al. 2021)."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import h5py
import numpy as np

from discovery.simulation.config import STAMP_PIXELS
from discovery.simulation.targets import Target

if TYPE_CHECKING:
    from discovery.simulation.draw import Drawn

ROWS_PER_FILE = 1_000_000
RELEASE = 9010
"""DR9, south."""

DATASETS: dict[str, tuple[str, tuple[int, ...]]] = {
    "images": ("f4", (3, STAMP_PIXELS, STAMP_PIXELS)),
    "inds": ("i8", ()),
    "ra": ("f8", ()),
    "dec": ("f8", ()),
    "brickid": ("i4", ()),
    "objid": ("i4", ()),
    "release": ("i2", ()),
    "flux": ("f4", (3,)),
    "fiberflux": ("f4", (3,)),
    "psfdepth": ("f4", (3,)),
    "psfsize": ("f4", (3,)),
    "fracin": ("f4", (3,)),
    "nobs": ("i2", (3,)),
    "transmission": ("f4", (3,)),
    "ebv": ("f4", ()),
    "maskbits": ("i4", ()),
    "source_type": ("S3", ()),
    "shape_r": ("f4", ()),
    "shape_e1": ("f4", ()),
    "shape_e2": ("f4", ()),
    "z_spec": ("f4", ()),
    "z_phot_mean": ("f4", ()),
    "z_phot_median": ("f4", ()),
    "z_phot_std": ("f4", ()),
    "z_phot_l68": ("f4", ()),
    "z_phot_u68": ("f4", ()),
    "z_phot_l95": ("f4", ()),
    "z_phot_u95": ("f4", ()),
    "z_training": ("i2", ()),
    "truth_class": ("S10", ()),
}
"""Type and shape of one row of each root dataset.

``flux``, ``shape_r`` (arcsec), ``shape_e1`` and ``shape_e2`` are what the object was drawn with, without noise or PSF, as
a perfect Tractor would find: ``flux`` is what passed the dust, the shape is 0 for stars.
"""


class StampFiles:
    """Writes rows in their order into as many files as they need."""

    def __init__(self, folder: Path, rows: int) -> None:
        self.folder = folder
        self.rows = rows
        self.paths: list[Path] = []
        self._file: h5py.File | None = None
        self._start = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close(whole=kind is None)

    def write(self, target: Target, drawn: Drawn) -> None:
        """Append the next object; targets come in the order of their rows."""
        if target.row % ROWS_PER_FILE == 0:
            self._open(target.row)
        assert self._file is not None
        for name, value in stamp_columns(target, drawn).items():
            self._file[name][target.row - self._start] = value

    def _open(self, start: int) -> None:
        self._close(whole=True)
        stop = min(start + ROWS_PER_FILE, self.rows)
        path = self.folder / f"images_npix{STAMP_PIXELS}_{start:09d}_{stop:09d}.h5"
        self._file = h5py.File(path.with_suffix(".partial"), "w")
        for name, (kind, shape) in DATASETS.items():
            self._file.create_dataset(name, (stop - start, *shape), kind)
        self.paths.append(path)
        self._start = start

    def _close(self, *, whole: bool) -> None:
        if self._file is None:
            return
        unfinished = Path(self._file.filename)
        self._file.close()
        self._file = None
        if whole:
            unfinished.replace(self.paths[-1])
        else:
            unfinished.unlink()


def stamp_columns(target: Target, drawn: Drawn) -> dict[str, object]:
    """Return the value of every dataset for one object."""
    return {
        "images": drawn.pixels,
        "inds": target.row,
        "ra": target.ra_deg,
        "dec": target.dec_deg,
        "brickid": target.brick.brickid,
        "objid": target.objid,
        "release": RELEASE,
        "flux": drawn.flux_nmgy,
        "fiberflux": drawn.fiberflux_nmgy,
        "psfdepth": drawn.exposure.psfdepth,
        "psfsize": drawn.exposure.psfsize_arcsec,
        "fracin": drawn.fracin,
        "nobs": drawn.nobs,
        "transmission": drawn.transmission,
        "ebv": drawn.ebv,
        "maskbits": drawn.maskbits,
        "source_type": drawn.source_type.encode(),
        "shape_r": drawn.shape_r_arcsec,
        "shape_e1": drawn.shape.ellipticity[0],
        "shape_e2": drawn.shape.ellipticity[1],
        "z_spec": drawn.z_spec,
        **_photometric_redshift(target.row, drawn.redshift),
        "z_training": int(drawn.z_spec > 0),
        "truth_class": target.truth_class.encode(),
    }


def _photometric_redshift(row: int, redshift: float) -> dict[str, float]:
    """Return a plausible posterior about the true redshift, -99 where there is none."""
    names = ("mean", "median", "std", "l68", "u68", "l95", "u95")
    if redshift <= 0:
        return {f"z_phot_{name}": -99.0 for name in names}
    spread = 0.02 * (1 + redshift)
    mean = max(redshift + spread * np.random.default_rng([row, 2]).standard_normal(), 0.005)
    low68, low95 = max(mean - spread, 0.001), max(mean - 2 * spread, 0.0005)
    values = (mean, mean, spread, low68, mean + spread, low95, mean + 2 * spread)
    return {f"z_phot_{name}": value for name, value in zip(names, values, strict=True)}
