"""Recall@100 and milliseconds of filtered searches, for every decade of selectivity and for filters that help or hinder.

Runs on what ``scale_data.py`` writes, after ``discovery index build``'s own plan; ``--index FILE`` keeps the structure for the next run.

    python tests/benchmarks/filtered_search.py FOLDER --rows 1000000 --queries 20

Filters, each leaving the same share of rows: ``random``; ``towards``, the rows most similar to the query, with noise; ``away``, the
rows nearest to the one that is least similar to the query, as when one looks for red spirals by the example of a blue one;
``least``, the rows least similar to the query: the hardest there is, its best rows lie on a shell around the query.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import faiss
import msgspec
import numpy as np
from scale_data import QUERIES_FILE, open_shards

from discovery.release.manifest import IndexRecord
from discovery.release.neighbours.index import NeighbourIndex, read_index
from discovery.release.shards import EmbeddingShards
from index.structure.structure import index_shards

K = 100
DIRECTIONS = ("random", "towards", "away", "least")


def main() -> None:
    """Build or open, then measure decade by decade."""
    options = parse()
    shards = open_shards(options.folder, options.rows)
    print(f"machine: {platform.machine()}, {os.cpu_count()} cores, FAISS threads {faiss.omp_get_max_threads()}, load {os.getloadavg()[0]:.1f}")
    print(f"command: {' '.join(sys.argv)}")
    index = opened(shards, options)
    queries = np.load(options.folder / QUERIES_FILE)[: options.queries]
    similarity = similarities(shards, queries)
    print(f"{'share':>8} {'rows':>9} {'filter':8} {'recall@100':>10} {'worst':>6} {'median ms':>10} {'p95 ms':>8}")
    for power in range(options.first, 1):
        share = 10.0**power
        if share * shards.count < 1:
            continue
        for direction in DIRECTIONS:
            recalls, times = measured(index, queries, similarity, shards, direction, share)
            print(
                f"{share:8.0e} {round(share * shards.count):9d} {direction:8} {np.mean(recalls):10.4f} {min(recalls):6.2f} "
                f"{np.median(times):10.2f} {np.percentile(times, 95):8.2f}",
                flush=True,
            )
    print(f"largest resident memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB, pages of mapped files counted")


def parse() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="what scale_data.py wrote")
    parser.add_argument("--rows", type=int, default=None, help="the first so many")
    parser.add_argument("--queries", type=int, default=20)
    parser.add_argument("--first", type=int, default=-6, help="exponent of the narrowest share")
    parser.add_argument("--memory", type=float, default=4.0, help="GiB that building the index may take")
    parser.add_argument("--recall", type=float, default=0.95)
    parser.add_argument("--index", type=Path, default=Path("filtered.faiss"), help="file of the structure; opened if it is there")
    return parser.parse_args()


def opened(shards: EmbeddingShards, options: argparse.Namespace) -> NeighbourIndex:
    """Return the index, built if it is not there yet."""
    path = options.index.absolute()
    beside = path.with_suffix(".json")
    if not beside.exists():
        start = time.perf_counter()
        record, found = index_shards(shards, path, memory_bytes=int(options.memory * 2**30), recall=options.recall)
        beside.write_bytes(msgspec.json.encode(record))
        print(f"built and tuned in {time.perf_counter() - start:.0f} s: {found}")
    record = msgspec.json.decode(beside.read_bytes(), type=IndexRecord)
    print(f"{shards.count} rows of {shards.dimension}: {record.kind}, probes {record.probes}, candidates {record.candidates}")
    return read_index(path, shards, record)


def similarities(shards: EmbeddingShards, queries: np.ndarray) -> np.ndarray:
    """Return all cosines, (q, N) float32."""
    similarity = np.empty((len(queries), shards.count), np.float32)
    for start, chunk in shards.chunks():
        similarity[:, start : start + len(chunk)] = queries @ chunk.T
    return similarity


def measured(
    index: NeighbourIndex, queries: np.ndarray, similarity: np.ndarray, shards: EmbeddingShards, direction: str, share: float
) -> tuple[list[float], list[float]]:
    """Return the recall and milliseconds of every query."""
    recalls, times = [], []
    for vector, similar, allowed in zip(queries, similarity, filters(similarity, shards, direction, share), strict=True):
        masked = np.where(allowed, similar, -2)
        truth = np.argpartition(-masked, min(K, allowed.size - 1))[: min(K, np.count_nonzero(allowed))]
        index.nearest(vector, K, allowed)  # warm
        start = time.perf_counter()
        rows, _ = index.nearest(vector, K, allowed)
        times.append(1000 * (time.perf_counter() - start))
        recalls.append(len(np.intersect1d(rows, truth)) / len(truth))
    return recalls, times


def filters(similarity: np.ndarray, shards: EmbeddingShards, direction: str, share: float) -> Iterator[np.ndarray]:
    """Yield a mask for every query that leaves ``share`` of the rows."""
    rng = np.random.default_rng(0)
    if direction == "away":
        far = shards.take(similarity.argmin(axis=1))
        similarity = similarities(shards, far)
    for similar in similarity:
        if direction == "random":
            score = rng.random(similar.size, dtype=np.float32)
        elif direction == "towards":
            score = similar + similar.std() * rng.standard_normal(similar.size, dtype=np.float32)
        else:
            score = similar if direction == "away" else -similar
        count = max(1, round(share * score.size))
        allowed = np.zeros(score.size, bool)
        allowed[np.argpartition(-score, count - 1)[:count]] = True
        yield allowed


if __name__ == "__main__":
    main()
