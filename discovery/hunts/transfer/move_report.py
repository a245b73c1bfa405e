"""Where the objects of a moved hunt went."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class MovedObject:
    """Where one object of a hunt went when the hunt was moved."""

    object_id: str
    row: int | None
    new_object_id: str | None
    by: Literal["object_id", "position", "not found"]
    separation_arcsec: float | None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class MoveReport:
    """What `discovery.hunts.move_hunt` carried over.

    Labels of objects that were not found stay in the new file's log, without a row: nothing is lost, and
    a later move to a release that holds them finds them again.
    """

    source: Path
    path: Path
    release_name: str
    objects: tuple[MovedObject, ...]
    examples_left: tuple[str, ...] = field(default=())
    """Examples that cannot be used with the new release (a stamp file seen by another encoder)."""
    audits_left: int = 0
    """Audits of the old release: kept in the file, but they mean nothing in the new one."""
    labels_left: int = 0
    """Events of the label log whose object the new release does not hold."""

    @property
    def counts(self) -> dict[str, int]:
        """How many objects were found by ``object_id`` and by ``position``, and how many were ``not found``."""
        return {how: sum(item.by == how for item in self.objects) for how in ("object_id", "position", "not found")}

    @property
    def not_found(self) -> tuple[MovedObject, ...]:
        """The objects that the new release does not hold."""
        return tuple(item for item in self.objects if item.row is None)
