"""How a hunt stands before a round: all that the round follows from, and a page that was computed ahead."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import numpy as np

from discovery.errors import HuntError
from discovery.hunts.candidates.pool import MOST
from discovery.hunts.candidates.sources import AllSource
from discovery.hunts.consensus import LATEST
from discovery.hunts.log.records import LabelState, Round
from discovery.hunts.log.table_rows import Mark
from discovery.hunts.log.validation import MAX_PAGE_SIZE
from discovery.hunts.models.rescorer import RescorerConfig
from discovery.hunts.rounds.labels import Example
from discovery.hunts.settings import NEVER

if TYPE_CHECKING:
    from discovery.hunts.candidates.nearby import Engine, Nearby
    from discovery.hunts.log.binding import Places
    from discovery.release.release import Release
    from discovery.search.known_objects import KnownRows

MOST_LISTED = 1000


@dataclass(frozen=True, kw_only=True, eq=False)
class LeftOut:
    """Objects that a round was asked not to show, such as known ones.

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
        if not isinstance(other, LeftOut):
            return NotImplemented
        return (self.what, self.sha256) == (other.what, other.sha256) and np.array_equal(self.rows, other.rows)

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True, kw_only=True, eq=False)
class Ground:
    """What a hunt is played on.

    Attributes
    ----------
    places : Places
        What the release's objects are called.
    allowed : numpy.ndarray
        (N,) bool: what may be shown at all.
    examples : sequence of Example
        Those of the release's encoder.
    where, flagged : str or None, bool
        The hunt's filter, for the record.
    nearby : Nearby or None
        Neighbours that rounds have asked for so far, kept for those to come; None for a release without an index.
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
    nearby: Nearby | None = None
    engine: Engine | None = None


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
        Its name; see `discovery.hunts.stoppers`.
    source : str
        Where candidates come from when the strategy does not say, as `parse_strategy` reads it.
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
    source: str = AllSource.name
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
    return LeftOut(rows=rows, what=record["without"], sha256=tuple(record["sha256"]))


def packed_rows(rows: np.ndarray) -> dict[str, Any]:
    """Return ascending rows (n,) as a round records them: a list, or where they are many their steps, packed."""
    if len(rows) <= MOST_LISTED:
        return {"without_rows": rows.tolist()}
    steps = np.diff(rows, prepend=0).astype("<i8").tobytes()
    return {"without_packed": base64.b64encode(zlib.compress(steps)).decode("ascii")}


def unpacked_rows(text: str, count: int) -> np.ndarray:
    """Return the rows, below ``count``, that `packed_rows` packed; ValueError for anything else."""
    inflater = zlib.decompressobj()
    try:
        steps = inflater.decompress(base64.b64decode(text, validate=True), 8 * count + 1)
    except zlib.error as problem:
        raise ValueError(str(problem)) from None
    if len(steps) > 8 * count or len(steps) % 8:
        raise ValueError("no list of rows")
    given = np.frombuffer(steps, dtype="<i8")
    if (given < 0).any() or (given > count).any():
        raise ValueError("rows that the release does not have")
    return np.cumsum(given, dtype=np.int64)


class _Source(msgspec.Struct, frozen=True, kw_only=True):
    name: Literal["pool", "exact"]
    count: Annotated[int, msgspec.Meta(ge=1, le=MOST)]


class _Candidates(msgspec.Struct, frozen=True, kw_only=True):
    without: str | None = None
    without_rows: tuple[Annotated[int, msgspec.Meta(ge=0)], ...] = ()
    without_packed: str | None = None
    sha256: tuple[str, ...] = ()
    source: _Source | None = None

    def rows(self, count: int) -> np.ndarray:
        """What was left out, (n,) int64; ValueError unless all of it lies below ``count``."""
        rows = np.array(self.without_rows, dtype=np.int64)
        rows = rows if self.without_packed is None else unpacked_rows(self.without_packed, count)
        if rows.max(initial=-1) >= count:
            raise ValueError("they name rows that the release does not have")
        return rows


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
    def source(self) -> str:
        """Where the candidates came from, whatever the rule would say today."""
        source = self.candidates.source
        return AllSource.name if source is None else f"{source.name}:{source.count}"

    def left_out(self, count: int) -> LeftOut | None:
        """What the round was asked not to show of ``count`` objects."""
        asked = self.candidates
        if asked.without is None:
            return None
        return LeftOut(rows=asked.rows(count), what=asked.without, sha256=asked.sha256)


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
        parts.candidates.rows(count)
    except (msgspec.ValidationError, ValueError) as problem:
        raise HuntError(f"{unknown}: {problem}") from None
    return parts


def recorded_start(
    recorded: Round,
    parts: RecordedParts,
    *,
    states: Sequence[LabelState],
    before: Sequence[Round],
    audit_rows: Sequence[int],
    count: int,
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
        left_out=parts.left_out(count),
        source=parts.source,
        stopper=parts.stopper,
        config=parts.config,
    )
