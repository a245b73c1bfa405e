"""The state of a hunt: what its log comes to. Labels, pages, the widget, the JSON API, exports and provenance are functions of it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from discovery.hunts.consensus import agreed, disagreements
from discovery.hunts.log.events import START, HuntOrigin, LogEvents, read_events, read_origin
from discovery.hunts.log.info import HuntInfo
from discovery.hunts.log.records import (
    AuditRecord,
    Counts,
    Disagreement,
    DrawnObject,
    Example,
    LabelEvent,
    LabelState,
    Note,
    ReleaseRecord,
    Round,
)
from discovery.hunts.log.validation import HuntSettings, checked_settings

if TYPE_CHECKING:
    from discovery.hunts.log.store import HuntStore
    from discovery.hunts.log.table_rows import Mark


@dataclass(frozen=True, kw_only=True, eq=False)
class HuntState:
    """What a hunt holds at one moment.

    Attributes
    ----------
    origin : HuntOrigin
        Who made it, its releases and examples.
    mark : Mark
        How far its file had come; what the next round follows from is the same while this is.
    settings : HuntSettings
        As they hold for the next round.
    log : tuple of LabelEvent
        Every label ever given, the oldest first, each with what became of it.
    rounds : tuple of Round
        As recorded, the first one first.
    audits : tuple of AuditRecord
        All that were ever drawn, those of earlier releases too.
    drawn : dict
        What the audits drew, by row, in the order drawn: never candidates, and they never teach.
    notes : tuple of Note
        The oldest first.
    """

    origin: HuntOrigin
    mark: Mark
    settings: HuntSettings
    log: tuple[LabelEvent, ...]
    rounds: tuple[Round, ...]
    audits: tuple[AuditRecord, ...]
    drawn: dict[int, DrawnObject]
    notes: tuple[Note, ...]

    @property
    def release(self) -> ReleaseRecord:
        """The release that the hunt is played on."""
        return self.origin.releases[-1]

    @property
    def examples(self) -> tuple[Example, ...]:
        """What the hunt started from."""
        return self.origin.examples

    @property
    def round(self) -> Round | None:
        """The latest round; None before the first."""
        return self.rounds[-1] if self.rounds else None

    @cached_property
    def history(self) -> list[LabelEvent]:
        """The log as people read it, the newest event first."""
        return list(reversed(self.log))

    @cached_property
    def active(self) -> list[LabelEvent]:
        """The events that hold: neither undone nor an undo."""
        return [event for event in self.log if event.undoes is None and event.undone_by is None]

    @cached_property
    def all_verdicts(self) -> list[LabelState]:
        """The verdict on every object that somebody labelled, by object_id; ``cleared`` ones too."""
        return agreed(self.active, self.settings.consensus)

    @cached_property
    def verdicts(self) -> list[LabelState]:
        """The verdicts that are not taken back."""
        return [state for state in self.all_verdicts if state.verdict != "cleared"]

    @cached_property
    def labels(self) -> dict[int, LabelState]:
        """The verdicts by row; examples, and objects that a move did not find, are not among them."""
        return {state.row: state for state in self.verdicts if state.row is not None}

    @cached_property
    def lost_labels(self) -> list[LabelState]:
        """The verdicts on objects that a move did not find in this release."""
        return [state for state in self.verdicts if state.row is None]

    @cached_property
    def counts(self) -> Counts:
        """How many objects have each verdict, examples not included."""
        verdicts = Counter(state.verdict for state in self.verdicts)
        return Counts(**{name: verdicts[name] for name in ("positive", "negative", "unsure", "skipped")})

    @cached_property
    def negative_classes(self) -> dict[str, int]:
        """How many negatives have each class, by the first use of the class."""
        now = Counter(state.negative_class for state in self.verdicts)
        ever = dict.fromkeys(event.negative_class for event in self.log)
        return {name: now[name] for name in ever if name is not None and name in now}

    @cached_property
    def frequent_classes(self) -> dict[str, int]:
        """`negative_classes`, the most frequent first."""
        return dict(sorted(self.negative_classes.items(), key=lambda item: (-item[1], item[0])))

    @cached_property
    def curve(self) -> tuple[np.ndarray, np.ndarray]:
        """Labels given and positives found after each, both (n + 1,) int64 and from 0.

        Objects stand in the order of their first label and count with their verdict now.
        """
        first: dict[str, int] = {}
        for event in self.log:
            first.setdefault(event.object_id, event.event)
        states = sorted(self.verdicts, key=lambda state: first[state.object_id])
        found = np.cumsum([state.verdict == "positive" for state in states], dtype=np.int64)
        return np.arange(len(states) + 1), np.concatenate([[0], found]).astype(np.int64)

    @cached_property
    def disagreements(self) -> list[Disagreement]:
        """The objects that people judge differently."""
        return disagreements(self.active, self.settings.consensus)

    @cached_property
    def people(self) -> tuple[str, ...]:
        """Who has labelled, in the order of their first labels."""
        return tuple(dict.fromkeys(event.who for event in self.log))

    @cached_property
    def current_audits(self) -> list[AuditRecord]:
        """The audits of the release that the hunt is played on now, the first one first."""
        return [audit for audit in self.audits if audit.release_id == self.release.id]

    @cached_property
    def waiting(self) -> list[int]:
        """The rows that an audit of the present release drew and that have no verdict yet, in the order drawn."""
        current = {audit.number for audit in self.current_audits}
        return [row for row, drawn in self.drawn.items() if drawn.audit in current and row not in self.labels]

    def verdicts_after(self, last_event: int, consensus: str) -> list[LabelState]:
        """Return the verdicts (``cleared`` too) as they were after an event, by a rule: what a replay starts from."""
        seen = (event for event in self.log if event.event <= last_event and event.undoes is None)
        return agreed([event for event in seen if event.undone_by is None or event.undone_by > last_event], consensus)

    def drawn_rows(self, last_audit: int | None = None) -> list[int]:
        """Return what the audits up to one (default: all) drew, in that order."""
        return [row for row, drawn in self.drawn.items() if last_audit is None or drawn.audit <= last_audit]

    def info(self, path: Path) -> HuntInfo:
        """Return the settings and counts of the hunt in a file, and where it belongs."""
        kinds = Counter(example.verdict for example in self.examples)
        bound = {name: getattr(self.release, name) for name in ("relative_path", "encoder_checksum", "dimension", "count")}
        return HuntInfo(
            path=path,
            created=self.origin.when,
            who=self.origin.who,
            release_name=self.release.name,
            release_path=self.release.path,
            examples_positive=kinds["positive"],
            examples_negative=kinds["negative"],
            counts=self.counts,
            negative_classes=self.frequent_classes,
            notes=len(self.notes),
            rounds=len(self.rounds),
            last_label=self.log[-1].when if self.log else None,
            **bound,
            **msgspec.structs.asdict(self.settings),
        )


def advance(origin: HuntOrigin, events: LogEvents, before: HuntState | None = None) -> HuntState:
    """Return the state that events bring about: from nothing, or from the state before them.

    The log only grows, so that both ways come to the same. Nothing else makes a state.

    Raises
    ------
    HuntError
        A setting is missing, unknown or out of range.
    """
    if before is None:
        return HuntState(
            origin=origin,
            mark=events.mark,
            settings=checked_settings(events.settings),
            log=_with_undos(events.labels),
            rounds=events.rounds,
            audits=events.audits,
            drawn={drawn.row: drawn for drawn in events.drawn},
            notes=events.notes,
        )
    settings = before.settings
    if events.settings:
        settings = checked_settings({**msgspec.structs.asdict(settings), **events.settings})
    return HuntState(
        origin=origin,
        mark=events.mark,
        settings=settings,
        log=_with_undos([*before.log, *events.labels]) if events.labels else before.log,
        rounds=(*before.rounds, *events.rounds),
        audits=(*before.audits, *events.audits),
        drawn=before.drawn | {drawn.row: drawn for drawn in events.drawn},
        notes=(*before.notes, *events.notes),
    )


def read_state(store: HuntStore) -> HuntState:
    """Return the state of a hunt from its file.

    Raises
    ------
    HuntError
        The file is no complete hunt, or holds what cannot be read.
    """
    return StateReader(store).read()


class StateReader:
    """Reads the state of one hunt, again only as far as its file has grown since; safe to share between threads."""

    def __init__(self, store: HuntStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._origin: HuntOrigin | None = None
        self._latest: HuntState | None = None

    def read(self) -> HuntState:
        """Return the state now; the same object while nothing was added.

        Raises
        ------
        HuntError
            The file is no complete hunt, or holds what cannot be read.
        """
        with self._lock:
            origin = self._origin = self._origin or read_origin(self._store)
            before = self._latest
            after_note = before.notes[-1].event if before is not None and before.notes else 0
            events = read_events(self._store, START if before is None else before.mark, after_note)
            if before is None or events is not None:
                assert events is not None  # a complete hunt has settings
                self._latest = before = advance(origin, events, before)
            return before


def _with_undos(log: Sequence[LabelEvent]) -> tuple[LabelEvent, ...]:
    """The log, each event with the number of the one that took it back."""
    undone = {event.undoes: event.event for event in log if event.undoes is not None}
    return tuple(
        replace(event, undone_by=undone[event.event]) if event.event in undone and event.undone_by is None else event
        for event in log
    )
