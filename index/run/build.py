"""From finished shards to a finished release folder: catalogue, index, encoder, report, manifest."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from discovery.encoders.encoder import Encoder
from discovery.errors import SurveyError
from discovery.release.catalogue import write_catalogue
from discovery.release.manifest import (
    CATALOGUE_FILE,
    ENCODER_FOLDER,
    INDEX_FILE,
    MANIFEST_FILE,
    MANIFEST_VERSION,
    REPORT_FILE,
    EncoderRecord,
    Manifest,
    Space,
    SurveyRecord,
    manifest_bytes,
)
from discovery.release.shards import EmbeddingShards
from discovery.stamps.stamp import Damaged, Survey
from discovery.storage.atomic import put, put_made, written
from discovery.storage.provenance import git_commit
from index.catalogue.columns import catalogue_part, kept_names
from index.catalogue.duplicates import primary_rows
from index.embed.parts import SPACE, Parts
from index.embed.rates import stage_rates, total
from index.plan import Plan
from index.structure.structure import index_shards

FLAG_NAMES = ("flag_star", "flag_masked", "flag_partial", "flag_artefact")
DAMAGED_FILE = "damaged.jsonl"
DAMAGED_IN_REPORT = 1000
"""With more damaged stamps the report lists the first ones, and `DAMAGED_FILE` all of them."""


def build_release(building: Path, folder: Path, plan: Plan, survey: Survey, encoder: Encoder, measured: dict[str, Any]) -> Manifest:
    """Write everything but the embeddings, the manifest last.

    Beside what the search structure takes, in memory are 28 bytes a row (position, flags, primary row) and, while the
    catalogue is written, one shard's lines.

    Parameters
    ----------
    building : Path
        Where it is built.
    folder : Path
        Where it will be.
    measured : dict
        What was measured so far; the stages' rates, recall and time of a query are added.

    Raises
    ------
    SurveyError
        If the survey holds no usable stamp.
    """
    parts = Parts(building, plan, range(plan.shard_count))
    rows = parts.rows
    if rows == 0:
        first = next(_damaged(parts))
        raise SurveyError(f"No stamp of {plan.name} can be used; the first, {first.object_id}, {first.reason}.")
    counts = build_catalogue(building, survey, parts)
    if not (building / ENCODER_FOLDER).exists():
        put_made(building / ENCODER_FOLDER, encoder.save)
    shards = EmbeddingShards(building, parts.shards, encoder.dimension)
    record, found = index_shards(shards, building / INDEX_FILE, memory_bytes=plan.memory_bytes, recall=plan.recall)
    put(building / REPORT_FILE, _report(building, survey, plan, counts, parts))
    manifest = Manifest(
        version=MANIFEST_VERSION,
        name=plan.name,
        rows=rows,
        plan=plan.fingerprint,
        survey=survey_record(folder, plan, survey),
        spaces=(
            Space(
                name=SPACE,
                dimension=encoder.dimension,
                encoder=EncoderRecord(name=encoder.card.name, checksum=encoder.checksum),
                shards=shards.shards,
                index=record,
            ),
        ),
        measured={**measured, **parts.told, **stage_rates(total(part.work for part in parts)), **found, "git_commit": git_commit()},
    )
    put(building / MANIFEST_FILE, manifest_bytes(manifest))
    return manifest


def build_catalogue(building: Path, survey: Survey, parts: Parts) -> dict[str, int]:
    """Write the catalogue; return how many rows carry each flag and how many are duplicates."""
    positions = np.empty((2, parts.rows))  # ra, dec
    flags, counts = np.zeros(parts.rows, np.uint8), dict.fromkeys(FLAG_NAMES, 0)
    first_row = 0
    for lines in _catalogue_parts(survey, parts):
        here = slice(first_row, first_row + lines.num_rows)
        positions[:, here] = lines["ra"].to_numpy(), lines["dec"].to_numpy()
        for name in FLAG_NAMES:
            raised = lines[name].to_numpy()
            flags[here] += raised
            counts[name] += int(np.count_nonzero(raised))
        first_row = here.stop
    primary = primary_rows(positions[0], positions[1], flags)
    put_made(
        building / CATALOGUE_FILE,
        lambda beside: write_catalogue(beside, (_with_primary(part, primary) for part in _catalogue_parts(survey, parts))),
    )
    return {**counts, "duplicates": int(np.count_nonzero(primary != np.arange(len(primary))))}


def _catalogue_parts(survey: Survey, parts: Parts) -> Iterator[pa.Table]:
    first_row = 0
    for part in parts:
        if part.shard.rows:
            positions = part.measures["survey_position"].to_numpy()
            came = survey.table(part.shard.start, part.shard.stop).take(pa.array(positions - part.shard.start))
            yield catalogue_part(came, part.measures, first_row)
        first_row += part.shard.rows


def _with_primary(part: pa.Table, primary: np.ndarray) -> pa.Table:
    place = part.column_names.index("survey_position")
    return part.add_column(place, "primary_row", pa.array(primary[part["row"].to_numpy()]))


def _damaged(parts: Parts) -> Iterator[Damaged]:
    return (stamp for part in parts for stamp in part.damaged)


def _write_damaged(path: Path, damaged: Iterable[Damaged]) -> None:
    with written(path) as file:
        for stamp in damaged:
            file.write(msgspec.json.encode(asdict(stamp)) + b"\n")


def damaged_told(building: Path, plan: Plan, parts: Parts) -> dict[str, Any]:
    """Return what a report says of damaged stamps; where they are many, all of them go into `DAMAGED_FILE`."""
    count = plan.positions - parts.rows
    if count > DAMAGED_IN_REPORT:
        _write_damaged(building / DAMAGED_FILE, _damaged(parts))
    return {
        "damaged_count": count,
        "damaged": [asdict(stamp) for stamp in itertools.islice(_damaged(parts), DAMAGED_IN_REPORT)],
    }


def _report(building: Path, survey: Survey, plan: Plan, counts: dict[str, int], parts: Parts) -> bytes:
    renamed = {old: new for old, new in kept_names(survey.table(0, 0)).items() if old != new}
    report = {
        "recognised": survey.recognised,
        "format": survey.format,
        "positions": plan.positions,
        "rows": parts.rows,
        **counts,
        "renamed_columns": renamed,
        **damaged_told(building, plan, parts),
    }
    return msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"


def survey_record(folder: Path, plan: Plan, survey: Survey) -> SurveyRecord:
    return SurveyRecord(
        paths=plan.paths,
        relative_paths=tuple(os.path.relpath(path, folder) for path in plan.paths),
        table=plan.table,
        relative_table=None if plan.table is None else os.path.relpath(plan.table, folder),
        options=plan.options,
        format=survey.format,
        recognised=survey.recognised,
        fingerprint=plan.contents,
    )
