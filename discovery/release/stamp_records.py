"""Where the catalogue places the stamps that are about to be read, a page at a time."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from cachetools import LRUCache

if TYPE_CHECKING:
    from discovery.release.catalogue import Catalogue

MOST_KEPT = 20_000
"""Records that are kept, the latest: some megabytes."""
CROP_COLUMNS = ("crop_row0", "crop_row1", "crop_column0", "crop_column1")
COLUMNS = ("object_id", "survey_position", *CROP_COLUMNS)


@dataclass(frozen=True, kw_only=True, slots=True)
class StampRecord:
    """Where one stamp is found.

    Attributes
    ----------
    object_id : str
        Whose it is.
    survey_position : int
        Its place in the survey.
    crop_box : tuple of int or None
        The part of its array that the encoder saw: row0, row1, column0, column1, stops exclusive; None where all of it.
    """

    object_id: str
    survey_position: int
    crop_box: tuple[int, int, int, int] | None


class StampRecords:
    """The records of a catalogue that stamps are read by; safe to share between threads.

    One record costs a query, and so does a whole page: whoever shows a page calls `fetch` with its rows first.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._records: LRUCache[int, StampRecord] = LRUCache(MOST_KEPT)
        self._lock = threading.Lock()

    def get(self, row: int) -> StampRecord:
        """Return the record of a row.

        Raises
        ------
        QueryError
            If there is no such row.
        """
        return self.fetch([row])[0]

    def fetch(self, rows: Sequence[int]) -> list[StampRecord]:
        """Return the records of some rows, in their order, by one query for all that are not kept.

        Raises
        ------
        QueryError
            If there is no such row.
        """
        with self._lock:
            found = {row: self._records[row] for row in rows if row in self._records}
        missing = [row for row in dict.fromkeys(rows) if row not in found]
        if missing:
            found |= self._read(missing)
        with self._lock:
            for row in rows:
                self._records[row] = found[row]
        return [found[row] for row in rows]

    def _read(self, rows: list[int]) -> dict[int, StampRecord]:
        table = self._catalogue.rows(np.array(rows, np.int64), COLUMNS).to_pylist()
        return {row: _record(values) for row, values in zip(rows, table, strict=True)}


def _record(values: dict) -> StampRecord:
    row0, row1, column0, column1 = (values[name] for name in CROP_COLUMNS)
    whole = None in (row0, row1, column0, column1)
    return StampRecord(
        object_id=values["object_id"],
        survey_position=values["survey_position"],
        crop_box=None if whole else (int(row0), int(row1), int(column0), int(column1)),
    )
