"""From finished shards to a finished release folder: catalogue, encoder, shards, index, drift, report, manifest."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec

from discovery.errors import SurveyError
from discovery.release.catalogue import Catalogue
from discovery.release.manifest import (
    CATALOGUE_FILE,
    ENCODER_FOLDER,
    IMAGE_SPACE,
    INDEX_FILE,
    REPORT_FILE,
    EncoderRecord,
    IndexRecord,
    Manifest,
    Segment,
    Shard,
    SpaceRecord,
    SpaceSegment,
    SurveyRecord,
)
from discovery.release.manifest_file import write_manifest
from discovery.release.shards import EmbeddingShards
from discovery.stamps.stamp import Damaged
from discovery.storage.atomic import put, put_made, written
from discovery.storage.provenance import git_commit
from index.catalogue.columns import kept_names
from index.catalogue.write import NewRows, build_catalogue
from index.drift.drift import SAMPLE
from index.embed.finished_shards import FinishedShards
from index.embed.selected_positions import SelectedSurvey
from index.embed.shards import finished_shards
from index.embed.stage_times import stage_rates, total
from index.grow.drift_report import write_drift
from index.grow.older_segments import grown_from, linked_segments, moved_segments
from index.grow.structure import grow_structure
from index.run.run import Run
from index.structure.structure import index_shards

DAMAGED_FILE = "damaged.jsonl"
DAMAGED_IN_REPORT = 1000
"""With more damaged stamps the report lists the first ones, and `DAMAGED_FILE` all of them."""


def build_release(run: Run, measured: dict[str, Any], *, drift_sample: int = SAMPLE) -> Manifest:
    """Write everything but the new embeddings, the manifest last; each step can be done again. Return the manifest.

    Beside what the search structure takes, in memory are 28 bytes a row (position, flags, primary row) and, while the
    catalogue is written, the rows of one shard.

    Parameters
    ----------
    measured : dict
        What was measured so far; the stages' rates, recall and time of a query are added.
    drift_sample : int
        In a release that grows: how many objects that the older one holds are embedded again for the drift report.

    Raises
    ------
    SurveyError
        If the survey holds no usable stamp, or its columns do not fit the older release's.
    ReleaseError
        If a shard of the older release is damaged.
    """
    building, older, finished = run.building, run.older, finished_shards(run.building, run.plan)
    if finished.rows == 0:
        first = next(_damaged(finished))
        raise SurveyError(f"No stamp of {run.plan.name} can be used; the first, {first.object_id}, {first.reason}.")
    counts = _build_catalogue(run, finished)
    if not (building / ENCODER_FOLDER).exists():
        put_made(building / ENCODER_FOLDER, run.encoder.save)
    before = () if older is None else linked_segments(older, building)
    segments = (*before, SpaceSegment(shards=_shards(run, finished), **finished.how))
    shards = EmbeddingShards(building, [shard for segment in segments for shard in segment.shards], run.encoder.dimension)
    index, found = _structure(run, shards)
    if run.newcomers is not None:
        catalogue = Catalogue(building / CATALOGUE_FILE, shards.count)
        write_drift(building, run.plan.name, run.newcomers, catalogue, shards, run.encoder, drift_sample)
    put(building / REPORT_FILE, _report(run, finished, counts))
    measured = {**measured, **_known(finished.how), **stage_rates(total(one.times for one in finished)), **found, "git_commit": git_commit()}
    manifest = _manifest(run, finished, segments, index, measured)
    write_manifest(building, manifest)
    return manifest


def _build_catalogue(run: Run, finished: FinishedShards) -> dict[str, int]:
    path, newcomers = run.building / CATALOGUE_FILE, run.newcomers
    if newcomers is None:
        return build_catalogue(path, NewRows(survey=run.survey, shards=finished))
    new = NewRows(
        survey=run.survey,
        shards=finished,
        first_row=newcomers.older.count,
        renamed=newcomers.renamed,
        suffix=newcomers.suffix(run.plan.name),
    )
    return build_catalogue(path, new, newcomers.older.catalogue)


def _shards(run: Run, finished: FinishedShards) -> tuple[Shard, ...]:
    """Return the new shards' records, with positions of the whole survey where only some of its objects were embedded."""
    if not isinstance(run.survey, SelectedSurvey):
        return finished.shards
    records = []
    for shard in finished.shards:
        first, last = run.survey.positions[[shard.start, shard.stop - 1]].tolist()
        records.append(msgspec.structs.replace(shard, start=first, stop=last + 1))
    return tuple(records)


def _structure(run: Run, shards: EmbeddingShards) -> tuple[IndexRecord, dict[str, Any]]:
    path, plan = run.building / INDEX_FILE, run.plan
    if run.older is None:
        return index_shards(shards, path, memory_bytes=plan.memory_bytes, recall=plan.recall)
    return grow_structure(shards, path, run.older, plan.memory_bytes, plan.recall)


def _manifest(
    run: Run, finished: FinishedShards, segments: tuple[SpaceSegment, ...], index: IndexRecord, measured: dict[str, Any]
) -> Manifest:
    plan, older = run.plan, run.older
    first_row = 0 if older is None else older.count
    own = Segment(
        name=plan.name,
        first_row=first_row,
        rows=finished.rows,
        survey=_survey_record(run),
        suffix="" if run.newcomers is None else run.newcomers.suffix(plan.name),
        plan=plan.fingerprint,
        made=measured["finished"],
        commit=measured["git_commit"],
        positions=plan.positions,
    )
    image = SpaceRecord(
        name=IMAGE_SPACE,
        dimension=run.encoder.dimension,
        encoder=EncoderRecord(name=run.encoder.card.name, checksum=run.encoder.checksum),
        segments=segments,
        index=index,
    )
    return Manifest(
        name=plan.name,
        rows=first_row + finished.rows,
        plan=plan.fingerprint,
        segments=(own,) if older is None else (*moved_segments(older, run.folder), own),
        spaces=(image,),
        measured=measured,
        grown_from=None if older is None else grown_from(older, run.folder),
    )


def _survey_record(run: Run) -> SurveyRecord:
    plan, folder = run.plan, run.folder
    return SurveyRecord(
        paths=plan.paths,
        relative_paths=tuple(os.path.relpath(path, folder) for path in plan.paths),
        table=plan.table,
        relative_table=None if plan.table is None else os.path.relpath(plan.table, folder),
        options=plan.options,
        format=run.survey.format,
        recognised=run.survey.recognised,
        fingerprint=plan.contents,
    )


def _report(run: Run, finished: FinishedShards, counts: dict[str, int]) -> bytes:
    survey, older = run.survey, run.older
    before = 0 if older is None else older.count
    grown = {}
    if run.newcomers is not None and older is not None:
        grown = {"grown_from": {"release": older.name, "rows": older.count, "added": finished.rows, **run.newcomers.counts}}
    count = run.plan.positions - finished.rows
    if count > DAMAGED_IN_REPORT:
        _write_damaged(run.building / DAMAGED_FILE, _damaged(finished))
    report = {
        "recognised": survey.recognised,
        "format": survey.format,
        "positions": before + run.plan.positions,
        "rows": before + finished.rows,
        **counts,
        **grown,
        "renamed_columns": {old: new for old, new in kept_names(survey.table(0, 0)).items() if old != new},
        "damaged_count": count,
        "damaged": [asdict(stamp) for stamp in itertools.islice(_damaged(finished), DAMAGED_IN_REPORT)],
    }
    return msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"


def _damaged(finished: FinishedShards) -> Iterator[Damaged]:
    return (stamp for one in finished for stamp in one.damaged)


def _write_damaged(path: Path, damaged: Iterable[Damaged]) -> None:
    with written(path) as file:
        for stamp in damaged:
            file.write(msgspec.json.encode(asdict(stamp)) + b"\n")


def _known(how: dict[str, str | None]) -> dict[str, str]:
    return {field: value for field, value in how.items() if value is not None}
