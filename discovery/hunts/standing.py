"""How a hunt stands before a round: all that the round follows from, and a page that was computed ahead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import numpy as np

from discovery.errors import HuntError
from discovery.hunts.checks import MAX_PAGE_SIZE
from discovery.hunts.choices import NEVER
from discovery.hunts.consensus import LATEST
from discovery.hunts.labels import Example
from discovery.hunts.lines import Mark
from discovery.hunts.records import LabelState, Round
from discovery.hunts.rescorer import RescorerConfig

if TYPE_CHECKING:
    from discovery.known import KnownRows
    from discovery.release import Release


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """Objects that a round was asked not to show, such as known ones.

    Attributes
    ----------
    rows : tuple of int
        Rows of the release.
    what : str
        In words, such as "known in lenses.csv within 2 arcsec".
    sha256 : tuple of str
        Of the files that they come from.
    """

    rows: tuple[int, ...]
    what: str
    sha256: tuple[str, ...]


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
    before : sequence of Round
        The rounds so far.
    strategy : str
        Its name; ``alpha`` is for an alpha rule that has no number of its own.
    audit : int
        Number of the last audit that was drawn; 0 for none.
    audit_rows : sequence of int
        What the audits drew, in that order: never candidates, and they never teach.
    stopper : str
        Its name; see `discovery.hunts.stopping`.
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
    left_out: LeftOut | None
    stopper: str = NEVER
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


class _Candidates(msgspec.Struct, frozen=True, kw_only=True):
    without: str | None = None
    without_rows: tuple[Annotated[int, msgspec.Meta(ge=0)], ...] = ()
    sha256: tuple[str, ...] = ()


class _Chooser(msgspec.Struct, frozen=True, kw_only=True):
    page_size: Annotated[int, msgspec.Meta(ge=1, le=MAX_PAGE_SIZE)]


class RecordedParts(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay needs of a round's parts; version 1 of the file had no strategy and what follows it."""

    candidates: _Candidates
    ranker: dict[str, Any]
    chooser: _Chooser
    strategy: str | None = None
    consensus: str = LATEST
    stopper: str = NEVER
    audits: Annotated[int, msgspec.Meta(ge=0)] = 0
    versions: dict[str, str] = {}

    @property
    def config(self) -> RescorerConfig | None:
        """The settings of the rescorer; None where another model ranked."""
        if self.ranker.get("name") != "mlp":
            return None
        settings = {key: value for key, value in self.ranker.items() if key not in ("name", "weights")}
        try:
            return RescorerConfig(**settings)
        except TypeError:
            raise HuntError(f"a rescorer with the settings {', '.join(settings)} is not known to this version") from None

    @property
    def left_out(self) -> LeftOut | None:
        """What the round was asked not to show."""
        asked = self.candidates
        if asked.without is None:
            return None
        return LeftOut(rows=asked.without_rows, what=asked.without, sha256=asked.sha256)


def recorded_parts(recorded: Round, count: int) -> RecordedParts:
    """Return the parts of a recorded round, checked: a stranger may have written them.

    Raises
    ------
    HuntError
        They are not what this version knows, or name rows from ``count`` on.
    """
    unknown = f"the parts of round {recorded.number} are not known to this version"
    try:
        parts = msgspec.convert(recorded.parts, RecordedParts)
    except msgspec.ValidationError as problem:
        raise HuntError(f"{unknown}: {problem}") from None
    if max(parts.candidates.without_rows, default=0) >= count:
        raise HuntError(f"{unknown}: they name rows that the release does not have")
    return parts


def recorded_start(
    recorded: Round,
    parts: RecordedParts,
    *,
    states: Sequence[LabelState],
    before: Sequence[Round],
    audit_rows: Sequence[int],
) -> Start:
    """Return what a recorded round followed from, given the verdicts, rounds and audits of that moment."""
    return Start(
        number=recorded.number,
        seed=recorded.seed,
        states=states,
        before=before,
        last_event=recorded.last_event,
        strategy=parts.strategy or "alpha",
        alpha=recorded.alpha,
        consensus=parts.consensus,
        page_size=parts.chooser.page_size,
        audit=parts.audits,
        audit_rows=audit_rows,
        left_out=parts.left_out,
        stopper=parts.stopper,
        config=parts.config,
    )
