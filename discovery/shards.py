"""Embedding shards on disk: the truth of a release, read through memory maps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from discovery.errors import QueryError, ReleaseError
from discovery.manifest import Shard, file_sha256

STORED_DTYPE = np.dtype("<f2")
UNIT_TOLERANCE = 5e-3
"""How far the length of a stored float16 embedding may lie from 1; rounding alone stays below 1e-3."""


class EmbeddingShards:
    """The embeddings of one space, (N, D), row by row across the shard files.

    Stored as float16, handed out as float32 and again of exactly unit length, so that an inner product is
    a cosine.

    Parameters
    ----------
    folder : Path
        Folder that the shards' file names are relative to.
    shards : sequence of Shard
        In the order of their rows.
    dimension : int
        D.

    Raises
    ------
    ReleaseError
        If a shard is missing or has not the size that its number of rows asks for.
    """

    def __init__(self, folder: Path, shards: Sequence[Shard], dimension: int) -> None:
        self.folder = folder
        self.shards = tuple(shards)
        self.dimension = dimension
        self._first_rows = np.cumsum([0, *(shard.rows for shard in self.shards)])
        self._maps: dict[int, np.ndarray] = {}
        for shard in self.shards:
            _check_size(folder / shard.file, shard.rows * dimension * STORED_DTYPE.itemsize)

    @property
    def count(self) -> int:
        """Number of rows N."""
        return int(self._first_rows[-1])

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Return the embeddings of some rows.

        Parameters
        ----------
        rows : numpy.ndarray
            (n,) integers in 0..N-1, in any order.

        Returns
        -------
        numpy.ndarray
            (n, D) float32 of unit length.
        """
        rows = np.asarray(rows, np.int64).reshape(-1)
        if len(rows) and (rows.min() < 0 or rows.max() >= self.count):
            raise QueryError(f"A row is outside 0..{self.count - 1}, the rows of this release.")
        taken = np.empty((len(rows), self.dimension), np.float32)
        owners = np.searchsorted(self._first_rows, rows, side="right") - 1
        for owner in np.unique(owners):
            mine = owners == owner
            taken[mine] = self._map(int(owner))[rows[mine] - self._first_rows[owner]]
        return unit(taken)

    def chunks(self, rows_per_chunk: int = 65536) -> Iterator[tuple[int, np.ndarray]]:
        """Yield ``(first row, (n, D) float32)`` over all rows, n at most ``rows_per_chunk``."""
        for start in range(0, self.count, rows_per_chunk):
            stop = min(start + rows_per_chunk, self.count)
            chunk = np.empty((stop - start, self.dimension), np.float32)
            for owner, first in enumerate(self._first_rows[:-1]):
                low, high = max(start, first), min(stop, self._first_rows[owner + 1])
                if low < high:
                    chunk[low - start : high - start] = self._map(owner)[low - first : high - first]
            yield start, unit(chunk)

    def check_unit(self, sample: int = 512) -> None:
        """Raise ReleaseError if some of ``sample`` evenly spread embeddings are not finite and of unit length."""
        for owner, shard in enumerate(self.shards):
            step = max(1, shard.rows * len(self.shards) // sample)
            lengths = np.linalg.norm(self._map(owner)[::step].astype(np.float32), axis=1)
            if not np.all(np.abs(lengths - 1) < UNIT_TOLERANCE):
                raise ReleaseError(
                    f"Embeddings in {shard.file} are not of unit length: the file is damaged. Build the release again."
                )

    def check_sums(self) -> None:
        """Raise ReleaseError if a shard's bytes do not have the checksum of the manifest."""
        for shard in self.shards:
            if file_sha256(self.folder / shard.file) != shard.sha256:
                raise ReleaseError(
                    f"{shard.file} does not have the checksum of the manifest: it is damaged. Build the release again."
                )

    def _map(self, owner: int) -> np.ndarray:
        if owner not in self._maps:
            shard = self.shards[owner]
            shape = (shard.rows, self.dimension)
            empty = np.empty(shape, STORED_DTYPE)
            self._maps[owner] = (
                np.memmap(self.folder / shard.file, STORED_DTYPE, mode="r", shape=shape) if shard.rows else empty
            )
        return self._maps[owner]


def unit(vectors: np.ndarray) -> np.ndarray:
    """Return (n, D) vectors scaled to length 1 (float32)."""
    vectors = np.asarray(vectors, np.float32)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def _check_size(path: Path, expected: int) -> None:
    try:
        size = path.stat().st_size
    except OSError as problem:
        raise ReleaseError(f"{path.name} of the release is missing. Build the release again.") from problem
    if size != expected:
        raise ReleaseError(f"{path.name} holds {size} bytes instead of {expected}: it is damaged. Build the release again.")
