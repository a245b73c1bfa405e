"""Lines of a hunt file's tables, and the values that they stand for."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np

from discovery.errors import HuntError
from discovery.hunts.checks import HuntSettings, checked_settings
from discovery.hunts.records import Round


def add_object(connection: sqlite3.Connection, line: dict[str, Any]) -> None:
    """Add an object to the table of all that the hunt names, unless it is there."""
    connection.execute(
        "INSERT INTO objects (object_id, row, ra_deg, dec_deg) VALUES (?, ?, ?, ?) ON CONFLICT (object_id) DO NOTHING",
        (line["object_id"], line["row"], line["ra_deg"], line["dec_deg"]),
    )


def read_settings(connection: sqlite3.Connection) -> HuntSettings:
    """Return the present settings: the last value of each key."""
    lines = connection.execute("SELECT * FROM settings ORDER BY event")
    return checked_settings({line["key"]: _parsed(line["value"]) for line in lines})


def read_rounds(connection: sqlite3.Connection) -> list[Round]:
    """Return all rounds, the first one first."""
    pages: dict[int, list[sqlite3.Row]] = {}
    for item in connection.execute("SELECT * FROM shown ORDER BY round, position"):
        pages.setdefault(item["round"], []).append(item)
    lines = connection.execute("SELECT * FROM rounds ORDER BY number")
    return [_round(dict(line), pages.get(line["number"], [])) for line in lines]


def _round(line: dict[str, Any], page: list[sqlite3.Row]) -> Round:
    return Round(
        **{**line, "parts": _parsed(line["parts"])},
        reasons=tuple(item["reason"] for item in page),
        rows=np.array([-1 if item["row"] is None else item["row"] for item in page], dtype=np.int64),
        object_ids=tuple(item["object_id"] for item in page),
        scores=np.array([item["score"] for item in page], dtype=np.float32),
    )


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise HuntError(f"the hunt file holds a setting that cannot be read: {text[:40]!r}") from None


def read_vector(blob: bytes, path: Path) -> np.ndarray:
    """Return an example's vector, (D,) float32."""
    vector = np.frombuffer(blob[: len(blob) // 4 * 4], dtype="<f4").astype(np.float32)
    if len(blob) % 4 or not np.isfinite(vector).all():
        raise HuntError(f"{path.name} holds an example whose vector is damaged")
    return vector
