"""From finished shards to a finished release folder: catalogue, index, encoder, report, manifest."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from discovery.catalogue import write_catalogue
from discovery.encoder import Encoder
from discovery.errors import SurveyError
from discovery.manifest import (
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
from discovery.provenance import git_commit
from discovery.shards import EmbeddingShards
from discovery.stamps import Survey
from index.columns import catalogue_part, kept_names
from index.duplicates import primary_rows
from index.embed import SPACE, Part, load_parts
from index.plan import Plan
from index.publish import put, put_made
from index.structure import build_structure, choose_kind, tune, write_structure

FLAG_NAMES = ("flag_star", "flag_masked", "flag_partial", "flag_artefact")


def build_release(building: Path, folder: Path, plan: Plan, survey: Survey, encoder: Encoder, measured: dict[str, Any]) -> Manifest:
    """Write everything but the embeddings, the manifest last.

    Parameters
    ----------
    building : Path
        Where it is built.
    folder : Path
        Where it will be.
    measured : dict
        What was measured so far; recall and time of a query are added.

    Raises
    ------
    SurveyError
        If the survey holds no usable stamp.
    """
    parts = load_parts(building, plan)
    rows = sum(part.shard.rows for part in parts)
    damaged = [stamp for part in parts for stamp in part.damaged]
    if rows == 0:
        raise SurveyError(f"No stamp of {plan.name} can be used; the first, {damaged[0].object_id}, {damaged[0].reason}.")
    counts = _build_catalogue(building, survey, parts)
    put_made(building / ENCODER_FOLDER, encoder.save)
    shards = EmbeddingShards(building, [part.shard for part in parts], encoder.dimension)
    kind = choose_kind(rows, encoder.dimension, plan.memory_bytes)
    structure = build_structure(shards, kind)
    put_made(building / INDEX_FILE, lambda beside: write_structure(structure, beside))
    record, found = tune(structure, shards, kind)
    put(building / REPORT_FILE, _report(survey, plan, rows, counts, damaged))
    manifest = Manifest(
        version=MANIFEST_VERSION,
        name=plan.name,
        rows=rows,
        plan=plan.fingerprint,
        survey=_survey_record(folder, plan, survey),
        spaces=(
            Space(
                name=SPACE,
                dimension=encoder.dimension,
                encoder=EncoderRecord(name=encoder.card.name, checksum=encoder.checksum),
                shards=shards.shards,
                index=record,
            ),
        ),
        measured={**measured, **found, "git_commit": git_commit()},
    )
    put(building / MANIFEST_FILE, manifest_bytes(manifest))
    return manifest


def _build_catalogue(building: Path, survey: Survey, parts: list[Part]) -> dict[str, int]:
    """Write the catalogue; return how many rows carry each flag and how many are duplicates."""
    known = {name: [] for name in ("ra", "dec", *FLAG_NAMES)}  # type: dict[str, list[np.ndarray]]
    for part in _catalogue_parts(survey, parts):
        for name, values in known.items():
            values.append(part[name].to_numpy())
    columns = {name: np.concatenate(values) for name, values in known.items()}
    flags = np.sum([columns[name] for name in FLAG_NAMES], axis=0)
    primary = primary_rows(columns["ra"], columns["dec"], flags)
    put_made(
        building / CATALOGUE_FILE,
        lambda beside: write_catalogue(beside, (_with_primary(part, primary) for part in _catalogue_parts(survey, parts))),
    )
    counts = {name: int(np.count_nonzero(columns[name])) for name in FLAG_NAMES}
    return {**counts, "duplicates": int(np.count_nonzero(primary != np.arange(len(primary))))}


def _catalogue_parts(survey: Survey, parts: list[Part]) -> Iterator[pa.Table]:
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


def _report(survey: Survey, plan: Plan, rows: int, counts: dict[str, int], damaged: list) -> bytes:
    renamed = {old: new for old, new in kept_names(survey.table(0, 0)).items() if old != new}
    report = {
        "recognised": survey.recognised,
        "format": survey.format,
        "positions": plan.positions,
        "rows": rows,
        **counts,
        "renamed_columns": renamed,
        "damaged": [asdict(stamp) for stamp in damaged],
    }
    return msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"


def _survey_record(folder: Path, plan: Plan, survey: Survey) -> SurveyRecord:
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
