"""What a run of ``discovery index`` will do, fixed before it starts so that it can be resumed.

Shards and batches are cut by survey positions alone: whenever a run is killed and started again, every batch
holds the same stamps and gives the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from discovery.encoders.encoder import Encoder
from discovery.stamps.stamp import Survey
from discovery.storage.provenance import contents_fingerprint, times_fingerprint

PLAN_VERSION = 1
RECALL = 0.95
"""Recall that a search structure is tuned to, where nobody says another."""
BATCH_POSITIONS = 64
FEWEST_POSITIONS, MOST_POSITIONS, SHARDS_AIMED_AT = 1024, 65536, 1024


class Plan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Everything that decides the bytes of a release; fields with defaults came later and leave older fingerprints as they were.

    Attributes
    ----------
    positions, shard_positions : int
        Survey positions that are embedded (in a release that grows: of the objects that are new), and those of one shard.
    grown_from : str
        Of a release that grows: what it grows from, and which objects are new, as checksums.
    first_shard : int
        Shards of the release that an older release made: those of this run have the numbers behind them.
    older : str
        Folder of the older release; "" where there is none.
    """

    version: int
    name: str
    paths: tuple[str, ...]
    table: str | None
    options: dict[str, Any]
    contents: str
    touched: str
    positions: int
    shard_positions: int
    batch_positions: int
    encoder: str
    memory_bytes: int
    recall: float = RECALL
    grown_from: str = ""
    first_shard: int = 0
    older: str = ""

    @property
    def fingerprint(self) -> str:
        """SHA-256 over all that decides the bytes: not over where the older release is, whose contents count."""
        return hashlib.sha256(msgspec.json.encode(msgspec.structs.replace(self, first_shard=0, older=""))).hexdigest()

    def same_as(self, other: Plan | None) -> bool:
        """Return whether shards of the other plan are shards of this one, wherever the older release is."""
        return other is not None and msgspec.structs.replace(self, older="") == msgspec.structs.replace(other, older="")

    @property
    def shard_count(self) -> int:
        """Number of shards."""
        return -(-self.positions // self.shard_positions)

    def shard(self, number: int) -> tuple[int, int]:
        """Return (start, stop) survey positions of a shard."""
        start = number * self.shard_positions
        return start, min(start + self.shard_positions, self.positions)

    def batch_count(self, number: int) -> int:
        """Return the number of batches of a shard."""
        start, stop = self.shard(number)
        return -(-(stop - start) // self.batch_positions)

    def shards(self) -> list[tuple[int, int]]:
        """Return (start, stop) survey positions of every shard."""
        return [self.shard(number) for number in range(self.shard_count)]

    def batches(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Return (start, stop) survey positions of every batch of a shard."""
        for first in range(start, stop, self.batch_positions):
            yield first, min(first + self.batch_positions, stop)


def make_plan(
    survey: Survey,
    paths: Sequence[Path],
    *,
    name: str,
    encoder: Encoder,
    memory_bytes: int,
    recall: float = RECALL,
    shard_positions: int | None = None,
) -> Plan:
    """Return what a run will do.

    Parameters
    ----------
    survey : Survey
        The opened survey.
    paths : sequence of Path
        What it was opened from, absolute.
    shard_positions : int, optional
        Survey positions a shard; by default from the survey's size, 1024 to 65536.
    """
    options = {key: value for key, value in survey.options.items() if key != "table"}
    table = survey.options.get("table")
    table = None if table in (None, "none") else str(Path(table).absolute())
    follow_links = bool(options.get("follow_links"))
    files = [*survey.paths, *([Path(table)] if table else [])]
    return Plan(
        version=PLAN_VERSION,
        name=name,
        paths=tuple(str(path) for path in paths),
        table=table,
        options=options,
        contents=contents_fingerprint(files, follow_links=follow_links),
        touched=times_fingerprint(files, follow_links=follow_links),
        positions=len(survey),
        shard_positions=shard_positions or _shard_positions(len(survey)),
        batch_positions=BATCH_POSITIONS,
        encoder=encoder.checksum,
        memory_bytes=memory_bytes,
        recall=recall,
    )


def explain_difference(old: Plan | None, new: Plan) -> str:
    """Return in words which inputs differ between two plans."""
    if old is None:
        return "the version of discovery"
    words = {
        "paths": "the survey's path",
        "table": "the table",
        "options": "how the survey is read",
        "contents": "the survey files",
        "touched": "the survey files",
        "positions": "the number of stamps",
        "encoder": "the encoder or its crop",
        "memory_bytes": "--memory",
        "recall": "--recall",
        "grown_from": "the older release",
        "shard_positions": "the size of shards",
        "first_shard": "the version of discovery",
    }
    fields = [field for field in Plan.__struct_fields__ if field != "older"]
    changed = [words.get(field, field) for field in fields if getattr(old, field) != getattr(new, field)]
    return ", ".join(dict.fromkeys(changed))


def read_plan(path: Path) -> Plan | None:
    """Return a plan from disk; None if it is damaged or of another version of this program."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Plan)
    except msgspec.MsgspecError:
        return None


def _shard_positions(positions: int) -> int:
    size = FEWEST_POSITIONS
    while size < MOST_POSITIONS and size * SHARDS_AIMED_AT < positions:
        size *= 2
    return size
