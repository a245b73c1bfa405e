"""Files of which nothing can be used, beside others of a survey: each takes one position, as damaged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from discovery.files.containers import distinct_names
from discovery.stamps.stamp import Damaged
from discovery.tables.columns import required_columns

NAMED = 3


class UnusableFiles:
    """A survey of files that cannot be used.

    Parameters
    ----------
    reasons : dict
        Why, by file.
    folder : Path or None
        The given folder, if any: reports name files below it by their path in it.
    """

    format = "unusable"

    def __init__(self, reasons: dict[Path, str], folder: Path | None) -> None:
        below = [path.relative_to(folder).as_posix() if folder and path.is_relative_to(folder) else path.name for path in reasons]
        ids, _ = distinct_names(below)
        if len(set(ids)) < len(ids):
            ids = [path.as_posix().lstrip("/") for path in reasons]
        self._damaged = [
            Damaged(object_id=name, source=source, reason=reason)
            for name, source, reason in zip(ids, below, reasons.values(), strict=True)
        ]
        self.paths = tuple(reasons)
        named = "; ".join(f"{stamp.source}: {stamp.reason}" for stamp in self._damaged[:NAMED])
        more = f"; and {len(self) - NAMED} more" if len(self) > NAMED else ""
        self.recognised = f"Not used: {named}{more}."
        self.options: dict[str, Any] = {}

    def __len__(self) -> int:
        return len(self._damaged)

    def table(self, start: int = 0, stop: int | None = None) -> pa.Table:
        """Return name and source of each file (see `Survey.table`)."""
        part = self._damaged[start:stop]
        return pa.table(required_columns([stamp.object_id for stamp in part], None, None, [stamp.source for stamp in part]))

    def read(self, start: int, stop: int) -> Sequence[Damaged]:
        """Return why each file cannot be used."""
        return self._damaged[start:stop]
