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
from discovery.release.manifest import EMBEDDINGS_FOLDER, Shard
from discovery.stamps.stamp import Damaged
from discovery.storage.atomic import file_sha256
from discovery.storage.shard_records import put_record, read_record
from index.embed.ingest import Batch
from index.embed.rates import Work
from index.plan import Plan

PARTS_FOLDER = "parts"
SPACE = "image"
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


@dataclass(frozen=True, kw_only=True)
class Part:
    """What a finished shard left beside its embeddings.

    Attributes
    ----------
    measures : pyarrow.Table
        One line of `SCHEMA` a good stamp.
    damaged : list of Damaged
        The others of its survey positions.
    work : Work
        What it took to make.
    computed : Computed
        Where and how its embeddings were.
    """

    shard: Shard
    measures: pa.Table
    damaged: list[Damaged]
    work: Work
    computed: Computed


class Parts(Sequence[Part]):
    """The parts of finished shards, each read when it is asked for: in memory stay only the shards' records."""

    def __init__(self, building: Path, plan: Plan, numbers: Iterable[int]) -> None:
        self._building, self._plan, self._numbers = building, plan, list(numbers)
        told = [(part.shard, part.computed) for part in self]
        self.shards: tuple[Shard, ...] = tuple(shard for shard, _ in told)
        self.computed: frozenset[Computed] = frozenset(computed for _, computed in told)

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, place: int) -> Part: ...
    @overload
    def __getitem__(self, place: slice) -> list[Part]: ...
    def __getitem__(self, place: int | slice) -> Part | list[Part]:
        if isinstance(place, slice):
            return [self[number] for number in range(*place.indices(len(self)))]
        return read_part(self._building, self._plan, self._numbers[place])

    def __iter__(self) -> Iterator[Part]:
        return (read_part(self._building, self._plan, number) for number in self._numbers)

    @property
    def rows(self) -> int:
        """Number of good stamps."""
        return sum(shard.rows for shard in self.shards)

    @property
    def told(self) -> dict[str, str]:
        """What a manifest says of how they were computed: kinds of device, and precision."""
        fields = Computed.__struct_fields__
        return {field: ", ".join(sorted({getattr(computed, field) for computed in self.computed})) for field in fields}


def write_part(
    building: Path,
    number: int,
    shard: Shard,
    batches: Sequence[pa.RecordBatch],
    damaged: list[Damaged],
    work: Work,
    computed: Computed,
) -> None:
    """Write the part of a shard whose embeddings are in place."""
    told = {
        "shard": msgspec.json.encode(shard),
        "damaged": msgspec.json.encode([asdict(stamp) for stamp in damaged]),
        "work": msgspec.json.encode(work),
        "computed": msgspec.json.encode(computed),
    }
    put_record(part_path(building, number), pa.Table.from_batches(batches, SCHEMA).combine_chunks().replace_schema_metadata(told))


def measures_of(batch: Batch) -> pa.RecordBatch:
    """Return the lines of a batch's good stamps."""
    lines = [
        (position, *found.box, found.crop_side_arcsec, found.covered_fraction, found.artefact)
        for position, found in zip(batch.positions.tolist(), batch.measures, strict=True)
    ]
    columns = list(zip(*lines, strict=True)) or [() for _ in SCHEMA]
    return pa.record_batch(
        [pa.array(values, field.type) for values, field in zip(columns, SCHEMA, strict=True)], schema=SCHEMA
    )


def read_part(building: Path, plan: Plan, number: int) -> Part:
    """Read a part; the shard's own bytes are not looked at (see `problem_of`).

    Raises
    ------
    ReleaseError
        If it is missing, or not as it was written, or belongs to other survey positions.
    """
    path = part_path(building, number)
    try:
        table = read_record(path)
    except ReleaseError as problem:
        raise ReleaseError(f"Shard {number} is {'damaged' if path.exists() else 'missing'}: {problem}.") from problem
    told = table.schema.metadata
    if b"computed" not in told:
        raise ReleaseError(f"Shard {number} does not say what it was computed in: an older version of discovery made it.")
    part = Part(
        shard=msgspec.json.decode(told[b"shard"], type=Shard),
        measures=table.replace_schema_metadata(None),
        damaged=[Damaged(**stamp) for stamp in msgspec.json.decode(told[b"damaged"])],
        work=msgspec.json.decode(told[b"work"], type=Work),
        computed=msgspec.json.decode(told[b"computed"], type=Computed),
    )
    _check_positions(part, plan, number)
    return part


def problem_of(building: Path, plan: Plan, number: int, precision: Precision | None = None) -> str | None:
    """Return why a shard has to be made (again): it is missing, damaged or, where one is asked for, of another precision.

    None when it is whole, bytes included.
    """
    try:
        part = read_part(building, plan, number)
    except ReleaseError as problem:
        return str(problem)
    shard, found = part.shard, part.computed.precision
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
        found.setdefault(read_part(building, plan, number).computed.precision, []).append(number)
    return found


def check_one_precision(plan: Plan, found: dict[Precision, list[int]]) -> None:
    """Raise ConfigError where there is more than one; a precision without shards is that of those to be made now."""
    if len(found) < 2:
        return
    told = [f"in {precision}: {_numbers_text(numbers)}" for precision, numbers in sorted(found.items())]
    raise ConfigError(
        f"A release has one precision, and the shards of {plan.name} would be a mixture ({'; '.join(told)}). "
        f"Add --precision {' or --precision '.join(sorted(found))}: then shards of the other one are made again."
    )


def part_path(building: Path, number: int) -> Path:
    """Return where the part of a shard stands."""
    return building / PARTS_FOLDER / f"{number:05d}.arrow"


def shard_file(number: int) -> str:
    """Return the name of a shard's file in a release."""
    return f"{EMBEDDINGS_FOLDER}/{SPACE}-{number:05d}.f16"


def _numbers_text(numbers: list[int]) -> str:
    if not numbers:
        return "those that this run makes"
    more = f" and {len(numbers) - NAMED} more" if len(numbers) > NAMED else ""
    return f"shards {', '.join(str(number) for number in numbers[:NAMED])}{more}"


def _check_positions(part: Part, plan: Plan, number: int) -> None:
    """Every survey position of a shard is there once: as a row, or as a damaged stamp."""
    start, stop = plan.shard(number)
    positions = part.measures["survey_position"].to_numpy()
    inside = len(positions) == 0 or (positions[0] >= start and positions[-1] < stop and np.all(np.diff(positions) > 0))
    whole = len(positions) == part.shard.rows and part.shard.rows + len(part.damaged) == stop - start
    if (part.shard.start, part.shard.stop) != (start, stop) or not (inside and whole):
        raise ReleaseError(f"Shard {number} is damaged: it does not hold survey positions {start} to {stop - 1} once each.")
