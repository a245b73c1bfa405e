"""The hunt file: one SQLite database a hunt, and all SQL that touches it.

Labels are small transactions by people and must survive a kill and a power cut: rollback journal (no WAL
side file that a copy would miss), and ``synchronous=EXTRA``, which is FULL plus a sync of the folder after
the journal is unlinked: without it a power cut could bring back the journal of a committed label.
Several processes may write the same hunt: each write is one ``BEGIN IMMEDIATE`` that waits for its turn.
Every change is an added line; the present state is derived. A file is checked before it is trusted:
read-only first, then exactly the tables that `MIGRATIONS` make, nothing else.
"""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from discovery.errors import HuntError
from discovery.hunts.checks import (
    APPLICATION_ID,
    HuntSettings,
    check_header,
    checked_label,
    checked_person,
    checked_settings,
)
from discovery.hunts.records import LabelEvent, LabelState, Round, Undone

BUSY_TIMEOUT_S = 30.0
MAX_VALUE_BYTES = 16 * 2**20

ACTIVE = """SELECT * FROM labels WHERE undoes IS NULL AND event <= :until
    AND event NOT IN (SELECT undoes FROM labels WHERE undoes IS NOT NULL AND event <= :until)"""
"""The events that hold at one moment: neither undone nor an undo."""
EVER = 2**62

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE settings (
            event INTEGER PRIMARY KEY, key TEXT NOT NULL, value TEXT NOT NULL,
            who TEXT NOT NULL, "when" TEXT NOT NULL) STRICT""",
        """CREATE TABLE releases (
            id INTEGER PRIMARY KEY, name TEXT NOT NULL, path TEXT NOT NULL, relative_path TEXT NOT NULL,
            encoder_checksum TEXT NOT NULL, dimension INTEGER NOT NULL, count INTEGER NOT NULL,
            who TEXT NOT NULL, "when" TEXT NOT NULL) STRICT""",
        """CREATE TABLE objects (
            object_id TEXT PRIMARY KEY, row INTEGER UNIQUE, ra_deg REAL, dec_deg REAL, former_id TEXT) STRICT""",
        """CREATE TABLE examples (
            id INTEGER PRIMARY KEY, label TEXT NOT NULL, object_id TEXT,
            verdict TEXT NOT NULL CHECK (verdict IN ('positive', 'negative')),
            vector BLOB NOT NULL, encoder_checksum TEXT NOT NULL, who TEXT NOT NULL, "when" TEXT NOT NULL) STRICT""",
        """CREATE TABLE labels (
            event INTEGER PRIMARY KEY AUTOINCREMENT, object_id TEXT NOT NULL, row INTEGER,
            verdict TEXT NOT NULL CHECK (verdict IN ('positive', 'negative', 'unsure', 'skipped', 'cleared')),
            negative_class TEXT, who TEXT NOT NULL, "when" TEXT NOT NULL, round INTEGER, reason TEXT,
            undoes INTEGER) STRICT""",
        "CREATE INDEX labels_by_object ON labels (object_id, event)",
        "CREATE UNIQUE INDEX labels_by_undoes ON labels (undoes)",
        """CREATE TABLE rounds (
            number INTEGER PRIMARY KEY, release_id INTEGER NOT NULL, strategy TEXT NOT NULL, parts TEXT NOT NULL,
            seed INTEGER NOT NULL, alpha REAL NOT NULL, digest TEXT NOT NULL, positives INTEGER NOT NULL,
            negatives INTEGER NOT NULL, why TEXT NOT NULL, last_event INTEGER NOT NULL,
            who TEXT NOT NULL, "when" TEXT NOT NULL) STRICT""",
        """CREATE TABLE shown (
            round INTEGER NOT NULL, position INTEGER NOT NULL, object_id TEXT NOT NULL, row INTEGER,
            score REAL NOT NULL, PRIMARY KEY (round, position)) STRICT, WITHOUT ROWID""",
        "CREATE INDEX shown_by_object ON shown (object_id, round)",
    ),
)


class HuntStore:
    """The SQLite file of one hunt; every method opens it afresh, so that threads and processes may share it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, path: Path, tables: dict[str, list[dict[str, Any]]]) -> HuntStore:
        """Write a new file in one transaction.

        Parameters
        ----------
        path : Path
            Must not exist.
        tables : dict
            Lines by table, as `tables` returns them.

        Raises
        ------
        HuntError
            The path is taken or cannot be written.
        """
        try:
            path.open("xb").close()
        except FileExistsError:
            raise HuntError(f"{path.name} is already there; choose another name or remove it first") from None
        except OSError as error:
            raise HuntError(f"{path.name} cannot be written: {error.strerror}") from None
        store = cls(path)
        with store._writing() as connection:
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            _migrate(connection, 0)
            for table, lines in tables.items():
                for line in lines:
                    _insert(connection, table, **line)
        return store

    @classmethod
    def open(cls, path: Path) -> HuntStore:
        """Check a file, which a stranger may have made, and open it.

        Raises
        ------
        HuntError
            It is missing, no hunt, damaged, holds anything beside a hunt's tables, or comes from a newer version.
        """
        version = check_header(path, len(MIGRATIONS))
        store = cls(path)
        try:
            store._check(version)
        except _NeedsRecovery:
            with store._connected("rw") as connection:  # rolls an interrupted write back
                connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            store._check(version)
        if version < len(MIGRATIONS):
            with store._writing() as connection:
                _migrate(connection, int(connection.execute("PRAGMA user_version").fetchone()[0]))
        return store

    # -- settings, releases, objects, examples

    def settings(self) -> HuntSettings:
        """Return the present settings: the last value of each key."""
        with self._reading() as connection:
            return _settings(connection)

    def first_line(self) -> tuple[str, str]:
        """Return who made the hunt, and when."""
        with self._reading() as connection:
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
        with self._writing() as connection:
            _insert(
                connection, "settings", key=key, value=json.dumps(value), who=checked_person(who), when=now()
            )

    def releases(self) -> list[dict[str, Any]]:
        """Return the releases that the hunt was played on, the present one last."""
        with self._reading() as connection:
            lines = connection.execute("SELECT * FROM releases ORDER BY id").fetchall()
        if not lines:
            raise HuntError(f"{self.path.name} is no complete hunt: its release is missing")
        return [dict(line) for line in lines]

    def objects(self) -> list[dict[str, Any]]:
        """Return every object that was shown, labelled or given as an example."""
        with self._reading() as connection:
            return [dict(line) for line in connection.execute("SELECT * FROM objects ORDER BY object_id")]

    def examples(self) -> list[dict[str, Any]]:
        """Return the starting examples, ``vector`` as (D,) float32, ``row`` None where it has none."""
        with self._reading() as connection:
            lines = connection.execute(
                "SELECT e.*, o.row FROM examples e LEFT JOIN objects o USING (object_id) ORDER BY e.id"
            ).fetchall()
        return [{**line, "vector": _vector(line["vector"], self.path)} for line in map(dict, lines)]

    def contradicts_itself(self) -> bool:
        """Whether labels, pages and examples name objects that the table of objects lacks or places elsewhere."""
        with self._reading() as connection:
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
        with self._writing() as connection:
            for line in checked:
                _add_object(connection, line)
                shown = connection.execute(
                    "SELECT max(round) AS latest FROM shown WHERE object_id = ?", (line["object_id"],)
                ).fetchone()
                fields = {
                    key: line[key] for key in ("object_id", "row", "verdict", "negative_class", "reason")
                }
                events.append(_insert(connection, "labels", **fields, round=shown["latest"], **stamped))
        return events

    def undo(self, who: str) -> Undone | None:
        """Revert the latest event of this person that is not undone yet, by a new event; None when there is none."""
        who = checked_person(who)
        with self._writing() as connection:
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
            event = _insert(
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
        with self._reading() as connection:
            return [LabelEvent(**line) for line in connection.execute("SELECT * FROM labels ORDER BY event")]

    def states(self, last_event: int | None = None) -> list[LabelState]:
        """Return the verdicts (``cleared`` too) that hold after ``last_event`` (default: now), by object_id."""
        until = EVER if last_event is None else last_event
        with self._reading() as connection:
            return _states(connection, until)

    # -- rounds

    def add_round(self, played: Round, objects: Iterable[dict[str, Any]]) -> bool:
        """Record a round unless another process recorded one of this number first; say whether it was recorded."""
        with self._writing() as connection:
            latest = connection.execute("SELECT coalesce(max(number), 0) AS n FROM rounds").fetchone()["n"]
            if latest >= played.number:
                return False
            fields = ("release_id", "strategy", "seed", "alpha", "digest", "positives", "negatives", "why")
            _insert(
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
                _add_object(connection, line)
            for position, (object_id, row, score) in enumerate(
                zip(played.object_ids, played.rows.tolist(), played.scores.tolist(), strict=True)
            ):
                _insert(
                    connection,
                    "shown",
                    round=played.number,
                    position=position,
                    object_id=object_id,
                    row=row,
                    score=score,
                )
        return True

    def rounds(self) -> list[Round]:
        """Return all rounds, the first one first."""
        with self._reading() as connection:
            return _rounds(connection)

    def snapshot(self) -> Snapshot:
        """Return the verdicts, the last event, the rounds and the settings as they stand at one moment."""
        with self._reading() as connection:
            last = connection.execute("SELECT coalesce(max(event), 0) AS n FROM labels").fetchone()["n"]
            return Snapshot(
                states=_states(connection, last),
                last_event=last,
                rounds=_rounds(connection),
                settings=_settings(connection),
            )

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """Return every line of every table as it stands, for a copy of the hunt."""
        names = ("settings", "releases", "objects", "examples", "labels", "rounds", "shown")
        with self._reading() as connection:
            return {
                name: [dict(line) for line in connection.execute(f"SELECT * FROM {name} ORDER BY 1, 2")]
                for name in names
            }

    # -- connections and checks

    def _check(self, version: int) -> None:
        """Compare the schema with the one that `MIGRATIONS` make, and the pages with themselves.

        First without the right to write; then again with it, since SQLite skips CHECK constraints in files that
        it opened read-only.
        """
        for mode in ("ro", "rw"):
            with self._connected(mode) as connection:
                if _schema(connection) != _expected_schema(version):
                    raise HuntError(f"{self.path.name} holds tables that are no hunt's; it is not opened")
                verdicts = [line[0] for line in connection.execute("PRAGMA quick_check(1)")]
            if verdicts != ["ok"]:
                raise HuntError(f"{self.path.name} is damaged ({verdicts[0]}); restore a copy of it")

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._connected("rw") as connection:
            connection.execute("BEGIN")
            yield connection
            connection.execute("COMMIT")

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._connected("rw") as connection:
            connection.execute("PRAGMA journal_mode = DELETE")
            connection.execute("PRAGMA synchronous = EXTRA")
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")

    @contextmanager
    def _connected(self, mode: str) -> Iterator[sqlite3.Connection]:
        """Open the file for one piece of work; an error rolls it back and becomes one clear `HuntError`."""
        connection = None
        try:
            uri = f"file:{quote(str(self.path.resolve()))}?mode={mode}"
            connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_TIMEOUT_S)
            connection.row_factory = sqlite3.Row
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("PRAGMA cell_size_check = ON")
            yield connection
        except sqlite3.Error as error:
            raise _translated(error, self.path) from error
        finally:
            if connection is not None:
                connection.close()


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


class _NeedsRecovery(Exception):
    """A killed writer left its journal; reading needs it rolled back first."""


def _migrate(connection: sqlite3.Connection, version: int) -> None:
    for statements in MIGRATIONS[version:]:
        for statement in statements:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")


def _schema(connection: sqlite3.Connection) -> list[tuple[str, str, str, str | None]]:
    lines = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name")
    return [tuple(line) for line in lines]


@cache
def _expected_schema(version: int) -> list[tuple[str, str, str, str | None]]:
    connection = sqlite3.connect(":memory:")
    for statements in MIGRATIONS[:version]:
        for statement in statements:
            connection.execute(statement)
    schema = _schema(connection)
    connection.close()
    return schema


def _translated(error: sqlite3.Error, path: Path) -> Exception:
    code = getattr(error, "sqlite_errorcode", None)
    if code == sqlite3.SQLITE_READONLY_ROLLBACK:
        return _NeedsRecovery()
    if code is not None and code & 0xFF == sqlite3.SQLITE_BUSY:
        return HuntError(
            f"{path.name} has been in use by another program for {BUSY_TIMEOUT_S:.0f} s; try again"
        )
    return HuntError(f"{path.name} cannot be used: {error}")


def _insert(connection: sqlite3.Connection, table: str, **line: Any) -> int:
    columns = ", ".join(f'"{name}"' for name in line)
    marks = ", ".join("?" * len(line))
    cursor = connection.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})", tuple(line.values()))
    return int(cursor.lastrowid or 0)


def _add_object(connection: sqlite3.Connection, line: dict[str, Any]) -> None:
    connection.execute(
        "INSERT INTO objects (object_id, row, ra_deg, dec_deg) VALUES (?, ?, ?, ?) ON CONFLICT (object_id) DO NOTHING",
        (line["object_id"], line["row"], line["ra_deg"], line["dec_deg"]),
    )


def _states(connection: sqlite3.Connection, until: int) -> list[LabelState]:
    lines = connection.execute(
        f"SELECT * FROM ({ACTIVE}) GROUP BY object_id HAVING event = max(event) ORDER BY object_id",
        {"until": until},
    )
    fields = [field.name for field in dataclasses.fields(LabelState)]
    return [LabelState(**{name: line[name] for name in fields}) for line in lines]


def _settings(connection: sqlite3.Connection) -> HuntSettings:
    lines = connection.execute("SELECT * FROM settings ORDER BY event")
    return checked_settings({line["key"]: _parsed(line["value"]) for line in lines})


def _rounds(connection: sqlite3.Connection) -> list[Round]:
    pages: dict[int, list[sqlite3.Row]] = {}
    for item in connection.execute("SELECT * FROM shown ORDER BY round, position"):
        pages.setdefault(item["round"], []).append(item)
    lines = connection.execute("SELECT * FROM rounds ORDER BY number")
    return [_round(dict(line), pages.get(line["number"], [])) for line in lines]


def _round(line: dict[str, Any], page: list[sqlite3.Row]) -> Round:
    return Round(
        **{**line, "parts": _parsed(line["parts"])},
        rows=np.array([-1 if item["row"] is None else item["row"] for item in page], dtype=np.int64),
        object_ids=tuple(item["object_id"] for item in page),
        scores=np.array([item["score"] for item in page], dtype=np.float32),
    )


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise HuntError(f"the hunt file holds a setting that cannot be read: {text[:40]!r}") from None


def _vector(blob: bytes, path: Path) -> np.ndarray:
    vector = np.frombuffer(blob[: len(blob) // 4 * 4], dtype="<f4").astype(np.float32)
    if len(blob) % 4 or not np.isfinite(vector).all():
        raise HuntError(f"{path.name} holds an example whose vector is damaged")
    return vector
