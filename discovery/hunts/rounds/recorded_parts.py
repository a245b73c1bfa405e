"""A round's parts as its file holds them, checked, and the round's input made of them: what a replay starts from."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
import numpy as np

from discovery.errors import HuntError
from discovery.hunts.candidates.pool import MOST
from discovery.hunts.candidates.sources import AllSource
from discovery.hunts.log.records import LabelState, Round
from discovery.hunts.log.validation import LATEST, MAX_PAGE_SIZE
from discovery.hunts.models.rescorer import RescorerConfig
from discovery.hunts.rounds.round_input import Exclusion, RoundInput
from discovery.hunts.stoppers import NEVER

MOST_LISTED = 1000


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


class RecordedSource(msgspec.Struct, frozen=True, kw_only=True):
    """Where the candidates came from."""

    name: Literal["pool", "exact"]
    count: Annotated[int, msgspec.Meta(ge=1, le=MOST)]


class RecordedCandidates(msgspec.Struct, frozen=True, kw_only=True):
    """What was left out, and where the others came from."""

    without: str | None = None
    without_rows: tuple[Annotated[int, msgspec.Meta(ge=0)], ...] = ()
    without_packed: str | None = None
    sha256: tuple[str, ...] = ()
    source: RecordedSource | None = None

    def rows(self, count: int) -> np.ndarray:
        """What was left out, (n,) int64; ValueError unless all of it lies below ``count``."""
        rows = np.array(self.without_rows, dtype=np.int64)
        rows = rows if self.without_packed is None else unpacked_rows(self.without_packed, count)
        if rows.max(initial=-1) >= count:
            raise ValueError("they name rows that the release does not have")
        return rows


class RecordedChooser(msgspec.Struct, frozen=True, kw_only=True):
    """How many objects a page had."""

    page_size: Annotated[int, msgspec.Meta(ge=1, le=MAX_PAGE_SIZE)]


class RecordedParts(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay needs of a round's parts; version 1 of the file had no strategy and what follows it."""

    candidates: RecordedCandidates
    ranker: dict[str, Any]
    chooser: RecordedChooser
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
        """Where the candidates came from, whatever the rule would choose today."""
        source = self.candidates.source
        return AllSource.name if source is None else f"{source.name}:{source.count}"

    def exclusion(self, count: int) -> Exclusion | None:
        """What the round left out of ``count`` objects."""
        recorded = self.candidates
        if recorded.without is None:
            return None
        return Exclusion(rows=recorded.rows(count), what=recorded.without, sha256=recorded.sha256)


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


def recorded_input(
    recorded: Round,
    parts: RecordedParts,
    *,
    states: Sequence[LabelState],
    before: Sequence[Round],
    audit_rows: Sequence[int],
    count: int,
) -> RoundInput:
    """Return what a recorded round followed from, given the verdicts, rounds and audits of that moment."""
    return RoundInput(
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
        exclusion=parts.exclusion(count),
        source=parts.source,
        stopper=parts.stopper,
        config=parts.config,
    )
