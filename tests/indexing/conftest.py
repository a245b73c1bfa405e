"""A small survey in the ssl-legacysurvey layout, and a tiny encoder."""

import json
import multiprocessing
from pathlib import Path

import duckdb
import h5py
import numpy as np
import pytest

SIDE = 48


@pytest.fixture(scope="session")
def write_survey():
    """Return a function that writes ``count`` galaxies to a file."""

    def write(path: Path, count: int = 150, seed: int = 0, damaged: tuple[int, ...] = ()) -> Path:
        rng = np.random.default_rng(seed)
        y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2 + 0.5
        sizes, ratios = rng.uniform(2, 7, count), rng.uniform(0.3, 1, count)
        shapes = np.exp(-np.hypot(x[None] / sizes[:, None, None], y[None] / (sizes * ratios)[:, None, None]))
        images = shapes[:, None] * rng.uniform(0.05, 0.5, (count, 3, 1, 1)) + rng.normal(0, 0.004, (count, 3, SIDE, SIDE))
        images[list(damaged), 1] = np.nan
        dec = rng.uniform(-5, 5, count)
        path.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(path, "w") as file:
            file["images"] = images.astype(np.float32)
            file["inds"] = np.arange(count)
            file["ra"], file["dec"] = rng.uniform(149, 152, count), dec
            file["flux"] = images.sum(axis=(2, 3)).astype(np.float32)
            file["ebv"] = rng.uniform(0, 0.2, count).astype(np.float32)
            file["maskbits"] = rng.choice([0, 1 << 1, 1 << 12], count).astype(np.int32)
            file["source_type"] = rng.choice([b"PSF", b"SER", b"DEV"], count)
            file["z_spec"] = np.where(rng.random(count) < 0.5, -99, rng.random(count)).astype(np.float32)
        return path

    return write


@pytest.fixture(scope="session")
def fork_server():
    """The context of one fork server for all tests that start processes: it has imported what they need."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["pytest", "torch", "index.run.engine", "astropy_healpix", "discovery.readers.hdf5.ssl_legacysurvey", "scipy.spatial"]
    )
    return context


@pytest.fixture(scope="session")
def same_release():
    """Return a function that asserts that two releases are the same: bytes of all but the catalogue, that row by row."""
    return _same_release


def _same_release(one: Path, other: Path) -> None:
    names = sorted(path.relative_to(one).as_posix() for path in one.rglob("*"))
    assert names == sorted(path.relative_to(other).as_posix() for path in other.rglob("*"))
    for name in names:
        if name.endswith((".f16", ".faiss", "report.json", ".safetensors", "encoder.json")):
            assert (one / name).read_bytes() == (other / name).read_bytes(), name
    assert _lines(one) == _lines(other)
    manifests = [json.loads((folder / "manifest.json").read_text()) for folder in (one, other)]
    for manifest in manifests:
        del manifest["measured"]
        for segment in manifest["segments"]:
            del segment["made"], segment["survey"]["relative_paths"]
    assert manifests[0] == manifests[1]


def _lines(folder: Path) -> list[tuple]:
    with duckdb.connect(str(folder / "catalogue.duckdb"), read_only=True) as connection:
        return connection.execute("SELECT * FROM objects ORDER BY row").fetchall()
