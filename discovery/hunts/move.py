"""Carry a hunt to another release or another encoder: by object_id, then by position within 1 arcsec."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from discovery.errors import HuntError, QueryError
from discovery.hunts.binding import example_lines, object_lines, release_line
from discovery.hunts.checks import checked_person
from discovery.hunts.hunt import Hunt
from discovery.hunts.records import MovedObject, MoveReport
from discovery.hunts.start import open_hunt
from discovery.hunts.store import HuntStore, now

if TYPE_CHECKING:
    from discovery.prompts import Prompt
    from discovery.release import Release

RADIUS_ARCSEC = 1.0


def move_hunt(
    path: Path | str, release: Release, out: Path | str, who: str, *, positives: Sequence[Prompt] = ()
) -> tuple[Hunt, MoveReport]:
    """Copy a hunt into a new file that belongs to another release; the old file stays as it is.

    The whole log goes along: labels with who, when and why, notes, rounds, settings, examples. Audits go along as a
    record: they were drawn from the old release and say nothing of the new one, so that their labels teach there. An object is the same
    when its object_id is, unless both positions are known and lie more than 1 arcsec apart; else when it is the
    nearest within 1 arcsec. What is not found stays in the log without a row, and the report names it.

    Parameters
    ----------
    path : Path or str
        The hunt to carry over; its own release is not needed.
    release : Release
        Where to.
    out : Path or str
        The new file; it must not exist.
    who : str
        Who moves it.
    positives : sequence of Prompt
        Further examples, for a hunt whose own cannot be used by the new encoder.

    Raises
    ------
    HuntError
        The file is no hunt, or ``out`` is taken.
    """
    source, out = HuntStore.open(Path(path)), Path(out)
    tables = source.tables()
    moved = _matched(tables["objects"], tables["releases"][-1]["name"], release)
    stamped = {"who": checked_person(who), "when": now()}
    lines = {
        line["row"]: line
        for line in object_lines(release, sorted({m.row for m in moved.values() if m.row is not None}))
    }
    tables["objects"] = _objects(tables["objects"], moved, lines)
    for table in ("labels", "shown", "notes"):
        tables[table] = [_renamed(line, moved) for line in tables[table]]
    tables["audit_objects"] = [{**line, "row": None} for line in tables["audit_objects"]]
    tables["examples"] = [_example(line, moved, release) for line in tables["examples"]]
    added, objects = example_lines(release, [("positive", prompt) for prompt in positives])
    known = {line["object_id"] for line in tables["objects"]}
    tables["objects"] += [line for line in objects if line["object_id"] not in known]
    tables["examples"] += [{**line, **stamped} for line in added]
    tables["releases"].append({**release_line(release, out), **stamped})
    tables["settings"] += HuntStore.setting_lines({"name": out.stem}, stamped)
    HuntStore.create(out, tables)
    report = MoveReport(
        source=source.path,
        path=out,
        release_name=release.name,
        objects=tuple(moved.values()),
        examples_left=tuple(
            line["label"]
            for line in tables["examples"]
            if line["encoder_checksum"] != release.encoder_checksum
        ),
        audits_left=len(tables["audits"]),
    )
    return open_hunt(out, release), report


def _matched(objects: list[dict[str, Any]], old_name: str, release: Release) -> dict[str, MovedObject]:
    """Find every object of the old hunt in the new release; keys are the old ids."""
    return {line["object_id"]: _match(line, old_name, release) for line in objects}


def _match(line: dict[str, Any], old_name: str, release: Release) -> MovedObject:
    """Find one object by its name, or the name it came with, and then by its position."""
    note, taken = "", False
    for name in dict.fromkeys(name for name in (line["object_id"], line["former_id"]) if name):
        found = _by_name(name, release)
        if found is None:
            continue
        separation = _separation_arcsec(line, found)
        if separation is None or separation <= RADIUS_ARCSEC:
            return _moved(line, found, "object_id", separation, note)
        taken = True
        note = f"{name} is another object there, {separation:.1f} arcsec away"
    found, separation = _by_position(line, release)
    if found is not None:
        return _moved(line, found, "position", separation, note)
    name = f"{line['object_id']}@{old_name}" if taken else line["object_id"]
    return MovedObject(
        object_id=line["object_id"],
        row=None,
        new_object_id=name,
        by="not found",
        separation_arcsec=None,
        note=note,
    )


def _moved(
    line: dict[str, Any], found: dict[str, Any], by: Any, separation: float | None, note: str
) -> MovedObject:
    return MovedObject(
        object_id=line["object_id"],
        row=found["row"],
        new_object_id=found["object_id"],
        by=by,
        separation_arcsec=separation,
        note=note,
    )


def _by_name(name: str, release: Release) -> dict[str, Any] | None:
    try:
        row = release.catalogue.find_id(name)
    except QueryError:
        return None
    return _primary_line(release, row)


def _by_position(line: dict[str, Any], release: Release) -> tuple[dict[str, Any] | None, float | None]:
    if line["ra_deg"] is None or line["dec_deg"] is None:
        return None, None
    try:
        row, separation = release.catalogue.nearest_position(
            line["ra_deg"], line["dec_deg"], radius_arcsec=RADIUS_ARCSEC
        )
    except QueryError:
        return None, None
    return _primary_line(release, row), separation


def _primary_line(release: Release, row: int) -> dict[str, Any]:
    return object_lines(release, [release.catalogue.primary_rows[row]])[0]


def _separation_arcsec(one: dict[str, Any], other: dict[str, Any]) -> float | None:
    """Great-circle distance by the haversine formula; None where a position is missing."""
    values = [one["ra_deg"], one["dec_deg"], other["ra_deg"], other["dec_deg"]]
    if any(value is None for value in values):
        return None
    ra1, dec1, ra2, dec2 = np.radians(values)
    half = np.sin((dec2 - dec1) / 2) ** 2 + np.cos(dec1) * np.cos(dec2) * np.sin((ra2 - ra1) / 2) ** 2
    return float(np.degrees(2 * np.arcsin(np.sqrt(min(half, 1.0)))) * 3600)


def _objects(
    old: list[dict[str, Any]], moved: dict[str, MovedObject], lines: dict[int, dict[str, Any]]
) -> list[dict[str, Any]]:
    """Lines of the new objects table; two old names of one new object become one line."""
    result: dict[str, dict[str, Any]] = {}
    for line in old:
        new = moved[line["object_id"]]
        former = line["object_id"] if new.new_object_id != line["object_id"] else line["former_id"]
        place = line if new.row is None else lines[new.row]
        result.setdefault(
            new.new_object_id or line["object_id"],
            {
                "object_id": new.new_object_id,
                "row": new.row,
                "ra_deg": place["ra_deg"],
                "dec_deg": place["dec_deg"],
                "former_id": former,
            },
        )
    return list(result.values())


def _renamed(line: dict[str, Any], moved: dict[str, MovedObject]) -> dict[str, Any]:
    new = moved.get(line["object_id"])
    if new is None:
        raise HuntError(f"the hunt's log names {line['object_id']}, which its table of objects lacks")
    return {**line, "object_id": new.new_object_id, "row": new.row}


def _example(line: dict[str, Any], moved: dict[str, MovedObject], release: Release) -> dict[str, Any]:
    """An example seen by the new encoder where the object is there, else as it was."""
    if line["object_id"] is None:
        return line
    new = moved[line["object_id"]]
    line = {**line, "object_id": new.new_object_id}
    if new.row is None:
        return line
    vector = release.take(np.array([new.row]))[0]
    return {
        **line,
        "vector": np.asarray(vector, dtype="<f4").tobytes(),
        "encoder_checksum": release.encoder_checksum,
    }
