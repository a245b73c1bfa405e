"""A small release in memory: real catalogue, made embeddings, some duplicates, stars and objects without position."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from discovery.release.catalogue import Catalogue, write_catalogue
from discovery.search.prompts import Prompt, prompt_from_row
from discovery.stamps.stamp import Stamp

COUNT, DIMENSION, TARGETS = 400, 24, 40


@dataclass(eq=False)
class SmallRelease:
    """What a hunt uses of a release, on arrays."""

    name: str
    path: Path
    vectors: np.ndarray
    catalogue: Catalogue
    encoder_checksum: str = "a" * 64

    @property
    def count(self) -> int:
        return len(self.vectors)

    @property
    def dimension(self) -> int:
        return self.vectors.shape[1]

    @property
    def primary(self) -> np.ndarray:
        return self.catalogue.primary_rows == np.arange(self.count)

    @property
    def clean(self) -> np.ndarray:
        return self.catalogue.clean

    def take(self, rows: np.ndarray) -> np.ndarray:
        return self.vectors[rows]

    def chunks(self, rows_per_chunk: int = 65536) -> Iterator[tuple[int, np.ndarray]]:
        for start in range(0, self.count, rows_per_chunk):
            yield start, self.vectors[start : start + rows_per_chunk]

    def nearest_many(
        self, vectors: np.ndarray, k: int, allowed: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        products = vectors @ self.vectors.T
        products[:, np.zeros(self.count, bool) if allowed is None else ~allowed] = -np.inf
        rows = np.argsort(-products, axis=1, kind="stable")[:, :k]
        similarity = np.take_along_axis(products, rows, axis=1)
        return np.where(np.isfinite(similarity), rows, -1), similarity

    def stamp(self, row: int) -> Stamp:
        name = self.catalogue.rows([row], ["object_id"])["object_id"][0].as_py()
        pixels = np.random.default_rng(row).random((3, 32, 32), dtype=np.float32)
        return Stamp(object_id=name, pixels=pixels, kind="rgb", pixel_scale_arcsec=0.262)


def made_vectors(
    count: int = COUNT, dimension: int = DIMENSION, targets: int = TARGETS, seed: int = 5
) -> np.ndarray:
    """Unit vectors of which the first ``targets`` scatter around a direction of their own."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(count, dimension))
    vectors[:targets] += 3.0 * rng.normal(size=dimension)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def make_release(folder: Path, name: str, vectors: np.ndarray, **columns: list) -> SmallRelease:
    """Write a catalogue with the columns of ours; ``columns`` replaces or adds some."""
    count = len(vectors)
    rows = np.arange(count)
    table = {
        "row": rows,
        "object_id": [f"obj-{row:04d}" for row in rows],
        "ra": 150.0 + rows * 0.01,
        "dec": np.linspace(-5, 5, count),
        "mag_r": 16 + rows % 7 * 1.0,
        "flag_star": rows % 50 == 49,
        **{flag: np.zeros(count, bool) for flag in ("flag_masked", "flag_partial", "flag_artefact")},
        "primary_row": rows,
        "truth_class": ["target" if row < TARGETS else "other" for row in rows],
        **columns,
    }
    (folder / name).mkdir()
    write_catalogue(folder / name / "catalogue.duckdb", [pa.table(table)])
    return SmallRelease(
        name=name,
        path=folder / name,
        vectors=vectors,
        catalogue=Catalogue(folder / name / "catalogue.duckdb", count),
    )


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> SmallRelease:
    """400 objects, the first 40 of them targets, row 399 a duplicate of row 0."""
    primary = np.arange(COUNT)
    primary[COUNT - 1] = 0
    return make_release(tmp_path_factory.mktemp("releases"), "small", made_vectors(), primary_row=primary)


@pytest.fixture(scope="session")
def prompts(release: SmallRelease) -> Callable[..., list[Prompt]]:
    """Make prompts of rows."""
    return lambda *rows: [prompt_from_row(release, row) for row in rows]


@pytest.fixture(scope="session")
def build_release() -> Callable[..., SmallRelease]:
    """`make_release`."""
    return make_release


@pytest.fixture(scope="session")
def build_vectors() -> Callable[..., np.ndarray]:
    """`made_vectors`."""
    return made_vectors
