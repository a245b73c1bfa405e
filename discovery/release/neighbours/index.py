"""Nearest neighbours among the embeddings of a release: FAISS proposes, the embeddings decide."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from discovery.errors import QueryError, ReleaseError
from discovery.release.manifest import IndexRecord
from discovery.release.neighbours.inverted_file import Cells, Proposal, RowFilter, load_faiss
from discovery.release.neighbours.top import RunningTop, table, top
from discovery.release.shards import EmbeddingShards

SCAN_SHARE, SCAN_LEAST, SCAN_MOST = 1 / 500, 4_000, 20_000
"""Up to this share of all rows, within two bounds, the allowed ones are all compared: quicker than looking for them among the
codes of all, and nothing can be missed."""
FIRST_COMPARED, SIGMAS = 500, 2.0
"""Of many proposed rows so many are compared first, then twice as many again, until the others are worse by so many errors of the codes."""
PAGE = 100
"""An index record's ``probes`` and ``candidates`` are for so many neighbours; more neighbours get more of both."""
LEAST_CANDIDATES = 4
"""Candidates a neighbour of an index whose record does not say how many."""
QUERIES_AT_ONCE = 64


class NeighbourIndex:
    """A FAISS index beside the embeddings it was made of.

    The index proposes rows; similarities are always recomputed from the embeddings, so that they do not
    depend on the kind of index. What a filter does: see `discovery.release.neighbours.inverted_file.Cells`.

    Parameters
    ----------
    structure : faiss.Index
        ``Flat`` or IVF over unit vectors, ids = rows.
    shards : EmbeddingShards
        The embeddings.
    record : IndexRecord
        Its kind, the number of cells to visit and of candidates to compare.
    """

    def __init__(self, structure: Any, shards: EmbeddingShards, record: IndexRecord) -> None:
        self._structure = structure
        self._shards = shards
        self._record = record
        self._cells = None if record.probes is None else Cells(structure)

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
        return self._found(unit_query(vector, self._shards.dimension)[None], at_least_one(k), allowed)[0]

    def nearest_many(
        self, vectors: np.ndarray, k: int, allowed: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows most similar to each of many vectors.

        Parameters
        ----------
        vectors : numpy.ndarray
            (q, D) float32; their lengths do not matter.
        k, allowed
            As in `nearest`.

        Returns
        -------
        rows : numpy.ndarray
            (q, k) int64, most similar first, -1 where there are fewer.
        similarity : numpy.ndarray
            (q, k) float32 cosines, minus infinity where there are fewer.
        """
        vectors = unit_queries(vectors, self._shards.dimension)
        return table(self._found(vectors, at_least_one(k), allowed), k)

    def _found(self, vectors: np.ndarray, k: int, allowed: np.ndarray | None) -> list[tuple[np.ndarray, np.ndarray]]:
        filter_ = None if allowed is None else RowFilter(allowed)
        possible = self._shards.count if filter_ is None else filter_.count
        wanted = min(k, possible)
        if wanted == 0:
            return [(np.empty(0, np.int64), np.empty(0, np.float32))] * len(vectors)
        if filter_ is not None and possible <= np.clip(SCAN_SHARE * self._shards.count, SCAN_LEAST, SCAN_MOST):
            return self._ranked([filter_.rows] * len(vectors), vectors, wanted)
        if possible <= 2 * wanted:
            return [exact_nearest(self._shards, vector, wanted, allowed) for vector in vectors]
        if self._cells is None or self._record.probes is None:
            return self._ranked(self._flat(vectors, wanted, filter_), vectors, wanted)
        found = self._compared(self._propose(self._cells, vectors, wanted, filter_, possible), vectors, wanted)
        for place, (rows, _) in enumerate(found):
            if len(rows) < wanted:  # an inexact index, when nearly all that there is was requested
                found[place] = exact_nearest(self._shards, vectors[place], wanted, allowed)
        return found

    def _propose(
        self, cells: Cells, vectors: np.ndarray, wanted: int, filter_: RowFilter | None, possible: int
    ) -> list[Proposal]:
        pages = max(1.0, wanted / PAGE)
        tuned = self._record.candidates
        candidates = LEAST_CANDIDATES * wanted if tuned is None else math.ceil(tuned * pages)
        probes = math.ceil((self._record.probes or 1) * pages)
        return cells.propose(vectors, min(max(candidates, wanted), possible), probes, filter_)

    def _flat(self, vectors: np.ndarray, wanted: int, filter_: RowFilter | None) -> Sequence[np.ndarray]:
        options = {} if filter_ is None else {"sel": filter_.selector}
        _, rows = self._structure.search(vectors, wanted, params=load_faiss().SearchParameters(**options))
        return list(rows)

    def _compared(
        self, proposals: list[Proposal], vectors: np.ndarray, wanted: int
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        tuned = [place for place, proposal in enumerate(proposals) if proposal.tuned]
        ranked = iter(self._ranked([proposals[place].rows for place in tuned], vectors[tuned], wanted))
        return [
            next(ranked) if proposal.tuned else self._compared_until_sure(proposal, vector, wanted)
            for proposal, vector in zip(proposals, vectors, strict=True)
        ]

    def _compared_until_sure(self, proposal: Proposal, vector: np.ndarray, wanted: int) -> tuple[np.ndarray, np.ndarray]:
        """Compare proposed rows from the nearest on, until by the error of their codes the next ones do not belong to the best."""
        best, start, size = RunningTop(wanted), 0, max(FIRST_COMPARED, 2 * wanted)
        while start < len(proposal.rows):
            here = slice(start, start + size)
            rows, by_codes = proposal.rows[here], proposal.similarity[here]
            similarity = np.einsum("ij,j->i", self._shards.take(rows), vector)
            best.offer(rows, similarity)
            error = similarity - by_codes
            if best.floor > by_codes[-1] + error.mean() + SIGMAS * error.std():
                break
            start, size = here.stop, 2 * size
        return best.rows, best.scores

    def _ranked(
        self, found: Sequence[np.ndarray], vectors: np.ndarray, wanted: int
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Compare each vector with the rows found for it."""
        ranked = []
        for start in range(0, len(vectors), QUERIES_AT_ONCE):
            here = slice(start, start + QUERIES_AT_ONCE)
            rows = np.unique(np.concatenate(found[here]))
            similarity = _products(vectors[here], self._shards.take(rows))  # (queries, rows)
            for mine, similar in zip(found[here], similarity, strict=True):
                ranked.append(top(mine, similar[np.searchsorted(rows, mine)], wanted))
        return ranked


def read_index(path: Path, shards: EmbeddingShards, record: IndexRecord) -> NeighbourIndex:
    """Open a FAISS file as a memory map.

    Raises
    ------
    ReleaseError
        If it cannot be read or holds another number of rows or dimensions than the embeddings.
    """
    try:
        structure = load_faiss().read_index(str(path), load_faiss().IO_FLAG_MMAP_IFC)
    except RuntimeError as problem:
        raise ReleaseError(f"{path.name} cannot be read: it is missing or damaged. Build the release again.") from problem
    if structure.ntotal != shards.count or structure.d != shards.dimension:
        raise ReleaseError(f"{path.name} does not belong to the embeddings beside it. Build the release again.")
    return NeighbourIndex(structure, shards, record)


def exact_nearest(
    shards: EmbeddingShards, vector: np.ndarray, k: int, allowed: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows nearest to a vector, compared with every allowed one: the same answer as `NeighbourIndex.nearest`, without an index."""
    vector = unit_query(vector, shards.dimension)
    best = RunningTop(k)
    for start, chunk in shards.chunks():
        rows = np.arange(start, start + len(chunk))
        similarity = chunk @ vector
        if allowed is not None:
            mine = allowed[start : start + len(chunk)]
            rows, similarity = rows[mine], similarity[mine]
        best.offer(rows, similarity)
    return best.rows, best.scores


def unit_query(vector: np.ndarray, dimension: int) -> np.ndarray:
    """Return a query vector (D,) as float32 of unit length.

    Raises
    ------
    QueryError
        If it is of another shape, zero, or not finite.
    """
    vector = np.asarray(vector, np.float32)
    if vector.shape != (dimension,):
        raise QueryError(f"A query vector of shape {vector.shape} does not fit this release of dimension {dimension}.")
    length = np.linalg.norm(vector)
    if not np.isfinite(length) or length == 0:
        raise QueryError("The query vector is zero or not finite; use other prompts.")
    return vector / length


def unit_queries(vectors: np.ndarray, dimension: int) -> np.ndarray:
    """Return (q, D) query vectors, q at least 1, each of unit length; errors as of `unit_query`."""
    if np.ndim(vectors) != 2 or not len(vectors):
        raise QueryError(f"Query vectors of shape {np.shape(vectors)} are no (q, D) table with at least one line.")
    return np.stack([unit_query(vector, dimension) for vector in vectors])


def at_least_one(k: int) -> int:
    """Return k; QueryError if it is below 1."""
    if k < 1:
        raise QueryError(f"k is {k}; give at least 1.")
    return int(k)


def _products(vectors: np.ndarray, taken: np.ndarray) -> np.ndarray:
    """Multiply (q, D) with (n, D), (q, n); a single vector on one thread, for waking a second costs more than it brings."""
    return vectors @ taken.T if len(vectors) > 1 else np.einsum("ij,j->i", taken, vectors[0])[None]
