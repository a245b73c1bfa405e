"""Stamps a second through the readers, beside plain h5py, Pillow and astropy reading of the same files.

Run ``python tests/benchmarks/read_stamps.py --stamps 2000``. Files are written to a temporary folder first,
and are therefore in the operating system's cache when they are read: what is measured is the reader, not the disk.
"""

from __future__ import annotations

import argparse
import io
import os
import platform
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from PIL import Image

from discovery.readers import open_survey
from discovery.stamps.stamp import Damaged


@dataclass(frozen=True, kw_only=True)
class Case:
    """One format: how it is written, and how it is read plainly.

    Attributes
    ----------
    name : str
        What stands in the table.
    write : callable
        (folder, stamps, side) writes the survey.
    plain : callable or None
        (folder) reads all pixels without the package and returns how many stamps.
    plainly : str
        What the plain reading uses.
    """

    name: str
    write: Callable[[Path, int, int], None]
    plain: Callable[[Path], int] | None
    plainly: str


def main() -> None:
    """Measure every format that was asked for and print the table."""
    options = parse()
    print(
        f"machine: {platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    )
    print(f"load: {os.getloadavg()[0]:.1f}")
    print(f"command: {' '.join(sys.argv)}")
    print(
        f"{'format':24}{'stamps':>8}{'side':>6}{'open s':>8}{'table/s':>10}{'stamps/s':>10}{'plain/s':>10}  plain reading"
    )
    for case in CASES:
        if options.format and options.format not in case.name:
            continue
        with tempfile.TemporaryDirectory(dir=options.dir) as folder:
            measure(case, Path(folder), options)


def parse() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--stamps", type=int, default=1000)
    parser.add_argument("--side", type=int, default=152, help="pixels a side")
    parser.add_argument("--batch", type=int, default=256, help="stamps a read")
    parser.add_argument("--brick-side", type=int, default=3600, help="pixels a side of the brick")
    parser.add_argument("--format", default="", help="only formats whose name holds this")
    parser.add_argument("--dir", default=None, help="where to write the files")
    return parser.parse_args()


def measure(case: Case, folder: Path, options: argparse.Namespace) -> None:
    """Write, read and print one line of the table."""
    if case.write is write_brick:
        write_brick(folder, options.stamps, options.side, options.brick_side)
    else:
        case.write(folder, options.stamps, options.side)
    started = time.perf_counter()
    survey = open_survey(folder, select="all", side_pixels=options.side)
    opened = time.perf_counter()
    survey.table()
    listed = time.perf_counter()
    n_damaged = 0
    for start in range(0, len(survey), options.batch):
        n_damaged += sum(isinstance(stamp, Damaged) for stamp in survey.read(start, start + options.batch))
    done = time.perf_counter()
    plain = ""
    if case.plain is not None:
        before = time.perf_counter()
        plain = f"{case.plain(folder) / (time.perf_counter() - before):.0f}"
    count = len(survey)
    print(
        f"{case.name:24}{count:8}{options.side:6}{opened - started:8.2f}{count / (listed - opened):10.0f}"
        f"{count / (done - listed):10.0f}{plain:>10}  {case.plainly}"
        + f"  ({n_damaged} damaged)"
        * (n_damaged > 0),
        flush=True,
    )


def fluxes(stamps: int, side: int) -> np.ndarray:
    """Return (stamps, 3, side, side) float32 of sky noise."""
    return np.random.default_rng(0).normal(0, 0.02, (stamps, 3, side, side)).astype(np.float32)


def smooth_picture(side: int, seed: int) -> Image.Image:
    """Return a picture that compresses about as well as a galaxy."""
    small = np.random.default_rng(seed).integers(0, 256, (side // 8 + 1, side // 8 + 1, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC)


def write_ssl(folder: Path, stamps: int, side: int) -> None:
    """Write ssl-legacysurvey, contiguous."""
    with h5py.File(folder / "images.h5", "w") as file:
        file["images"] = fluxes(stamps, side)
        file["inds"] = np.arange(stamps)
        file["ra"], file["dec"] = np.linspace(0, 359, stamps), np.linspace(-20, 20, stamps)
        file["flux"] = np.ones((stamps, 3), np.float32)


def write_galaxy10(folder: Path, stamps: int, side: int) -> None:
    """Write Galaxy10, gzipped one stamp a chunk."""
    images = np.stack([np.asarray(smooth_picture(side, seed)) for seed in range(stamps)])
    with h5py.File(folder / "galaxy10.h5", "w") as file:
        file.create_dataset("images", data=images, chunks=(1, side, side, 3), compression="gzip")
        file["ans"] = np.arange(stamps) % 10


def write_cutouts(folder: Path, stamps: int, side: int) -> None:
    """Write FITS cutouts as the viewer does."""
    for index, planes in enumerate(fluxes(stamps, side)):
        header = tan(side, 10 + index * 0.01, 0.5).to_header()
        header["BANDS"] = "grz"
        fits.PrimaryHDU(planes, header).writeto(folder / f"cutout_{index}.fits")


def write_jpegs(folder: Path, stamps: int, side: int) -> None:
    """Write a zip of JPEG."""
    with zipfile.ZipFile(folder / "stamps.zip", "w") as archive:
        for index in range(stamps):
            buffer = io.BytesIO()
            smooth_picture(side, index).save(buffer, "JPEG", quality=90)
            archive.writestr(f"{index}.jpg", buffer.getvalue())


def write_pngs(folder: Path, stamps: int, side: int) -> None:
    """Write a folder of PNG."""
    for index in range(stamps):
        smooth_picture(side, index).save(folder / f"{index}.png")


def write_brick(folder: Path, stamps: int, side: int, brick_side: int = 3600) -> None:
    """Write one fpacked brick with a catalogue."""
    wcs = tan(brick_side, 10.0, 0.5)
    rng = np.random.default_rng(0)
    for plane, value in (("image", 0.02), ("invvar", 2500.0)):
        for band in "grz":
            pixels = rng.normal(
                value if plane == "invvar" else 0, value * 0.02 or 0.02, (brick_side, brick_side)
            )
            packed = fits.CompImageHDU(
                pixels.astype(np.float32), wcs.to_header(), compression_type="RICE_1", tile_shape=(100, 100),
                quantize_level=16, quantize_method=2,
            )  # fmt: skip
            name = f"legacysurvey-0100p005-{plane}-{band}.fits.fz"
            fits.HDUList([fits.PrimaryHDU(), packed]).writeto(folder / name)
    x, y = rng.uniform(side, brick_side - side, (2, stamps))
    ra, dec = wcs.wcs_pix2world(x, y, 0)
    columns = [fits.Column("RA", "D", array=ra), fits.Column("DEC", "D", array=dec)]
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns)]).writeto(
        folder / "tractor-0100p005.fits"
    )


def tan(side: int, ra_deg: float, dec_deg: float) -> WCS:
    """Return the WCS of a square image at 0.262 arcsec a pixel."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [ra_deg, dec_deg]
    wcs.wcs.crpix = [(side + 1) / 2] * 2
    wcs.wcs.cd = np.diag([-0.262 / 3600, 0.262 / 3600])
    return wcs


def plain_hdf5(folder: Path) -> int:
    """Read all images 256 at a time."""
    with h5py.File(next(folder.glob("*.h5"))) as file:
        images = file["images"]
        for start in range(0, len(images), 256):
            images[start : start + 256]
        return len(images)


def plain_fits(folder: Path) -> int:
    """Read every cutout with astropy."""
    paths = list(folder.glob("*.fits"))
    for path in paths:
        np.asarray(fits.getdata(path), np.float32)
    return len(paths)


def plain_zip(folder: Path) -> int:
    """Decode every member with Pillow."""
    with zipfile.ZipFile(folder / "stamps.zip") as archive:
        for name in archive.namelist():
            np.asarray(Image.open(io.BytesIO(archive.read(name))))
        return len(archive.namelist())


def plain_pngs(folder: Path) -> int:
    """Decode every file with Pillow."""
    paths = list(folder.glob("*.png"))
    for path in paths:
        np.asarray(Image.open(path))
    return len(paths)


def plain_brick(folder: Path) -> int:
    """Decode the planes with astropy, once; the count is that of the catalogue, as if cutting took no time."""
    for path in folder.glob("*.fz"):
        fits.getdata(path)
    return len(fits.getdata(folder / "tractor-0100p005.fits"))


CASES = (
    Case(name="ssl-legacysurvey", write=write_ssl, plain=plain_hdf5, plainly="h5py slices of 256"),
    Case(name="galaxy10 (gzip)", write=write_galaxy10, plain=plain_hdf5, plainly="h5py slices of 256"),
    Case(name="fits cutouts", write=write_cutouts, plain=plain_fits, plainly="astropy getdata"),
    Case(name="zip of jpeg", write=write_jpegs, plain=plain_zip, plainly="zipfile and Pillow"),
    Case(name="folder of png", write=write_pngs, plain=plain_pngs, plainly="Pillow"),
    Case(name="brick (fpacked)", write=write_brick, plain=plain_brick, plainly="astropy decodes the planes"),
)

if __name__ == "__main__":
    main()
