"""The simulated sky as Legacy Survey bricks: fpacked coadds with WCS and a tractor catalogue (DR9).

The stamps of the HDF5 layout, noise included, are laid onto the bricks at their places, so that both
formats show the same pixels (the coadds after the quantisation of fpack); the rest is empty sky.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from discovery.simulation.config import BANDS, PIXEL_SCALE_ARCSEC, STAMP_PIXELS
from discovery.simulation.files.brick_grid import BRICK_PIXELS, Brick
from discovery.simulation.targets import Target

if TYPE_CHECKING:
    pass

REGION = "south"
NOT_PRIMARY = 1
QUANTIZE_LEVEL = 16.0
"""Steps of fpack a sigma of the noise."""


@dataclass(frozen=True, kw_only=True)
class BrickTask:
    """One brick to write: its objects in the order of their objid."""

    folder: Path
    seed: int
    brick: Brick
    targets: tuple[Target, ...]

    def coadd_path(self, plane: str) -> Path:
        """Return the file of a plane such as ``image-g``."""
        name = self.brick.name
        return self.folder / REGION / "coadd" / name[:3] / name / f"legacysurvey-{name}-{plane}.fits.fz"

    @property
    def tractor_path(self) -> Path:
        """The file of the catalogue."""
        name = self.brick.name
        return self.folder / REGION / "tractor" / name[:3] / f"tractor-{name}.fits"


def plan_bricks(folder: Path, seed: int, targets: list[Target]) -> list[BrickTask]:
    """Return one task a brick, in the order of brickid."""
    of_brick: dict[Brick, list[Target]] = {}
    for target in targets:
        of_brick.setdefault(target.brick, []).append(target)
    return [
        BrickTask(folder=folder, seed=seed, brick=brick, targets=tuple(of_brick[brick]))
        for brick in sorted(of_brick, key=lambda brick: brick.brickid)
    ]


def write_brick(task: BrickTask) -> Path:
    """Return the path of the catalogue of a brick, its objects drawn and its files written."""
    from discovery.simulation.draw import draw_target
    from discovery.simulation.files.tractor import tractor_columns

    drawn = [draw_target(task.seed, target) for target in task.targets]
    rng = np.random.default_rng([task.seed, 3, task.brick.brickid])
    for path in (task.coadd_path("image-g"), task.tractor_path):
        path.parent.mkdir(parents=True, exist_ok=True)
    for index, band in enumerate(BANDS):
        sigma = float(np.median([stamp.exposure.sigma_nmgy[index] for stamp in drawn]))
        sky = sigma * rng.standard_normal((BRICK_PIXELS, BRICK_PIXELS), dtype=np.float32)
        image = _lay(sky, task, [stamp.pixels[index] for stamp in drawn])
        _write_plane(task, f"image-{band}", image, band=band)
        flat = np.full((BRICK_PIXELS, BRICK_PIXELS), sigma**-2.0, np.float32)
        _write_plane(task, f"invvar-{band}", _lay(flat, task, [stamp.invvar[index] for stamp in drawn]), band=band)
    outside = np.where(_is_primary(task.brick), 0, NOT_PRIMARY).astype(np.int16)
    _write_plane(task, "maskbits", _lay(outside, task, [stamp.mask for stamp in drawn]))
    _write_table(task.tractor_path, tractor_columns(list(task.targets), drawn))
    return task.tractor_path


def brick_header(brick: Brick, band: str | None = None) -> dict[str, Any]:
    """Return the FITS cards of a coadd: the brick, its TAN projection and the units."""
    step = PIXEL_SCALE_ARCSEC / 3600
    cards: dict[str, Any] = {
        "SURVEY": "SIMULATED",
        "BRICKNAM": brick.name,
        "BRICKID": brick.brickid,
        "CTYPE1": "RA---TAN",
        "CTYPE2": "DEC--TAN",
        "CRVAL1": brick.ra_deg,
        "CRVAL2": brick.dec_deg,
        "CRPIX1": (BRICK_PIXELS + 1) / 2,
        "CRPIX2": (BRICK_PIXELS + 1) / 2,
        "CD1_1": -step,
        "CD1_2": 0.0,
        "CD2_1": 0.0,
        "CD2_2": step,
        "CUNIT1": "deg",
        "CUNIT2": "deg",
        "EQUINOX": 2000.0,
    }
    if band is not None:
        cards |= {"FILTER": band, "MAGZERO": 22.5, "BUNIT": "nanomaggy"}
    return cards


def _lay(plane: np.ndarray, task: BrickTask, stamps: list[np.ndarray]) -> np.ndarray:
    """Put stamps (152, 152) at their places in a plane (3600, 3600)."""
    for target, stamp in zip(task.targets, stamps, strict=True):
        plane[target.y0 : target.y0 + STAMP_PIXELS, target.x0 : target.x0 + STAMP_PIXELS] = stamp
    return plane


def _is_primary(brick: Brick) -> np.ndarray:
    """Return which pixels (3600, 3600) lie within the borders of the brick, not in its overlap."""
    axis = np.arange(BRICK_PIXELS)
    rows = []
    for block in np.array_split(axis, 12):
        ra, dec = brick.sky_position(axis[None, :], block[:, None])
        from_centre = (ra - brick.ra_deg + 180) % 360 - 180
        width = (brick.ra_border_deg[1] - brick.ra_border_deg[0]) / 2
        south, north = brick.dec_border_deg
        rows.append((abs(from_centre) <= width) & (dec >= south) & (dec < north))
    return np.concatenate(rows)


def _write_plane(task: BrickTask, plane: str, image: np.ndarray, band: str | None = None) -> None:
    """Write one tile-compressed image: science planes quantised as fpack does, others without loss."""
    from astropy.io import fits

    header = fits.Header(brick_header(task.brick, band))
    header["IMTYPE"] = plane.split("-")[0]
    if plane.startswith("image"):
        dither_seed = 1 + task.brick.brickid % 10000
        options = {"quantize_level": QUANTIZE_LEVEL, "quantize_method": 2, "dither_seed": dither_seed}
        hdu = fits.CompImageHDU(image, header, compression_type="RICE_1", **options)
    elif plane.startswith("invvar"):
        hdu = fits.CompImageHDU(image, header, compression_type="GZIP_2", quantize_level=0.0)
    else:
        hdu = fits.CompImageHDU(image, header, compression_type="RICE_1")
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(task.coadd_path(plane), overwrite=True)


def _write_table(path: Path, columns: dict[str, np.ndarray]) -> None:
    from astropy.io import fits

    records = np.empty(len(columns["OBJID"]), [(name, values.dtype) for name, values in columns.items()])
    for name, values in columns.items():
        records[name] = values
    table = fits.BinTableHDU(records)
    for column in table.columns:
        column.unit = _unit(column.name)
    table.writeto(path, overwrite=True)


def _unit(name: str) -> str | None:
    if name in ("RA", "DEC"):
        return "deg"
    if name.startswith(("FLUX_IVAR", "PSFDEPTH", "GALDEPTH")):
        return "1/nanomaggy^2"
    if name.startswith(("FLUX_", "FIBERFLUX_")):
        return "nanomaggy"
    return "arcsec" if name == "SHAPE_R" or name.startswith("PSFSIZE") else None
