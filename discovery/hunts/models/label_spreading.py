"""Label spreading: labels flow along the graph of nearest neighbours."""

from __future__ import annotations

import weakref
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from scipy import sparse

from discovery.errors import HuntError
from discovery.hunts.models.ranking import Embeddings, Ranking, TrainingSet, one_blas_thread, rank

MOST_OBJECTS = 200_000
ROWS_PER_BLOCK = 1024


@dataclass(frozen=True, kw_only=True)
class LabelSpreadingModel:
    """Local and global consistency (Zhou et al. 2004): F <- a S F + (1 - a) Y on the normalised graph S.

    The graph joins each object with its nearest neighbours by cosine; it is made once for a release and kept in memory
    while the release is open: N^2 D multiplications. Labels of each class weigh the same in sum.

    Attributes
    ----------
    neighbours : int
        Of each object.
    share : float
        a, what an object takes from its neighbours.
    steps : int
        Iterations.
    """

    name: ClassVar[str] = "spreading"
    subset: ClassVar[bool] = False
    neighbours: int = 15
    share: float = 0.9
    steps: int = 30

    def rank(self, embeddings: Embeddings, training: TrainingSet, seed: int) -> Ranking:
        """Rank by the positives' share minus the negatives', then by similarity where neither reached.

        Raises
        ------
        HuntError
            The release has more than 200,000 objects, or there is no label to start from.
        """
        if not training.trainable:
            return rank(embeddings, training, seed=seed, train=False)
        graph = _graph_of(embeddings, self.neighbours)
        start = np.zeros(embeddings.count)
        for sign, vectors in ((1, training.positives), (-1, training.negatives)):
            for row in _rows_of(embeddings, vectors):
                start[row] += sign / len(vectors)
        spread = start.copy()
        for _ in range(self.steps):
            spread = self.share * (graph @ spread) + (1 - self.share) * start
        similar = rank(embeddings, training, seed=seed, train=False).order_scores
        scores = spread / max(np.abs(spread).max(), 1e-30) + 1e-6 * similar
        return Ranking(
            order_scores=scores.astype(np.float32), trained=True, model={"name": self.name, **asdict(self)}
        )

    def multiplications(self, dimension: int) -> int:
        """Return those of the iterations; the graph is extra, see the class."""
        return self.neighbours * self.steps


_graphs: weakref.WeakKeyDictionary[Any, dict[int, sparse.csr_array]] = weakref.WeakKeyDictionary()


def _graph_of(embeddings: Embeddings, neighbours: int) -> sparse.csr_array:
    known = _graphs.setdefault(embeddings, {})
    if neighbours not in known:
        known[neighbours] = _make_graph(embeddings, neighbours)
    return known[neighbours]


def _make_graph(embeddings: Embeddings, neighbours: int) -> sparse.csr_array:
    """D^-1/2 W D^-1/2 of the symmetric graph of nearest neighbours, weights 1."""
    count = embeddings.count
    if count > MOST_OBJECTS:
        raise HuntError(
            f"label spreading needs the neighbours of every object; {count} objects are too many (at most {MOST_OBJECTS}):"
            " choose another strategy, such as auto"
        )
    kept = min(neighbours, count - 1)
    everything = np.concatenate([vectors for _, vectors in embeddings.chunks()])
    columns = np.empty((count, kept), dtype=np.int64)
    with one_blas_thread():
        for start in range(0, count, ROWS_PER_BLOCK):
            block = everything[start : start + ROWS_PER_BLOCK] @ everything.T
            block[np.arange(len(block)), start + np.arange(len(block))] = -np.inf
            columns[start : start + len(block)] = np.argpartition(-block, kept - 1, axis=1)[:, :kept]
    rows = np.repeat(np.arange(count), kept)
    joined = sparse.csr_array((np.ones(rows.size), (rows, columns.ravel())), shape=(count, count))
    weights = joined.maximum(joined.T)
    scale = sparse.diags_array(1 / np.sqrt(np.asarray(weights.sum(axis=1)).ravel()))
    return sparse.csr_array(scale @ weights @ scale)


def _rows_of(embeddings: Embeddings, vectors: np.ndarray) -> np.ndarray:
    """Return the row nearest to each labelled vector, (n,) int64: its own, or a stamp's closest relative."""
    best, rows = np.full(len(vectors), -np.inf), np.zeros(len(vectors), dtype=np.int64)
    for start, chunk in embeddings.chunks():
        products = vectors @ chunk.T
        found = products.argmax(axis=1)
        value = products[np.arange(len(vectors)), found]
        better = value > best
        best[better], rows[better] = value[better], start + found[better]
    return rows
