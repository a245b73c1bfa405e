"""The values that stand in a hunt's log and its state: labels, notes, examples, rounds and audits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

Verdict = Literal["positive", "negative", "unsure", "skipped", "cleared"]
"""A person's verdict on an object; ``cleared`` takes an earlier verdict back."""

VERDICTS: tuple[str, ...] = get_args(Verdict)

Strategy = Literal["similarity", "rescorer-highest", "rescorer-lowest"]


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Objects by their present verdict, the examples that started the hunt not included."""

    positive: int = 0
    negative: int = 0
    unsure: int = 0
    skipped: int = 0

    @property
    def total(self) -> int:
        """Objects that have a verdict."""
        return self.positive + self.negative + self.unsure + self.skipped


@dataclass(frozen=True, kw_only=True)
class LabelState:
    """The verdict on one object in the state of a hunt: what its events come to by the hunt's consensus.

    Attributes
    ----------
    event : int
        The latest event that decides.
    row : int or None
        Row in the hunt's release; None for an object that a move did not find there.
    round : int or None
        The latest round that showed the object before the label; None when no round had.
    """

    event: int
    object_id: str
    row: int | None
    verdict: Verdict
    negative_class: str | None
    who: str
    when: str
    round: int | None
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class LabelEvent:
    """One event of the append-only label log, with what became of it.

    Attributes
    ----------
    round : int or None
        The latest round that showed the object before the label.
    reason : str or None
        What the person gave as reason; ``undo`` for an undo.
    undone_by : int or None
        The event that took this one back; such an event does not count any more. Not a column: `HuntState` fills it in.
    undoes : int or None
        The event that this one took back.
    """

    event: int
    object_id: str
    row: int | None
    verdict: Verdict
    negative_class: str | None
    who: str
    when: str
    round: int | None
    reason: str | None
    undone_by: int | None = None
    undoes: int | None

    @property
    def is_undo(self) -> bool:
        """Whether the event takes another one back."""
        return self.undoes is not None


@dataclass(frozen=True, kw_only=True)
class Undone:
    """What an undo did: the event it reverted and the object's verdict now."""

    event: int
    undid: int
    row: int | None
    object_id: str
    verdict: Verdict
    negative_class: str | None


@dataclass(frozen=True, kw_only=True)
class Note:
    """What a person wrote about an object; notes are added, never changed."""

    event: int
    object_id: str
    row: int | None
    text: str
    who: str
    when: str


@dataclass(frozen=True, kw_only=True)
class Disagreement:
    """An object that people judge differently: each person's verdict, and what the hunt's consensus makes of them."""

    object_id: str
    row: int | None
    verdicts: dict[str, Verdict]
    agreed: Verdict


@dataclass(frozen=True, kw_only=True)
class LabelRequest:
    """A verdict that a person gives."""

    row: int
    verdict: Verdict
    negative_class: str | None = None
    reason: str | None = None


REMEMBERED = "label of "
"""How the label of an example begins that a label elsewhere left behind."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Example:
    """A prompt that started the hunt, or the vector of an object that was labelled in another release.

    Attributes
    ----------
    label : str
        What the person gave: an id, a position, a file's name.
    object_id, row : str, int or None
        The object of the release; None for a stamp from elsewhere.
    vector : numpy.ndarray
        (D,) float32 unit vector by the encoder of ``encoder_checksum``.
    """

    label: str
    object_id: str | None
    row: int | None
    verdict: Verdict
    vector: np.ndarray
    encoder_checksum: str

    @property
    def remembered(self) -> bool:
        """Whether it only keeps the vector for a label: without that label it does not teach."""
        return self.label.startswith(REMEMBERED)


@dataclass(frozen=True, kw_only=True)
class ReleaseRecord:
    """A release that a hunt is or was played on, as its file remembers it; a moved hunt has several."""

    id: int
    name: str
    path: str
    relative_path: str
    encoder_checksum: str
    dimension: int
    count: int
    who: str
    when: str


@dataclass(frozen=True, kw_only=True)
class AuditRecord:
    """An audit as it was recorded, without its design."""

    number: int
    release_id: int
    seed: int
    digest: str
    last_event: int
    who: str
    when: str


@dataclass(frozen=True, kw_only=True)
class DrawnObject:
    """One object that an audit drew: its audit, its place in the drawn order (from 0) and its stratum."""

    audit: int
    position: int
    object_id: str
    row: int
    stratum: int
    score: float


AUDIT = "audit"
"""The reason of a stamp that an audit drew."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Round:
    """What one round showed, and why.

    Attributes
    ----------
    rows : numpy.ndarray
        (n,) int64, in the order shown; -1 for an object that a move did not find.
    object_ids : tuple of str
        The same objects by name.
    strategy : str
        What was done, in a word, such as ``rescorer-highest``; ``parts["strategy"]`` is the strategy's name.
    parts : dict
        Candidates, ranker (with the checksum of what was fitted), chooser, strategy, consensus, versions: all that a
        replay needs.
    scores : numpy.ndarray
        (n,) float32: cosine-like similarity, or the rescorer's probability; NaN for audit stamps.
    reasons : tuple of str
        Why each stamp is there, in a word: likely, unlikely, uncertain, diverse, random or audit; ``""`` in rounds of
        files of version 1.
    digest : str
        SHA-256 over the float32 scores of every object of the release (little-endian, by row).
    positives, negatives : int
        P and N of the round before, which the alpha rule compared.
    last_event : int
        The last label event that this round knew.
    release_id : int
        Which of the hunt's releases it was played on (a moved hunt has several).
    """

    number: int
    strategy: str
    parts: dict[str, Any]
    seed: int
    alpha: float
    rows: np.ndarray
    object_ids: tuple[str, ...]
    scores: np.ndarray
    reasons: tuple[str, ...]
    digest: str
    positives: int
    negatives: int
    why: str
    last_event: int
    release_id: int
    who: str
    when: str

    @property
    def exhausted(self) -> bool:
        """Whether nothing is left to show: such a round is handed out but not recorded."""
        return len(self.rows) == 0

    @property
    def advice(self) -> str:
        """Why the hunt's stopper would end the hunt with this round; nothing while it would not."""
        return str(self.parts.get("advice", ""))

    @property
    def ratio(self) -> float | None:
        """P/N of the round before; None when nothing was decided in it."""
        if self.negatives:
            return self.positives / self.negatives
        return float("inf") if self.positives else None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Round):
            return NotImplemented
        plain = [name for name in self.__dataclass_fields__ if name not in ("rows", "scores")]
        return (
            all(getattr(self, name) == getattr(other, name) for name in plain)
            and np.array_equal(self.rows, other.rows)
            and np.array_equal(self.scores, other.scores, equal_nan=True)
        )

    __hash__ = None  # type: ignore[assignment]
