"""``discovery index repair``: embed the damaged shards of a finished release again."""

from __future__ import annotations

import hashlib
import logging
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
from cyclopts import Parameter
from tqdm import tqdm

from discovery.catalogue import Catalogue
from discovery.encoder import Encoder, load_encoder
from discovery.errors import EncoderMismatch, ReleaseError
from discovery.manifest import CATALOGUE_FILE, MANIFEST_FILE, Manifest, Shard, manifest_bytes, read_manifest
from discovery.shards import STORED_DTYPE, EmbeddingShards
from discovery.stamps import Survey
from discovery.survey_files import SurveyFiles
from index.ingest import input_form, read_batch
from index.plan import BATCH_POSITIONS
from index.publish import LOCK_FILE, only_run, put, remove

log = logging.getLogger(__name__)


def repair(release: Path, *, json: Annotated[bool, Parameter(negative="")] = False) -> None:
    """Find damaged shards of embeddings in a finished release and make them again from the survey's files.

    Parameters
    ----------
    release
        Release folder.
    json
        Print one JSON document instead of text.
    """
    repaired = repair_release(release)
    if json:
        sys.stdout.write(msgspec.json.encode({"release": str(release), "repaired": repaired}).decode() + "\n")
        return
    sys.stdout.write(f"{len(repaired)} shards made again{': ' if repaired else ''}{', '.join(repaired)}\n")


def repair_release(release: Path | str) -> list[str]:
    """Make the damaged shards of a release again, one after another; return their files.

    On the kind of machine that made the release the bytes are those that were lost; elsewhere they may differ in the
    last bit, and the manifest gets their new checksum. Rows, catalogue and index stay as they are.

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
    with only_run(path):
        try:
            return _repaired(path, read_manifest(path))
        finally:
            remove(path / LOCK_FILE)


def _repaired(path: Path, manifest: Manifest) -> list[str]:
    space = manifest.spaces[0]
    shards = EmbeddingShards(path, space.shards, space.dimension, checked=False)
    damaged = [number for number, fault in enumerate(shards.faults(progress=sys.stderr.isatty())) if fault]
    if not damaged:
        return []
    encoder = load_encoder(path / space.encoder.folder)
    if encoder.checksum != space.encoder.checksum:
        raise EncoderMismatch(f"The encoder in the folder of release {manifest.name} is not the one that made its embeddings.")
    files, catalogue = SurveyFiles(path, manifest), Catalogue(path / CATALOGUE_FILE, manifest.rows)
    for number in tqdm(damaged, desc="repairing", unit="shard", disable=None):
        first_row = int(shards.first_rows[number])
        survey = files.survey(manifest.survey_number(first_row))
        shard = space.shards[number]
        data = _embedded(shard, _positions(catalogue, first_row, shard.rows), survey, encoder)
        put(path / shard.file, data)
        manifest = _with_checksum(path, manifest, number, hashlib.sha256(data).hexdigest())
    return [space.shards[number].file for number in damaged]


def _positions(catalogue: Catalogue, first_row: int, rows: int) -> np.ndarray:
    """Return the survey positions of a shard's rows."""
    return catalogue.rows(np.arange(first_row, first_row + rows), ["survey_position"])["survey_position"].to_numpy()


def _embedded(shard: Shard, positions: np.ndarray, survey: Survey, encoder: Encoder) -> bytes:
    """Embed the stamps of a shard in the batches that it was made in, as far as they hold one of its rows."""
    blocks = []
    for start in range(shard.start, shard.stop, BATCH_POSITIONS):
        stop = min(start + BATCH_POSITIONS, shard.stop)
        wanted = positions[(positions >= start) & (positions < stop)]
        if len(wanted) == 0:
            continue
        batch = read_batch(survey, input_form(encoder), start, stop)
        mine = np.isin(batch.positions, wanted)
        if np.count_nonzero(mine) != len(wanted):
            raise ReleaseError(f"Stamps of {shard.file} can no longer be read: put the survey's files back as they were.")
        blocks.append(encoder.embed_inputs(batch.inputs[mine]).astype(STORED_DTYPE).tobytes())
    return b"".join(blocks)


def _with_checksum(path: Path, manifest: Manifest, number: int, sha256: str) -> Manifest:
    """Return the manifest with a shard's checksum, written where that is another one."""
    space = manifest.spaces[0]
    if space.shards[number].sha256 == sha256:
        return manifest
    log.warning("%s was made again on another kind of machine: the manifest gets its new checksum.", space.shards[number].file)
    shards = list(space.shards)
    shards[number] = msgspec.structs.replace(shards[number], sha256=sha256)
    spaces = (msgspec.structs.replace(space, shards=tuple(shards)), *manifest.spaces[1:])
    manifest = msgspec.structs.replace(manifest, spaces=spaces)
    put(path / MANIFEST_FILE, manifest_bytes(manifest))
    return manifest
