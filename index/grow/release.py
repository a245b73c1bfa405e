"""From an older release and the shards of what is new to a grown release folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from discovery.encoders.encoder import Encoder
from discovery.errors import SurveyError
from discovery.release.catalogue import Catalogue, write_catalogue
from discovery.release.manifest import (
    CATALOGUE_FILE,
    DRIFT_FILE,
    DRIFT_SAMPLE_FILE,
    EMBEDDINGS_FOLDER,
    ENCODER_FOLDER,
    INDEX_FILE,
    MANIFEST_FILE,
    MANIFEST_VERSION,
    REPORT_FILE,
    EncoderRecord,
    GrownFrom,
    Manifest,
    Shard,
    Space,
    SurveyRecord,
    manifest_bytes,
)
from discovery.release.release import Release
from discovery.release.shards import EmbeddingShards
from discovery.storage.atomic import put, put_linked, put_made
from discovery.storage.provenance import git_commit
from index.catalogue.duplicates import primary_rows
from index.drift.drift import FEWEST, Side, compare, report_json, whole
from index.drift.sample import embed_sample, read_sample, write_sample
from index.embed.parts import SPACE, Parts, shard_file
from index.embed.selected_positions import SelectedSurvey
from index.run.build import FLAG_NAMES, build_catalogue, damaged_told, survey_record
from index.run.engine import Run
from index.structure.growth import grow_structure

NEW_FOLDER = "new"
"""In the folder that a grown release is built in: shards, parts and catalogue of what is new."""
LINES_AT_ONCE = 65_536


def build_grown(
    run: Run,
    old: Release,
    survey: SelectedSurvey,
    encoder: Encoder,
    *,
    renamed: np.ndarray,
    sample: tuple[np.ndarray, np.ndarray],
    told: dict[str, Any],
    measured: dict[str, Any],
) -> None:
    """Write everything of a grown release, the manifest last; each step can be done again.

    In memory are, beside what the search structure takes, 28 bytes a row and the lines of one shard.

    Parameters
    ----------
    run : Run
        Its plan is of the new objects alone; their shards are in `NEW_FOLDER`.
    survey : SelectedSurvey
        The new objects.
    renamed : numpy.ndarray
        (n,) bool: new objects that ``@NAME`` is added to the object_id of.
    sample : tuple of numpy.ndarray
        Positions in the whole new survey, and rows of the older release, of known objects to embed again.
    told : dict
        How objects were found, for the report.

    Raises
    ------
    SurveyError
        If none of the new stamps can be used, or columns do not fit the older release's.
    ReleaseError
        If a shard of the older release is damaged.
    """
    building, fresh = run.building, run.building / NEW_FOLDER
    parts = Parts(fresh, run.plan, range(run.plan.shard_count))
    if parts.rows == 0:
        raise SurveyError(f"None of the {len(survey)} new stamps of {run.plan.name} can be used.")
    build_catalogue(fresh, survey, parts)
    added = Catalogue(fresh / CATALOGUE_FILE, parts.rows)
    suffix = suffix_of(run.plan.name) if renamed.any() else ""
    counts = _write_catalogue(building / CATALOGUE_FILE, old, added, survey, renamed, suffix)
    put_made(building / ENCODER_FOLDER, encoder.save)
    old.verify(progress=True)
    records = _link_shards(building, old, fresh, parts, survey)
    shards = EmbeddingShards(building, records, encoder.dimension)
    index, found = grow_structure(shards, building / INDEX_FILE, old, run.plan.memory_bytes, run.plan.recall)
    catalogue = Catalogue(building / CATALOGUE_FILE, shards.count)
    _write_drift(building, old, Side(name=run.plan.name, catalogue=catalogue, take=shards.take, first=old.count, stop=shards.count), survey, encoder, sample)
    report = {
        "recognised": survey.recognised,
        "format": survey.format,
        "positions": old.count + run.plan.positions,
        "rows": shards.count,
        **counts,
        "grown_from": {"release": old.name, "rows": old.count, "added": parts.rows, **told},
        "renamed_columns": {},
        **damaged_told(building, run.plan, parts),
    }
    put(building / REPORT_FILE, msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    space = old.manifest.spaces[0]
    manifest = Manifest(
        version=MANIFEST_VERSION,
        name=run.plan.name,
        rows=shards.count,
        plan=run.plan.fingerprint,
        survey=_moved(old.manifest.survey, old.path, run.folder),
        spaces=(
            Space(
                name=SPACE,
                dimension=space.dimension,
                encoder=EncoderRecord(name=space.encoder.name, checksum=space.encoder.checksum),
                shards=shards.shards,
                index=index,
            ),
        ),
        measured={**measured, **found, "precisions": _precisions(old.manifest, measured), "git_commit": git_commit()},
        added=(
            *(_moved(record, old.path, run.folder) for record in old.manifest.added),
            msgspec.structs.replace(survey_record(run.folder, run.plan, survey), first_row=old.count, suffix=suffix),
        ),
        grown_from=GrownFrom(
            name=old.name,
            plan=old.manifest.plan,
            rows=old.count,
            path=str(old.path),
            relative_path=os.path.relpath(old.path, run.folder),
        ),
    )
    put(building / MANIFEST_FILE, manifest_bytes(manifest))


def suffix_of(name: str) -> str:
    """Return what a release of that name puts behind object_ids that are other objects'."""
    return f"@{name}"


def _write_catalogue(
    path: Path, old: Release, added: Catalogue, survey: SelectedSurvey, renamed: np.ndarray, suffix: str
) -> dict[str, int]:
    """Write the catalogue of old and new rows; return how many rows carry each flag and how many are duplicates."""
    schema = _common_schema(old.catalogue, added)
    count = old.count + added.count
    places, flags = np.full((2, count), np.nan), np.zeros(count, np.uint8)
    counts = dict.fromkeys(FLAG_NAMES, 0)
    for catalogue, first_row in ((old.catalogue, 0), (added, old.count)):
        for part in catalogue.parts(["row", "ra", "dec", *FLAG_NAMES]):
            rows = part["row"].to_numpy() + first_row
            places[:, rows] = part["ra"].to_numpy(), part["dec"].to_numpy()
            for name in FLAG_NAMES:
                raised = part[name].to_numpy()
                flags[rows] += raised
                counts[name] += int(np.count_nonzero(raised))
    primary = primary_rows(places[0], places[1], flags)
    lines = _lines(old, added, survey, renamed, suffix)
    put_made(path, lambda beside: write_catalogue(beside, (_fitted(part, primary, schema) for part in lines)))
    return {**counts, "duplicates": int(np.count_nonzero(primary != np.arange(count)))}


def _lines(old: Release, added: Catalogue, survey: SelectedSurvey, renamed: np.ndarray, suffix: str) -> Iterator[pa.Table]:
    yield from old.catalogue.parts(None, LINES_AT_ONCE)
    spelled = _spelling(old.catalogue, added)
    for part in added.parts(None, LINES_AT_ONCE):
        chosen = part["survey_position"].to_numpy()
        names = pc.if_else(pa.array(renamed[chosen]), made_names(part["object_id"], suffix), part["object_id"])
        part = _with(part, "row", pa.array(part["row"].to_numpy() + old.count))
        part = _with(part, "survey_position", pa.array(survey.positions[chosen]))
        yield _with(part, "object_id", names).rename_columns([spelled[name] for name in part.column_names])


def made_names(names: pa.ChunkedArray, suffix: str) -> pa.ChunkedArray:
    """Return the object_ids of new objects whose own ones are other objects'."""
    return pc.binary_join_element_wise(names, suffix, "")


def _with(part: pa.Table, name: str, values: pa.Array | pa.ChunkedArray) -> pa.Table:
    return part.set_column(part.column_names.index(name), name, values)


def _fitted(part: pa.Table, primary: np.ndarray, schema: pa.Schema) -> pa.Table:
    """Bring lines into the common columns: what a catalogue has not is NULL there."""
    part = _with(part, "primary_row", pa.array(primary[part["row"].to_numpy()]))
    columns = []
    for field in schema:
        if field.name not in part.column_names:
            columns.append(pa.nulls(part.num_rows, field.type))
            continue
        try:
            columns.append(part[field.name].cast(field.type))
        except pa.ArrowInvalid as problem:
            raise SurveyError(f"Column {field.name} of the two releases does not fit into one: {problem}.") from problem
    return pa.table(columns, schema=schema)


def _spelling(old: Catalogue, added: Catalogue) -> dict[str, str]:
    """Return the new columns' names as the older catalogue spells them: case does not matter to DuckDB."""
    known = {name.lower(): name for name, _ in old.columns()}
    return {name: known.get(name.lower(), name) for name, _ in added.columns()}


def _common_schema(old: Catalogue, added: Catalogue) -> pa.Schema:
    """Return the columns of both, the older one's first.

    Raises
    ------
    SurveyError
        If a column is of types that have nothing in common.
    """
    before, after = (next(catalogue.parts(None, 1)).schema for catalogue in (old, added))
    spelled = _spelling(old, added)
    after = pa.schema([field.with_name(spelled[field.name]) for field in after])
    try:
        return pa.unify_schemas([before, after], promote_options="permissive")
    except (pa.ArrowTypeError, pa.ArrowInvalid) as problem:
        words = [
            f"{name} ({before.field(name).type} in the older release, {after.field(name).type} in the new files)"
            for name in before.names
            if name in after.names and not _unites(before.field(name), after.field(name))
        ]
        raise SurveyError(
            f"Columns of the two releases do not fit together: {', '.join(words)}. Rename or convert them in the new files."
        ) from problem


def _unites(one: pa.Field, other: pa.Field) -> bool:
    try:
        pa.unify_schemas([pa.schema([one]), pa.schema([other])], promote_options="permissive")
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        return False
    return True


def _link_shards(building: Path, old: Release, fresh: Path, parts: Parts, survey: SelectedSurvey) -> tuple[Shard, ...]:
    """Put old and new shards side by side: the same files under a second name, or copies where that cannot be."""
    sources = [(old.path, shard) for shard in old.manifest.spaces[0].shards]
    for shard in parts.shards:
        ends = survey.positions[[shard.start, shard.stop - 1]].tolist()
        sources.append((fresh, msgspec.structs.replace(shard, start=ends[0], stop=ends[1] + 1)))
    (building / EMBEDDINGS_FOLDER).mkdir(exist_ok=True)
    records = []
    for number, (folder, shard) in enumerate(sources):
        record = msgspec.structs.replace(shard, file=shard_file(number))
        put_linked(building / record.file, folder / shard.file)
        records.append(record)
    return tuple(records)


def _write_drift(
    building: Path, old: Release, new: Side, survey: SelectedSurvey, encoder: Encoder, sample: tuple[np.ndarray, np.ndarray]
) -> None:
    path = building / DRIFT_SAMPLE_FILE
    write_sample(path, embed_sample(survey.survey, *sample, encoder))  # again in a run that goes on: the sample may be another
    report, _ = compare(whole(old), new, read_sample(path), sample=max(FEWEST, len(sample[0])))
    put(building / DRIFT_FILE, report_json(report))


def _precisions(older: Manifest, measured: dict[str, Any]) -> list[str | None]:
    """Return what the embeddings of each survey were computed in."""
    return [*older.measured.get("precisions", [older.measured.get("precision")]), measured["precision"]]


def _moved(record: SurveyRecord, before: Path, after: Path) -> SurveyRecord:
    """Return a survey's record with its relative paths as seen from another folder."""

    def again(path: str) -> str:
        return os.path.relpath(os.path.normpath(before / path), after)

    return msgspec.structs.replace(
        record,
        relative_paths=tuple(again(path) for path in record.relative_paths),
        relative_table=None if record.relative_table is None else again(record.relative_table),
    )
