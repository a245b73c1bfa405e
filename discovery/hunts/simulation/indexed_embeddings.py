"""Embeddings in memory behind a FAISS IVF index, as a large release has one: what a simulated hunt misses by it counts."""

from __future__ import annotations

from typing import Any

import numpy as np

from discovery.errors import HuntError
from discovery.hunts.simulation.simulate import ArrayEmbeddings

RECALL = 0.95
QUERIES, K = 200, 100
LEAST = 2000


class IndexedEmbeddings(ArrayEmbeddings):
    """Vectors (N, D) whose neighbours an inverted file gives: 4 sqrt(N) cells, as many visited as recall@100 of 0.95 takes
    and, as in a release, more of them in proportion for more neighbours.

    Recall is measured against all vectors with `QUERIES` of them as questions; the index is the same every time.

    Raises
    ------
    HuntError
        There are too few vectors for cells.
    """

    def __init__(self, vectors: np.ndarray) -> None:
        super().__init__(vectors)
        if self.count < LEAST:
            raise HuntError(f"an inverted file of {self.count} vectors is none; give {LEAST} or more")
        faiss = _faiss()
        own = np.ascontiguousarray(self._vectors)
        self._index = faiss.IndexIVFFlat(
            faiss.IndexFlatIP(own.shape[1]), own.shape[1], round(4 * self.count**0.5), faiss.METRIC_INNER_PRODUCT
        )
        self._index.cp.seed = 0
        self._index.cp.min_points_per_centroid = 1
        self._index.train(own)
        self._index.add(own)
        self.recall = self._tuned()

    @property
    def cells(self) -> tuple[int, int]:
        """Cells that a question visits, and cells."""
        return self._index.nprobe, self._index.nlist

    def nearest_many(
        self, vectors: np.ndarray, k: int, allowed: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the k allowed rows that the index finds nearest to each vector (q, D); see `Release.nearest_many`."""
        faiss = _faiss()
        more: dict[str, Any] = {}
        if allowed is not None:
            bits = np.packbits(allowed, bitorder="little")
            more["sel"] = faiss.IDSelectorBitmap(bits)
        parameters = faiss.SearchParametersIVF(nprobe=min(self._index.nprobe * max(k, K) // K, self._index.nlist), **more)
        questions = np.ascontiguousarray(vectors, dtype=np.float32)
        similarity, rows = self._index.search(questions, min(k, self.count), params=parameters)
        return rows.astype(np.int64), similarity

    def _tuned(self) -> float:
        """Visit as few cells as reach the recall; returns what was measured."""
        rows = np.unique(np.linspace(0, self.count - 1, QUERIES).astype(np.int64))
        exact, _ = super().nearest_many(self._vectors[rows], K)
        measured = 0.0
        for probes in range(1, self._index.nlist + 1):
            self._index.nprobe = probes
            found, _ = self.nearest_many(self._vectors[rows], K)
            same = [len(np.intersect1d(one, two)) for one, two in zip(exact, found, strict=True)]
            measured = float(np.mean(same)) / K
            if measured >= RECALL:
                break
        return measured


def _faiss() -> Any:
    import faiss

    return faiss
