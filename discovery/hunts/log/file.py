"""The hunt file as a database: made, checked before it is trusted, read and written.

Labels are small transactions by people and must survive a kill and a power cut: rollback journal (no WAL
side file that a copy would miss), and ``synchronous=EXTRA``, which is FULL plus a sync of the folder after
the journal is unlinked: without it a power cut could bring back the journal of a committed label.
Several processes may write the same hunt: each write is one ``BEGIN IMMEDIATE`` that waits for its turn.
A file is checked before it is trusted: read-only first, then exactly the tables that `MIGRATIONS` make, nothing
else.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from discovery.errors import HuntError
from discovery.hunts.log.schema import MIGRATIONS, expected_schema, migrate, schema
from discovery.hunts.log.validation import APPLICATION_ID, check_header
from discovery.storage.atomic import put_new

BUSY_TIMEOUT_S = 30.0
MAX_VALUE_BYTES = 64 * 2**20
"""Of one value; the design of an audit takes 0.2 bytes an object of the release."""


class HuntFile:
    """The SQLite file of one hunt; every read and write opens it afresh, so that threads and processes may share it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(
        cls, path: Path, tables: dict[str, list[dict[str, Any]]], check: Callable[[Self], object] | None = None
    ) -> Self:
        """Return a new file: written beside in one transaction, checked, and then given its name.

        Whatever fails on the way leaves nothing at ``path``, so that the same call can be tried again.

        Parameters
        ----------
        path : Path
            Must not exist.
        tables : dict
            Rows by table.
        check : callable, optional
            Raises where the file must not be kept.

        Raises
        ------
        HuntError
            The path is taken or cannot be written.
        """

        def make(beside: Path) -> None:
            beside.open("xb").close()
            made = cls(beside)
            try:
                made._fill(tables)
                if check is not None:
                    check(cls.open(beside))
            except HuntError as problem:
                raise type(problem)(str(problem).replace(beside.name, path.name)) from problem

        try:
            put_new(path, make)
        except FileExistsError:
            raise HuntError(f"{path.name} is already there; choose another name or remove it first") from None
        except OSError as error:
            raise HuntError(f"{path.name} cannot be written: {error.strerror}") from None
        return cls(path)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Check a file, which a stranger may have made, and open it; what an older version lacks is added.

        Raises
        ------
        HuntError
            It is missing, no hunt, damaged, holds anything beside a hunt's tables, or comes from a newer version.
        """
        version = check_header(path, len(MIGRATIONS))
        opened = cls(path)
        try:
            opened._check()
        except _NeedsRecovery:
            with opened._connected("rw") as connection:  # rolls an interrupted write back
                connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            opened._check()
        if version < len(MIGRATIONS):
            with opened.writing() as connection:
                migrate(connection, int(connection.execute("PRAGMA user_version").fetchone()[0]))
        return opened

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Read: everything inside sees the file as it stands at one moment."""
        with self._connected("rw") as connection:
            connection.execute("BEGIN")
            yield connection
            connection.execute("COMMIT")

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Write: all of it or nothing, after every other writer, and durable at the end."""
        with self._connected("rw") as connection:
            connection.execute("PRAGMA journal_mode = DELETE")
            connection.execute("PRAGMA synchronous = EXTRA")
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")

    def _fill(self, tables: dict[str, list[dict[str, Any]]]) -> None:
        """Make the tables of an empty file and their rows."""
        with self.writing() as connection:
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            migrate(connection, 0)
            for table, rows in tables.items():
                for row in rows:
                    insert(connection, table, **row)

    def _check(self) -> None:
        """Compare the schema with the one that `MIGRATIONS` make, and the pages with themselves.

        First without the right to write; then again with it, since SQLite skips CHECK constraints in files that
        it opened read-only.
        """
        for mode in ("ro", "rw"):
            with self._connected(mode) as connection:
                connection.execute("BEGIN")  # another program may bring the file to the newest version meanwhile
                version = int(connection.execute("PRAGMA user_version").fetchone()[0])
                if schema(connection) != expected_schema(version):
                    raise HuntError(f"{self.path.name} holds tables that are no hunt's; it is not opened")
                findings = [row[0] for row in connection.execute("PRAGMA quick_check(1)")]
            if findings != ["ok"]:
                raise HuntError(f"{self.path.name} is damaged ({findings[0]}); restore a copy of it")

    @contextmanager
    def _connected(self, mode: str) -> Iterator[sqlite3.Connection]:
        """Open the file for one read or write; an error rolls it back and becomes one clear `HuntError`."""
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


def insert(connection: sqlite3.Connection, table: str, **row: Any) -> int:
    """Add a row to a table and return its number."""
    columns = ", ".join(f'"{name}"' for name in row)
    marks = ", ".join("?" * len(row))
    cursor = connection.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})", tuple(row.values()))
    return int(cursor.lastrowid or 0)


class _NeedsRecovery(Exception):
    """A killed writer left its journal; reading needs it rolled back first."""


def _translated(error: sqlite3.Error, path: Path) -> Exception:
    code = getattr(error, "sqlite_errorcode", None)
    if code == sqlite3.SQLITE_READONLY_ROLLBACK:
        return _NeedsRecovery()
    if code is not None and code & 0xFF == sqlite3.SQLITE_BUSY:
        return HuntError(
            f"{path.name} has been in use by another program for {BUSY_TIMEOUT_S:.0f} s; try again"
        )
    if code is not None and code & 0xFF == sqlite3.SQLITE_READONLY:
        return HuntError(f"{path.name} may not be written; copy it to where you may")
    return HuntError(f"{path.name} cannot be used: {error}")
