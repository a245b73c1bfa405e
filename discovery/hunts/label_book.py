"""What people say of the objects of a hunt: labels, notes, history, and what they agree on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from discovery.errors import HuntError
from discovery.hunts.consensus import disagreements
from discovery.hunts.log.binding import object_lines
from discovery.hunts.log.folder import count_classes, count_verdicts
from discovery.hunts.log.records import (
    Counts,
    Disagreement,
    HistoryLine,
    LabelEvent,
    LabelState,
    Note,
    Undone,
    Verdict,
)
from discovery.hunts.log.store import HuntStore
from discovery.hunts.rounds.labels import Example, LabelRequest, history_lines
from discovery.hunts.simulation.measures import found_curve

if TYPE_CHECKING:
    from discovery.release.release import Release


class LabelBook:
    """The labels and notes of one hunt; safe to share between threads, and between processes by its file."""

    def __init__(self, store: HuntStore, release: Release) -> None:
        self.release = release
        self._store = store

    @property
    def path(self) -> Path:
        """The hunt's file."""
        return self._store.path

    def label(
        self,
        row: int,
        verdict: Verdict,
        *,
        who: str,
        negative_class: str | None = None,
        reason: str | None = None,
    ) -> int:
        """Log a verdict on the object of a row; it is durable when this returns.

        A duplicate's verdict goes to its primary row. ``cleared`` takes an earlier verdict back.

        Returns
        -------
        int
            Number of the event.

        Raises
        ------
        HuntError
            No such row or verdict, or a negative class on another verdict.
        """
        request = LabelRequest(row=row, verdict=verdict, negative_class=negative_class, reason=reason)
        return self.label_many([request], who=who)[0]

    def label_many(self, requests: Iterable[LabelRequest], *, who: str) -> list[int]:
        """Log several verdicts in one transaction: all of them or none; their event numbers."""
        requests = list(requests)
        objects = self._places([request.row for request in requests])
        lines = [
            {
                **line,
                "verdict": request.verdict,
                "negative_class": request.negative_class,
                "reason": request.reason,
            }
            for line, request in zip(objects, requests, strict=True)
        ]
        return self._store.add_labels(lines, who)

    def undo(self, who: str, event: int | None = None) -> Undone | None:
        """Revert this person's latest label that is not undone yet, or, by its number, any label of anybody.

        The undo is logged with who did it.

        Returns
        -------
        Undone or None
            With the object's verdict now; None when no event is given and this person has none left.

        Raises
        ------
        HuntError
            The given event is none, is an undo itself, or was undone already.
        """
        return self._store.undo(who, event)

    def labels(self) -> dict[int, LabelState]:
        """Return the present verdicts by row; examples, and objects that a move did not find, are not among them."""
        return {state.row: state for state in self._states() if state.row is not None}

    def lost_labels(self) -> list[LabelState]:
        """Return the verdicts on objects that a move did not find in this release."""
        return [state for state in self._states() if state.row is None]

    def log(self) -> list[LabelEvent]:
        """Return the label log, oldest first."""
        return self._store.log()

    def history(self) -> list[HistoryLine]:
        """Return the label log as people read it, the newest line first, each with what became of it."""
        return history_lines(self.log())

    def disagreements(self) -> list[Disagreement]:
        """Return the objects of which people say different things, and what the hunt's consensus makes of each."""
        return disagreements(self._store.active(), self._store.settings().consensus)

    def note(self, row: int, text: str, who: str) -> int:
        """Keep a note on the object of a row; notes are added, never changed.

        Returns
        -------
        int
            Number of the note.

        Raises
        ------
        HuntError
            No such row, or an empty or too long text.
        """
        return self._store.add_note(self._places([row])[0], text, who)

    def notes(self, row: int | None = None) -> list[Note]:
        """Return the notes, oldest first: all of them, or those on the object of a row."""
        kept = self._store.notes()
        if row is None:
            return kept
        name = self._places([row])[0]["object_id"]
        return [note for note in kept if note.object_id == name]

    def examples(self) -> list[Example]:
        """Return the examples that started the hunt."""
        return [
            Example(**{name: line[name] for name in Example.__annotations__})
            for line in self._store.examples()
        ]

    def counts(self) -> Counts:
        """Return how many objects have each verdict, examples not included."""
        return count_verdicts(self._states())

    def negative_classes(self) -> dict[str, int]:
        """Return how many negatives have each class that people gave, the most frequent first."""
        return count_classes(self._states())

    def known_objects(self) -> list[dict[str, Any]]:
        """Return object_id, row, ra_deg, dec_deg and former_id of every object that the file names."""
        return self._store.objects()

    def curve(self) -> tuple[np.ndarray, np.ndarray]:
        """Return labels given and positives found after each, both (n + 1,) int64 and from 0.

        Objects stand in the order of their first label and count with their present verdict.
        """
        states, first = self._states(), {}  # type: list[LabelState], dict[str, int]
        for event in self.log():  # read after them: it has every object that they have, whoever labels meanwhile
            first.setdefault(event.object_id, event.event)
        states = sorted(states, key=lambda state: first[state.object_id])
        return found_curve(np.array([state.verdict == "positive" for state in states], dtype=bool))

    def _states(self) -> list[LabelState]:
        return [state for state in self._store.states() if state.verdict != "cleared"]

    def _places(self, rows: Sequence[int]) -> list[dict[str, Any]]:
        """The primary objects of some rows, as the file keeps them."""
        for row in rows:
            if not 0 <= row < self.release.count:
                raise HuntError(f"{self.release.name} has no row {row}; its rows go from 0 to {self.release.count - 1}")
        return object_lines(self.release, self.release.catalogue.primary_rows[np.array(rows, dtype=np.int64)])
