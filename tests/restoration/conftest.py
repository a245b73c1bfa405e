"""Small images with known light, and small models whose heads change what they see."""

from pathlib import Path

import numpy as np
import pytest
import torch
from astropy.io import fits
from astropy.wcs import WCS

from discovery.encoders.image_heads import MultitaskModel, save_multitask
from discovery.encoders.lvm import LVM, LVMConfig

SCALE_DEG = 0.262 / 3600


def wcs_at(height: int, width: int, ra_deg: float = 150.1, dec_deg: float = 2.2) -> WCS:
    """Return a tangential WCS, turned by 30 degrees, centred in the image."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [ra_deg, dec_deg]
    wcs.wcs.crpix = [(width + 1) / 2, (height + 1) / 2]
    turn = np.radians(30)
    wcs.wcs.cd = SCALE_DEG * np.array([[-np.cos(turn), np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return wcs


@pytest.fixture(scope="session")
def planes() -> np.ndarray:
    """A disk and a compact companion, (3, 120, 100); do not change it."""
    return galaxy()


@pytest.fixture(scope="session", name="write_image")
def image_writer():
    """The function `write_image`."""
    return write_image


@pytest.fixture
def image(tmp_path, planes) -> Path:
    """A file of `planes` with a WCS and cards."""
    return write_image(tmp_path / "image.fits", planes)


def galaxy(height: int = 120, width: int = 100, *, seed: int = 0) -> np.ndarray:
    """Return a disk and a compact companion with sky noise, (3, H, W) float32 nanomaggies, mean sky 0."""
    y, x = np.mgrid[:height, :width]
    radius = np.hypot(y - height / 2, (x - width / 2) / 0.7)
    companion = np.exp(-0.5 * ((y - height / 2 - 20) ** 2 + (x - width / 2 - 15) ** 2) / 2.0**2)
    light = np.stack([amount * (np.exp(-radius / 9) + 0.8 * companion) for amount in (0.15, 0.4, 0.7)])
    return (light + np.random.default_rng(seed).normal(0, 0.006, light.shape)).astype(np.float32)


def write_image(path: Path, planes: np.ndarray, *, bands: str | None = "grz", wcs: bool = True, **cards) -> Path:
    """Write an image with cards that an output must keep."""
    header = wcs_at(*planes.shape[-2:]).to_header() if wcs else fits.Header()
    header["OBSERVER"] = ("Herschel", "kept")
    header.add_comment("a remark of the observer")
    if bands is not None:
        header["BANDS"] = bands
    header.update(cards)
    fits.PrimaryHDU(planes, header).writeto(path)
    return path


def tiny_model(*, strength: float, seed: int = 3) -> MultitaskModel:
    """Return a random model of 64 pixels whose heads add about ``strength`` to the stretched image; 0: nothing."""
    torch.manual_seed(seed)
    config = LVMConfig(embed_dim=16, depths=(1, 1, 1, 1), heads=(2, 2, 2, 2), image_size=64)
    model = MultitaskModel(LVM(config), ("a", "b"))
    for head in (model.restore_head, model.reconstruct_head):
        torch.nn.init.normal_(head.last.weight, std=strength)
    return model.eval()


@pytest.fixture(scope="session")
def strong(tmp_path_factory) -> Path:
    """A model that changes much."""
    folder = tmp_path_factory.mktemp("strong")
    save_multitask(folder, tiny_model(strength=0.05), {"name": "strong"})
    return folder


@pytest.fixture(scope="session")
def idle(tmp_path_factory) -> Path:
    """A model as it is before training: it changes nothing."""
    folder = tmp_path_factory.mktemp("idle")
    save_multitask(folder, tiny_model(strength=0), {"name": "idle"})
    return folder
