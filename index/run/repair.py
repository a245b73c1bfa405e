"""``discovery index repair``: embed the damaged shards of a finished release again."""

from __future__ import annotations

import hashlib
import logging
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import msgspec
import numpy as np
import pyarrow as pa
from tqdm import tqdm

from discovery.encoders.encoder import Encoder, Precision, load_encoder
from discovery.errors import EncoderMismatch, ReleaseError
from discovery.release.catalogue import Catalogue
from discovery.release.manifest import CATALOGUE_FILE, Manifest, Shard, SpaceSegment
from discovery.release.manifest_file import read_manifest, write_manifest
from discovery.release.shards import STORED_DTYPE, EmbeddingShards
from discovery.release.survey_files import SurveyFiles
from discovery.sky.crossmatch import ROWS_AT_ONCE, match_objects
from discovery.stamps.stamp import Survey
from discovery.storage.atomic import put
from discovery.storage.locks import only_run
from index.catalogue.columns import sky_positions
from index.embed.ingest import input_form, read_batch
from index.embed.selected_positions import SelectedSurvey
from index.plan import BATCH_POSITIONS

log = logging.getLogger(__name__)


@dataclass(kw_only=True, eq=False)
class FirstRows:
    """The rows of a catalogue before ``count``, to find objects among."""

    catalogue: Catalogue
    count: int

    def parts(self, columns: Sequence[str] | None = None, rows_at_once: int = ROWS_AT_ONCE) -> Iterator[pa.Table]:
        """Yield them in order, so many at once."""
        starts = range(0, self.count, rows_at_once)
        for start, part in zip(starts, self.catalogue.parts(columns, rows_at_once), strict=False):
            yield part.slice(0, self.count - start)


def repair_release(release: Path | str) -> list[str]:
    """Make the damaged shards of a release again, one after another; return their files.

    Stamps are embedded in the batches and in the precision that the manifest tells: on the same kind of machine, with the
    same libraries, that gives the bytes that were lost. Where it gives others, the manifest gets their checksum. Rows,
    catalogue and index stay as they are.

    Raises
    ------
    ReleaseError
        If the folder is no release, or the survey's files are missing or changed.
    ConfigError
        If another run works in the folder.
    EncoderMismatch
        If the encoder in the folder is not the one that made the embeddings.
    """
    path = Path(release).resolve()
    read_manifest(path)  # an error for what is no release, before a lock is made there
    with only_run(path, leaves_lock=False):
        return _repaired(path, read_manifest(path))


def _repaired(path: Path, manifest: Manifest) -> list[str]:
    space = manifest.image
    shards = EmbeddingShards(path, space.shards, space.dimension, checked=False)
    damaged = [number for number, fault in enumerate(shards.faults(progress=sys.stderr.isatty())) if fault]
    if not damaged:
        return []
    encoder = load_encoder(path / space.encoder.folder)
    if encoder.checksum != space.encoder.checksum:
        raise EncoderMismatch(f"The encoder in the folder of release {manifest.name} is not the one that made its embeddings.")
    files, catalogue = SurveyFiles(path, manifest), Catalogue(path / CATALOGUE_FILE, manifest.rows)
    origins = [number for number, segment in enumerate(space.segments) for _ in segment.shards]
    for number in tqdm(damaged, desc="repairing", unit="shard", disable=None):
        first_row = int(shards.first_rows[number])
        origin, shard = origins[number], space.shards[number]
        encoder.precision = _precision(space.segments[origin]) or encoder.precision
        positions = _positions(catalogue, first_row, shard.rows)
        chosen = _selected(catalogue, manifest, origin, shard, positions, files.survey(origin))
        data = _embedded(shard, positions, chosen, encoder)
        put(path / shard.file, data)
        manifest = _with_checksum(path, manifest, number, hashlib.sha256(data).hexdigest())
        _warn_of_older(manifest, first_row, shard)
    return [space.shards[number].file for number in damaged]


def _precision(segment: SpaceSegment) -> Precision | None:
    """Return what a segment's embeddings were computed in, None where the manifest does not tell."""
    return next((precision for precision in get_args(Precision) if precision == segment.precision), None)


def _positions(catalogue: Catalogue, first_row: int, rows: int) -> np.ndarray:
    """Return the survey positions of a shard's rows."""
    return catalogue.rows(np.arange(first_row, first_row + rows), ["survey_position"])["survey_position"].to_numpy()


def _selected(
    catalogue: Catalogue, manifest: Manifest, origin: int, shard: Shard, positions: np.ndarray, survey: Survey
) -> SelectedSurvey:
    """Return the stamps that a shard was made of, damaged ones too: all of its range, of an added survey those that were new.

    Whether an object was new is found as `index.grow.newcomers` found it, among the rows that were there before.
    """
    everything = np.arange(shard.start, shard.stop)
    others = np.setdiff1d(everything, positions)
    if origin == 0 or not len(others):
        return SelectedSurvey(survey, everything)
    before = FirstRows(catalogue=catalogue, count=manifest.segments[origin].first_row)
    table = SelectedSurvey(survey, others).table()
    found = match_objects(before, table["object_id"], *sky_positions(table))
    return SelectedSurvey(survey, np.union1d(positions, others[found.rows < 0]))


def _embedded(shard: Shard, positions: np.ndarray, survey: SelectedSurvey, encoder: Encoder) -> bytes:
    """Return the embeddings of the stamps of a shard that are rows, in the batches that it was made in."""
    blocks, rows = [], 0
    for start in range(0, len(survey), BATCH_POSITIONS):
        batch = read_batch(survey, input_form(encoder), start, min(start + BATCH_POSITIONS, len(survey)))
        mine = np.isin(survey.positions[batch.positions], positions)
        rows += int(np.count_nonzero(mine))
        if mine.any():
            blocks.append(encoder.embed_inputs(batch.inputs[mine]).astype(STORED_DTYPE).tobytes())
    if rows != len(positions):
        raise ReleaseError(f"Stamps of {shard.file} can no longer be read: put the survey's files back as they were.")
    return b"".join(blocks)


def _warn_of_older(manifest: Manifest, first_row: int, shard: Shard) -> None:
    """Say that an older release may have the same damage, where it shares a file."""
    older = manifest.grown_from
    if older is not None and first_row < older.rows:
        log.warning(
            "%s came from release %s, where it was the same file (a hard link) and is likely damaged too: "
            "repair that release itself, 'discovery index repair %s'.",
            shard.file,
            older.name,
            older.path,
        )


def _with_checksum(path: Path, manifest: Manifest, number: int, sha256: str) -> Manifest:
    """Return the manifest with a shard's checksum, written where that is another one."""
    space = manifest.image
    if space.shards[number].sha256 == sha256:
        return manifest
    log.warning(
        "%s was made again, but not to the same bytes (another kind of machine, or other libraries?): "
        "the manifest gets its new checksum.",
        space.shards[number].file,
    )
    wrong = space.shards[number]
    segments = tuple(
        msgspec.structs.replace(
            segment, shards=tuple(msgspec.structs.replace(shard, sha256=sha256) if shard is wrong else shard for shard in segment.shards)
        )
        for segment in space.segments
    )
    manifest = manifest.with_image(msgspec.structs.replace(space, segments=segments))
    write_manifest(path, manifest)
    return manifest
