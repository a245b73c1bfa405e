"""What audits drew, in the hunt's file: who was drawn when and from which stratum; designs never change."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from discovery.errors import HuntError
from discovery.hunts.log.file import insert
from discovery.hunts.log.table_rows import add_object, newest
from discovery.hunts.log.validation import checked_person

if TYPE_CHECKING:
    from discovery.hunts.log.store import HuntStore
    from discovery.hunts.log.table_rows import Mark


@dataclass(frozen=True, kw_only=True)
class AuditMark:
    """One object that an audit drew: its audit, its place in the drawn order (from 0) and its stratum."""

    audit: int
    position: int
    object_id: str
    row: int
    stratum: int
    score: float


@dataclass(frozen=True, kw_only=True)
class AuditLine:
    """One audit as it was recorded; see `discovery.hunts.audits.design.AuditDesign` for ``design``."""

    number: int
    release_id: int
    seed: int
    digest: str
    design: dict[str, Any]
    last_event: int
    who: str
    when: str


def audited(store: HuntStore) -> dict[int, AuditMark]:
    """Return every row that an audit ever drew, in the order drawn: no candidates, and they never teach."""
    with store.reading() as connection:
        lines = connection.execute("SELECT * FROM audit_objects WHERE row >= 0 ORDER BY audit, position")
        return {line["row"]: AuditMark(**dict(line)) for line in lines}


def waiting(store: HuntStore) -> list[int]:
    """Return the rows that an audit of the present release drew and that have no verdict yet, in the order drawn."""
    done = {state.row for state in store.states() if state.verdict != "cleared"}
    present = {line.number for line in audit_lines(store)}
    return [row for row, mark in audited(store).items() if mark.audit in present and row not in done]


def audit_lines(store: HuntStore) -> list[AuditLine]:
    """Return the audits of the release that the hunt is played on now, the first one first.

    Raises
    ------
    HuntError
        A design in the file cannot be read.
    """
    with store.reading() as connection:
        lines = connection.execute(
            "SELECT * FROM audits WHERE release_id = (SELECT max(id) FROM releases) ORDER BY id"
        ).fetchall()
    return [_audit_line(dict(line)) for line in lines]


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
        for position, line in enumerate(objects):
            add_object(connection, line)
            fields = {key: line[key] for key in ("object_id", "row", "stratum", "score")}
            insert(connection, "audit_objects", audit=number, position=position, **fields)
    return number


def _audit_line(line: dict[str, Any]) -> AuditLine:
    try:
        design = json.loads(line["design"])
    except (ValueError, RecursionError):
        raise HuntError(f"the design of audit {line['id']} cannot be read") from None
    if not isinstance(design, dict):
        raise HuntError(f"the design of audit {line['id']} is no design")
    fields = {key: line[key] for key in ("release_id", "seed", "digest", "last_event", "who", "when")}
    return AuditLine(number=line["id"], design=design, **fields)
