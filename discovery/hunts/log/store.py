"""What a hunt file holds: settings, objects, labels, rounds. Every change is an added line; the present is derived."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from discovery.errors import HuntError
from discovery.hunts.consensus import agreed
from discovery.hunts.log.file import HuntFile, insert
from discovery.hunts.log.records import LabelEvent, LabelState, Note, Round, Undone
from discovery.hunts.log.schema import TABLES
from discovery.hunts.log.table_rows import (
    EVER,
    Mark,
    add_object,
    newest,
    page_lines,
    read_active,
    read_mark,
    read_rounds,
    read_settings,
    read_vector,
    undoable_line,
)
from discovery.hunts.log.validation import HuntSettings, checked_label, checked_note, checked_person


class HuntStore(HuntFile):
    """The lines of one hunt's file, as values; SQL is here and in the modules that this one imports."""

    # -- settings, releases, objects, examples

    def settings(self) -> HuntSettings:
        """Return the present settings: the last value of each key."""
        with self.reading() as connection:
            return read_settings(connection)

    def first_line(self) -> tuple[str, str]:
        """Return who made the hunt, and when."""
        with self.reading() as connection:
            line = connection.execute('SELECT who, "when" FROM settings ORDER BY event LIMIT 1').fetchone()
        if line is None:
            raise HuntError(f"{self.path.name} is no complete hunt: its settings are missing")
        return line["who"], line["when"]

    @staticmethod
    def setting_lines(settings: dict[str, Any], stamped: dict[str, str]) -> list[dict[str, Any]]:
        """Return settings as lines of their table; ``stamped`` has who and when."""
        return [{"key": key, "value": json.dumps(value), **stamped} for key, value in settings.items()]

    def change_settings(self, changes: dict[str, Any], who: str) -> None:
        """Log new values of settings in one transaction."""
        stamped = {"who": checked_person(who), "when": now()}
        with self.writing() as connection:
            for line in self.setting_lines(changes, stamped):
                insert(connection, "settings", **line)

    def releases(self) -> list[dict[str, Any]]:
        """Return the releases that the hunt was played on, the present one last."""
        with self.reading() as connection:
            lines = connection.execute("SELECT * FROM releases ORDER BY id").fetchall()
        if not lines:
            raise HuntError(f"{self.path.name} is no complete hunt: its release is missing")
        return [dict(line) for line in lines]

    def objects(self) -> list[dict[str, Any]]:
        """Return every object that was shown, labelled or given as an example."""
        with self.reading() as connection:
            return [dict(line) for line in connection.execute("SELECT * FROM objects ORDER BY object_id")]

    def examples(self) -> list[dict[str, Any]]:
        """Return the starting examples, ``vector`` as (D,) float32, ``row`` None where it has none."""
        with self.reading() as connection:
            lines = connection.execute(
                "SELECT e.*, o.row FROM examples e LEFT JOIN objects o USING (object_id) ORDER BY e.id"
            ).fetchall()
        return [{**line, "vector": read_vector(line["vector"], self.path)} for line in map(dict, lines)]

    def contradicts_itself(self) -> bool:
        """Whether labels, notes, pages, audits and examples name objects that the table of objects lacks or places elsewhere."""
        with self.reading() as connection:
            numbers = [
                line["number"] for line in connection.execute("SELECT number FROM rounds ORDER BY number")
            ]
            strays = connection.execute(
                """SELECT (SELECT count(*) FROM labels l LEFT JOIN objects o USING (object_id)
                           WHERE o.object_id IS NULL OR o.row IS NOT l.row)
                        + (SELECT count(*) FROM shown s LEFT JOIN objects o USING (object_id)
                           WHERE o.object_id IS NULL OR o.row IS NOT s.row)
                        + (SELECT count(*) FROM notes n LEFT JOIN objects o USING (object_id)
                           WHERE o.object_id IS NULL OR o.row IS NOT n.row)
                        + (SELECT count(*) FROM audit_objects a LEFT JOIN objects o USING (object_id)
                           WHERE a.row IS NOT NULL AND o.row IS NOT a.row)
                        + (SELECT count(*) FROM examples e LEFT JOIN objects o USING (object_id)
                           WHERE e.object_id IS NOT NULL AND o.object_id IS NULL) AS number"""
            ).fetchone()["number"]
        return strays > 0 or numbers != list(range(1, len(numbers) + 1))

    # -- labels

    def add_labels(self, lines: Iterable[dict[str, Any]], who: str) -> list[int]:
        """Append label events in one transaction; they are durable when this returns.

        Parameters
        ----------
        lines : iterable of dict
            object_id, row, ra_deg, dec_deg, verdict, negative_class, reason.

        Returns
        -------
        list of int
            The events' numbers.
        """
        checked = [checked_label(line) for line in lines]
        stamped = {"who": checked_person(who), "when": now()}
        events = []
        with self.writing() as connection:
            for line in checked:
                add_object(connection, line)
                shown = connection.execute(
                    "SELECT max(round) AS latest FROM shown WHERE object_id = ?", (line["object_id"],)
                ).fetchone()
                fields = {
                    key: line[key] for key in ("object_id", "row", "verdict", "negative_class", "reason")
                }
                events.append(insert(connection, "labels", **fields, round=shown["latest"], **stamped))
        return events

    def undo(self, who: str, event: int | None = None) -> Undone | None:
        """Revert an event by a new one: the given one, else this person's latest that is not undone yet.

        Returns
        -------
        Undone or None
            What was done; None when this person has no event left to revert.

        Raises
        ------
        HuntError
            The given event is none, is an undo itself, or was undone already.
        """
        who = checked_person(who)
        with self.writing() as connection:
            target = undoable_line(connection, who, event)
            if target is None:
                return None
            others = read_active(connection, EVER, target["object_id"])
            left = agreed(
                [one for one in others if one.event != target["event"]], read_settings(connection).consensus
            )
            restored: dict[str, Any] = {
                "verdict": left[0].verdict if left else "cleared",
                "negative_class": left[0].negative_class if left else None,
            }
            made = insert(
                connection,
                "labels",
                **{key: target[key] for key in ("object_id", "row", "round")},
                **restored,
                who=who,
                when=now(),
                reason="undo",
                undoes=target["event"],
            )
        return Undone(
            event=made,
            undid=target["event"],
            row=target["row"],
            object_id=target["object_id"],
            **restored,
        )

    def log(self) -> list[LabelEvent]:
        """Return the whole label log, oldest first."""
        with self.reading() as connection:
            return [LabelEvent(**line) for line in connection.execute("SELECT * FROM labels ORDER BY event")]

    def active(self) -> list[LabelEvent]:
        """Return the events that hold now, oldest first: neither undone nor an undo."""
        with self.reading() as connection:
            return read_active(connection, EVER)

    def states(self, last_event: int | None = None, consensus: str | None = None) -> list[LabelState]:
        """Return the verdicts (``cleared`` too) after ``last_event`` (default: now) by a rule (default: the hunt's)."""
        until = EVER if last_event is None else last_event
        with self.reading() as connection:
            rule = consensus or read_settings(connection).consensus
            return agreed(read_active(connection, until), rule)

    # -- notes

    def add_note(self, place: dict[str, Any], text: str, who: str) -> int:
        """Append a note on an object (object_id, row, ra_deg, dec_deg) and return its number."""
        line = {"text": checked_note(text), "who": checked_person(who), "when": now()}
        with self.writing() as connection:
            add_object(connection, place)
            return insert(connection, "notes", object_id=place["object_id"], row=place["row"], **line)

    def notes(self) -> list[Note]:
        """Return all notes, oldest first."""
        with self.reading() as connection:
            return [Note(**line) for line in connection.execute("SELECT * FROM notes ORDER BY event")]

    # -- rounds

    def add_round(self, played: Round, objects: Iterable[dict[str, Any]]) -> bool:
        """Record a round and say so, unless another process recorded one of this number or drew an audit meanwhile."""
        with self.writing() as connection:
            if newest(connection, "rounds", "number") >= played.number:
                return False
            if newest(connection, "audits", "id") != played.parts.get("audits", 0):
                return False
            fields = ("release_id", "strategy", "seed", "alpha", "digest", "positives", "negatives", "why")
            insert(
                connection,
                "rounds",
                number=played.number,
                parts=json.dumps(played.parts, sort_keys=True),
                last_event=played.last_event,
                who=checked_person(played.who),
                when=played.when,
                **{name: getattr(played, name) for name in fields},
            )
            for line in objects:
                add_object(connection, line)
            for line in page_lines(played):
                insert(connection, "shown", **line)
        return True

    def rounds(self) -> list[Round]:
        """Return all rounds, the first one first."""
        with self.reading() as connection:
            return read_rounds(connection)

    def snapshot(self) -> Snapshot:
        """Return the verdicts, the rounds and the settings as they stand at one moment."""
        with self.reading() as connection:
            settings, mark = read_settings(connection), read_mark(connection)
            return Snapshot(
                mark=mark,
                states=agreed(read_active(connection, mark.last_event), settings.consensus),
                rounds=read_rounds(connection),
                settings=settings,
            )

    def mark(self) -> Mark:
        """Return how far the file has come; what a round follows from is the same while this is."""
        with self.reading() as connection:
            return read_mark(connection)

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """Return every line of every table as it stands, for a copy of the hunt."""
        with self.reading() as connection:
            return {
                name: [dict(line) for line in connection.execute(f"SELECT * FROM {name} ORDER BY 1, 2")]
                for name in TABLES
            }


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """What a hunt holds at one moment."""

    mark: Mark
    states: list[LabelState]
    rounds: list[Round]
    settings: HuntSettings

    @property
    def last_event(self) -> int:
        """The last label event; 0 before the first."""
        return self.mark.last_event


def now() -> str:
    """Return the present time, UTC, ISO 8601 to the microsecond."""
    return datetime.now(UTC).isoformat(timespec="microseconds")
