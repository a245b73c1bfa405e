"""Which search structure a number of rows gets, and the memory that it takes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np

from discovery.errors import ConfigError
from discovery.release.shards import EmbeddingShards

QUICK_BYTES = 512 * 2**20
"""Up to this size comparing with every row takes some tens of milliseconds on one core: ``Flat``."""
KEPT_VARIANCE, KEPT_STEP, KEPT_LEAST = 0.99, 32, 64
"""The codes keep so much of the embeddings' variance: in multiples of 32 dimensions, at least 64."""
SPECTRUM_ROWS = 20_000
MOST_FLAT_CELLS = 16384
"""More cells are found through a graph (HNSW) when rows are added: comparing with all centroids takes too long."""
ROWS_A_CELL = 50
"""Of the k-means that makes the cells."""
GROWTH = 1.5
"""FAISS' lists double their room as they grow: this many times their size on average."""
ROWS_PER_CHUNK = 65_536
PROCESS_BYTES = 512 * 2**20
"""The interpreter with its libraries (0.4 GiB measured) and the working memory of FAISS and BLAS."""
SEED = 20240


@dataclass(frozen=True, kw_only=True)
class StructurePlan:
    """What a search structure will be and take.

    Attributes
    ----------
    kind : str
        FAISS factory string.
    cells : int or None
        Of an inverted file; None for ``Flat``.
    code_bytes : int
        A row, its id not counted.
    building_bytes : int
        Anonymous memory of the whole process at most while the structure is trained, filled and tuned.
    searching_bytes : int
        Anonymous memory of a search: centroids, the cell of every row and one filter. Codes and embeddings are memory-mapped,
        so that what is used of them is the page cache's.
    recall : float
        What `index.structure.tune.tune` shall reach at 10 and at 100 neighbours.
    """

    kind: str
    cells: int | None
    code_bytes: int
    building_bytes: int
    searching_bytes: int
    recall: float


def plan_structure(
    rows: int,
    dimension: int,
    memory_bytes: int,
    recall: float = 0.95,
    *,
    reduced: int | None = None,
    quick_bytes: int = QUICK_BYTES,
) -> StructurePlan:
    """Return the structure for a number of rows and the memory that building it may take.

    ``Flat`` while that is quick; then an inverted file with the finest codes that fit: 8 bits for each of the ``reduced``
    dimensions, or product quantisation after a rotation (OPQ) to a half, a quarter or an eighth of that.

    Parameters
    ----------
    reduced : int, optional
        Dimensions that the codes keep, as `dimensions_kept` finds them; by default at most 128, and 256 for a recall above 0.99.

    Raises
    ------
    ConfigError
        If not even the smallest fits, or the recall is no share.
    """
    if not 0 < recall <= 1:
        raise ConfigError(f"A recall of {recall} is no share; give a share above 0 and at most 1.")
    flat = plan_kind("Flat", rows, dimension, recall)
    if is_quick(flat, rows, memory_bytes, quick_bytes):
        return flat
    kept = reduced or min(dimension, 128 if recall <= 0.99 else 256)
    plans = (plan_kind(kind, rows, dimension, recall) for kind in _kinds(rows, dimension, kept))
    least = 0
    for plan in plans:
        if plan.building_bytes <= memory_bytes:
            return plan
        least = plan.building_bytes
    if flat.building_bytes < least and rows * flat.code_bytes <= quick_bytes:
        least = flat.building_bytes
    needed = math.ceil(100 * least / 2**30) / 100
    raise ConfigError(f"Building an index of {rows} rows needs at least {needed:.2f} GiB; allow more with --memory.")


def is_quick(flat: StructurePlan, rows: int, memory_bytes: int, quick_bytes: int) -> bool:
    """Return whether comparing with every row is quick, and fits into memory."""
    return rows * flat.code_bytes <= quick_bytes and flat.building_bytes <= memory_bytes


def plan_kind(kind: str, rows: int, dimension: int, recall: float = 0.95) -> StructurePlan:
    """Return what a structure of a given kind will take.

    Raises
    ------
    ConfigError
        If it is no FAISS factory string, or of a kind that cannot be used here.
    """
    structure = empty_structure(kind, dimension)
    ivf = inverted_part(structure)
    at_once = min(rows, ROWS_PER_CHUNK)
    if ivf is None:
        building = PROCESS_BYTES + 2 * 4 * dimension * (rows + at_once)  # an array that grows is there twice while it is moved
        return StructurePlan(
            kind=kind, cells=None, code_bytes=4 * dimension, building_bytes=building, searching_bytes=2 * rows, recall=recall
        )
    centroids = ivf.nlist * ivf.d * 4
    chunks = 2 * at_once * (dimension + ivf.d) * 4  # the next one is read while the one before is there
    training = 2 * min(rows, ivf.nlist * ROWS_A_CELL) * ivf.d * 4  # put together from its parts
    filling = int(GROWTH * rows * (ivf.code_size + 8))
    searching = 2 * centroids + rows * (2 if ivf.nlist <= 2**16 else 4) + 2 * rows
    return StructurePlan(
        kind=kind,
        cells=ivf.nlist,
        code_bytes=ivf.code_size,
        building_bytes=PROCESS_BYTES + chunks + centroids + max(training, filling, searching),
        searching_bytes=searching,
        recall=recall,
    )


def dimensions_kept(shards: EmbeddingShards) -> int:
    """Return how many principal components hold `KEPT_VARIANCE` of the embeddings' variance, by a sample."""
    sample = shards.take(spread_rows(shards.count, SPECTRUM_ROWS))
    variances = np.linalg.eigvalsh(np.cov(sample, rowvar=False, dtype=np.float64).reshape(shards.dimension, -1))[::-1]
    shares = np.cumsum(variances) / max(variances.sum(), np.finfo(float).tiny)
    needed = int(np.searchsorted(shares, KEPT_VARIANCE)) + 1
    return min(shards.dimension, max(KEPT_LEAST, KEPT_STEP * -(-needed // KEPT_STEP)))


def empty_structure(kind: str, dimension: int) -> Any:
    """Return the untrained structure of a factory string: inner product for ``Flat``, else distance.

    On unit vectors both give the same order; distances stay right when a transform subtracts a mean.
    """
    metric = faiss.METRIC_INNER_PRODUCT if kind == "Flat" else faiss.METRIC_L2
    try:
        structure: Any = faiss.index_factory(dimension, kind, metric)
    except RuntimeError as problem:
        raise ConfigError(f"'{kind}' is no FAISS factory string for {dimension} dimensions.") from problem
    ivf = inverted_part(structure)
    known = (faiss.IndexIVFFlat, faiss.IndexIVFScalarQuantizer, faiss.IndexIVFPQ)
    if kind != "Flat" and (not isinstance(ivf, known) or (hasattr(structure, "chain") and structure.chain.size() > 1)):
        raise ConfigError(
            f"'{kind}' cannot be used here: give Flat, or IVF with Flat, SQ or PQ codes and at most one transform before it, "
            "such as PCA64,IVF4096,SQ8."
        )
    if isinstance(ivf, faiss.IndexIVFPQ):
        ivf.use_precomputed_table = -1  # gigabytes, to save microseconds
    return structure


def inverted_part(structure: Any) -> Any:
    """Return the inverted file within a structure; None where it has none."""
    ivf = faiss.try_extract_index_ivf(structure)
    return None if ivf is None else faiss.downcast_index(ivf)


def spread_rows(count: int, wanted: int) -> np.ndarray:
    """Return at most ``wanted`` of ``count`` rows, drawn, sorted, the same ones every time."""
    return np.sort(np.random.default_rng(SEED).choice(count, min(count, wanted), replace=False))


def _kinds(rows: int, dimension: int, kept: int) -> Iterator[str]:
    """Yield kinds of inverted file, finest codes first."""
    cells = 2 ** max(4, round(np.log2(2 * np.sqrt(rows))))
    coarse = f"IVF{cells}" if cells <= MOST_FLAT_CELLS else f"IVF{cells}_HNSW32"
    yield f"PCA{kept},{coarse},SQ8" if kept < dimension else f"{coarse},SQ8"
    for share in (2, 4, 8):
        pieces = kept // share
        if pieces and kept % pieces == 0:
            yield f"OPQ{pieces}_{kept},{coarse},PQ{pieces}"
