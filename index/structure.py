"""Choosing, training, filling and measuring the FAISS structure of a release."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from tqdm import tqdm

from discovery.errors import ConfigError
from discovery.manifest import IndexRecord
from discovery.neighbours import NeighbourIndex
from discovery.shards import EmbeddingShards

QUICK_BYTES = 512 * 2**20
"""Up to this size comparing with every row takes some tens of milliseconds on one core: ``Flat``."""
TRAINING_ROWS_A_CELL = 64
RECALL_AIMED_AT = 0.95
QUERIES = 200
SEED = 20240


def choose_kind(rows: int, dimension: int, memory_bytes: int, quick_bytes: int = QUICK_BYTES) -> str:
    """Choose a FAISS factory string for a number of rows and the memory allowed.

    ``Flat`` while that is quick, then ``IVF`` with the least compression that fits: float32, float16, 8 bits a
    number, product quantisation.

    Raises
    ------
    ConfigError
        If not even the smallest fits.
    """
    if rows * dimension * 4 <= min(quick_bytes, memory_bytes):
        return "Flat"
    cells = 2 ** max(4, round(np.log2(4 * np.sqrt(rows))))
    pieces = max(m for m in range(1, dimension // 4 + 1) if dimension % m == 0) if dimension >= 4 else 1
    bytes_a_row = {"Flat": 4 * dimension, "SQfp16": 2 * dimension, "SQ8": dimension, f"PQ{pieces}": pieces}
    overhead = cells * dimension * 4
    for storage, size in bytes_a_row.items():
        if rows * (size + 8) + overhead <= memory_bytes:
            return f"IVF{cells},{storage}"
    needed = (rows * (pieces + 8) + overhead) / 2**30
    raise ConfigError(f"An index of {rows} rows needs at least {needed:.2f} GiB; allow more with --memory.")


def build_structure(shards: EmbeddingShards, kind: str) -> Any:
    """Train (on a seeded sample) and fill a FAISS structure of inner products, ids = rows."""
    structure: Any = faiss.index_factory(shards.dimension, kind, faiss.METRIC_INNER_PRODUCT)
    if not structure.is_trained:
        sample = np.random.default_rng(SEED).permutation(shards.count)[: structure.nlist * TRAINING_ROWS_A_CELL]
        structure.train(shards.take(np.sort(sample)))
    for _, chunk in tqdm(shards.chunks(), total=-(-shards.count // 65536), desc="indexing", disable=None):
        structure.add(chunk)
    return structure


def tune(structure: Any, shards: EmbeddingShards, kind: str) -> tuple[IndexRecord, dict[str, Any]]:
    """Choose how many cells a query visits, and measure recall and time.

    Returns
    -------
    record : IndexRecord
        With the fewest probes (a power of two) that reach recall@10 of 0.95 against exact search.
    measured : dict
        recall_at_10, recall_at_100 (None with fewer rows), milliseconds_a_query (median, 100 neighbours), queries.
    """
    queries = np.sort(np.random.default_rng(SEED).permutation(shards.count)[:QUERIES])
    truth = _exact_neighbours(shards, queries)
    if kind == "Flat":
        record = IndexRecord(kind=kind)
        return record, measure(NeighbourIndex(structure, shards, record), shards, queries, truth)
    probes = 4
    while True:
        record = IndexRecord(kind=kind, probes=min(probes, structure.nlist))
        measured = measure(NeighbourIndex(structure, shards, record), shards, queries, truth)
        if probes >= structure.nlist or measured["recall_at_10"] >= RECALL_AIMED_AT:
            return record, measured
        probes *= 2


def measure(index: NeighbourIndex, shards: EmbeddingShards, queries: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    """Measure recall against exact search and the time of a query, each query being a row that is left out of its answer.

    Parameters
    ----------
    queries : numpy.ndarray
        (q,) rows.
    truth : numpy.ndarray
        (q, n) nearest other rows by exact search, n = min(100, N - 1).
    """
    found, seconds = np.full(truth.shape, -1, np.int64), []
    for number, (row, vector) in enumerate(zip(queries, shards.take(queries), strict=True)):
        start = time.perf_counter()
        rows, _ = index.nearest(vector, truth.shape[1] + 1)
        seconds.append(time.perf_counter() - start)
        others = rows[rows != row][: truth.shape[1]]
        found[number, : len(others)] = others
    return {
        "recall_at_10": _recall(found, truth, 10),
        "recall_at_100": _recall(found, truth, 100),
        "milliseconds_a_query": round(1000 * float(np.median(seconds)), 3),
        "queries": len(queries),
    }


def write_structure(structure: Any, path: Path) -> None:
    """Write the FAISS file."""
    faiss.write_index(structure, str(path))


def _recall(found: np.ndarray, truth: np.ndarray, k: int) -> float | None:
    if truth.shape[1] < k:
        return None
    hits = [len(np.intersect1d(mine[:k], exact[:k])) for mine, exact in zip(found, truth, strict=True)]
    return round(float(np.mean(hits)) / k, 4)


def _exact_neighbours(shards: EmbeddingShards, queries: np.ndarray, k: int = 100) -> np.ndarray:
    k = min(k, shards.count - 1)
    vectors = shards.take(queries)
    best = np.full((len(queries), k), -np.inf, np.float32)
    rows = np.full((len(queries), k), -1, np.int64)
    for start, chunk in shards.chunks():
        similarity = vectors @ chunk.T
        own = np.flatnonzero((queries >= start) & (queries < start + len(chunk)))
        similarity[own, queries[own] - start] = -np.inf
        all_similar = np.concatenate([best, similarity], axis=1)
        all_rows = np.concatenate([rows, np.broadcast_to(np.arange(start, start + len(chunk)), similarity.shape)], axis=1)
        order = np.argsort(-all_similar, axis=1, kind="stable")[:, :k]
        best, rows = np.take_along_axis(all_similar, order, 1), np.take_along_axis(all_rows, order, 1)
    return rows
