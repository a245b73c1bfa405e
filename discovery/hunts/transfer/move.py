"""Carry a hunt to another release or another encoder: by object_id, then by position within 1 arcsec."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from discovery.errors import HuntError
from discovery.hunts.hunt import Hunt
from discovery.hunts.log.release_check import check_release, example_rows, object_rows, release_row
from discovery.hunts.log.store import HuntStore, now
from discovery.hunts.log.validation import checked_person
from discovery.hunts.start import open_hunt
from discovery.hunts.transfer.move_report import MovedObject, MoveReport
from discovery.sky.crossmatch import RADIUS_ARCSEC, nearest_on_sky, positions, rows_named, separations_arcsec

if TYPE_CHECKING:
    from discovery.release.release import Release
    from discovery.search.prompts import Prompt


def move_hunt(
    path: Path | str, release: Release, out: Path | str, who: str, *, positives: Sequence[Prompt] = ()
) -> tuple[Hunt, MoveReport]:
    """Return a copy of a hunt in a new file that belongs to another release; the old file stays as it is.

    The whole log goes along: labels with who, when and why, notes, rounds, settings, examples. Audits go along as a
    record: they were drawn from the old release and mean nothing in the new one, so that their labels teach there. An object is the same
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
    records = {
        record["row"]: record
        for record in object_rows(release, sorted({m.row for m in moved.values() if m.row is not None}))
    }
    tables["objects"] = _objects(tables["objects"], moved, records)
    for table in ("labels", "shown", "notes"):
        tables[table] = [_renamed(record, moved) for record in tables[table]]
    tables["audit_objects"] = [{**record, "row": None} for record in tables["audit_objects"]]
    tables["examples"] = [_example(record, moved, release) for record in tables["examples"]]
    added, objects = example_rows(release, [("positive", prompt) for prompt in positives])
    known = {record["object_id"] for record in tables["objects"]}
    tables["objects"] += [record for record in objects if record["object_id"] not in known]
    tables["examples"] += [{**record, **stamped} for record in added]
    tables["releases"].append({**release_row(release, out), **stamped})
    tables["settings"] += HuntStore.setting_rows({"name": out.stem}, stamped)
    HuntStore.create(out, tables, lambda store: check_release(store, release))
    report = MoveReport(
        source=source.path,
        path=out,
        release_name=release.name,
        objects=tuple(moved.values()),
        examples_left=tuple(
            record["label"]
            for record in tables["examples"]
            if record["encoder_checksum"] != release.encoder_checksum
        ),
        audits_left=len(tables["audits"]),
        labels_left=sum(record["row"] is None for record in tables["labels"]),
    )
    return open_hunt(out, release), report


def _matched(objects: list[dict[str, Any]], old_name: str, release: Release) -> dict[str, MovedObject]:
    """Find every object of the old hunt in the new release: keys are the old ids.

    By its name, or the name it came with, unless that is an object farther away than the radius; then by its position. One
    pass over the release for each, in columns: 40 bytes a row.
    """
    if not objects:
        return {}
    found = _named(objects, release)
    left = [place for place, one in enumerate(found) if one.row is None]
    ra, dec = _places([objects[place] for place in left])
    near, apart = nearest_on_sky(ra, dec, *positions(release.catalogue), RADIUS_ARCSEC)
    for place, row, separation in zip(left, near.tolist(), apart.tolist(), strict=True):
        if row >= 0:
            row = int(release.catalogue.primary_rows[row])
            found[place] = replace(found[place], row=row, by="position", separation_arcsec=separation)
    rows = sorted({one.row for one in found if one.row is not None})
    names = {record["row"]: record["object_id"] for record in object_rows(release, rows)}
    return {one.object_id: _with_name(one, names, old_name) for one in found}


def _named(objects: list[dict[str, Any]], release: Release) -> list[MovedObject]:
    """Return objects found by name; a note names what is another object there."""
    ra, dec = _places(objects)
    notes, rows, apart = [""] * len(objects), np.full(len(objects), -1, np.int64), np.full(len(objects), np.nan)
    for field in ("object_id", "former_id"):
        at = rows_named(release.catalogue, pa.array([record[field] for record in objects], pa.string()))
        at = np.where((at >= 0) & (rows < 0), release.catalogue.primary_rows[at], -1)
        there = np.flatnonzero(at >= 0)
        places = release.catalogue.rows(at[there], ["ra", "dec"])
        there_ra, there_dec = (places[name].cast(pa.float64()).to_numpy() for name in ("ra", "dec"))
        separations = separations_arcsec(ra[there], dec[there], there_ra, there_dec)
        for place, separation in zip(there.tolist(), separations.tolist(), strict=True):
            if separation > RADIUS_ARCSEC:
                notes[place] = f"{objects[place][field]} is another object there, {separation:.1f} arcsec away"
            else:
                rows[place], apart[place] = at[place], separation
    return [
        MovedObject(
            object_id=record["object_id"],
            row=None if row < 0 else row,
            new_object_id=None,
            by="not found" if row < 0 else "object_id",
            separation_arcsec=None if math.isnan(separation) else separation,
            note=note,
        )
        for record, row, separation, note in zip(objects, rows.tolist(), apart.tolist(), notes, strict=True)
    ]


def _with_name(one: MovedObject, names: dict[int, str], old_name: str) -> MovedObject:
    """Give an object the name that it has there; one that is not there keeps its own, unless another one has that."""
    if one.row is not None:
        return replace(one, new_object_id=names[one.row])
    return replace(one, new_object_id=f"{one.object_id}@{old_name}" if one.note else one.object_id)


def _places(objects: list[dict[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
    """Positions in degrees, (n,) float64 each, NaN where there is none."""
    ra, dec = (np.array([record[name] for record in objects], np.float64) for name in ("ra_deg", "dec_deg"))
    return ra, dec


def _objects(
    old: list[dict[str, Any]], moved: dict[str, MovedObject], records: dict[int, dict[str, Any]]
) -> list[dict[str, Any]]:
    """Lines of the new objects table; two old names of one new object become one record."""
    result: dict[str, dict[str, Any]] = {}
    for record in old:
        new = moved[record["object_id"]]
        former = record["object_id"] if new.new_object_id != record["object_id"] else record["former_id"]
        place = record if new.row is None else records[new.row]
        result.setdefault(
            new.new_object_id or record["object_id"],
            {
                "object_id": new.new_object_id,
                "row": new.row,
                "ra_deg": place["ra_deg"],
                "dec_deg": place["dec_deg"],
                "former_id": former,
            },
        )
    return list(result.values())


def _renamed(record: dict[str, Any], moved: dict[str, MovedObject]) -> dict[str, Any]:
    new = moved.get(record["object_id"])
    if new is None:
        raise HuntError(f"the hunt's log names {record['object_id']}, which its table of objects lacks")
    return {**record, "object_id": new.new_object_id, "row": new.row}


def _example(record: dict[str, Any], moved: dict[str, MovedObject], release: Release) -> dict[str, Any]:
    """An example seen by the new encoder where the object is there, else as it was."""
    if record["object_id"] is None:
        return record
    new = moved[record["object_id"]]
    record = {**record, "object_id": new.new_object_id}
    if new.row is None:
        return record
    vector = release.take(np.array([new.row]))[0]
    return {
        **record,
        "vector": np.asarray(vector, dtype="<f4").tobytes(),
        "encoder_checksum": release.encoder_checksum,
    }
