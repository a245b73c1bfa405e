"""Exact scans: one similarity query, eight at once, and the rescorer's MLP-2048, over every row; beside numpy in the same run.

``--data`` scans what ``scale_data.py`` wrote. ``--repeat N`` needs no disk: it scans N rows whose blocks of 65,536 are the first block
of ``--data`` with dimensions permuted and signs flipped, each block in its own way; so a GPU's memory can be filled (76 million rows
of 768 int8 numbers are 58 GB). Numpy reads 65,536 rows at a time as float32 and multiplies.

    python tests/benchmarks/scale_exact.py --data FOLDER --rows 1000000
    python tests/benchmarks/scale_exact.py --data FOLDER --repeat 76000000 --device cuda --dtype int8
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from scale import Memory
from scale_data import ROWS_A_SHARD, open_shards

from discovery.hunts.models.rescorer import Rescorer, RescorerConfig, train_rescorer
from discovery.release.manifest import Shard
from discovery.release.neighbours.exact import ExactEngine
from discovery.release.shards import EmbeddingShards, unit

K = 100


class RepeatedShards(EmbeddingShards):
    """The first shard again and again, each time with other dimensions and signs."""

    def __init__(self, first: EmbeddingShards, rows: int) -> None:
        self._block = np.array(first.shard(0))
        blocks = -(-rows // ROWS_A_SHARD)
        self.folder, self.dimension = first.folder, first.dimension
        self.shards = tuple(
            Shard(file="", start=n * ROWS_A_SHARD, stop=min(rows, (n + 1) * ROWS_A_SHARD), rows=min(rows - n * ROWS_A_SHARD, ROWS_A_SHARD), sha256="")
            for n in range(blocks)
        )
        self._first_rows = np.cumsum([0, *(shard.rows for shard in self.shards)])
        rng = np.random.default_rng(11)
        self._orders = np.stack([rng.permutation(self.dimension) for _ in range(blocks)])
        self._signs = rng.choice(np.array([-1, 1], np.float16), (blocks, self.dimension))

    def shard(self, number: int) -> np.ndarray:
        """Return a block, (rows, D) float16."""
        return self._block[: self.shards[number].rows, self._orders[number]] * self._signs[number]

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Return some rows, (n, D) float32 of unit length."""
        owners, places = np.divmod(np.asarray(rows, np.int64), ROWS_A_SHARD)
        return unit(self._block[places[:, None], self._orders[owners]] * self._signs[owners])


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, required=True)
    options.add_argument("--rows", type=int, default=None)
    options.add_argument("--repeat", type=int, default=None)
    options.add_argument("--device", default=None)
    options.add_argument("--dtype", nargs="+", choices=["float16", "int8"], default=["float16", "int8"])
    options.add_argument("--queries", type=int, default=5)
    options.add_argument("--skip-rescorer", action="store_true", help="on a CPU 10^7 rows take many minutes: 2 x 769 x 2048 multiplications a row")
    asked = options.parse_args()
    shards = open_shards(asked.data, asked.rows)
    if asked.repeat:
        shards = RepeatedShards(shards, asked.repeat)
    print(f"# {platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, torch threads {torch.get_num_threads()}")
    if torch.cuda.is_available():
        print(f"# {torch.cuda.get_device_name()}")
    print(f"# {' '.join(sys.argv)}\n# {shards.count} rows x {shards.dimension}")
    queries = unit(np.load(asked.data / "queries.npy")[: 8 * asked.queries])
    scorer = rescorer(shards)
    print("| engine | made s | 1 query ms | 8 queries ms | MLP-2048 s | TFLOP/s | anonymous GiB | same rows as numpy |\n|---|---|---|---|---|---|---|---|")
    truth = None
    if not asked.repeat:
        seconds, truth = timed(lambda number: by_numpy(shards, queries[8 * number]), min(2, asked.queries))
        print(f"| numpy, float32 chunks | 0 | {1000 * seconds:.0f} | | | | | |", flush=True)
    for dtype in asked.dtype:
        print(line(shards, asked, dtype, queries, scorer, truth), flush=True)


def line(
    shards: EmbeddingShards, asked: argparse.Namespace, dtype: str, queries: np.ndarray, scorer: Rescorer, truth: np.ndarray | None
) -> str:
    """Measure one engine."""
    with Memory() as memory:
        start = time.perf_counter()
        engine = ExactEngine(shards, asked.device, dtype)  # type: ignore[arg-type]
        made = time.perf_counter() - start
        one, found = timed(lambda number: engine.nearest(queries[8 * number][None], K)[0][0], asked.queries)
        eight, _ = timed(lambda number: engine.nearest(queries[8 * number : 8 * number + 8], K)[0], asked.queries)
        scored, rate = float("nan"), float("nan")
        if not asked.skip_rescorer:
            scored, _ = timed(lambda number: engine.top(scorer, 1000)[0], min(3, asked.queries))
            rate = 2 * shards.count * (shards.dimension + 1) * 2048 / scored / 1e12
    same = "" if truth is None else f"{np.mean(truth == found):.3f}"
    return f"| {engine.device.type} {dtype} | {made:.0f} | {1000 * one:.0f} | {1000 * eight:.0f} | {scored:.1f} | {rate:.2f} | {memory.anonymous:.2f} | {same} |"


def rescorer(shards: EmbeddingShards) -> Rescorer:
    """Train the MLP on the neighbours of a row against rows from everywhere."""
    rng = np.random.default_rng(5)
    some = shards.take(np.sort(rng.choice(min(shards.count, ROWS_A_SHARD), 4000, replace=False)))
    near = np.argsort(-(some @ some[0]))
    return train_rescorer(some[near[:20]], some[near[200:260]], some[near[1000:]], 1, RescorerConfig())


def by_numpy(shards: EmbeddingShards, vector: np.ndarray) -> np.ndarray:
    """Return the K nearest rows."""
    similarity = np.concatenate([chunk @ vector for _, chunk in shards.chunks()])
    best = np.argpartition(-similarity, K)[:K]
    return best[np.lexsort((best, -similarity[best]))]


def timed(ask: Callable[[int], np.ndarray], times: int) -> tuple[float, np.ndarray]:
    """Ask once unmeasured; return the median seconds of the next ones and the answer to the first question."""
    first, seconds = ask(0), []
    for number in range(times):
        start = time.perf_counter()
        ask(number)
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds)), first


if __name__ == "__main__":
    main()
