"""Some positions of a survey, as a survey of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from discovery.stamps.stamp import Damaged, Stamp, Survey

WIDEST_GAP, LONGEST_SPAN = 4096, 65536
"""The table is read in spans: gaps up to so many table rows are read over, and a span ends after so many."""


class SelectedSurvey:
    """A survey of which only some positions are there, renumbered from 0 on.

    Parameters
    ----------
    survey : Survey
        The whole one.
    positions : numpy.ndarray
        (n,) int64, ascending.
    """

    def __init__(self, survey: Survey, positions: np.ndarray) -> None:
        self.survey = survey
        self.positions = np.asarray(positions, np.int64)
        self.format: str = survey.format
        self.recognised: str = survey.recognised
        self.paths: tuple[Path, ...] = survey.paths

    @property
    def options(self) -> dict[str, Any]:
        """Keywords with which the whole survey is opened."""
        return self.survey.options

    def __len__(self) -> int:
        return len(self.positions)

    def table(self, start: int = 0, stop: int | None = None) -> pa.Table:
        """Return the table rows of the positions start..stop (exclusive) of this selection."""
        wanted = self.positions[start:stop]
        if len(wanted) == 0:
            return self.survey.table(0, 0)
        parts = []
        for span in _spans(wanted, WIDEST_GAP, LONGEST_SPAN):
            first = int(span[0])
            parts.append(self.survey.table(first, int(span[-1]) + 1).take(pa.array(span - first)))
        return pa.concat_tables(parts)

    def read(self, start: int, stop: int) -> Sequence[Stamp | Damaged]:
        """Return the stamps of the positions start..stop (exclusive) of this selection."""
        spans = _spans(self.positions[start:stop], 1, LONGEST_SPAN)
        return [stamp for span in spans for stamp in self.survey.read(int(span[0]), int(span[-1]) + 1)]


def _spans(positions: np.ndarray, gap: int, longest: int) -> Iterator[np.ndarray]:
    """Yield ascending positions, cut where a step is longer than ``gap``, or a span would cover more than ``longest``."""
    for part in np.split(positions, np.flatnonzero(np.diff(positions) > gap) + 1):
        while len(part):
            end = int(np.searchsorted(part, part[0] + longest))
            yield part[:end]
            part = part[end:]
