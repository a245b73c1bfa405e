"""Milliseconds a query: a release's index, with and without a filter, beside raw FAISS and numpy brute force.

Run ``python tests/benchmarks/search.py --rows 100000 --dimension 384``. Embeddings are made (clusters on the unit
sphere) and every way of searching runs on the same ones in the same run. ``--memory`` and ``--quick`` force other index kinds.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from discovery.release.manifest import Shard
from discovery.release.neighbours.index import NeighbourIndex
from discovery.release.shards import EmbeddingShards
from index.structure.structure import build_structure
from index.structure.structure_plan import plan_structure
from index.structure.tune import tune

SHARD_ROWS = 65536


def main() -> None:
    """Build once, measure every way of searching, print the table."""
    options = parse()
    if options.threads:
        faiss.omp_set_num_threads(options.threads)
    print(f"machine: {platform.machine()}, {os.cpu_count()} cores, FAISS threads {faiss.omp_get_max_threads()}, load {os.getloadavg()[0]:.1f}")
    print(f"command: {' '.join(sys.argv)}")
    with tempfile.TemporaryDirectory(dir=options.dir) as folder:
        shards = write_shards(Path(folder), options.rows, options.dimension)
        plan = plan_structure(
            options.rows, options.dimension, int(options.memory * 2**30), quick_bytes=int(options.quick * 2**20)
        )
        start = time.perf_counter()
        structure = build_structure(shards, plan)
        record, measured = tune(structure, shards, plan)
        print(f"{options.rows} rows of {options.dimension}: {record.kind}, probes {record.probes}, built and tuned in {time.perf_counter() - start:.1f} s")
        print(f"recall@10 {measured['recall_at_10']}, recall@100 {measured['recall_at_100']}")
        measure(NeighbourIndex(structure, shards, record), structure, record.probes, shards, options)


def parse() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dimension", type=int, default=384)
    parser.add_argument("--queries", type=int, default=50)
    parser.add_argument("-k", type=int, default=20)
    parser.add_argument("--memory", type=float, default=4.0, help="GiB that the index may take")
    parser.add_argument("--quick", type=float, default=512.0, help="MiB up to which the index is Flat")
    parser.add_argument("--threads", type=int, default=0, help="FAISS threads; all by default")
    parser.add_argument("--dir", default=None, help="folder for the embeddings")
    return parser.parse_args()


def write_shards(folder: Path, rows: int, dimension: int) -> EmbeddingShards:
    """Write clustered unit vectors as embedding shards."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(200, dimension)).astype(np.float32)
    shards = []
    for start in range(0, rows, SHARD_ROWS):
        count = min(SHARD_ROWS, rows - start)
        vectors = centres[rng.integers(0, len(centres), count)] + 0.7 * rng.normal(size=(count, dimension)).astype(np.float32)
        data = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype("<f2").tobytes()
        file = f"{start:09d}.f16"
        (folder / file).write_bytes(data)
        shards.append(Shard(file=file, start=start, stop=start + count, rows=count, sha256=hashlib.sha256(data).hexdigest()))
    return EmbeddingShards(folder, shards, dimension)


def measure(index: NeighbourIndex, structure: Any, probes: int | None, shards: EmbeddingShards, options: argparse.Namespace) -> None:
    """Print milliseconds a query of each way."""
    queries = shards.take(np.random.default_rng(1).integers(0, shards.count, options.queries))
    whole = np.concatenate([chunk for _, chunk in shards.chunks()])
    half, few = (np.random.default_rng(2).random(shards.count) < share for share in (0.5, 0.01))
    k, raw = options.k, faiss.SearchParameters()
    if probes is not None:
        inverted = faiss.SearchParametersIVF(nprobe=probes)
        raw = faiss.SearchParametersPreTransform(index_params=inverted) if hasattr(structure, "chain") else inverted

    def brute(query: np.ndarray) -> None:
        similarity = whole @ query
        best = np.argpartition(similarity, -k)[-k:]
        best[np.argsort(-similarity[best])]

    ways: dict[str, Callable[[np.ndarray], object]] = {
        "release index": lambda query: index.nearest(query, k),
        "release index, 50 % allowed": lambda query: index.nearest(query, k, half),
        "release index, 1 % allowed": lambda query: index.nearest(query, k, few),
        "raw FAISS": lambda query: structure.search(query[None], k, params=raw),
        "numpy brute force": brute,
    }
    print(f"{'way':30}{'median ms':>12}{'90 % ms':>10}")
    for name, way in ways.items():
        way(queries[0])
        times = []
        for query in queries:
            start = time.perf_counter()
            way(query)
            times.append(1000 * (time.perf_counter() - start))
        print(f"{name:30}{np.median(times):12.2f}{np.percentile(times, 90):10.2f}")


if __name__ == "__main__":
    main()
