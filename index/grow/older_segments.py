"""The segments of an older release in one that grows from it: the same shards under a second name."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from discovery.release.manifest import GrownFrom, Segment, SpaceSegment, SurveyRecord
from discovery.release.release import Release
from discovery.storage.atomic import put_linked
from index.embed.finished_shards import shard_file


def linked_segments(older: Release, building: Path) -> tuple[SpaceSegment, ...]:
    """Put the older release's shards into the folder of a newer one (hard links, or copies), and return its segments of embeddings.

    Raises
    ------
    ReleaseError
        If a shard is damaged.
    """
    older.verify(progress=True)
    segments, number = [], 0
    for segment in older.manifest.image.segments:
        shards = []
        for shard in segment.shards:
            record = msgspec.structs.replace(shard, file=shard_file(number))
            put_linked(building / record.file, older.path / shard.file)
            shards.append(record)
            number += 1
        segments.append(msgspec.structs.replace(segment, shards=tuple(shards)))
    return tuple(segments)


def moved_segments(older: Release, folder: Path) -> tuple[Segment, ...]:
    """Return the older release's segments with the relative paths of their surveys as seen from the newer one's folder."""
    return tuple(
        msgspec.structs.replace(segment, survey=_moved(segment.survey, older.path, folder)) for segment in older.manifest.segments
    )


def grown_from(older: Release, folder: Path) -> GrownFrom:
    """Return what the newer release, in its folder, says of the older one."""
    return GrownFrom(
        name=older.name,
        plan=older.manifest.plan,
        rows=older.count,
        path=str(older.path),
        relative_path=os.path.relpath(older.path, folder),
    )


def _moved(record: SurveyRecord, before: Path, after: Path) -> SurveyRecord:
    def again(path: str) -> str:
        return os.path.relpath(os.path.normpath(before / path), after)

    return msgspec.structs.replace(
        record,
        relative_paths=tuple(again(path) for path in record.relative_paths),
        relative_table=None if record.relative_table is None else again(record.relative_table),
    )
