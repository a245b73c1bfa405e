"""A small labelled survey that the training tests share."""

import csv
import dataclasses
import zipfile

import cv2
import numpy as np
import pytest
import torch

from discovery.encoders.encoder import make_encoder
from discovery.encoders.lvm import LVM, LVMConfig
from discovery.stamps.preprocess import CropConfig


@pytest.fixture(scope="session")
def survey(tmp_path_factory):
    """A folder with a zip of 120 pictures of two kinds, and their labels (column kind)."""
    folder = tmp_path_factory.mktemp("survey")
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:64, :64] - 32
    with zipfile.ZipFile(folder / "stamps.zip", "w") as archive, (folder / "labels.csv").open("w") as table:
        lines = csv.writer(table)
        lines.writerow(["object_id", "file", "kind"])
        for i in range(120):
            narrow = 0.2 if i % 2 else 1.0
            light = np.exp(-(x**2 + (y / narrow) ** 2) / rng.uniform(60, 150))[..., None] * 200
            picture = np.clip(light + rng.normal(10, 4, (64, 64, 3)), 0, 255).astype(np.uint8)
            archive.writestr(f"{i}.png", cv2.imencode(".png", picture)[1].tobytes())
            lines.writerow([f"g{i}", f"{i}.png", "edge_on" if i % 2 else "round"])
    return folder


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """Folder of prepared stamps."""
    return tmp_path_factory.mktemp("stamps")


@pytest.fixture(scope="session")
def encoder():
    """An untrained LVM for stamps of 64 pixels, whose weights are float16 numbers."""
    torch.manual_seed(0)
    config = LVMConfig(embed_dim=16, depths=(1, 1, 1, 1), heads=(2, 2, 2, 2), image_size=64)
    network = LVM(config)
    network.load_state_dict({name: value.half().float() for name, value in network.state_dict().items()})
    about = {"name": "tiny", "architecture": "lvm", "config": dataclasses.asdict(config), "convention": "dr2_rgb", "input_size": 64}
    return make_encoder(network, **about, crop=CropConfig(), device="cpu")


@pytest.fixture(scope="session")
def folder(encoder, tmp_path_factory):
    """The folder of `encoder`."""
    path = tmp_path_factory.mktemp("encoder")
    encoder.save(path, half=True)
    return path


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
