"""A release: one survey seen by one encoder, embedded, indexed and listed in a catalogue."""

from __future__ import annotations

import shlex
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import numpy as np

from discovery.errors import EncoderMismatch, ReleaseError
from discovery.release.catalogue import Catalogue
from discovery.release.manifest import CATALOGUE_FILE, Manifest, SpaceRecord
from discovery.release.manifest_file import read_manifest
from discovery.release.neighbours.index import NeighbourIndex, read_index
from discovery.release.neighbours.inverted_file import load_faiss
from discovery.release.shards import EmbeddingShards
from discovery.release.stamp_records import StampRecords
from discovery.release.survey_files import SurveyFiles
from discovery.stamps.stamp import Damaged, Stamp

if TYPE_CHECKING:
    from discovery.encoders.encoder import Encoder
    from discovery.release.neighbours.exact import ExactEngine

QUICK_CHECK_BYTES = 64 * 2**20
"""Checksums of the embeddings are verified on opening up to this size; larger ones by `Release.verify`."""


def open_release(path: Path | str, survey_roots: Sequence[Path | str] | None = None) -> Release:
    """Open a release folder.

    Parameters
    ----------
    path : Path or str
        The folder that ``discovery index`` made.
    survey_roots : sequence of Path, optional
        If given, stamps are read only from survey files below these folders.

    Raises
    ------
    ReleaseError
        If the folder is no release, damaged or of an unknown version.
    """
    roots = None if survey_roots is None else tuple(Path(root).resolve() for root in survey_roots)
    return Release(Path(path).resolve(), roots)


class Release:
    """What `open_release` gives; reading only, safe to share between threads.

    Attributes
    ----------
    path : Path
        The folder.
    manifest : Manifest
        What it says about itself.
    catalogue : Catalogue
        One table row a row.
    stamp_records : StampRecords
        Those of its columns that stamps are read by.
    """

    def __init__(self, path: Path, survey_roots: tuple[Path, ...] | None) -> None:
        self.path = path
        self.manifest: Manifest = read_manifest(path)
        self._survey_lock, self._index_lock, self._engine_lock = threading.Lock(), threading.Lock(), threading.Lock()
        self._opened_index: tuple[NeighbourIndex, dict[str, Any]] | None = None
        self._made_engine: ExactEngine | None = None
        self._files = SurveyFiles(path, self.manifest, survey_roots)
        self._shards = EmbeddingShards(path, self._space.shards, self._space.dimension, remedy=remedy(path))
        if self._shards.count != self.manifest.rows:
            raise ReleaseError(f"The shards of release {self.name} do not add up to its rows. Build it again.")
        if self.count * self.dimension * 2 <= QUICK_CHECK_BYTES:
            self._shards.check_sums()
        self._shards.check_unit()
        self.catalogue = Catalogue(path / CATALOGUE_FILE, self.count)
        self.stamp_records = StampRecords(self.catalogue)

    def __repr__(self) -> str:
        return f"<Release {self.name}: {self.count} rows, D = {self.dimension}>"

    @property
    def name(self) -> str:
        """The release's name."""
        return self.manifest.name

    @property
    def count(self) -> int:
        """Number of rows N."""
        return self.manifest.rows

    @property
    def dimension(self) -> int:
        """Length D of an embedding."""
        return self._space.dimension

    @property
    def encoder_checksum(self) -> str:
        """Checksum of the encoder that made the embeddings."""
        return self._space.encoder.checksum

    @cached_property
    def primary(self) -> np.ndarray:
        """Rows that stand for their object, duplicates left out: (N,) bool."""
        return self.catalogue.primary_rows == np.arange(self.count)

    @property
    def clean(self) -> np.ndarray:
        """Rows that are no star and have no masked, partial or artefact flag: (N,) bool."""
        return self.catalogue.clean

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Return the embeddings of some rows: (n, D) float32 of unit length."""
        return self._shards.take(rows)

    def chunks(self, rows_per_chunk: int = 65536) -> Iterator[tuple[int, np.ndarray]]:
        """Yield ``(first row, (n, D) float32)`` over all rows."""
        return self._shards.chunks(rows_per_chunk)

    def stored_chunks(self, rows_per_chunk: int = 65536) -> Iterator[tuple[int, np.ndarray]]:
        """Yield ``(first row, (n, D) float16)`` over all rows, as they lie on disk, nothing copied."""
        return self._shards.stored_chunks(rows_per_chunk)

    def nearest(
        self, vector: np.ndarray, k: int, allowed: np.ndarray | None = None, *, engine: Literal["index", "exact"] = "index"
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the k allowed rows most similar to a vector, see `NeighbourIndex.nearest`; ``exact`` compares with all of them."""
        if engine == "index":
            return self._index.nearest(vector, k, allowed)
        rows, similarity = self.engine.nearest(np.asarray(vector)[None], k, allowed)
        return rows[rows >= 0], similarity[rows >= 0]

    def nearest_many(
        self, vectors: np.ndarray, k: int, allowed: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the k allowed rows most similar to each of (q, D) vectors, see `NeighbourIndex.nearest_many`."""
        return self._index.nearest_many(vectors, k, allowed)

    @property
    def engine(self) -> ExactEngine:
        """What compares with, or scores, every row without an index: on a GPU where there is one, which then holds the embeddings."""
        with self._engine_lock:
            if self._made_engine is None:
                from discovery.release.neighbours.exact import ExactEngine

                self._made_engine = ExactEngine(self._shards)
            return self._made_engine

    @property
    def index_facts(self) -> dict[str, Any]:
        """What answers of the index depend on, for records: ``index`` (its record in the manifest, its bytes) and the version of ``faiss``."""
        return self._index_and_facts[1]

    @property
    def shards(self) -> EmbeddingShards:
        """The embeddings on disk."""
        return self._shards

    def encoder(self) -> Encoder:
        """Return the release's own encoder (loaded once).

        Raises
        ------
        EncoderMismatch
            If the encoder in the folder is not the one that made the embeddings.
        """
        return self._encoder

    def stamp(self, row: int) -> Stamp:
        """Return the stamp of a row, read again from the files of the survey that it came from.

        Raises
        ------
        ReleaseError
            If the files are missing, changed, or outside the allowed folders.
        """
        record, number = self.stamp_records.get(row), self.manifest.segment_number(row)
        position = record.survey_position
        with self._survey_lock:
            (stamp,) = self._files.survey(number).read(position, position + 1)
        if isinstance(stamp, Damaged):
            raise ReleaseError(f"The stamp of {record.object_id} can no longer be read: {stamp.reason}.")
        if record.object_id == stamp.object_id + self.manifest.segments[number].suffix:
            stamp = replace(stamp, object_id=record.object_id)
        if stamp.object_id != record.object_id:
            raise ReleaseError(f"The survey files of release {self.name} changed since it was built. Build it again.")
        return stamp

    def verify(self, *, threads: int | None = None, progress: bool = False) -> None:
        """Read every embedding shard and compare it with its checksum in the manifest.

        Parameters
        ----------
        threads : int, optional
            Shards read at once; by default one a usable core, at most 8.
        progress : bool
            Show a bar on standard error.

        Raises
        ------
        ReleaseError
            Names each damaged shard, and the command that makes it again.
        """
        self._shards.check_sums(threads=threads, progress=progress)

    @property
    def _space(self) -> SpaceRecord:
        return self.manifest.image

    @property
    def _index(self) -> NeighbourIndex:
        return self._index_and_facts[0]

    @property
    def _index_and_facts(self) -> tuple[NeighbourIndex, dict[str, Any]]:
        """The index, opened once, and its facts of that moment: a later rebuild may remove its file."""
        with self._index_lock:
            if self._opened_index is None:
                record = self._space.index
                index = read_index(self.path / record.file, self._shards, record)
                facts = {**msgspec.to_builtins(record), "bytes": (self.path / record.file).stat().st_size}
                self._opened_index = index, {"index": facts, "faiss": str(load_faiss().__version__)}
            return self._opened_index

    @cached_property
    def _encoder(self) -> Encoder:
        from discovery.encoders.encoder import load_encoder

        encoder = load_encoder(self.path / self._space.encoder.folder)
        if encoder.checksum != self.encoder_checksum:
            raise EncoderMismatch(
                f"The encoder in the folder of release {self.name} is not the one that made its embeddings. Build it again."
            )
        return encoder


def remedy(path: Path) -> str:
    """Return the sentence that names the command by which damaged shards are made again."""
    return f"Make them again with: {shlex.join(['discovery', 'index', 'repair', str(path)])}"
