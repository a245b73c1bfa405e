"""What a hunt file holds: settings, objects, labels, rounds. Every change is an added line; the present is derived."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from discovery.errors import HuntError
from discovery.hunts.checks import HuntSettings, checked_label, checked_person
from discovery.hunts.hunt_file import HuntFile, insert
from discovery.hunts.lines import add_object, read_rounds, read_settings, read_vector
from discovery.hunts.records import LabelEvent, LabelState, Round, Undone
from discovery.hunts.schema import TABLES

ACTIVE = """SELECT * FROM labels WHERE undoes IS NULL AND event <= :until
    AND event NOT IN (SELECT undoes FROM labels WHERE undoes IS NOT NULL AND event <= :until)"""
"""The events that hold at one moment: neither undone nor an undo."""
EVER = 2**62


class HuntStore(HuntFile):
    """The lines of one hunt's file, as values."""

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

    def change_setting(self, key: str, value: Any, who: str) -> None:
        """Log a new value of a setting."""
        with self.writing() as connection:
            insert(
                connection, "settings", key=key, value=json.dumps(value), who=checked_person(who), when=now()
            )

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
        """Whether labels, pages and examples name objects that the table of objects lacks or places elsewhere."""
        with self.reading() as connection:
            numbers = [
                line["number"] for line in connection.execute("SELECT number FROM rounds ORDER BY number")
            ]
            strays = connection.execute(
                """SELECT (SELECT count(*) FROM labels l LEFT JOIN objects o USING (object_id)
                           WHERE o.object_id IS NULL OR o.row IS NOT l.row)
                        + (SELECT count(*) FROM shown s LEFT JOIN objects o USING (object_id)
                           WHERE o.object_id IS NULL OR o.row IS NOT s.row)
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

    def undo(self, who: str) -> Undone | None:
        """Revert the latest event of this person that is not undone yet, by a new event; None when there is none."""
        who = checked_person(who)
        with self.writing() as connection:
            target = connection.execute(
                f"SELECT * FROM ({ACTIVE}) WHERE who = :who ORDER BY event DESC LIMIT 1",
                {"until": EVER, "who": who},
            ).fetchone()
            if target is None:
                return None
            before = connection.execute(
                f"SELECT * FROM ({ACTIVE}) WHERE object_id = :object_id AND event <> :event ORDER BY event DESC LIMIT 1",
                {"until": EVER, "object_id": target["object_id"], "event": target["event"]},
            ).fetchone()
            restored: dict[str, Any] = {
                "verdict": before["verdict"] if before else "cleared",
                "negative_class": before["negative_class"] if before else None,
            }
            event = insert(
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
            event=event,
            undid=target["event"],
            row=target["row"],
            object_id=target["object_id"],
            **restored,
        )

    def log(self) -> list[LabelEvent]:
        """Return the whole label log, oldest first."""
        with self.reading() as connection:
            return [LabelEvent(**line) for line in connection.execute("SELECT * FROM labels ORDER BY event")]

    def states(self, last_event: int | None = None) -> list[LabelState]:
        """Return the verdicts (``cleared`` too) that hold after ``last_event`` (default: now), by object_id."""
        until = EVER if last_event is None else last_event
        with self.reading() as connection:
            return _states(connection, until)

    # -- rounds

    def add_round(self, played: Round, objects: Iterable[dict[str, Any]]) -> bool:
        """Record a round unless another process recorded one of this number first; say whether it was recorded."""
        with self.writing() as connection:
            latest = connection.execute("SELECT coalesce(max(number), 0) AS n FROM rounds").fetchone()["n"]
            if latest >= played.number:
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
            page = zip(
                played.object_ids, played.rows.tolist(), played.scores.tolist(), played.reasons, strict=True
            )
            for position, (object_id, row, score, reason) in enumerate(page):
                line = {"object_id": object_id, "row": row, "score": score, "reason": reason}
                insert(connection, "shown", round=played.number, position=position, **line)
        return True

    def rounds(self) -> list[Round]:
        """Return all rounds, the first one first."""
        with self.reading() as connection:
            return read_rounds(connection)

    def snapshot(self) -> Snapshot:
        """Return the verdicts, the last event, the rounds and the settings as they stand at one moment."""
        with self.reading() as connection:
            last = connection.execute("SELECT coalesce(max(event), 0) AS n FROM labels").fetchone()["n"]
            return Snapshot(
                states=_states(connection, last),
                last_event=last,
                rounds=read_rounds(connection),
                settings=read_settings(connection),
            )

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

    states: list[LabelState]
    last_event: int
    rounds: list[Round]
    settings: HuntSettings


def now() -> str:
    """Return the present time, UTC, ISO 8601 to the microsecond."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def _states(connection: sqlite3.Connection, until: int) -> list[LabelState]:
    lines = connection.execute(
        f"SELECT * FROM ({ACTIVE}) GROUP BY object_id HAVING event = max(event) ORDER BY object_id",
        {"until": until},
    )
    fields = [field.name for field in dataclasses.fields(LabelState)]
    return [LabelState(**{name: line[name] for name in fields}) for line in lines]
