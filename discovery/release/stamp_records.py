"""What the catalogue says of the stamps that are about to be read, asked for a page at a time."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from discovery.release.catalogue import Catalogue

MOST_KEPT = 20_000
"""Lines that are kept, the latest: some megabytes."""
CROP_COLUMNS = ("crop_row0", "crop_row1", "crop_column0", "crop_column1")
COLUMNS = ("object_id", "survey_position", *CROP_COLUMNS)


@dataclass(frozen=True, kw_only=True, slots=True)
class StampLine:
    """Where one stamp is to be found.

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


class StampLines:
    """The lines of a catalogue that stamps are read by; safe to share between threads.

    A line alone costs a query, and so does a whole page: whoever shows a page asks for it by `fetch` first.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._held: OrderedDict[int, StampLine] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, row: int) -> StampLine:
        """Return the line of a row.

        Raises
        ------
        QueryError
            If there is no such row.
        """
        return self.fetch([row])[0]

    def fetch(self, rows: Sequence[int]) -> list[StampLine]:
        """Return the lines of some rows, in their order, by one query for all that are not held.

        Raises
        ------
        QueryError
            If there is no such row.
        """
        with self._lock:
            found = {row: self._held[row] for row in rows if row in self._held}
        missing = [row for row in dict.fromkeys(rows) if row not in found]
        if missing:
            found |= self._read(missing)
        with self._lock:
            for row in rows:
                self._held[row] = found[row]
                self._held.move_to_end(row)
            while len(self._held) > MOST_KEPT:
                self._held.popitem(last=False)
        return [found[row] for row in rows]

    def _read(self, rows: list[int]) -> dict[int, StampLine]:
        lines = self._catalogue.rows(np.array(rows, np.int64), COLUMNS).to_pylist()
        return {row: _line(line) for row, line in zip(rows, lines, strict=True)}


def _line(line: dict) -> StampLine:
    row0, row1, column0, column1 = (line[name] for name in CROP_COLUMNS)
    whole = None in (row0, row1, column0, column1)
    return StampLine(
        object_id=line["object_id"],
        survey_position=line["survey_position"],
        crop_box=None if whole else (int(row0), int(row1), int(column0), int(column1)),
    )
