"""Several surveys as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from discovery.stamps.stamp import Damaged, Stamp, Survey
from discovery.tables.columns import conform, described, merged_types, unit_of

CHUNK_ROWS = 65536


class JoinedSurvey:
    """Surveys of different formats, one after another; columns that a part lacks are NULL.

    Parameters
    ----------
    parts : sequence of Survey
        The surveys.
    ids : {"plain", "part"} or None
        Whether ids get the part's number before them; None looks whether they repeat.
    """

    format = "joined"

    def __init__(self, parts: Sequence[Survey], *, ids: str | None = None) -> None:
        self._parts = tuple(parts)
        self._starts = np.cumsum([0, *(len(part) for part in parts)])
        self._types = merged_types({f.name: f.type for f in part.table(0, 0).schema} for part in parts)
        self._units = _common_units(parts)
        self._id_style = ids if ids is not None else self._unique_style()
        self.paths = tuple(path for part in parts for path in part.paths)
        note = " Ids repeat between the parts: each is preceded by its part's number." * (
            self._id_style == "part"
        )
        described = " ".join(f"({number}) {part.recognised}" for number, part in enumerate(parts, 1))
        self.recognised = f"{len(parts)} surveys joined: {described}{note}"
        self.options: dict[str, Any] = {"ids": {"joined": self._id_style}}
        for part in parts:
            self.options["ids"] |= part.options.get("ids", {})

    def __len__(self) -> int:
        return int(self._starts[-1])

    def table(self, start: int = 0, stop: int | None = None) -> pa.Table:
        """Return the columns of all parts (see `Survey.table`)."""
        start, stop, _ = slice(start, stop).indices(len(self))
        tables = [conform(self._parts[0].table(0, 0), self._types)]
        for number, first, last in self._spans(start, stop):
            table = conform(self._parts[number].table(first, last), self._types)
            if self._id_style == "part":
                names = [self._name(number, name) for name in table.column("object_id").to_pylist()]
                at = table.column_names.index("object_id")
                table = table.set_column(at, "object_id", pa.array(names, pa.string()))
            tables.append(table)
        together = pa.concat_tables(tables)
        return described({name: together[name] for name in together.column_names}, self._units)

    def read(self, start: int, stop: int) -> Sequence[Stamp | Damaged]:
        """Return the stamps at positions start..stop (see `Survey.read`)."""
        start, stop, _ = slice(start, stop).indices(len(self))
        found: list[Stamp | Damaged] = []
        for number, first, last in self._spans(start, stop):
            for stamp in self._parts[number].read(first, last):
                found.append(replace(stamp, object_id=self._name(number, stamp.object_id)))
        return found

    def _name(self, number: int, object_id: str) -> str:
        return f"{number + 1}/{object_id}" if self._id_style == "part" else object_id

    def _spans(self, start: int, stop: int) -> list[tuple[int, int, int]]:
        spans = []
        for number, begin in enumerate(self._starts[:-1].tolist()):
            first, last = max(start, begin), min(stop, int(self._starts[number + 1]))
            if first < last:
                spans.append((number, first - begin, last - begin))
        return spans

    def _unique_style(self) -> str:
        seen: set[str] = set()
        for part in self._parts:
            for start in range(0, len(part), CHUNK_ROWS):
                names = part.table(start, start + CHUNK_ROWS).column("object_id").to_pylist()
                if not seen.isdisjoint(names):
                    return "part"
                seen.update(names)
        return "plain"


def _common_units(parts: Sequence[Survey]) -> dict[str, str]:
    """Return the unit of each column; where parts state several, all of them, so that it is none of them."""
    stated: dict[str, dict[str, None]] = {}
    for part in parts:
        empty = part.table(0, 0)
        for name in empty.column_names:
            stated.setdefault(name, {})[unit_of(empty, name)] = None
    return {name: next(iter(units)) if len(units) == 1 else " or ".join(unit or "none" for unit in units) for name, units in stated.items()}
