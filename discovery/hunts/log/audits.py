"""Audits in the hunt's file: which objects each drew, when and from which stratum; they are added, never changed."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from discovery.errors import HuntError
from discovery.hunts.log.file import insert
from discovery.hunts.log.records import AuditRecord, DrawnObject
from discovery.hunts.log.table_rows import Mark, add_object, newest
from discovery.hunts.log.validation import checked_person

if TYPE_CHECKING:
    from discovery.hunts.log.store import HuntStore

_RECORD = 'id AS number, release_id, seed, digest, last_event, who, "when"'


def read_audits(connection: sqlite3.Connection, after: int = 0) -> list[AuditRecord]:
    """Return the audits after one, the first one first; their designs are large and are read by `read_audit_design`."""
    rows = connection.execute(f"SELECT {_RECORD} FROM audits WHERE id > ? ORDER BY id", (after,))
    return [AuditRecord(**dict(row)) for row in rows]


def read_drawn(connection: sqlite3.Connection, after: int = 0) -> list[DrawnObject]:
    """Return what the audits after one drew, in the order drawn, as far as the present release holds it."""
    rows = connection.execute("SELECT * FROM audit_objects WHERE row >= 0 AND audit > ? ORDER BY audit, position", (after,))
    return [DrawnObject(**dict(row)) for row in rows]


def read_audit_design(store: HuntStore, number: int) -> dict[str, Any]:
    """Return the design of an audit as it was recorded; see `discovery.hunts.audits.design.AuditDesign`.

    Raises
    ------
    HuntError
        It cannot be read.
    """
    with store.reading() as connection:
        row = connection.execute("SELECT design FROM audits WHERE id = ?", (number,)).fetchone()
    try:
        design = json.loads(row["design"])
    except (ValueError, RecursionError):
        raise HuntError(f"the design of audit {number} cannot be read") from None
    if not isinstance(design, dict):
        raise HuntError(f"the design of audit {number} is no design")
    return design


def add_audit(
    store: HuntStore,
    *,
    seen: Mark,
    seed: int,
    digest: str,
    design: dict[str, Any],
    objects: Sequence[dict[str, Any]],
    who: str,
    when: str,
) -> int:
    """Record an audit and what it drew, in the drawn order, in one transaction.

    Parameters
    ----------
    seen : Mark
        How far the file had come when the audit was drawn.
    objects : sequence of dict
        object_id, row, ra_deg, dec_deg, stratum, score.

    Returns
    -------
    int
        The audit's number.

    Raises
    ------
    HuntError
        Somebody labelled or drew an audit meanwhile.
    """
    with store.writing() as connection:
        if (newest(connection, "labels", "event"), newest(connection, "audits", "id")) != (seen.last_event, seen.audit):
            raise HuntError(f"{store.path.name} was labelled while the audit was drawn; draw it again")
        release = newest(connection, "releases", "id")
        number = insert(
            connection,
            "audits",
            id=seen.audit + 1,
            release_id=release,
            seed=seed,
            digest=digest,
            design=json.dumps(design, sort_keys=True),
            last_event=seen.last_event,
            who=checked_person(who),
            when=when,
        )
        for position, drawn in enumerate(objects):
            add_object(connection, drawn)
            fields = {key: drawn[key] for key in ("object_id", "row", "stratum", "score")}
            insert(connection, "audit_objects", audit=number, position=position, **fields)
    return number
