"""What a finished shard leaves beside its embeddings until the release is built: measures, damaged stamps, checksums."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import overload

import msgspec
import numpy as np
import pyarrow as pa

from discovery.encoders.encoder import Precision
from discovery.errors import ConfigError, ReleaseError
from discovery.release.manifest import EMBEDDINGS_FOLDER, IMAGE_SPACE, Shard
from discovery.stamps.stamp import Damaged
from discovery.storage.atomic import file_sha256
from discovery.storage.shard_records import put_record, read_record
from index.embed.ingest import Batch
from index.embed.stage_times import StageTimes
from index.plan import Plan

RECORDS_FOLDER = "parts"
SCHEMA = pa.schema(
    {
        "survey_position": pa.int64(),
        "crop_row0": pa.int32(),
        "crop_row1": pa.int32(),
        "crop_column0": pa.int32(),
        "crop_column1": pa.int32(),
        "crop_side_arcsec": pa.float64(),
        "covered_fraction": pa.float64(),
        "flag_artefact": pa.bool_(),
    }
)
NAMED = 5
"""Shards that an error names."""


class Computed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What embeddings were computed on (the kind of device, such as cpu or cuda) and in."""

    device: str
    precision: Precision
    runtime: str = ""
    """The library that computed, with its version; "" where an older program did not record it."""


@dataclass(frozen=True, kw_only=True)
class FinishedShard:
    """What a finished shard left beside its embeddings.

    Attributes
    ----------
    measures : pyarrow.Table
        One table row of `SCHEMA` a good stamp.
    damaged : list of Damaged
        The others of its survey positions.
    times : StageTimes
        What it took to make.
    computed : Computed
        Where and how its embeddings were.
    """

    shard: Shard
    measures: pa.Table
    damaged: list[Damaged]
    times: StageTimes
    computed: Computed


class FinishedShards(Sequence[FinishedShard]):
    """The finished shards of a run, each record read when it is wanted: in memory stays only what the manifest says of them."""

    def __init__(self, building: Path, plan: Plan, numbers: Iterable[int]) -> None:
        self._building, self._plan, self._numbers = building, plan, list(numbers)
        found = [(one.shard, one.computed) for one in self]
        self.shards: tuple[Shard, ...] = tuple(shard for shard, _ in found)
        self.computed: frozenset[Computed] = frozenset(computed for _, computed in found)

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, place: int) -> FinishedShard: ...
    @overload
    def __getitem__(self, place: slice) -> list[FinishedShard]: ...
    def __getitem__(self, place: int | slice) -> FinishedShard | list[FinishedShard]:
        if isinstance(place, slice):
            return [self[number] for number in range(*place.indices(len(self)))]
        return read_finished(self._building, self._plan, self._numbers[place])

    def __iter__(self) -> Iterator[FinishedShard]:
        return (read_finished(self._building, self._plan, number) for number in self._numbers)

    @property
    def rows(self) -> int:
        """Number of good stamps."""
        return sum(shard.rows for shard in self.shards)

    @property
    def how(self) -> dict[str, str | None]:
        """How they were computed, for the manifest: kinds of device, precision, runtime; None for what was not recorded."""
        fields = Computed.__struct_fields__
        return {field: ", ".join(sorted({getattr(computed, field) for computed in self.computed} - {""})) or None for field in fields}


def record_shard(
    building: Path,
    number: int,
    shard: Shard,
    batches: Sequence[pa.RecordBatch],
    damaged: list[Damaged],
    times: StageTimes,
    computed: Computed,
) -> None:
    """Write the record of a shard whose embeddings are in place."""
    about = {
        "shard": msgspec.json.encode(shard),
        "damaged": msgspec.json.encode([asdict(stamp) for stamp in damaged]),
        "work": msgspec.json.encode(times),
        "computed": msgspec.json.encode(computed),
    }
    put_record(record_path(building, number), pa.Table.from_batches(batches, SCHEMA).combine_chunks().replace_schema_metadata(about))


def measures_of(batch: Batch) -> pa.RecordBatch:
    """Return the measures of a batch's good stamps, one table row each."""
    rows = [
        (position, *found.box, found.crop_side_arcsec, found.covered_fraction, found.artefact)
        for position, found in zip(batch.positions.tolist(), batch.measures, strict=True)
    ]
    columns = list(zip(*rows, strict=True)) or [() for _ in SCHEMA]
    return pa.record_batch(
        [pa.array(values, field.type) for values, field in zip(columns, SCHEMA, strict=True)], schema=SCHEMA
    )


def read_finished(building: Path, plan: Plan, number: int) -> FinishedShard:
    """Return a finished shard's record; the shard's own bytes are not looked at (see `problem_of`).

    Raises
    ------
    ReleaseError
        If it is missing, or not as it was written, or belongs to other survey positions.
    """
    path = record_path(building, number)
    try:
        table = read_record(path)
    except ReleaseError as problem:
        raise ReleaseError(f"Shard {number} is {'damaged' if path.exists() else 'missing'}: {problem}.") from problem
    about = table.schema.metadata
    if b"computed" not in about:
        raise ReleaseError(f"Shard {number} does not say what it was computed in: an older version of discovery made it.")
    finished = FinishedShard(
        shard=msgspec.json.decode(about[b"shard"], type=Shard),
        measures=table.replace_schema_metadata(None),
        damaged=[Damaged(**stamp) for stamp in msgspec.json.decode(about[b"damaged"])],
        times=msgspec.json.decode(about[b"work"], type=StageTimes),
        computed=msgspec.json.decode(about[b"computed"], type=Computed),
    )
    _check_positions(finished, plan, number)
    return finished


def problem_of(building: Path, plan: Plan, number: int, precision: Precision | None = None) -> str | None:
    """Return why a shard has to be made (again): it is missing, damaged or, where one is given, of another precision.

    None when it is whole, bytes included.
    """
    try:
        finished = read_finished(building, plan, number)
    except ReleaseError as problem:
        return str(problem)
    shard, found = finished.shard, finished.computed.precision
    if precision is not None and found != precision:
        return f"Shard {number} was computed in {found}, not in {precision}."
    file = building / shard.file
    if not file.exists():
        return f"Shard {number} is missing: there is no {shard.file}."
    if file_sha256(file) != shard.sha256:
        return f"Shard {number} is damaged: {shard.file} does not have its checksum."
    return None


def precisions_of(building: Path, plan: Plan, numbers: Iterable[int]) -> dict[Precision, list[int]]:
    """Return which finished shards were computed in which precision."""
    found: dict[Precision, list[int]] = {}
    for number in numbers:
        found.setdefault(read_finished(building, plan, number).computed.precision, []).append(number)
    return found


def check_one_precision(plan: Plan, found: dict[Precision, list[int]]) -> None:
    """Raise ConfigError where there is more than one; a precision without shards is that of those to be made now."""
    if len(found) < 2:
        return
    named = [f"in {precision}: {_numbers_text(numbers)}" for precision, numbers in sorted(found.items())]
    raise ConfigError(
        f"A release has one precision, and the shards of {plan.name} would be a mixture ({'; '.join(named)}). "
        f"Add --precision {' or --precision '.join(sorted(found))}: then shards of the other one are made again."
    )


def record_path(building: Path, number: int) -> Path:
    """Return where the record of a shard stands."""
    return building / RECORDS_FOLDER / f"{number:05d}.arrow"


def shard_file(number: int) -> str:
    """Return the name in a release of the file of shard ``number``, counted over all segments."""
    return f"{EMBEDDINGS_FOLDER}/{IMAGE_SPACE}-{number:05d}.f16"


def _numbers_text(numbers: list[int]) -> str:
    if not numbers:
        return "those that this run makes"
    more = f" and {len(numbers) - NAMED} more" if len(numbers) > NAMED else ""
    return f"shards {', '.join(str(number) for number in numbers[:NAMED])}{more}"


def _check_positions(finished: FinishedShard, plan: Plan, number: int) -> None:
    """Every survey position of a shard is there once: as a row, or as a damaged stamp."""
    start, stop = plan.shard(number)
    positions = finished.measures["survey_position"].to_numpy()
    inside = len(positions) == 0 or (positions[0] >= start and positions[-1] < stop and np.all(np.diff(positions) > 0))
    whole = len(positions) == finished.shard.rows and finished.shard.rows + len(finished.damaged) == stop - start
    if (finished.shard.start, finished.shard.stop) != (start, stop) or not (inside and whole):
        raise ReleaseError(f"Shard {number} is damaged: it does not hold survey positions {start} to {stop - 1} once each.")
