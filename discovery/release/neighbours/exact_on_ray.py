"""The exact engine over a Ray cluster: each actor holds a range of rows, answers are merged."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import numpy as np

from discovery.errors import ConfigError, LostWorker, QueryError
from discovery.processes.ray_cluster import ray_cluster, ray_result
from discovery.processes.worker_pool import limit_threads
from discovery.release.manifest import Shard
from discovery.release.neighbours.index import at_least_one, unit_queries
from discovery.release.neighbours.top import table, top
from discovery.release.shards import EmbeddingShards

STORE_BYTES = 512 * 2**20
"""Of a cluster on this machine: masks and queries pass through it, embeddings do not."""
ROWS_PER_CHUNK = 65_536
"""Ranges begin at multiples of it, so that an actor computes with the same chunks as a single machine."""


class ClusterEngine:
    """What `discovery.release.neighbours.exact.ExactEngine` is on one machine. Every node must see the release's folder under the same path.

    Close it, or use it in a ``with`` statement: actors hold memory (and a GPU each, where the cluster has some).

    Parameters
    ----------
    shards : EmbeddingShards
        The embeddings.
    address : str, optional
        Of a running Ray cluster, as ``ray.init`` takes it; by default one is started on this machine, and stopped at the end.
    actors : int, optional
        Number of ranges; by default one a GPU of the cluster, or one a node where there is none.
    dtype : str, optional
        As of `discovery.release.neighbours.exact.ExactEngine`.

    Attributes
    ----------
    facts : dict
        What the last digits depend on, for records: device, dtype and number of actors.

    Raises
    ------
    ConfigError
        If Ray is not installed or the cluster cannot be reached.
    """

    def __init__(
        self,
        shards: EmbeddingShards,
        *,
        address: str | None = None,
        actors: int | None = None,
        dtype: Literal["float16", "int8"] | None = None,
    ) -> None:
        if actors is not None and actors < 1:
            raise ConfigError(f"{actors} actors cannot scan; give at least 1.")
        self._shards, self._connection = shards, ExitStack()
        self._actors: list[Any] = []
        self._ray = self._connection.enter_context(ray_cluster(address, store_bytes=STORE_BYTES))
        try:
            self._hire(actors, dtype)
        except BaseException:
            self.close()
            raise

    def _hire(self, actors: int | None, dtype: Literal["float16", "int8"] | None) -> None:
        resources = self._ray.cluster_resources()
        gpus, cpus = int(resources.get("GPU", 0)), resources.get("CPU", 1.0)
        count = actors or gpus or len(self._ray.nodes())
        self._ranges = row_ranges(self._shards.count, count)
        threads = max(1, int(cpus) // len(self._ranges))
        device = actor_device(gpus, len(self._ranges))
        maker = self._ray.remote(_Worker).options(
            scheduling_strategy="SPREAD",
            num_gpus=0 if device == "cpu" else 1,
            num_cpus=0,  # an actor waits for questions most of its life: it must neither block others nor wait for them
        )
        held = (self._shards.folder, self._shards.shards, self._shards.dimension)
        self._actors = [maker.remote(*held, rows, device, dtype, threads) for rows in self._ranges]
        self.facts = {"device": f"ray {device or 'gpu'}", "dtype": dtype or "default", "actors": len(self._ranges)}

    def __enter__(self) -> ClusterEngine:
        """Return itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """End the actors, and the cluster if it was started here."""
        for actor in self._actors:
            self._ray.kill(actor)
        self._actors = []
        self._connection.close()

    def nearest(
        self, vectors: np.ndarray, k: int, allowed: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the k rows most similar to each vector, see `discovery.release.neighbours.exact.ExactEngine.nearest`."""
        vectors = unit_queries(vectors, self._shards.dimension)
        parts = self._answers("nearest", self._ray.put(vectors), at_least_one(k), allowed)
        rows, scores = (np.concatenate(values, axis=1) for values in zip(*parts, strict=True))
        found = [top(mine[mine >= 0], similar[mine >= 0], k) for mine, similar in zip(rows, scores, strict=True)]
        return table(found, k)

    def top(self, scorer: Any, k: int, allowed: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return the k rows that score highest, see `discovery.release.neighbours.exact.ExactEngine.top`.

        With ``allowed`` naming the candidates of a round, only those are read and scored: each actor its own.
        """
        parts = self._answers("top", self._ray.put(scorer), at_least_one(k), allowed)
        rows, scores = (np.concatenate(values) for values in zip(*parts, strict=True))
        return top(rows, scores, k)

    def _answers(self, method: str, query: Any, k: int, allowed: np.ndarray | None) -> list[Any]:
        if allowed is not None and np.shape(allowed) != (self._shards.count,):
            raise QueryError(f"A mask of shape {np.shape(allowed)} does not fit {self._shards.count} rows.")
        calls = [
            getattr(actor, method).remote(query, k, None if allowed is None else allowed[rows.start : rows.stop])
            for actor, rows in zip(self._actors, self._ranges, strict=True)
        ]
        try:
            found: list[Any] = ray_result(self._ray, calls)
        except LostWorker as problem:
            raise ConfigError(f"A machine of the Ray cluster was lost during the search; search again on a whole cluster. {problem}") from problem
        return found


def row_ranges(count: int, parts: int) -> list[range]:
    """Return rows 0..count as at most ``parts`` ranges of whole chunks, as equal as they can be."""
    chunks = -(-count // ROWS_PER_CHUNK)
    bounds = np.unique(np.linspace(0, chunks, min(parts, chunks) + 1).round().astype(int)) * ROWS_PER_CHUNK
    return [range(int(start), min(int(stop), count)) for start, stop in itertools.pairwise(bounds)]


def actor_device(gpus: int, actors: int) -> Literal["cpu"] | None:
    """Return where actors compute: None for each on a GPU of its own where there are enough, else none of them on any."""
    return None if gpus >= actors else "cpu"


class _Worker:
    """One range of rows, in a process of its own."""

    def __init__(
        self,
        folder: Path,
        shards: Sequence[Shard],
        dimension: int,
        rows: range,
        device: Literal["cpu"] | None,
        dtype: Literal["float16", "int8"] | None,
        threads: int,
    ) -> None:
        from discovery.release.neighbours.exact import ExactEngine

        limit_threads(threads)
        self._engine = ExactEngine(EmbeddingShards(folder, shards, dimension), device, dtype, rows=rows)

    def nearest(self, vectors: np.ndarray, k: int, allowed: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Return the nearest rows of the range."""
        return self._engine.nearest(vectors, k, allowed)

    def top(self, scorer: Any, k: int, allowed: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows of the range that score highest."""
        return self._engine.top(scorer, k, allowed)
