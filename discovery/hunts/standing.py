"""How a hunt stands before a round: all that the round follows from, and a page that was computed ahead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from discovery.hunts.labels import Example
from discovery.hunts.lines import Mark
from discovery.hunts.records import LabelState, LeftOut, Round
from discovery.hunts.rescorer import RescorerConfig

if TYPE_CHECKING:
    from discovery.known import KnownRows
    from discovery.release import Release


@dataclass(frozen=True, kw_only=True, eq=False)
class Ground:
    """What a hunt is played on.

    Attributes
    ----------
    allowed : numpy.ndarray
        (N,) bool: what may be shown at all.
    examples : sequence of Example
        Those of the release's encoder.
    where, flagged : str or None, bool
        The hunt's filter, for the record.
    """

    release: Release
    release_id: int
    allowed: np.ndarray
    examples: Sequence[Example]
    where: str | None
    flagged: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class Start:
    """What one round follows from.

    Attributes
    ----------
    states : sequence of LabelState
        The verdicts after ``last_event``, by the rule ``consensus``.
    latest : Round or None
        The round before.
    strategy : str
        Its name; ``alpha`` is for an alpha rule that has no number of its own.
    audit : int
        Number of the last audit that was drawn; 0 for none.
    audit_rows : sequence of int
        What the audits drew, in that order: never candidates, and they never teach.
    """

    number: int
    seed: int
    states: Sequence[LabelState]
    latest: Round | None
    last_event: int
    strategy: str
    alpha: float
    consensus: str
    page_size: int
    audit: int
    audit_rows: Sequence[int]
    left_out: LeftOut | None
    config: RescorerConfig | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Prepared:
    """A page computed ahead and recorded nowhere; it holds while the hunt's file stays as it was."""

    round: Round
    mark: Mark
    left_out: LeftOut | None

    @property
    def last_event(self) -> int:
        """The last label event that the page knows."""
        return self.mark.last_event

    def holds(self, mark: Mark, page_size: int, left_out: LeftOut | None) -> bool:
        """Whether the page is what would be computed now."""
        same = self.mark == mark and self.left_out == left_out
        return same and self.round.parts["chooser"]["page_size"] == page_size


def left_out_of(without: KnownRows | None) -> LeftOut | None:
    """Return which rows known objects are, and where they come from, for the record."""
    if without is None:
        return None
    record, rows = without.without, np.flatnonzero(without.mask)
    return LeftOut(rows=tuple(rows.tolist()), what=record["without"], sha256=tuple(record["sha256"]))


def recorded_config(ranker: dict[str, Any]) -> RescorerConfig | None:
    """Return the settings of a rescorer that a round records; None where another model ranked."""
    if ranker["name"] != "mlp":
        return None
    return RescorerConfig(**{key: value for key, value in ranker.items() if key not in ("name", "weights")})


def recorded_left_out(candidates: dict[str, Any]) -> LeftOut | None:
    """Return what a round was asked not to show."""
    if "without" not in candidates:
        return None
    return LeftOut(
        rows=tuple(map(int, candidates["without_rows"])),
        what=candidates["without"],
        sha256=tuple(candidates["sha256"]),
    )
