"""Embedding shards on disk: the truth of a release, read through memory maps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from discovery.errors import QueryError, ReleaseError
from discovery.processes.cores import usable_cores
from discovery.release.manifest import Shard
from discovery.storage.atomic import file_sha256

STORED_DTYPE = np.dtype("<f2")
UNIT_TOLERANCE = 5e-3
"""How far the length of a stored float16 embedding may lie from 1; rounding alone stays below 1e-3."""
SAMPLED_SHARDS, SAMPLED_ROWS = 64, 8
"""`EmbeddingShards.check_unit` makes one read in each of so many shards, of so many rows."""
REMEDY = "Build the release again."
MOST_THREADS = 8
FEW_ROWS = 1024
"""Up to so many rows are read one by one: nearly each lies in a shard of its own, and a copy costs less than a look-up."""
NAMED = 5
"""Damaged shards that a message names; the others are counted."""


class EmbeddingShards:
    """The embeddings of one space, (N, D), row by row across the shard files.

    Stored as float16, handed out as float32 and again of exactly unit length, so that an inner product is
    a cosine. A map is made when a shard is first read and holds no file open, so that thousands of shards need no
    more open files than one.

    Parameters
    ----------
    folder : Path
        Folder that the shards' file names are relative to.
    shards : sequence of Shard
        In the order of their rows.
    dimension : int
        D.
    remedy : str
        What to do about a damaged shard, for the end of messages.
    checked : bool
        Whether missing shards and wrong sizes are errors now; if not, `faults` tells of them.

    Raises
    ------
    ReleaseError
        If a shard is missing or has not the size that its number of rows asks for.
    """

    def __init__(
        self, folder: Path, shards: Sequence[Shard], dimension: int, *, remedy: str = REMEDY, checked: bool = True
    ) -> None:
        self.folder = folder
        self.shards = tuple(shards)
        self.dimension = dimension
        self._remedy = remedy
        self._first_rows = np.cumsum([0, *(shard.rows for shard in self.shards)])
        self._maps: dict[int, np.ndarray] = {}
        if checked:
            self._raise_if([fault for shard in self.shards if (fault := self._size_fault(shard))])

    @property
    def count(self) -> int:
        """Number of rows N."""
        return int(self._first_rows[-1])

    @property
    def first_rows(self) -> np.ndarray:
        """Row that each shard begins with, and N at the end: (shards + 1,) int64."""
        return self._first_rows

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Return the embeddings of some rows; each shard is read once, in the order of its rows.

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
        order = np.argsort(rows, kind="stable")
        ordered = rows[order]
        stored = np.empty((len(rows), self.dimension), STORED_DTYPE)
        if len(rows) <= FEW_ROWS:
            owners = np.searchsorted(self._first_rows, ordered, side="right") - 1
            for place, (owner, row) in enumerate(zip(owners.tolist(), (ordered - self._first_rows[owners]).tolist(), strict=True)):
                stored[place] = self.shard(owner)[row]
        else:
            bounds = np.searchsorted(ordered, self._first_rows)
            for owner in np.flatnonzero(np.diff(bounds)).tolist():
                mine = slice(bounds[owner], bounds[owner + 1])
                stored[mine] = self.shard(owner)[ordered[mine] - self._first_rows[owner]]
        taken = np.empty(stored.shape, np.float32)
        taken[order] = stored
        return _made_unit(taken)

    def chunks(self, rows_per_chunk: int = 65536) -> Iterator[tuple[int, np.ndarray]]:
        """Yield ``(first row, (n, D) float32)`` over all rows, n at most ``rows_per_chunk``."""
        for start in range(0, self.count, rows_per_chunk):
            stop = min(start + rows_per_chunk, self.count)
            chunk = np.empty((stop - start, self.dimension), np.float32)
            for low, piece in self._pieces(start, stop):
                chunk[low - start : low - start + len(piece)] = piece
            yield start, _made_unit(chunk)

    def stored_chunks(self, rows_per_chunk: int = 65536) -> Iterator[tuple[int, np.ndarray]]:
        """Yield ``(first row, (n, D) float16)`` over all rows as they are stored: views of the memory maps, nothing copied.

        A chunk ends where its shard does; lengths are 1 up to the rounding of float16.
        """
        for owner, shard in enumerate(self.shards):
            for low in range(0, shard.rows, rows_per_chunk):
                yield int(self._first_rows[owner]) + low, self.shard(owner)[low : low + rows_per_chunk]

    def shard(self, number: int) -> np.ndarray:
        """Return a shard as it is stored: (rows, D) float16, a read-only memory map."""
        if number not in self._maps:
            shard = self.shards[number]
            self._maps[number] = _mapped(self.folder / shard.file, (shard.rows, self.dimension))
        return self._maps[number]

    def check_unit(self) -> None:
        """Raise ReleaseError if embeddings are not finite and of unit length.

        Looks at one block of eight rows in each of at most 64 evenly spread shards: milliseconds, whatever N is.
        """
        filled = [number for number, shard in enumerate(self.shards) if shard.rows]
        chosen = sorted({filled[round(at)] for at in np.linspace(0, len(filled) - 1, SAMPLED_SHARDS)}) if filled else []
        for place, number in enumerate(chosen):
            shard = self.shards[number]
            first = place * max(0, shard.rows - SAMPLED_ROWS) // max(1, len(chosen) - 1)
            block = self._block(shard, first, min(SAMPLED_ROWS, shard.rows))
            if not np.all(np.abs(np.linalg.norm(block, axis=1) - 1) < UNIT_TOLERANCE):
                raise ReleaseError(f"Embeddings in {shard.file} are not of unit length: the file is damaged. {self._remedy}")

    def check_sums(self, *, threads: int | None = None, progress: bool = False) -> None:
        """Read every shard and compare its checksum with the manifest's.

        Parameters
        ----------
        threads : int, optional
            Shards read at once; by default one a usable core, at most 8.
        progress : bool
            Show a bar on standard error.

        Raises
        ------
        ReleaseError
            Names the damaged shards.
        """
        self._raise_if([fault for fault in self.faults(threads=threads, progress=progress) if fault])

    def faults(self, *, threads: int | None = None, progress: bool = False) -> list[str]:
        """Return what is wrong with each shard, "" for one that has its checksum; options as `check_sums`."""
        with ThreadPoolExecutor(threads or min(MOST_THREADS, usable_cores())) as pool:
            found = pool.map(self._fault, self.shards)
            return list(tqdm(found, total=len(self.shards), desc="verifying", unit="shard", disable=not progress))

    def _pieces(self, start: int, stop: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yield ``(row, stored rows)`` of rows start..stop, shard by shard."""
        owner = int(np.searchsorted(self._first_rows, start, side="right")) - 1
        while start < stop:
            first, end = int(self._first_rows[owner]), int(self._first_rows[owner + 1])
            low, start = start, min(stop, end)
            if low < start:
                yield low, self.shard(owner)[low - first : start - first]
            owner += 1

    def _block(self, shard: Shard, first: int, rows: int) -> np.ndarray:
        numbers = rows * self.dimension
        offset = first * self.dimension * STORED_DTYPE.itemsize
        stored = np.fromfile(self.folder / shard.file, STORED_DTYPE, numbers, offset=offset)
        return stored.reshape(rows, self.dimension).astype(np.float32)

    def _fault(self, shard: Shard) -> str:
        fault = self._size_fault(shard)
        if fault:
            return fault
        same = file_sha256(self.folder / shard.file) == shard.sha256
        return "" if same else f"{shard.file} does not have the checksum of the manifest"

    def _size_fault(self, shard: Shard) -> str:
        expected = shard.rows * self.dimension * STORED_DTYPE.itemsize
        try:
            size = (self.folder / shard.file).stat().st_size
        except OSError:
            return f"{shard.file} is missing"
        return "" if size == expected else f"{shard.file} holds {size} bytes instead of {expected}"

    def _raise_if(self, faults: list[str]) -> None:
        if faults:
            more = f", and {len(faults) - NAMED} more" if len(faults) > NAMED else ""
            number = "1 shard is" if len(faults) == 1 else f"{len(faults)} shards are"
            raise ReleaseError(f"{number} damaged: {'; '.join(faults[:NAMED])}{more}. {self._remedy}")


def unit(vectors: np.ndarray) -> np.ndarray:
    """Return (n, D) or (D,) vectors scaled to length 1 (float32)."""
    vectors = np.asarray(vectors, np.float32)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def _made_unit(vectors: np.ndarray) -> np.ndarray:
    """Scale (n, D) float32 vectors in place."""
    vectors /= np.sqrt(np.einsum("ij,ij->i", vectors, vectors))[:, None]
    return vectors


def _mapped(path: Path, shape: tuple[int, int]) -> np.ndarray:
    if shape[0] == 0:
        return np.empty(shape, STORED_DTYPE)
    with pa.memory_map(str(path)) as file:
        return np.frombuffer(file.read_buffer(), STORED_DTYPE).reshape(shape)
