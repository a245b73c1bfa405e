"""What is written to a hunt's file: settings, objects, labels, notes, rounds. Every change is an added row."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from discovery.errors import HuntError
from discovery.hunts.log.file import HuntFile, insert
from discovery.hunts.log.records import Example, LabelEvent, LabelState, ReleaseRecord, Round, Undone
from discovery.hunts.log.schema import TABLES
from discovery.hunts.log.table_rows import (
    Mark,
    add_object,
    newest,
    read_active,
    read_mark,
    read_settings,
    read_vector,
    shown_rows,
    undoable_event,
)
from discovery.hunts.log.validation import (
    HuntSettings,
    checked_label,
    checked_note,
    checked_person,
    checked_settings,
)

Agree = Callable[[Sequence[LabelEvent], str], list[LabelState]]
"""Events that hold and a rule of consensus to verdicts."""


class HuntStore(HuntFile):
    """One hunt's file: what is added to it, and the tables that are read whole.

    What it comes to, `discovery.hunts.state.HuntState`, is derived from its events (`discovery.hunts.log.events`). SQL
    stands in `discovery.hunts.log` alone.
    """

    # -- settings, releases, objects, examples

    def settings(self) -> HuntSettings:
        """Return the settings as they hold for the next round: the last value of each key."""
        with self.reading() as connection:
            return checked_settings(read_settings(connection))

    def started(self) -> tuple[str, str]:
        """Return who made the hunt, and when.

        Raises
        ------
        HuntError
            The file is no complete hunt.
        """
        with self.reading() as connection:
            first = connection.execute('SELECT who, "when" FROM settings ORDER BY event LIMIT 1').fetchone()
        if first is None:
            raise HuntError(f"{self.path.name} is no complete hunt: its settings are missing")
        return first["who"], first["when"]

    @staticmethod
    def setting_rows(settings: dict[str, Any], stamped: dict[str, str]) -> list[dict[str, Any]]:
        """Return settings as rows of their table; ``stamped`` has who and when."""
        return [{"key": key, "value": json.dumps(value), **stamped} for key, value in settings.items()]

    def change_settings(self, changes: dict[str, Any], who: str) -> None:
        """Log new values of settings in one transaction."""
        stamped = {"who": checked_person(who), "when": now()}
        with self.writing() as connection:
            for row in self.setting_rows(changes, stamped):
                insert(connection, "settings", **row)

    def releases(self) -> list[ReleaseRecord]:
        """Return the releases that the hunt was played on, the present one last.

        Raises
        ------
        HuntError
            The file is no complete hunt.
        """
        with self.reading() as connection:
            rows = connection.execute("SELECT * FROM releases ORDER BY id").fetchall()
        if not rows:
            raise HuntError(f"{self.path.name} is no complete hunt: its release is missing")
        return [ReleaseRecord(**dict(row)) for row in rows]

    def objects(self) -> list[dict[str, Any]]:
        """Return every object that was shown, labelled or given as an example."""
        with self.reading() as connection:
            return [dict(row) for row in connection.execute("SELECT * FROM objects ORDER BY object_id")]

    def examples(self) -> list[Example]:
        """Return the starting examples.

        Raises
        ------
        HuntError
            A vector is damaged.
        """
        with self.reading() as connection:
            rows = connection.execute(
                """SELECT e.label, e.object_id, o.row, e.verdict, e.vector, e.encoder_checksum
                   FROM examples e LEFT JOIN objects o USING (object_id) ORDER BY e.id"""
            ).fetchall()
        return [Example(**{**row, "vector": read_vector(row["vector"], self.path)}) for row in map(dict, rows)]

    def contradicts_itself(self) -> bool:
        """Whether labels, notes, pages, audits and examples name objects that the table of objects lacks or places elsewhere."""
        with self.reading() as connection:
            numbers = [
                row["number"] for row in connection.execute("SELECT number FROM rounds ORDER BY number")
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

    def add_labels(self, labels: Iterable[dict[str, Any]], who: str) -> list[int]:
        """Append label events in one transaction; they are durable when this returns.

        Parameters
        ----------
        labels : iterable of dict
            object_id, row, ra_deg, dec_deg, verdict, negative_class, reason.

        Returns
        -------
        list of int
            The events' numbers.
        """
        checked = [checked_label(label) for label in labels]
        stamped = {"who": checked_person(who), "when": now()}
        events = []
        with self.writing() as connection:
            for label in checked:
                add_object(connection, label)
                shown = connection.execute(
                    "SELECT max(round) AS latest FROM shown WHERE object_id = ?", (label["object_id"],)
                ).fetchone()
                fields = {key: label[key] for key in ("object_id", "row", "verdict", "negative_class", "reason")}
                events.append(insert(connection, "labels", **fields, round=shown["latest"], **stamped))
        return events

    def undo(self, who: str, event: int | None, agree: Agree) -> Undone:
        """Revert an event by a new one: the given one, else this person's latest that is not undone yet.

        Parameters
        ----------
        agree : callable
            What gives the verdicts by events and a rule: `discovery.hunts.consensus.agreed`.

        Returns
        -------
        Undone
            What was done.

        Raises
        ------
        HuntError
            The given event is none, is an undo itself, or was undone already; or this person has none left to revert.
        """
        who = checked_person(who)
        with self.writing() as connection:
            target = undoable_event(connection, who, event)
            if target is None:
                raise HuntError(f"{who} has given no label in this hunt that could be undone")
            others = read_active(connection, target["object_id"])
            rule = checked_settings(read_settings(connection)).consensus
            left = agree([one for one in others if one.event != target["event"]], rule)
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

    # -- notes

    def add_note(self, place: dict[str, Any], text: str, who: str) -> int:
        """Append a note on an object (object_id, row, ra_deg, dec_deg) and return its number."""
        written = {"text": checked_note(text), "who": checked_person(who), "when": now()}
        with self.writing() as connection:
            add_object(connection, place)
            return insert(connection, "notes", object_id=place["object_id"], row=place["row"], **written)

    # -- rounds

    def add_round(self, played: Round, objects: Iterable[dict[str, Any]]) -> bool:
        """Return whether a round was recorded: not where another process recorded one of this number or drew an audit meanwhile."""
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
            for place in objects:
                add_object(connection, place)
            for row in shown_rows(played):
                insert(connection, "shown", **row)
        return True

    def mark(self) -> Mark:
        """Return how far the file has come; what a round follows from is the same while this is."""
        with self.reading() as connection:
            return read_mark(connection)

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """Return every row of every table as it stands, for a copy of the hunt."""
        with self.reading() as connection:
            return {
                name: [dict(row) for row in connection.execute(f"SELECT * FROM {name} ORDER BY 1, 2")]
                for name in TABLES
            }


def now() -> str:
    """Return the present time, UTC, ISO 8601 to the microsecond."""
    return datetime.now(UTC).isoformat(timespec="microseconds")
