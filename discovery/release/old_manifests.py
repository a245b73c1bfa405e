"""Manifests of versions 1 and 2, read as version 3.

Both had one space with one list of shards. Version 2 added ``added`` and ``grown_from``: the surveys that later rows came
from; version 1 is version 2 without them.
"""

from __future__ import annotations

import itertools
from typing import Any

import msgspec

from discovery.release.manifest import (
    EncoderRecord,
    GrownFrom,
    IndexRecord,
    Manifest,
    Segment,
    Shard,
    SpaceRecord,
    SpaceSegment,
    SurveyRecord,
)

OLD_VERSIONS = (1, 2)


class OldSurvey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A survey as version 2 had it, with the first row that came from it."""

    paths: tuple[str, ...]
    relative_paths: tuple[str, ...]
    table: str | None
    relative_table: str | None
    options: dict[str, Any]
    format: str
    recognised: str
    fingerprint: str
    first_row: int = 0
    suffix: str = ""


class OldSpace(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A space as version 2 had it: shards one after another."""

    name: str
    dimension: int
    encoder: EncoderRecord
    shards: tuple[Shard, ...]
    index: IndexRecord


class OldManifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole manifest of version 2: ``survey`` is where the first rows came from, ``added`` what later rows came from."""

    version: int
    name: str
    rows: int
    plan: str
    survey: OldSurvey
    spaces: tuple[OldSpace, ...]
    measured: dict[str, Any]
    added: tuple[OldSurvey, ...] = ()
    grown_from: GrownFrom | None = None


def read_old(data: bytes) -> Manifest:
    """Return a manifest of version 1 or 2 as one of version 3: each survey becomes a segment.

    Raises
    ------
    msgspec.MsgspecError
        If it is none.
    """
    old = msgspec.json.decode(data, type=OldManifest)
    surveys = (old.survey, *old.added)
    bounds = [*(survey.first_row for survey in surveys), old.rows]
    segments = tuple(
        _segment(old, number, survey, stop - start)
        for number, (survey, (start, stop)) in enumerate(zip(surveys, itertools.pairwise(bounds), strict=True))
    )
    return Manifest(
        name=old.name,
        rows=old.rows,
        plan=old.plan,
        segments=segments,
        spaces=tuple(_space(old, space, bounds) for space in old.spaces),
        measured=old.measured,
        grown_from=old.grown_from,
    )


def _segment(old: OldManifest, number: int, survey: OldSurvey, rows: int) -> Segment:
    """Return a survey's segment; the last one is the release's own, the one before it that of the release it grew from."""
    last = number == len(old.added)
    before = old.grown_from if number == len(old.added) - 1 else None
    fields = {name: getattr(survey, name) for name in OldSurvey.__struct_fields__ if name not in ("first_row", "suffix")}
    return Segment(
        name=old.name if last else before.name if before else None,
        first_row=survey.first_row,
        rows=rows,
        survey=SurveyRecord(**fields),
        suffix=survey.suffix,
        plan=old.plan if last else before.plan if before else None,
        made=old.measured.get("finished") if last else None,
        commit=old.measured.get("git_commit") if last else None,
    )


def _space(old: OldManifest, space: OldSpace, bounds: list[int]) -> SpaceRecord:
    """Return a space with its shards by segment."""
    precisions = old.measured.get("precisions", [old.measured.get("precision")])
    groups = _by_segment(space.shards, [stop - start for start, stop in itertools.pairwise(bounds)])
    segments = tuple(
        SpaceSegment(shards=tuple(shards), precision=precisions[number] if number < len(precisions) else None)
        for number, shards in enumerate(groups)
    )
    return SpaceRecord(name=space.name, dimension=space.dimension, encoder=space.encoder, segments=segments, index=space.index)


def _by_segment(shards: tuple[Shard, ...], rows: list[int]) -> list[list[Shard]]:
    """Return the shards of each segment: it is full when it has its rows and survey positions begin anew (shards may be empty)."""
    groups: list[list[Shard]] = [[] for _ in rows]
    number, left = 0, rows[0]
    for shard in shards:
        begins_anew = shard.rows > 0 or bool(groups[number] and shard.start < groups[number][-1].stop)
        while left == 0 and begins_anew and number + 1 < len(rows):
            number += 1
            left = rows[number]
        groups[number].append(shard)
        left -= shard.rows
    return groups
