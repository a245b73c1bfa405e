"""Nearest neighbours among the embeddings of a release: FAISS, with exact search behind it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from discovery.errors import QueryError, ReleaseError
from discovery.manifest import IndexRecord
from discovery.shards import EmbeddingShards

SCAN_ROWS, SCAN_SHARE = 20_000, 0.1
"""Up to this many allowed rows, and this share of all, comparing with each one is quicker than a filtered index."""


class NeighbourIndex:
    """A FAISS index beside the embeddings it was made of.

    The index proposes rows; similarities are always recomputed from the embeddings, so that they do not
    depend on the kind of index. Where a filter leaves an inexact index with fewer than k rows, all allowed rows
    are compared instead.

    Parameters
    ----------
    structure : faiss.Index
        Inner product over unit vectors, ids = rows.
    shards : EmbeddingShards
        The embeddings.
    record : IndexRecord
        Its kind and the number of cells to visit.
    """

    def __init__(self, structure: Any, shards: EmbeddingShards, record: IndexRecord) -> None:
        self._structure = structure
        self._shards = shards
        self._record = record

    def nearest(
        self, vector: np.ndarray, k: int, allowed: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows most similar to a vector.

        Parameters
        ----------
        vector : numpy.ndarray
            (D,) float32; its length does not matter.
        k : int
            How many, at least 1.
        allowed : numpy.ndarray, optional
            (N,) bool: the rows that may be returned. All by default.

        Returns
        -------
        rows : numpy.ndarray
            (n,) int64, n = min(k, allowed rows), most similar first (ties: lower row first).
        similarity : numpy.ndarray
            (n,) float32 cosines.
        """
        vector = _query(vector, self._shards.dimension)
        possible = self._shards.count if allowed is None else int(np.count_nonzero(allowed))
        wanted = min(_positive(k), possible)
        if wanted == 0:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        if allowed is not None and possible <= min(SCAN_ROWS, SCAN_SHARE * self._shards.count):
            return _ranked(np.flatnonzero(allowed), vector, self._shards, wanted)
        found = self._propose(vector, wanted, allowed, possible)
        if len(found) < wanted:
            return exact_nearest(self._shards, vector, wanted, allowed)
        return _ranked(found, vector, self._shards, wanted)

    def _propose(self, vector: np.ndarray, wanted: int, allowed: np.ndarray | None, possible: int) -> np.ndarray:
        faiss = _faiss()
        bits = None if allowed is None else np.packbits(allowed, bitorder="little")
        selector = None if bits is None else faiss.IDSelectorBitmap(bits)
        options: dict[str, Any] = {} if selector is None else {"sel": selector}
        more = wanted
        if self._record.probes is None:
            parameters = faiss.SearchParameters(**options)
        else:
            share = possible / self._shards.count
            probes = min(self._structure.nlist, math.ceil(self._record.probes / share))
            parameters = faiss.SearchParametersIVF(nprobe=probes, **options)
            more = min(4 * wanted, possible)  # a compressed index ranks roughly: let exact similarities choose
        _, rows = self._structure.search(vector[None], more, params=parameters)
        return rows[0][rows[0] >= 0]


def read_index(path: Path, shards: EmbeddingShards, record: IndexRecord) -> NeighbourIndex:
    """Open a FAISS file.

    Raises
    ------
    ReleaseError
        If it cannot be read or holds another number of rows or dimensions than the embeddings.
    """
    try:
        structure = _faiss().read_index(str(path))
    except RuntimeError as problem:
        raise ReleaseError(f"{path.name} cannot be read: it is missing or damaged. Build the release again.") from problem
    if structure.ntotal != shards.count or structure.d != shards.dimension:
        raise ReleaseError(f"{path.name} does not belong to the embeddings beside it. Build the release again.")
    return NeighbourIndex(structure, shards, record)


def exact_nearest(
    shards: EmbeddingShards, vector: np.ndarray, k: int, allowed: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Compare a vector with every allowed row: the same answer as `NeighbourIndex.nearest`, without an index."""
    vector = _query(vector, shards.dimension)
    best_rows, best = np.empty(0, np.int64), np.empty(0, np.float32)
    for start, chunk in shards.chunks():
        rows = np.arange(start, start + len(chunk))
        similarity = chunk @ vector
        if allowed is not None:
            mine = allowed[start : start + len(chunk)]
            rows, similarity = rows[mine], similarity[mine]
        best_rows, best = _top(np.r_[best_rows, rows], np.r_[best, similarity], k)
    return best_rows, best


def _faiss() -> Any:
    import faiss

    return faiss


def _ranked(rows: np.ndarray, vector: np.ndarray, shards: EmbeddingShards, k: int) -> tuple[np.ndarray, np.ndarray]:
    return _top(rows, shards.take(rows) @ vector, k)


def _top(rows: np.ndarray, similarity: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    if len(rows) > 4 * k:
        kth = np.partition(similarity, len(similarity) - k)[len(similarity) - k]
        rows, similarity = rows[similarity >= kth], similarity[similarity >= kth]
    order = np.lexsort((rows, -similarity))[:k]
    return rows[order].astype(np.int64), similarity[order].astype(np.float32)


def _query(vector: np.ndarray, dimension: int) -> np.ndarray:
    vector = np.asarray(vector, np.float32)
    if vector.shape != (dimension,):
        raise QueryError(f"A query vector of shape {vector.shape} does not fit this release of dimension {dimension}.")
    length = np.linalg.norm(vector)
    if not np.isfinite(length) or length == 0:
        raise QueryError("The query vector is zero or not finite; use other prompts.")
    return vector / length


def _positive(k: int) -> int:
    if k < 1:
        raise QueryError(f"k is {k}; ask for at least 1 object.")
    return int(k)
