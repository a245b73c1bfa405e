"""The exact engine: compare or score every embedding, in chunks, on a GPU where there is one.

On a CPU the float16 shards are read as they lie on disk and computed with in float32: the answer is exact as it comes. A GPU, or
``dtype="int8"``, holds the embeddings in low precision and proposes rows, whose scores are then computed in float32 from the shards.
More rows are proposed than requested, and whether they were enough is checked:

* Cosines are proven exact. One by low precision differs from the true one by at most ``e``, the longest rounding error of any
  embedding (Cauchy and Schwarz: ``|(x - y) . q| <= |x - y|`` for unit q; measured when int8 codes are made, for float16 see
  `discovery.release.neighbours.low_precision.HALF_ERROR`). If the k-th best true score lies more than ``e`` above the worst proposed one, no row that was
  not proposed can belong to the answer.
* A trained scorer in low precision is checked, not proven: ``e`` is twice the largest error seen among the proposed rows, and a row
  that was not proposed could have a larger one. What overflows in low precision is proposed, so that float32 decides.

Where that does not hold, four times as many rows are proposed, and from `MOST_CANDIDATES` on everything is computed in float32.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator
from typing import Any, Protocol, get_args

import numpy as np
import torch

from discovery.errors import ConfigError, QueryError
from discovery.release.neighbours.index import at_least_one, unit_queries
from discovery.release.neighbours.low_precision import HalfBlocks, Int8Blocks, Precision, fits
from discovery.release.neighbours.top import RunningTop, table
from discovery.release.shards import EmbeddingShards

ROWS_PER_CHUNK, ROWS_IN_CACHE = 65_536, 8_192
"""Rows at a time on a GPU, and on a CPU, whose caches hold the smaller number."""
SPARE_CANDIDATES, MOST_CANDIDATES = 1000, 200_000
"""Low precision proposes four times what is requested and so many more at first, and at most so many."""
SPARSE_SHARE = 0.1
"""Below this share of allowed rows in a chunk only those are read."""
log = logging.getLogger(__name__)

Measure = Callable[[torch.Tensor], torch.Tensor]
"""Scores of (n, D) float32 unit vectors by each of q measures: (n, q) float32."""


class Scorer(Protocol):
    """Anything that scores vectors one by one: (n, D) float32 -> (n,) float32.

    One that also has ``to_torch()``, returning a module that does the same, runs on the engine's device.
    """

    def scores(self, vectors: np.ndarray) -> np.ndarray:
        """Return the score of each vector, (n,) float32."""
        ...


class ExactEngine:
    """Scans a range of the embeddings; safe to share between threads.

    Parameters
    ----------
    shards : EmbeddingShards
        The embeddings.
    device : str, optional
        As torch names it; a GPU where there is one.
    dtype : str, optional
        ``float16`` or ``int8``: how a GPU holds the embeddings, by default the finer one that fits; where none fits they are
        streamed from the shards. On a CPU float16, the default, holds nothing and reads the shards; int8 takes D bytes a row.
    rows : range, optional
        The rows to look at; all by default. Masks are then as long as the range; rows in answers stay those of the release.

    Raises
    ------
    ConfigError
        If the device cannot be used.
    """

    def __init__(
        self,
        shards: EmbeddingShards,
        device: str | None = None,
        dtype: Precision | None = None,
        *,
        rows: range | None = None,
        rows_per_chunk: int = ROWS_PER_CHUNK,
    ) -> None:
        if dtype not in (None, *get_args(Precision)):
            raise ConfigError(f"'{dtype}' is no precision of the exact engine; give float16 or int8.")
        self._shards = shards
        self.rows = range(shards.count) if rows is None else rows
        self._step = rows_per_chunk
        self.device = _device(device)
        self._blocks = self._held(dtype)

    @property
    def facts(self) -> dict[str, Any]:
        """What the last digits depend on, for records: the device, and in what it holds the embeddings (``streamed`` from float16 shards)."""
        kind = self.device.type
        name = f"{kind} {torch.cuda.get_device_name(self.device)}" if kind == "cuda" else kind
        held = "streamed" if self._blocks is None else "int8" if isinstance(self._blocks, Int8Blocks) else "float16"
        return {"device": name, "dtype": held}

    def nearest(
        self, vectors: np.ndarray, k: int, allowed: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the k rows most similar to each vector, comparing with every one.

        Parameters
        ----------
        vectors : numpy.ndarray
            (q, D) float32; their lengths do not matter.
        k : int
            At least 1.
        allowed : numpy.ndarray, optional
            (N,) bool: the rows that may be returned.

        Returns
        -------
        rows : numpy.ndarray
            (q, k) int64, most similar first (ties: lower row first), -1 where there are fewer.
        similarity : numpy.ndarray
            (q, k) float32 cosines, minus infinity where there are fewer.
        """
        queries = unit_queries(vectors, self._shards.dimension)
        on_device = torch.from_numpy(queries).to(self.device)
        propose = None if self._blocks is None else self._blocks.similarities(on_device)
        return table(self._best(lambda vectors: vectors @ on_device.T, propose, len(queries), k, allowed), k)

    def top(
        self, scorer: Scorer | torch.nn.Module, k: int, allowed: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the k rows that score highest, scoring every one; where low precision proposes rows, as exact as the module says.

        Parameters
        ----------
        scorer : Scorer or torch.nn.Module
            A module maps (n, D) float32 to (n,).

        Returns
        -------
        rows, scores : numpy.ndarray
            (n,) int64 and float32, n = min(k, allowed rows), highest score first (ties: lower row first).
        """
        module = _module(scorer)
        if module is None:
            return self._best(_by_numpy(scorer), None, 1, k, allowed)[0]
        module = copy.deepcopy(module).to(self.device).eval()
        propose = None if self._blocks is None else self._blocks.scores(module)
        with torch.inference_mode():
            return self._best(lambda vectors: module(vectors)[:, None], propose, 1, k, allowed)[0]

    def _best(
        self, measure: Measure, propose: Any, queries: int, k: int, allowed: np.ndarray | None
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        at_least_one(k)
        if allowed is not None and np.shape(allowed) != (len(self.rows),):
            raise QueryError(f"A mask of shape {np.shape(allowed)} does not fit {len(self.rows)} rows.")
        wanted = min(k, len(self.rows) if allowed is None else int(np.count_nonzero(allowed)))
        few = allowed is not None and wanted and np.count_nonzero(allowed) < SPARSE_SHARE * len(allowed)
        if propose is None or wanted == 0 or few:
            return self._exactly(measure, queries, max(1, wanted), allowed)
        candidates = 4 * wanted + SPARE_CANDIDATES
        while candidates <= MOST_CANDIDATES:
            proposed = _running(propose.pieces(allowed), queries, candidates)
            found = [self._checked(measure, number, mine, propose, wanted) for number, mine in enumerate(proposed)]
            if all(best is not None for best in found):
                return [best for best in found if best is not None]
            candidates *= 4
        log.info("Low precision cannot tell the best %d rows apart; everything is computed in float32.", wanted)
        return self._exactly(measure, queries, wanted, allowed)

    def _exactly(
        self, measure: Measure, queries: int, k: int, allowed: np.ndarray | None
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        scored = ((rows, measure(vectors.to(self.device))) for rows, vectors in self._pieces(allowed))
        return [(mine.rows, mine.scores) for mine in _running(scored, queries, k)]

    def _checked(self, measure: Measure, number: int, mine: RunningTop, propose: Any, k: int) -> tuple[np.ndarray, np.ndarray] | None:
        """Score proposed rows exactly; None if a row that was not proposed might belong to the best."""
        best, worst = RunningTop(k), 0.0
        for at in range(0, len(mine.rows), self._step):
            rows = mine.rows[at : at + self._step]
            scores = measure(torch.from_numpy(self._shards.take(rows)).to(self.device))[:, number].cpu().numpy()
            proposed, known = mine.scores[at : at + self._step], scores > -np.inf
            errors = np.abs(scores - proposed)[known & np.isfinite(proposed)]
            worst = max(worst, float(errors.max(initial=0.0)))
            best.offer(rows[known], scores[known])
        error = 2 * worst if propose.error is None else propose.error
        return (best.rows, best.scores) if best.floor > mine.floor + error else None

    def _held(self, dtype: Precision | None) -> HalfBlocks | Int8Blocks | None:
        """Put the embeddings into the device's memory, where that helps and they fit."""
        if self.device.type == "cpu":
            return Int8Blocks(self._pieces(None), self.device) if dtype == "int8" else None
        for precision in get_args(Precision) if dtype is None else (dtype,):
            if fits(self.device, len(self.rows), self._shards.dimension, precision):
                return (HalfBlocks if precision == "float16" else Int8Blocks)(self._pieces(None), self.device)
        log.info("The embeddings do not fit the memory of %s; they are streamed.", self.device)
        return None

    def _pieces(self, allowed: np.ndarray | None) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
        """Yield rows (n,) and their unit vectors (n, D) float32, valid until the next; of a sparse chunk only allowed rows are read."""
        step = self._step if self.device.type == "cuda" else min(self._step, ROWS_IN_CACHE)
        shape = (min(step, len(self.rows)), self._shards.dimension)
        room = torch.empty(shape, dtype=torch.float16), torch.empty(shape)
        for start in range(self.rows.start, self.rows.stop, step):
            rows = np.arange(start, min(start + step, self.rows.stop))
            mine = None if allowed is None else allowed[start - self.rows.start :][: len(rows)]
            count = len(rows) if mine is None else np.count_nonzero(mine)
            if mine is None or count == len(rows):
                yield rows, self._read(rows, room)
            elif count >= SPARSE_SHARE * len(rows):
                yield rows[mine], self._read(rows, room)[torch.from_numpy(np.ascontiguousarray(mine))]
            elif count:
                yield rows[mine], torch.from_numpy(self._shards.take(rows[mine]))

    def _read(self, rows: np.ndarray, room: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        """Read consecutive rows into ``room``, float16 and float32, each scaled to length 1; torch converts ten times as fast as numpy."""
        stored, vectors, first_rows = room[0][: len(rows)], room[1][: len(rows)], self._shards.first_rows
        start, stop = int(rows[0]), int(rows[-1]) + 1
        for number in range(int(np.searchsorted(first_rows, start, side="right")) - 1, len(self._shards.shards)):
            first, end = int(first_rows[number]), int(first_rows[number + 1])
            if first >= stop:
                break
            low, high = max(start, first), min(stop, end)
            if low < high:
                stored.numpy()[low - start : high - start] = self._shards.shard(number)[low - first : high - first]
        vectors.copy_(stored)
        return vectors.div_(torch.linalg.vector_norm(vectors, dim=1, keepdim=True))


def _running(scored: Iterator[tuple[np.ndarray, torch.Tensor]], queries: int, k: int) -> list[RunningTop]:
    """Keep the k best of (n,) rows with (n, q) scores, piece by piece; what cannot get in never leaves the device."""
    best = [RunningTop(k) for _ in range(queries)]
    for rows, scores in scored:
        for mine, column in zip(best, scores.T.contiguous(), strict=True):
            kept = torch.nonzero((column >= mine.floor) & (column > -torch.inf))[:, 0]
            if len(kept) > k:
                kth = torch.topk(column[kept], k, sorted=False).values.min()
                kept = kept[column[kept] >= kth]
            mine.offer(rows[kept.cpu().numpy()], column[kept].float().cpu().numpy())
    return best


def _device(name: str | None) -> torch.device:
    try:
        device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
    except RuntimeError as problem:
        raise ConfigError(f"'{name}' is no device; give cpu, cuda or cuda:N.") from problem
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"There is no GPU that torch can use for '{name}' here; give cpu.")
    return device


def _module(scorer: Any) -> torch.nn.Module | None:
    if isinstance(scorer, torch.nn.Module):
        return scorer
    return scorer.to_torch() if hasattr(scorer, "to_torch") else None


def _by_numpy(scorer: Any) -> Measure:
    """Score on the CPU what is no torch module."""
    return lambda vectors: torch.from_numpy(np.asarray(scorer.scores(vectors.cpu().numpy()), np.float32))[:, None]
