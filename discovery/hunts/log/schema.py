"""The tables of a hunt file, version by version: what an older file lacks is added when it is opened.

A version is a tuple of statements. They are never changed once published, since a file is trusted only when it
holds exactly the tables that these statements make.
"""

from __future__ import annotations

import sqlite3
from functools import cache

Table = tuple[str, str, str, str | None]
"""Type, name, name of the table and statement of one line of SQLite's own table of tables."""

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
    (
        "ALTER TABLE shown ADD COLUMN reason TEXT NOT NULL DEFAULT ''",
        """CREATE TABLE notes (
            event INTEGER PRIMARY KEY AUTOINCREMENT, object_id TEXT NOT NULL, row INTEGER, text TEXT NOT NULL,
            who TEXT NOT NULL, "when" TEXT NOT NULL) STRICT""",
        "CREATE INDEX notes_by_object ON notes (object_id, event)",
        """CREATE TABLE audits (
            id INTEGER PRIMARY KEY, release_id INTEGER NOT NULL, seed INTEGER NOT NULL, digest TEXT NOT NULL,
            design TEXT NOT NULL, last_event INTEGER NOT NULL, who TEXT NOT NULL, "when" TEXT NOT NULL) STRICT""",
        """CREATE TABLE audit_objects (
            audit INTEGER NOT NULL, position INTEGER NOT NULL, object_id TEXT NOT NULL, row INTEGER,
            stratum INTEGER NOT NULL, score REAL NOT NULL, PRIMARY KEY (audit, position)) STRICT, WITHOUT ROWID""",
    ),
)

TABLES = (
    "settings",
    "releases",
    "objects",
    "examples",
    "labels",
    "rounds",
    "shown",
    "notes",
    "audits",
    "audit_objects",
)
"""Every table of the newest version."""


def migrate(connection: sqlite3.Connection, version: int) -> None:
    """Bring the tables from a version (0: an empty file) to the newest one."""
    for statements in MIGRATIONS[version:]:
        for statement in statements:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")


def schema(connection: sqlite3.Connection) -> list[Table]:
    """Return every table and index that a file holds."""
    lines = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name")
    return [tuple(line) for line in lines]


@cache
def expected_schema(version: int) -> list[Table]:
    """Return what a file of a version must hold, and nothing else."""
    connection = sqlite3.connect(":memory:")
    for statements in MIGRATIONS[:version]:
        for statement in statements:
            connection.execute(statement)
    made = schema(connection)
    connection.close()
    return made
