"""Training shards: prepared stamps of one or several surveys in a few large files, and how they are read.

A folder of shards holds::

    shards.json          what was packed (`ShardsManifest`); written last: with it the folder is whole
    stamps.arrow         one line a stamp: object_id, trains, validates, label; one record batch a shard
    damaged.csv          the stamps that could not be used, with the reason
    pixels/00000.npy     (n, 3, S, S) uint8 or float16, colours times 255, bands g r z
    parts/00000.arrow    what packing goes on from

Nothing is held in memory that grows with the pixels, and of a stamp only its masks and its label: object_ids stay
in the mapped file. `training.data.shard_packer` writes such a folder.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, overload

import msgspec
import numpy as np
import pyarrow as pa

from discovery.errors import ConfigError
from discovery.stamps.preprocess import Convention, CropConfig

SHARDS_FILE, PLAN_FILE, STAMPS_FILE, DAMAGED_FILE = "shards.json", "shards.plan.json", "stamps.arrow", "damaged.csv"
OPEN_FILES = 128
SCALE = 255
"""Stored numbers are colours 0..1 times this, in float16 too."""


class Source(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A survey that is packed: its path, the column of its labels ("" for none) and how many stamps it holds."""

    path: str
    column: str
    stamps: int


class ShardsPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be packed, and how."""

    version: Literal[1] = 1
    sources: tuple[Source, ...]
    dtype: Literal["uint8", "float16"]
    size: int
    convention: Convention = "dr2_rgb"
    crop: CropConfig = CropConfig()
    shard_stamps: int

    def ranges(self) -> list[tuple[int, int, int]]:
        """Return the source and its positions start, stop (exclusive) of each shard."""
        return [
            (number, start, min(start + self.shard_stamps, source.stamps))
            for number, source in enumerate(self.sources)
            for start in range(0, source.stamps, self.shard_stamps)
        ]


class PixelFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file of pixels, relative to the folder, with its rows and checksum."""

    file: str
    rows: int
    sha256: str


class ShardsManifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a finished folder holds; ``classes`` are the values of each column of labels, in order."""

    plan: ShardsPlan
    stamps: int
    training: int
    validating: int
    damaged: int
    classes: dict[str, tuple[str, ...]]
    files: tuple[PixelFile, ...]


@dataclass(frozen=True, kw_only=True)
class Shards:
    """A folder of shards, opened.

    Attributes
    ----------
    trains, validates : numpy.ndarray
        (N,) bool.
    """

    manifest: ShardsManifest
    pixels: ShardedPixels
    object_ids: ObjectIds
    trains: np.ndarray
    validates: np.ndarray
    table: pa.Table

    def labels(self, column: str) -> tuple[np.ndarray, tuple[str, ...]]:
        """Return (N,) int64 labels, -1 where there is none, and the classes.

        Stamps of a source that was packed with another column, or with none, have no label.

        Raises
        ------
        ConfigError
            If no source was packed with that column.
        """
        known = self.manifest.classes
        if column not in known:
            there = ", ".join(known) if known else "no labels: pack it again from PATH@COLUMN"
            raise ConfigError(f"{self.pixels.folder} has no labels {column!r}; it has {there}.")
        labels, plan, place = np.empty(len(self.trains), np.int64), self.manifest.plan, 0
        for (source, _, _), chunk, file in zip(plan.ranges(), self.table["label"].chunks, self.manifest.files, strict=True):
            labels[place : place + file.rows] = chunk.to_numpy() if plan.sources[source].column == column else -1
            place += file.rows
        return labels, known[column]


def is_shards(folder: Path) -> bool:
    """Return whether a folder holds shards, finished or not."""
    return (folder / SHARDS_FILE).exists() or (folder / PLAN_FILE).exists()


def open_shards(folder: Path) -> Shards:
    """Return the shards of a folder.

    Raises
    ------
    ConfigError
        If it is not finished, damaged or of another version.
    """
    manifest = read_manifest(folder)
    try:
        with pa.memory_map(str(folder / STAMPS_FILE)) as mapped:
            table = pa.ipc.open_file(mapped).read_all()
    except (OSError, pa.ArrowInvalid):
        raise ConfigError(f"{folder / STAMPS_FILE} is missing or damaged; pack the shards again into the same folder.") from None
    if len(table) != manifest.stamps or sum(file.rows for file in manifest.files) != manifest.stamps:
        raise ConfigError(f"{folder} contradicts itself: {manifest.stamps} stamps, {len(table)} lines; pack the shards again.")
    return Shards(
        manifest=manifest,
        pixels=ShardedPixels(folder, manifest.files, manifest.plan.size, np.dtype(manifest.plan.dtype)),
        object_ids=ObjectIds(table["object_id"]),
        trains=table["trains"].to_numpy(),
        validates=table["validates"].to_numpy(),
        table=table,
    )


def read_manifest(folder: Path) -> ShardsManifest:
    """Return the manifest of a folder of shards."""
    try:
        return msgspec.json.decode((folder / SHARDS_FILE).read_bytes(), type=ShardsManifest)
    except FileNotFoundError:
        raise ConfigError(f"{folder} is not packed to the end; run the same discovery train shards again, it goes on.") from None
    except msgspec.DecodeError as problem:
        raise ConfigError(f"{folder / SHARDS_FILE} cannot be read: {problem}.") from None


class ObjectIds(Sequence[str]):
    """The object_ids of all stamps, read from the mapped file when used."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        self._column = column

    def __len__(self) -> int:
        return len(self._column)

    @overload
    def __getitem__(self, key: int) -> str: ...
    @overload
    def __getitem__(self, key: slice) -> tuple[str, ...]: ...
    def __getitem__(self, key: int | slice) -> str | tuple[str, ...]:
        if isinstance(key, slice):
            start, stop, step = key.indices(len(self))
            if step == 1:
                return tuple(self._column.slice(start, max(0, stop - start)).to_pylist())
            return tuple(self._column[place].as_py() for place in range(start, stop, step))
        return self._column[int(key)].as_py()

    def __iter__(self) -> Iterator[str]:
        for chunk in self._column.chunks:
            yield from chunk.to_pylist()


class ShardedPixels:
    """The pixels of all shards as one array (N, 3, S, S), of which rows are read from the files when used.

    Rows are read by position rather than through a memory map: what was read is in the operating system's cache for
    the other processes of the machine, and never in this one's own memory.

    Parameters
    ----------
    folder : Path
        That the files are named relative to.
    files : sequence of PixelFile
        In the order of their rows.
    """

    def __init__(self, folder: Path, files: Sequence[PixelFile], size: int, dtype: np.dtype) -> None:
        self.folder, self.files, self.dtype = folder, tuple(files), dtype.newbyteorder("<")
        self._first = np.cumsum([0, *(file.rows for file in files)])
        self.shape = (int(self._first[-1]), 3, size, size)
        self._row_bytes = 3 * size * size * self.dtype.itemsize
        self._open: OrderedDict[int, _OpenFile] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> np.ndarray:
        """Return one stamp (3, S, S) for a number; (n, 3, S, S) for a slice, numbers or a mask."""
        if isinstance(key, (int, np.integer)):
            if not -len(self) <= key < len(self):
                raise IndexError(f"row {key} of {len(self)}")
            return self.take(np.array([int(key) % len(self)]))[0]
        if isinstance(key, slice):
            return self.take(np.arange(*key.indices(len(self))))
        chosen = np.asarray(key)
        if chosen.dtype == bool and chosen.shape != (len(self),):
            raise IndexError(f"a mask of {chosen.shape} for {len(self)} rows")
        rows = np.flatnonzero(chosen) if chosen.dtype == bool else chosen.astype(np.int64)
        return self.take(np.where(rows < 0, rows + len(self), rows))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype)

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Return the stamps (n, 3, S, S) at some rows; neighbours on disk are read together."""
        if len(rows) and not (rows.min() >= 0 and rows.max() < len(self)):
            raise IndexError(f"rows {rows.min()} to {rows.max()} of {len(self)}")
        order = np.argsort(rows, kind="stable")
        wanted = rows[order]
        out = np.empty((len(rows), *self.shape[1:]), self.dtype)
        for file, first, start, stop in self._runs(wanted):
            self._file(file).read(first, out[start:stop])
        if (order[:-1] < order[1:]).all():
            return out
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        return out[back]

    def expect(self, rows: np.ndarray) -> None:
        """Let the operating system read rows (n,), ascending, into its cache, without waiting for it."""
        for file, first, start, stop in self._runs(rows):
            self._file(file).expect(first, stop - start, self._row_bytes)

    def _runs(self, rows: np.ndarray) -> Iterator[tuple[int, int, int, int]]:
        """Give the runs of neighbours among ascending rows: file, first row in it, and start and stop among ``rows``."""
        if not len(rows):
            return
        which = np.searchsorted(self._first, rows, side="right") - 1
        breaks = (np.flatnonzero((np.diff(rows) != 1) | (np.diff(which) != 0)) + 1).tolist()
        for start, stop in zip([0, *breaks], [*breaks, len(rows)], strict=True):
            yield int(which[start]), int(rows[start] - self._first[which[start]]), start, stop

    def _file(self, which: int) -> _OpenFile:
        with self._lock:
            file = self._open.pop(which, None) or _OpenFile(self.folder / self.files[which].file)
            self._open[which] = file  # the last used is the last
            if len(self._open) > OPEN_FILES:
                self._open.popitem(last=False)  # closed when nobody reads from it any more
        return file


class _OpenFile:
    def __init__(self, path: Path) -> None:
        self.path, self.descriptor = path, -1
        try:
            with path.open("rb") as file:
                np.lib.format.read_magic(file)
                np.lib.format.read_array_header_1_0(file)
                self.start = file.tell()
            self.descriptor = os.open(path, os.O_RDONLY)
        except (OSError, ValueError):
            raise ConfigError(f"{path} is missing or damaged; run discovery train shards with --verify to make it again.") from None

    def __del__(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)

    def read(self, row: int, out: np.ndarray) -> None:
        view, done = out.data.cast("B"), 0
        offset = self.start + row * out[0].nbytes
        while done < len(view):
            count = os.preadv(self.descriptor, [view[done:]], offset + done)
            if count == 0:
                raise ConfigError(f"{self.path} is too short; run discovery train shards with --verify to make it again.")
            done += count

    def expect(self, row: int, rows: int, row_bytes: int) -> None:
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self.descriptor, self.start + row * row_bytes, rows * row_bytes, os.POSIX_FADV_WILLNEED)
