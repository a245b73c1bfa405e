"""Training and filling the FAISS structure of a release, and tuning it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import faiss
import msgspec
import numpy as np
from tqdm import tqdm

from discovery.release.manifest import IndexRecord
from discovery.release.shards import EmbeddingShards
from discovery.storage.atomic import put_made
from index.structure.structure_plan import (
    QUICK_BYTES,
    ROWS_A_CELL,
    ROWS_PER_CHUNK,
    SEED,
    StructurePlan,
    dimensions_kept,
    empty_structure,
    inverted_part,
    is_quick,
    plan_kind,
    plan_structure,
    spread_rows,
)
from index.structure.tune import tune

TRANSFORM_ROWS = 65_536
ITERATIONS = 10
"""Of the k-means that makes the cells."""


def index_shards(
    shards: EmbeddingShards, path: Path, *, memory_bytes: int, recall: float, kind: str | None = None
) -> tuple[IndexRecord, dict[str, Any]]:
    """Return how the search structure of some shards is used, and what was measured, once it is planned, built, put in place and tuned.

    Parameters
    ----------
    path : Path
        File that it becomes, in the release's folder.
    memory_bytes : int
        Memory that building it may take.
    kind : str, optional
        FAISS factory string; by default what fits.

    Returns
    -------
    record, measured
        As of `index.structure.tune.tune`.
    """
    if kind is None:
        flat = plan_kind("Flat", shards.count, shards.dimension, recall)
        reduced = None if is_quick(flat, shards.count, memory_bytes, QUICK_BYTES) else dimensions_kept(shards)
        plan = plan_structure(
            shards.count, shards.dimension, memory_bytes, recall, reduced=reduced, quick_bytes=QUICK_BYTES
        )
    else:
        plan = plan_kind(kind, shards.count, shards.dimension, recall)
    put_made(path, lambda beside: build_structure(shards, plan, beside))
    record, measured = tune(faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC), shards, plan)
    return msgspec.structs.replace(record, file=path.name), measured


def build_structure(shards: EmbeddingShards, plan: StructurePlan, path: Path | None = None, *, progress: bool = True) -> Any:
    """Return a FAISS structure, trained on a seeded sample and filled, ids = rows, chunk by chunk; on GPUs where FAISS has some.

    Parameters
    ----------
    path : Path, optional
        File to write it to.

    Returns
    -------
    faiss.Index
        The structure. Read from its file again its codes are memory-mapped.
    """
    structure = empty_structure(plan.kind, shards.dimension)
    if plan.cells is None:
        for _, chunk in shards.chunks(ROWS_PER_CHUNK):
            structure.add(chunk)
    else:
        _train(structure, shards)
        _fill(structure, shards, progress)
    if path is not None:
        faiss.write_index(structure, str(path))
    return structure


def _train(structure: Any, shards: EmbeddingShards) -> None:
    ivf, transform = inverted_part(structure), _transform(structure)
    if transform is not None:
        transform.train(shards.take(spread_rows(shards.count, TRANSFORM_ROWS)))
    rows = spread_rows(shards.count, max(ivf.nlist * ROWS_A_CELL, 2**ivf.sq.bits if hasattr(ivf, "sq") else TRANSFORM_ROWS))
    sample = np.concatenate(
        [_reduced(transform, shards.take(rows[at : at + ROWS_PER_CHUNK])) for at in range(0, len(rows), ROWS_PER_CHUNK)]
    )
    ivf.cp.niter, ivf.cp.seed = ITERATIONS, SEED
    ivf.cp.min_points_per_centroid, ivf.cp.max_points_per_centroid = 1, ROWS_A_CELL
    if faiss.get_num_gpus():
        ivf.clustering_index = faiss.index_cpu_to_all_gpus(faiss.IndexFlatL2(ivf.d))
    ivf.train(sample)
    structure.is_trained = True


def _fill(structure: Any, shards: EmbeddingShards, progress: bool) -> None:
    ivf, transform = inverted_part(structure), _transform(structure)
    assigner = faiss.index_cpu_to_all_gpus(ivf.quantizer) if faiss.get_num_gpus() else ivf.quantizer
    chunks = shards.chunks(ROWS_PER_CHUNK)
    bar = tqdm(chunks, total=-(-shards.count // ROWS_PER_CHUNK), desc="indexing", disable=None if progress else True)
    for start, chunk in bar:
        reduced = _reduced(transform, chunk)
        rows = np.arange(start, start + len(chunk))
        _, cells = assigner.search(reduced, 1)
        ivf.add_core(len(chunk), *(faiss.swig_ptr(array) for array in (reduced, rows, np.ascontiguousarray(cells))))
    structure.ntotal = ivf.ntotal


def _transform(structure: Any) -> Any:
    return faiss.downcast_VectorTransform(structure.chain.at(0)) if hasattr(structure, "chain") else None


def _reduced(transform: Any, vectors: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(vectors) if transform is None else transform.apply(vectors)
