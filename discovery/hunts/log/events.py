"""All that a hunt's file holds, or has gained since a moment: what the state of the hunt is derived from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from discovery.hunts.log.audits import read_audits, read_drawn
from discovery.hunts.log.records import (
    AuditRecord,
    DrawnObject,
    Example,
    LabelEvent,
    Note,
    ReleaseRecord,
    Round,
)
from discovery.hunts.log.store import HuntStore
from discovery.hunts.log.table_rows import (
    Mark,
    newest,
    read_labels,
    read_mark,
    read_notes,
    read_rounds,
    read_settings,
)

START = Mark(last_event=0, setting=0, rounds=0, audit=0)
"""The moment before the first event."""


@dataclass(frozen=True, kw_only=True, eq=False)
class HuntOrigin:
    """What a hunt began from and is played on; the only part of a hunt's file that never changes.

    Attributes
    ----------
    who, when : str
        Who made the hunt, and when.
    releases : tuple of ReleaseRecord
        Those that the hunt was played on, the present one last.
    examples : tuple of Example
        What it started from.
    """

    who: str
    when: str
    releases: tuple[ReleaseRecord, ...]
    examples: tuple[Example, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class LogEvents:
    """What was added to a hunt's log after a moment; each the oldest first.

    Attributes
    ----------
    mark : Mark
        How far the file has come with them.
    settings : dict
        New values by key.
    drawn : tuple of DrawnObject
        What the new audits drew.
    """

    mark: Mark
    settings: dict[str, Any]
    labels: tuple[LabelEvent, ...]
    rounds: tuple[Round, ...]
    audits: tuple[AuditRecord, ...]
    drawn: tuple[DrawnObject, ...]
    notes: tuple[Note, ...]


def read_origin(store: HuntStore) -> HuntOrigin:
    """Return what a hunt began from.

    Raises
    ------
    HuntError
        The file is no complete hunt.
    """
    who, when = store.started()
    return HuntOrigin(who=who, when=when, releases=tuple(store.releases()), examples=tuple(store.examples()))


def read_events(store: HuntStore, after: Mark = START, after_note: int = 0) -> LogEvents | None:
    """Return what was added after a mark and a note, all of it as it stands at one moment; None where nothing was."""
    with store.reading() as connection:
        mark = read_mark(connection)
        if mark == after and newest(connection, "notes", "event") == after_note:
            return None
        new_audits = mark.audit > after.audit
        return LogEvents(
            mark=mark,
            settings=read_settings(connection, after.setting) if mark.setting > after.setting else {},
            labels=tuple(read_labels(connection, after.last_event)),
            rounds=tuple(read_rounds(connection, after.rounds)) if mark.rounds > after.rounds else (),
            audits=tuple(read_audits(connection, after.audit)) if new_audits else (),
            drawn=tuple(read_drawn(connection, after.audit)) if new_audits else (),
            notes=tuple(read_notes(connection, after_note)),
        )
