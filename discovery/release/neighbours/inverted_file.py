"""The inverted file of a release: which of its cells a query visits, with a filter and without."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from discovery.processes.cores import usable_cores
from discovery.release.neighbours.top import top

NEAR_SHARE, SPARE = 0.05, 1.2
"""With at least this share of rows allowed, a query first looks at ``SPARE / share`` as many candidates, allowed or not."""
REACH_SHARE, LEAST_REACH, MOST_REACH = 0.2, 100_000, 3_000_000
"""A filter that leaves fewer makes a query visit cells until it saw this share of all rows, and allowed ones (within two bounds)."""
FAR_CANDIDATES = 16_000
"""Candidates of such a query, at most: how many of them are compared is decided on the way."""
ROWS_A_THREAD = 50_000


class RowFilter:
    """The rows that a search may return, in the forms that it needs, each made once.

    Parameters
    ----------
    allowed : numpy.ndarray
        (N,) bool.
    """

    def __init__(self, allowed: np.ndarray) -> None:
        self.allowed = allowed
        self.count = int(np.count_nonzero(allowed))

    @cached_property
    def rows(self) -> np.ndarray:
        """The allowed rows, ascending: (count,) int64."""
        return np.flatnonzero(self.allowed)

    @cached_property
    def selector(self) -> Any:
        """For FAISS: one bit a row."""
        return load_faiss().IDSelectorBitmap(np.packbits(self.allowed, bitorder="little"))


@dataclass(frozen=True, kw_only=True, eq=False)
class Proposal:
    """Rows that may be near a vector.

    Attributes
    ----------
    rows : numpy.ndarray
        (n,) int64, nearest first by their codes.
    similarity : numpy.ndarray
        (n,) float32 cosines by their codes.
    tuned : bool
        Whether as many rows were proposed as the index was tuned to; else more than may be needed.
    """

    rows: np.ndarray
    similarity: np.ndarray
    tuned: bool


class Cells:
    """An IVF structure, with or without a transform before it.

    A cell holds the rows nearest to its centroid. Without a filter, a query visits the nearest ``probes`` cells. With a filter that
    leaves a share of the rows, it visits ``probes / share`` cells and leaves out what is not allowed: if as many candidates
    remain as without a filter, those are they. If not, the filter is narrow or points away from the query. Then the allowed rows
    of every cell are counted, and cells that hold some are visited from the nearest on until `REACH_SHARE` of all rows were seen
    and allowed. There rows lie closer together than their codes tell apart, so that many more are proposed.

    Parameters
    ----------
    structure : faiss.Index
        IVF, ids = rows. Its codes may be a memory map.
    """

    def __init__(self, structure: Any) -> None:
        faiss = load_faiss()
        self._structure = structure
        self._ivf = faiss.extract_index_ivf(structure)
        self._transform: Any = faiss.downcast_VectorTransform(structure.chain.at(0)) if hasattr(structure, "chain") else None
        self._by_product = self._ivf.metric_type == faiss.METRIC_INNER_PRODUCT
        self.count = int(self._ivf.nlist)

    def propose(self, vectors: np.ndarray, candidates: int, probes: int, filter_: RowFilter | None = None) -> list[Proposal]:
        """Return the ``candidates`` rows nearest to each vector by their codes, or more.

        Parameters
        ----------
        vectors : numpy.ndarray
            (q, D) float32 of unit length.
        probes : int
            Cells that a query visits where no filter stands in its way.
        """
        reduced = self._reduced(vectors)
        if filter_ is None:
            return self._visit(reduced, candidates, probes)
        share = filter_.count / self._ivf.ntotal
        near: list[Proposal | None] = [None] * len(vectors)
        if share >= NEAR_SHARE:
            more = min(math.ceil(SPARE * candidates / share), filter_.count)
            visited = self._visit(reduced, more, math.ceil(probes / share))
            near = [_allowed(proposal, filter_, candidates) for proposal in visited]
        if any(proposal is None for proposal in near):
            allowed_a_cell = np.bincount(self._cell_of_row[filter_.rows], minlength=self.count)
        return [
            self._visit_far(line[None], candidates, filter_, allowed_a_cell) if proposal is None else proposal
            for line, proposal in zip(reduced, near, strict=True)
        ]

    def _reduced(self, vectors: np.ndarray) -> np.ndarray:
        """Transform (q, D) vectors, (q, d): a single one on one thread, for waking a second costs more than it brings."""
        if self._transform is None:
            return np.ascontiguousarray(vectors)
        if len(vectors) > 1:
            return self._transform.apply(vectors)
        matrix, offset = self._linear
        return (np.einsum("ij,j->i", matrix, vectors[0]) + offset)[None]

    def _visit(self, reduced: np.ndarray, candidates: int, probes: int) -> list[Proposal]:
        parameters = load_faiss().SearchParametersIVF(nprobe=min(probes, self.count))
        values, rows = self._ivf.search(np.ascontiguousarray(reduced), candidates, params=parameters)
        similarity = self._similarity(values)
        found = [mine >= 0 for mine in rows]
        return [
            Proposal(rows=mine[there], similarity=similar[there], tuned=True)
            for mine, similar, there in zip(rows, similarity, found, strict=True)
        ]

    def _visit_far(self, reduced: np.ndarray, candidates: int, filter_: RowFilter, allowed_a_cell: np.ndarray) -> Proposal:
        """Visit the cells that hold allowed rows, nearest first, until enough such rows were seen."""
        distances = self._distances(reduced)[0]
        faiss = load_faiss()
        order = np.argsort(distances, kind="stable")
        order = order[allowed_a_cell[order] > 0]
        seen = np.cumsum(allowed_a_cell[order])
        candidates = max(candidates, min(FAR_CANDIDATES, filter_.count))
        reach = max(4 * candidates, int(np.clip(REACH_SHARE * self._ivf.ntotal, LEAST_REACH, MOST_REACH)))
        cells = order[: int(np.searchsorted(seen, reach)) + 1]
        threads = max(1, min(usable_cores(), faiss.omp_get_max_threads(), int(seen[len(cells) - 1]) // ROWS_A_THREAD))
        dealt = np.full((threads, -(-len(cells) // threads)), -1, np.int64)
        dealt.T.flat[: len(cells)] = cells  # as if one query a thread, each with its share of the cells
        coarse = np.where(dealt < 0, 0, distances[dealt])
        coarse = np.ascontiguousarray(-coarse if self._by_product else coarse, np.float32)
        queries = np.repeat(reduced, threads, axis=0)
        values, rows = np.empty((threads, candidates), np.float32), np.empty((threads, candidates), np.int64)
        pointers = [faiss.swig_ptr(array) for array in (dealt, coarse, values, rows)]
        parameters = faiss.SearchParametersIVF(nprobe=dealt.shape[1], sel=filter_.selector)
        self._ivf.search_preassigned_c(threads, faiss.swig_ptr(queries), candidates, *pointers, False, parameters)
        found, similarity = top(rows[rows >= 0], self._similarity(values[rows >= 0]), candidates)
        return Proposal(rows=found, similarity=similarity, tuned=False)

    def _similarity(self, values: np.ndarray) -> np.ndarray:
        """Turn FAISS' values into cosines: inner products, or squared distances of unit vectors."""
        return values if self._by_product else 1 - values / 2

    def _distances(self, reduced: np.ndarray) -> np.ndarray:
        """Return how far each cell's centroid is from each query, (q, cells): squared distance, or minus the inner product."""
        products = reduced @ self._centroids.T
        if self._by_product:
            return -products
        return (reduced**2).sum(axis=1, keepdims=True) + self._centroid_squares - 2 * products

    def _rows_of_cell(self, cell: int) -> np.ndarray:
        """Rows in a cell, (n,) int64: a view of the structure's ids."""
        lists = self._ivf.invlists
        size = lists.list_size(cell)
        return load_faiss().rev_swig_ptr(lists.get_ids(cell), size) if size else np.empty(0, np.int64)

    @cached_property
    def _cell_of_row(self) -> np.ndarray:
        """Cell of every row, (N,): 2 bytes a row, 4 with more than 65,536 cells; made when a filter first asks for it."""
        cell_of_row = np.empty(self._ivf.ntotal, np.uint16 if self.count <= 2**16 else np.uint32)
        for cell in range(self.count):
            cell_of_row[self._rows_of_cell(cell)] = cell
        return cell_of_row

    @cached_property
    def _linear(self) -> tuple[np.ndarray, np.ndarray]:
        """The transform as (d, D) matrix and offset (d,)."""
        faiss = load_faiss()
        matrix = faiss.vector_to_array(self._transform.A).reshape(self._transform.d_out, self._transform.d_in)
        offset = faiss.vector_to_array(self._transform.b) if self._transform.have_bias else np.zeros(len(matrix))
        return matrix, offset.astype(np.float32)

    @cached_property
    def _centroids(self) -> np.ndarray:
        return self._ivf.quantizer.reconstruct_n(0, self.count)  # (cells, d)

    @cached_property
    def _centroid_squares(self) -> np.ndarray:
        return (self._centroids**2).sum(axis=1)  # (cells,)


def _allowed(proposal: Proposal, filter_: RowFilter, candidates: int) -> Proposal | None:
    """Leave out what is not allowed; None if too few remain."""
    there = filter_.allowed[proposal.rows]
    if np.count_nonzero(there) < candidates:
        return None
    return Proposal(rows=proposal.rows[there][:candidates], similarity=proposal.similarity[there][:candidates], tuned=True)


def load_faiss() -> Any:
    """Return FAISS, imported when it is first needed; its type stubs do not know half of it."""
    import faiss

    return faiss
