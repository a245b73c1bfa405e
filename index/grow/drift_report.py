"""The drift report of a release that grows: new stamps of some known objects, embedded again and compared."""

from __future__ import annotations

from pathlib import Path

from discovery.encoders.encoder import Encoder
from discovery.release.catalogue import Catalogue
from discovery.release.manifest import DRIFT_FILE, DRIFT_SAMPLE_FILE
from discovery.release.shards import EmbeddingShards
from discovery.storage.atomic import put
from index.drift.drift import FEWEST, Side, compare, whole
from index.drift.report import report_json
from index.drift.sample import embed_sample, read_sample, write_sample
from index.grow.newcomers import Newcomers


def write_drift(
    building: Path,
    name: str,
    newcomers: Newcomers,
    catalogue: Catalogue,
    shards: EmbeddingShards,
    encoder: Encoder,
    count: int,
) -> None:
    """Write the sample and the report into the folder that the release ``name`` is built in; again in a run that goes on.

    Parameters
    ----------
    catalogue, shards
        Of the release that is built, older rows first.
    count : int
        How many known objects are embedded again.
    """
    older, path = newcomers.older, building / DRIFT_SAMPLE_FILE
    positions, rows = newcomers.sample(count)
    write_sample(path, embed_sample(newcomers.survey, positions, rows, encoder))
    new = Side(name=name, catalogue=catalogue, take=shards.take, first=older.count, stop=shards.count)
    report, _ = compare(whole(older), new, read_sample(path), sample=max(FEWEST, len(rows)))
    put(building / DRIFT_FILE, report_json(report))
