"""A small release made by the real pipeline."""

import hashlib
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest

from discovery.encoders.encoder import Encoder
from discovery.release.manifest import Shard
from discovery.release.release import Release, open_release
from discovery.release.shards import EmbeddingShards
from index.cli import index_survey

COUNT, SIDE = 240, 40
DUPLICATES = {31: 30, 200: 10}
"""Positions that show the same object as another one, half an arcsec away."""


def write_survey(path: Path, count: int = COUNT, seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2 + 0.5
    sizes, ratios = rng.uniform(2, 6, count), rng.uniform(0.3, 1, count)
    shapes = np.exp(-np.hypot(x[None] / sizes[:, None, None], y[None] / (sizes * ratios)[:, None, None]))
    images = shapes[:, None] * rng.uniform(0.05, 0.5, (count, 3, 1, 1)) + rng.normal(0, 0.004, (count, 3, SIDE, SIDE))
    ra, dec = rng.uniform(149, 152, count), rng.uniform(1, 3, count)
    for twin, first in DUPLICATES.items():
        ra[twin], dec[twin] = ra[first], dec[first] + 0.5 / 3600
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["images"] = images.astype(np.float32)
        file["inds"] = np.arange(count)
        file["ra"], file["dec"] = ra, dec
        file["flux"] = rng.uniform(-5, 400, (count, 3)).astype(np.float32)
        file["ebv"] = rng.uniform(0, 0.2, count).astype(np.float32)
        file["maskbits"] = rng.choice([0, 0, 0, 1 << 1], count).astype(np.int32)
        file["source_type"] = rng.choice([b"PSF", b"SER", b"DEV", b"EXP"], count)
    return path


def make_release(folder: Path, encoder: Encoder, **changes) -> Path:
    """Write a survey and its release below a folder."""
    survey = write_survey(folder / "survey" / "a.h5")
    options = {"name": "small", "encoder": encoder, "out": folder / "releases", "workers": 0, "shard_positions": 100}
    return index_survey([survey], **{**options, **changes})


@pytest.fixture(scope="session")
def release_folder(tmp_path_factory, small_encoder) -> Path:
    """Read it, do not change it."""
    return make_release(tmp_path_factory.mktemp("small"), small_encoder)


@pytest.fixture(scope="session")
def release(release_folder) -> Release:
    return open_release(release_folder)


@pytest.fixture
def own_folder(tmp_path, release_folder) -> Path:
    """A copy of the small release and its survey, to spoil."""
    import shutil

    shutil.copytree(release_folder.parents[1], tmp_path / "moved")
    return tmp_path / "moved" / "releases" / "small"


@pytest.fixture(scope="session")
def write_shards(tmp_path_factory) -> Callable[..., EmbeddingShards]:
    """A function that stores vectors, made unit vectors, as shards that begin and end at the edges."""

    def write(vectors: np.ndarray, *edges: int) -> EmbeddingShards:
        folder, made = tmp_path_factory.mktemp("shards"), []
        stored = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype("<f2")
        for number, (start, stop) in enumerate(pairwise(edges)):
            data = stored[start:stop].tobytes()
            (folder / f"{number}.f16").write_bytes(data)
            made.append(Shard(file=f"{number}.f16", start=start, stop=stop, rows=stop - start, sha256=hashlib.sha256(data).hexdigest()))
        return EmbeddingShards(folder, made, vectors.shape[1])

    return write
