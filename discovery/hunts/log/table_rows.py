"""Rows of a hunt file's tables, and the values that they stand for."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from discovery.errors import HuntError
from discovery.hunts.log.records import AUDIT, LabelEvent, Note, Round

ACTIVE = """SELECT * FROM labels WHERE undoes IS NULL
    AND event NOT IN (SELECT undoes FROM labels WHERE undoes IS NOT NULL)"""
"""The events that hold: neither undone nor an undo."""


@dataclass(frozen=True, kw_only=True)
class Mark:
    """How far a hunt's file has come: its last event, setting and audit, and its rounds; no round follows from notes."""

    last_event: int
    setting: int
    rounds: int
    audit: int


def add_object(connection: sqlite3.Connection, place: dict[str, Any]) -> None:
    """Add an object to the table of all that the hunt names, unless it is there."""
    connection.execute(
        "INSERT INTO objects (object_id, row, ra_deg, dec_deg) VALUES (?, ?, ?, ?) ON CONFLICT (object_id) DO NOTHING",
        (place["object_id"], place["row"], place["ra_deg"], place["dec_deg"]),
    )


def read_settings(connection: sqlite3.Connection, after: int = 0) -> dict[str, Any]:
    """Return the settings that were given after an event: the last value of each key."""
    rows = connection.execute("SELECT * FROM settings WHERE event > ? ORDER BY event", (after,))
    return {row["key"]: _parsed(row["value"]) for row in rows}


def read_rounds(connection: sqlite3.Connection, after: int = 0) -> list[Round]:
    """Return the rounds after one, the first one first."""
    pages: dict[int, list[sqlite3.Row]] = {}
    for item in connection.execute("SELECT * FROM shown WHERE round > ? ORDER BY round, position", (after,)):
        pages.setdefault(item["round"], []).append(item)
    rows = connection.execute("SELECT * FROM rounds WHERE number > ? ORDER BY number", (after,))
    return [_round(dict(row), pages.get(row["number"], [])) for row in rows]


def read_labels(connection: sqlite3.Connection, after: int = 0) -> list[LabelEvent]:
    """Return the label events after one, oldest first."""
    rows = connection.execute("SELECT * FROM labels WHERE event > ? ORDER BY event", (after,))
    return [LabelEvent(**row) for row in rows]


def read_active(connection: sqlite3.Connection, object_id: str) -> list[LabelEvent]:
    """Return the events on one object that hold, oldest first: neither undone nor an undo."""
    rows = connection.execute(f"SELECT * FROM ({ACTIVE}) WHERE object_id = ? ORDER BY event", (object_id,))
    return [LabelEvent(**row) for row in rows]


def read_notes(connection: sqlite3.Connection, after: int = 0) -> list[Note]:
    """Return the notes after one, oldest first."""
    return [Note(**row) for row in connection.execute("SELECT * FROM notes WHERE event > ? ORDER BY event", (after,))]


def undoable_event(connection: sqlite3.Connection, who: str, event: int | None) -> sqlite3.Row | None:
    """Return the event to revert: the given one, else this person's latest; None when that person has none left.

    Raises
    ------
    HuntError
        The given event is none, is an undo itself, or was undone already.
    """
    if event is None:
        query = f"SELECT * FROM ({ACTIVE}) WHERE who = ? ORDER BY event DESC LIMIT 1"
        latest: sqlite3.Row | None = connection.execute(query, (who,)).fetchone()
        return latest
    target: sqlite3.Row | None = connection.execute(
        "SELECT * FROM labels WHERE event = ?", (event,)
    ).fetchone()
    if target is None:
        raise HuntError(f"there is no event {event} in this hunt")
    if target["undoes"] is not None:
        raise HuntError(f"event {event} is an undo itself; label {target['object_id']} again instead")
    undone = connection.execute("SELECT event FROM labels WHERE undoes = ?", (event,)).fetchone()
    if undone is not None:
        raise HuntError(f"event {event} was undone already, by event {undone['event']}")
    return target


def read_mark(connection: sqlite3.Connection) -> Mark:
    """Return how far the file has come."""
    return Mark(
        last_event=newest(connection, "labels", "event"),
        setting=newest(connection, "settings", "event"),
        rounds=newest(connection, "rounds", "number"),
        audit=newest(connection, "audits", "id"),
    )


def newest(connection: sqlite3.Connection, table: str, key: str) -> int:
    """Return the highest number of a table; 0 while it is empty."""
    return int(connection.execute(f"SELECT coalesce(max({key}), 0) AS n FROM {table}").fetchone()["n"])


def shown_rows(played: Round) -> Iterator[dict[str, Any]]:
    """Return what a round showed as table rows; an audit stamp has no score, which is kept as 0."""
    page = zip(played.object_ids, played.rows.tolist(), played.scores.tolist(), played.reasons, strict=True)
    for position, (object_id, row, score, reason) in enumerate(page):
        yield {
            "round": played.number,
            "position": position,
            "object_id": object_id,
            "row": row,
            "score": 0.0 if reason == AUDIT else score,
            "reason": reason,
        }


def read_vector(blob: bytes, path: Path) -> np.ndarray:
    """Return an example's vector, (D,) float32."""
    vector = np.frombuffer(blob[: len(blob) // 4 * 4], dtype="<f4").astype(np.float32)
    if len(blob) % 4 or not np.isfinite(vector).all():
        raise HuntError(f"{path.name} holds an example whose vector is damaged")
    return vector


def _round(row: dict[str, Any], page: list[sqlite3.Row]) -> Round:
    parts = _parsed(row["parts"])
    if not isinstance(parts, dict):
        raise HuntError(f"round {row['number']} of the hunt file holds no parts")
    return Round(
        **{**row, "parts": parts},
        reasons=tuple(item["reason"] for item in page),
        rows=np.array([-1 if item["row"] is None else item["row"] for item in page], dtype=np.int64),
        object_ids=tuple(item["object_id"] for item in page),
        scores=np.array([np.nan if item["reason"] == AUDIT else item["score"] for item in page], dtype=np.float32),
    )


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise HuntError(f"the hunt file holds a setting that cannot be read: {text[:40]!r}") from None
