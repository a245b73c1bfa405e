"""What a round follows from: the hunt on its release, the state before the round, and what is left out of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from discovery.hunts.candidates.sources import AllSource
from discovery.hunts.log.records import Example, LabelState, Round
from discovery.hunts.log.table_rows import Mark
from discovery.hunts.models.rescorer import RescorerConfig
from discovery.hunts.stoppers import NEVER

if TYPE_CHECKING:
    from discovery.hunts.candidates.nearby import Engine, Nearby
    from discovery.hunts.log.release_check import Places
    from discovery.release.release import Release
    from discovery.search.known_objects import KnownRows


@dataclass(frozen=True, kw_only=True, eq=False)
class Exclusion:
    """Objects that a round does not show, such as known ones.

    Attributes
    ----------
    rows : numpy.ndarray
        (n,) int64 rows of the release, ascending.
    what : str
        In words, such as "known in lenses.csv within 2 arcsec".
    sha256 : tuple of str
        Of the files that they come from.
    """

    rows: np.ndarray
    what: str
    sha256: tuple[str, ...]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Exclusion):
            return NotImplemented
        return (self.what, self.sha256) == (other.what, other.sha256) and np.array_equal(self.rows, other.rows)

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True, kw_only=True, eq=False)
class HuntContext:
    """A hunt on its release: what is the same in every round.

    Attributes
    ----------
    places : Places
        What the release's objects are called.
    allowed : numpy.ndarray
        (N,) bool: what may be shown at all.
    examples : sequence of Example
        Those of the release's encoder.
    where, flagged, cone : str or None, bool, str or None
        The hunt's filters, for the record.
    nearby : Nearby or None
        Neighbours that rounds have searched so far, kept for those to come; None for a release without an index.
    engine : Engine or None
        What scores every object exactly, where there is such a thing.
    """

    release: Release
    places: Places
    release_id: int
    allowed: np.ndarray
    examples: Sequence[Example]
    where: str | None
    flagged: bool
    cone: str | None = None
    nearby: Nearby | None = None
    engine: Engine | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class RoundInput:
    """What one round follows from, beside its `HuntContext`.

    Attributes
    ----------
    states : sequence of LabelState
        The verdicts after ``last_event``, by the rule ``consensus``.
    before : sequence of Round
        The rounds so far.
    strategy : str
        Its name; ``alpha`` is for an alpha rule that has no number of its own.
    audit : int
        Number of the last audit that was drawn; 0 for none.
    audit_rows : sequence of int
        What the audits drew, in that order: never candidates, and they never teach.
    stopper : str
        Its name; see `discovery.hunts.stoppers`.
    source : str
        Where candidates come from when the strategy does not name it, as `parse_strategy` reads it.
    """

    number: int
    seed: int
    states: Sequence[LabelState]
    before: Sequence[Round]
    last_event: int
    strategy: str
    alpha: float
    consensus: str
    page_size: int
    audit: int
    audit_rows: Sequence[int]
    exclusion: Exclusion | None
    stopper: str = NEVER
    source: str = AllSource.name
    config: RescorerConfig | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class PreparedPage:
    """A page computed ahead and recorded nowhere; it holds while the hunt's file stays as it was."""

    round: Round
    mark: Mark
    exclusion: Exclusion | None

    @property
    def last_event(self) -> int:
        """The last label event that the page knows."""
        return self.mark.last_event

    def holds(self, mark: Mark, page_size: int, exclusion: Exclusion | None) -> bool:
        """Whether the page is what would be computed now."""
        same = self.mark == mark and self.exclusion == exclusion
        return same and self.round.parts["chooser"]["page_size"] == page_size

    def recorded_by(self, who: str, when: str) -> Round:
        """Return its round as this person's."""
        return replace(self.round, who=who, when=when)


def exclusion_of(without: KnownRows | None) -> Exclusion | None:
    """Return known objects as what a round leaves out, with where they come from; None for none."""
    if without is None:
        return None
    record, rows = without.without, np.flatnonzero(without.mask)
    return Exclusion(rows=rows, what=record["without"], sha256=tuple(record["sha256"]))
