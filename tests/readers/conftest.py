"""Small files in exactly the layouts of the real ones, and the truth that is in them."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from PIL import Image

BRICK_SIDE = 400
SCALE_DEG = 0.262 / 3600


@pytest.fixture(scope="session")
def layouts() -> SimpleNamespace:
    """Writers of every layout."""
    return SimpleNamespace(
        ssl=write_ssl,
        paper=write_paper,
        galaxy10=write_galaxy10,
        cutout=write_cutout,
        picture=picture_bytes,
        pictures=write_pictures,
        brick=write_brick,
        tan=tan_wcs,
        planes=galaxy_planes,
    )


def galaxy_planes(side: int, seed: int = 0) -> np.ndarray:
    """Return (3, side, side) float32: a round galaxy, redder inwards, on sky noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    radius = np.hypot(x, y)
    light = np.stack([amount * np.exp(-radius / size) for amount, size in ((0.3, 8), (0.7, 7), (1.2, 6))])
    return (light + rng.normal(0, 0.01, light.shape)).astype(np.float32)


def write_ssl(
    path: Path, rows: int = 6, *, side: int = 152, start: int = 0, without: tuple[str, ...] = ()
) -> np.ndarray:
    """Write an ssl-legacysurvey file; return its images."""
    rng = np.random.default_rng(start + rows)
    images = rng.normal(0, 0.02, (rows, 3, side, side)).astype(np.float32)
    inds = np.arange(start, start + rows)
    columns = {
        "inds": inds,
        "ra": 10 + inds * 0.01,
        "dec": -5 + inds * 0.01,
        "brickid": 300000 + inds.astype(np.int32),
        "objid": (7 * inds).astype(np.int32),
        "release": np.full(rows, 9010, np.int16),
        "flux": rng.uniform(1, 50, (rows, 3)).astype(np.float32),
        "fiberflux": rng.uniform(1, 50, (rows, 3)).astype(np.float32),
        "psfdepth": rng.uniform(100, 900, (rows, 3)).astype(np.float32),
        "psfsize": rng.uniform(1, 2, (rows, 3)).astype(np.float32),
        "ebv": rng.uniform(0, 0.1, rows).astype(np.float32),
        "maskbits": np.zeros(rows, np.int16),
        "source_type": np.array([b"DEV", b"EXP", b"SER"] * rows, "S3")[:rows],
        "z_spec": np.full(rows, -99.0, np.float32),
        "z_phot_mean": np.full(rows, np.nan, np.float32),
    }
    with h5py.File(path, "w") as file:
        file.create_dataset("images", data=images, chunks=(1, 3, side, side))
        for name, values in columns.items():
            if name not in without:
                file[name] = values
    return images


def write_paper(path: Path, rows: int = 4, side: int = 192) -> np.ndarray:
    """Write a stamp file of the human-in-the-loop paper; return its images."""
    images = np.random.default_rng(rows).normal(0, 0.02, (rows, 3, side, side)).astype(np.float32)
    with h5py.File(path, "w") as file:
        file["image"] = images
        file["ra"] = np.linspace(150, 151, rows)
        file["dec"] = np.linspace(2, 3, rows)
    return images


def write_galaxy10(path: Path, rows: int = 10) -> np.ndarray:
    """Write a Galaxy10 DECaLS file; return its images."""
    images = np.random.default_rng(rows).integers(0, 256, (rows, 256, 256, 3), dtype=np.uint8)
    with h5py.File(path, "w") as file:
        file.create_dataset("images", data=images, compression="gzip", chunks=(1, 256, 256, 3))
        file["ans"] = (np.arange(rows) % 10).astype(np.uint8)
        file["ra"] = np.linspace(100, 120, rows)
        file["dec"] = np.linspace(-1, 1, rows)
        file["redshift"] = np.where(np.arange(rows) % 2, 0.05, np.nan)
        file["pxscale"] = np.full(rows, 0.524)
    return images


def tan_wcs(side: int, ra_deg: float, dec_deg: float) -> WCS:
    """Return the WCS of a square image at 0.262 arcsec a pixel, north up, centred at a position."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [ra_deg, dec_deg]
    wcs.wcs.crpix = [(side + 1) / 2] * 2
    wcs.wcs.cd = np.diag([-SCALE_DEG, SCALE_DEG])
    return wcs


def write_cutout(
    path: Path,
    planes: np.ndarray,
    *,
    bands: str | None = "grz",
    at: tuple[float, float] | None = (12.5, -1.25),
) -> None:
    """Write a cutout as the Legacy viewer does."""
    header = tan_wcs(planes.shape[-1], *at).to_header() if at else fits.Header()
    if bands is not None:
        header["BANDS"] = bands
        for index, band in enumerate(bands):
            header[f"BAND{index}"] = band
    fits.PrimaryHDU(planes, header).writeto(path)


def picture_bytes(picture: np.ndarray, kind: str = "PNG") -> bytes:
    """Return an (H, W, 3) or (H, W) uint8 picture as a file."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, kind)
    return buffer.getvalue()


def write_pictures(
    folder: Path, names: list[str], *, side: int = 40, zipped: bool = False
) -> dict[str, np.ndarray]:
    """Write PNG pictures into a folder or into ``stamps.zip`` in it; return them by name."""
    rng = np.random.default_rng(len(names))
    pictures = {name: rng.integers(0, 256, (side, side, 3), dtype=np.uint8) for name in names}
    folder.mkdir(parents=True, exist_ok=True)
    if zipped:
        with zipfile.ZipFile(folder / "stamps.zip", "w") as archive:
            for name, picture in pictures.items():
                archive.writestr(name, picture_bytes(picture))
        return pictures
    for name, picture in pictures.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(picture_bytes(picture))
    return pictures


def write_brick(
    root: Path,
    brick: str = "0100p005",
    *,
    at: tuple[float, float] = (10.0, 0.5),
    bands: str = "grz",
    old: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Write a small Legacy Survey brick: fpacked coadds and a tractor catalogue.

    Returns
    -------
    images : (3, BRICK_SIDE, BRICK_SIDE) float32 as written (before the loss of quantisation)
    places : (N, 2) int row and column of each catalogue line
    """
    rng = np.random.default_rng(int(brick[:4]))
    wcs = tan_wcs(BRICK_SIDE, *at)
    places = np.array(
        [[200, 200], [90, 300], [300, 90], [20, 200], [200, 398], [150, 150], [250, 250], [120, 260]]
    )
    images = rng.normal(0, 0.02, (3, BRICK_SIDE, BRICK_SIDE)).astype(np.float32)
    for row, column in places:
        images[:, row, column] += 5
    invvar = np.full(images.shape, 2500, np.float32)
    invvar[:, :, 360:] = 0
    images[:, :, 360:] = 0
    coadd = root / "south" / "coadd" / brick[:3] / brick
    coadd.mkdir(parents=True)
    for band, image, weight in zip("grz", images, invvar, strict=True):
        if band in bands:
            _write_plane(coadd / f"legacysurvey-{brick}-image-{band}.fits.fz", image, wcs)
            _write_plane(coadd / f"legacysurvey-{brick}-invvar-{band}.fits.fz", weight, wcs)
    tractor = root / "south" / "tractor" / brick[:3]
    tractor.mkdir(parents=True, exist_ok=True)
    _write_tractor(tractor / f"tractor-{brick}.fits", brick, wcs, places, old)
    return images, places


def _write_plane(path: Path, image: np.ndarray, wcs: WCS) -> None:
    header = wcs.to_header()
    header["BUNIT"] = "nanomaggy"
    plane = fits.CompImageHDU(
        image,
        header,
        compression_type="RICE_1",
        tile_shape=(100, 100),
        quantize_level=16,
        quantize_method=2,
        dither_seed=7,
    )
    fits.HDUList([fits.PrimaryHDU(), plane]).writeto(path)


def _write_tractor(path: Path, brick: str, wcs: WCS, places: np.ndarray, old: bool) -> None:
    rows = len(places)
    ra, dec = wcs.wcs_pix2world(places[:, 1], places[:, 0], 0)
    columns: dict[str, np.ndarray] = {
        "release": np.full(rows, 6000 if old else 9010, ">i2"),
        "brickid": np.full(rows, 330000 + int(brick[:4]), ">i4"),
        "brickname": np.full(rows, brick, "S8"),
        "objid": np.arange(rows, dtype=">i4"),
        "brick_primary": np.ones(rows, bool),
        "type": np.array(
            ["DEV", "EXP", "REX", "DEV", "DEV", "PSF", "SIMP" if old else "SER", "COMP" if old else "REX"],
            "S4",
        ),
        "ra": ra.astype(">f8"),
        "dec": dec.astype(">f8"),
        "dchisq": np.ones((rows, 5), ">f4"),
        "ebv": np.full(rows, 0.02, ">f4"),
    }
    for band in "grz":
        columns |= {f"flux_{band}": np.full(rows, 60, ">f4"), f"nobs_{band}": np.full(rows, 3, ">i2")}
        columns |= {
            f"mw_transmission_{band}": np.full(rows, 0.95, ">f4"),
            f"allmask_{band}": np.zeros(rows, ">i2"),
        }
    if old:
        columns |= {
            "shapedev_r": np.ones(rows, ">f4"),
            "shapeexp_r": np.ones(rows, ">f4"),
            "fracdev": np.ones(rows, ">f4"),
        }
        columns["allmask_r"][7] = 1
    else:
        columns = {name.upper(): values for name, values in columns.items()}
        columns |= {
            "SHAPE_R": np.ones(rows, ">f4"),
            "SERSIC": np.ones(rows, ">f4"),
            "MASKBITS": np.zeros(rows, ">i2"),
        }
        columns["MASKBITS"][7] = 1 << 11
    records = np.empty(rows, [(name, v.dtype, v.shape[1:]) for name, v in columns.items()])
    for name, values in columns.items():
        records[name] = values
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU(records)]).writeto(path)
