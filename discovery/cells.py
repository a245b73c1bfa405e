"""The inverted file of a release: which of its cells a query visits, with a filter and without."""

from __future__ import annotations

import os
from functools import cached_property
from typing import Any

import numpy as np

NEAR_SHARE = 0.5
"""While this share of the rows in the nearest cells passes a filter, those cells are enough."""
REACH_SHARE, REACH_ROWS = 0.1, 100_000
"""A filter that leaves fewer makes a query visit cells until it saw so many allowed rows (the larger of the two)."""
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


class Cells:
    """An IVF structure, with or without a transform before it.

    A cell holds the rows nearest to its centroid. Without a filter, a query visits the nearest ``probes`` cells. With one, the
    same cells do while most of their rows are allowed. Else the allowed rows of every cell are counted, and cells that hold
    some are visited from the nearest on until `REACH_SHARE` of all rows were seen and allowed: what is left of a narrow filter
    is all seen, and for a filter that points away from the query the far cells are.

    Parameters
    ----------
    structure : faiss.Index
        IVF, ids = rows. Its codes may be a memory map.
    """

    def __init__(self, structure: Any) -> None:
        faiss = load_faiss()
        self._structure = structure
        self._ivf = faiss.extract_index_ivf(structure)
        self._transform = faiss.downcast_VectorTransform(structure.chain.at(0)) if hasattr(structure, "chain") else None
        self._by_product = self._ivf.metric_type == faiss.METRIC_INNER_PRODUCT
        self.count = int(self._ivf.nlist)

    @property
    def rows_a_cell(self) -> float:
        """Mean number of rows in a cell."""
        return float(self._ivf.ntotal / self.count)

    def propose(self, vectors: np.ndarray, candidates: int, probes: int, filter_: RowFilter | None = None) -> list[np.ndarray]:
        """Return about the ``candidates`` rows nearest to each vector, by their codes.

        Parameters
        ----------
        vectors : numpy.ndarray
            (q, D) float32 of unit length.
        probes : int
            Cells that a query visits where no filter stands in its way.

        Returns
        -------
        list of numpy.ndarray
            q arrays of int64 rows, in no order.
        """
        reduced = vectors if self._transform is None else self._transform.apply(vectors)
        if filter_ is None:
            return self._visit(reduced, candidates, probes, None)
        distances = self._distances(reduced)
        near = self._nearest_cells(distances, probes)
        enough = np.array([self._mostly_allowed(cells, filter_, candidates) for cells in near], bool)
        found: list[np.ndarray] = [np.empty(0, np.int64)] * len(vectors)
        if enough.any():
            for place, rows in zip(np.flatnonzero(enough), self._visit(reduced[enough], candidates, probes, filter_), strict=True):
                found[place] = rows
        if not enough.all():
            allowed_a_cell = np.bincount(self._cell_of_row[filter_.rows], minlength=self.count)
            for place in np.flatnonzero(~enough):
                found[place] = self._visit_far(reduced[place], distances[place], candidates, filter_, allowed_a_cell)
        return found

    def _visit(self, reduced: np.ndarray, candidates: int, probes: int, filter_: RowFilter | None) -> list[np.ndarray]:
        options = {} if filter_ is None else {"sel": filter_.selector}
        parameters = load_faiss().SearchParametersIVF(nprobe=min(probes, self.count), **options)
        _, rows = self._ivf.search(np.ascontiguousarray(reduced), candidates, params=parameters)
        return [mine[mine >= 0] for mine in rows]

    def _visit_far(
        self, reduced: np.ndarray, distances: np.ndarray, candidates: int, filter_: RowFilter, allowed_a_cell: np.ndarray
    ) -> np.ndarray:
        """Visit the cells that hold allowed rows, nearest first, until enough such rows were seen."""
        faiss = load_faiss()
        order = np.argsort(distances, kind="stable")
        order = order[allowed_a_cell[order] > 0]
        seen = np.cumsum(allowed_a_cell[order])
        reach = max(REACH_ROWS, int(REACH_SHARE * self._ivf.ntotal), 4 * candidates)
        cells = order[: int(np.searchsorted(seen, reach)) + 1]
        threads = max(1, min(os.cpu_count() or 1, faiss.omp_get_max_threads(), int(seen[len(cells) - 1]) // ROWS_A_THREAD))
        dealt = np.full((threads, -(-len(cells) // threads)), -1, np.int64)
        dealt.T.flat[: len(cells)] = cells  # as if one query a thread, each with its share of the cells
        coarse = np.where(dealt < 0, 0, distances[dealt])
        coarse = np.ascontiguousarray(-coarse if self._by_product else coarse, np.float32)
        queries = np.ascontiguousarray(np.broadcast_to(reduced, (threads, len(reduced))))
        found, rows = np.empty((threads, candidates), np.float32), np.empty((threads, candidates), np.int64)
        pointers = [faiss.swig_ptr(array) for array in (dealt, coarse, found, rows)]
        parameters = faiss.SearchParametersIVF(nprobe=dealt.shape[1], sel=filter_.selector)
        self._ivf.search_preassigned_c(threads, faiss.swig_ptr(queries), candidates, *pointers, False, parameters)
        return rows[rows >= 0]

    def _distances(self, reduced: np.ndarray) -> np.ndarray:
        """Return how far each cell's centroid is from each query, (q, cells): squared distance, or minus the inner product."""
        products = reduced @ self._centroids.T
        if self._by_product:
            return -products
        return (reduced**2).sum(axis=1, keepdims=True) + self._centroid_squares - 2 * products

    def _nearest_cells(self, distances: np.ndarray, probes: int) -> np.ndarray:
        probes = min(probes, self.count)
        return np.argpartition(distances, probes - 1, axis=1)[:, :probes]

    def _mostly_allowed(self, cells: np.ndarray, filter_: RowFilter, candidates: int) -> bool:
        """Return whether a filter leaves most rows of some cells, and enough of them."""
        held = np.concatenate([self._rows_of_cell(int(cell)) for cell in cells])
        allowed = int(np.count_nonzero(filter_.allowed[held]))
        return allowed >= max(candidates, NEAR_SHARE * len(held))

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
    def _centroids(self) -> np.ndarray:
        return self._ivf.quantizer.reconstruct_n(0, self.count)  # (cells, d)

    @cached_property
    def _centroid_squares(self) -> np.ndarray:
        return (self._centroids**2).sum(axis=1)  # (cells,)


def load_faiss() -> Any:
    """Import FAISS when it is first needed; its type stubs do not know half of it."""
    import faiss

    return faiss
