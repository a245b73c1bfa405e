"""A hunt as it stands, read anew only as far as its file has come since: what its pages show after every label."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from discovery.hunts.audits.log import audit_lines, audited
from discovery.hunts.consensus import agreed, disagreements
from discovery.hunts.log.folder import count_verdicts
from discovery.hunts.log.records import Counts, Disagreement, LabelEvent, LabelState, Round
from discovery.hunts.log.table_rows import Mark, read_latest_round, read_log, read_mark, read_settings
from discovery.hunts.simulation.measures import found_curve

if TYPE_CHECKING:
    from discovery.hunts.log.store import HuntStore
    from discovery.hunts.log.validation import HuntSettings


@dataclass(frozen=True, kw_only=True)
class Present:
    """What a hunt holds at one moment.

    Attributes
    ----------
    mark : Mark
        How far its file had come.
    log : tuple of LabelEvent
        Every label ever given, oldest first.
    settings : HuntSettings
        As they hold for the next round.
    round : Round or None
        The latest; None before the first.
    audited : dict
        Rows that audits drew, in the order drawn, and whether the audit is one of the present release.
    """

    mark: Mark
    log: tuple[LabelEvent, ...]
    settings: HuntSettings
    round: Round | None
    audited: dict[int, bool]

    @cached_property
    def active(self) -> list[LabelEvent]:
        """The events that hold: neither undone nor an undo."""
        undone = {event.undoes for event in self.log}
        return [event for event in self.log if event.undoes is None and event.event not in undone]

    @cached_property
    def states(self) -> list[LabelState]:
        """The verdicts that are not taken back."""
        return [state for state in agreed(self.active, self.settings.consensus) if state.verdict != "cleared"]

    @cached_property
    def labels(self) -> dict[int, LabelState]:
        """The verdicts by row."""
        return {state.row: state for state in self.states if state.row is not None}

    @cached_property
    def counts(self) -> Counts:
        """How many objects have each verdict."""
        return count_verdicts(self.states)

    @cached_property
    def negative_classes(self) -> dict[str, int]:
        """How many negatives have each class, by the first use of the class."""
        present = [state.negative_class for state in self.states]
        ever = dict.fromkeys(event.negative_class for event in self.log)
        return {name: present.count(name) for name in ever if name is not None and name in present}

    @cached_property
    def curve(self) -> tuple[np.ndarray, np.ndarray]:
        """Labels given and positives found after each, both (n + 1,) int64; see `LabelBook.curve`."""
        first: dict[str, int] = {}
        for event in self.log:
            first.setdefault(event.object_id, event.event)
        states = sorted(self.states, key=lambda state: first[state.object_id])
        return found_curve(np.array([state.verdict == "positive" for state in states], dtype=bool))

    @cached_property
    def disagreements(self) -> list[Disagreement]:
        """The objects of which people say different things."""
        return disagreements(self.active, self.settings.consensus)

    @cached_property
    def people(self) -> tuple[str, ...]:
        """Who has labelled, in the order of their first labels."""
        return tuple(dict.fromkeys(event.who for event in self.log))

    @cached_property
    def waiting(self) -> list[int]:
        """The rows that an audit of the present release drew and that have no verdict yet."""
        return [row for row, present in self.audited.items() if present and row not in self.labels]


class Watch:
    """Follows one hunt's file; safe to share between threads."""

    def __init__(self, store: HuntStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._seen: Present | None = None

    def look(self) -> Present:
        """Return the hunt as it stands; what was read before is not read again, since lines are only ever added."""
        with self._lock:
            self._seen = self._read(self._seen)
            return self._seen

    def _read(self, seen: Present | None) -> Present:
        with self._store.reading() as connection:
            mark = read_mark(connection)
            if seen is not None and mark == seen.mark:
                return seen
            log = read_log(connection, after=0 if seen is None else seen.mark.last_event)
            same_rules = seen is not None and mark.setting == seen.mark.setting
            settings = seen.settings if seen is not None and same_rules else read_settings(connection)
            same_round = seen is not None and mark.rounds == seen.mark.rounds
            latest = seen.round if seen is not None and same_round else read_latest_round(connection)
        same_audits = seen is not None and mark.audit == seen.mark.audit
        return Present(
            mark=mark,
            log=(*(() if seen is None else seen.log), *log),
            settings=settings,
            round=latest,
            audited=seen.audited if seen is not None and same_audits else self._audited(),
        )

    def _audited(self) -> dict[int, bool]:
        present = {line.number for line in audit_lines(self._store)}
        return {row: mark.audit in present for row, mark in audited(self._store).items()}
