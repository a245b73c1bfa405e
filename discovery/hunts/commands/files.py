"""``discovery hunt export`` and ``move``: what leaves a hunt, and a hunt that goes elsewhere."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from cyclopts import Parameter

from discovery.hunts.commands.answers import answer, info_document
from discovery.hunts.commands.options import Json, Several, opened_hunt, person_name
from discovery.search.known_options import KnownFiles, KnownRadius, NewOnly, matched_known


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class HuntExportOptions:
    """Options of ``discovery hunt export``.

    Attributes
    ----------
    top
        So many of the best unlabelled objects go along.
    min_score
        Unlabelled objects from this score up go along.
    columns
        Catalogue columns, separated by commas; all by default.
    stamps
        Folder for a picture of each object and a contact sheet.
    unfiltered
        Also rank what the hunt's own filter leaves out.
    known
        Tables of known objects (csv, FITS, VOTable, Parquet; ra and dec), to flag in columns known_as, ... of the table.
    known_radius
        Within how many arcsec an object is a known one; 2 by default.
    new_only
        Leave known objects out.
    release
        Release folder, if it is no longer where the hunt knows it.
    json
        Print one JSON document.
    """

    top: int | None = None
    min_score: float | None = None
    columns: str | None = None
    stamps: Path | None = None
    unfiltered: bool = False
    known: KnownFiles = None
    known_radius: KnownRadius = None
    new_only: NewOnly = False
    release: Path | None = None
    json: Json = False


def export(hunt: Path, out: Path, /, *, options: HuntExportOptions = HuntExportOptions()) -> None:
    """Write the labelled objects and, on request, the ranked rest of the release.

    Parameters
    ----------
    hunt
        Hunt file.
    out
        Table to write: .csv, .fits, .vot or .parquet.
    """
    opened = opened_hunt(hunt, options.release)
    chosen = None if options.columns is None else [name.strip() for name in options.columns.split(",") if name.strip()]
    table = opened.export(
        out,
        top=options.top,
        min_score=options.min_score,
        columns=chosen,
        stamps=options.stamps,
        unfiltered=options.unfiltered,
        known=matched_known(opened.release, options.known, options.known_radius, options.new_only),
        new_only=options.new_only,
    )
    labelled = table.num_rows - table["label"].null_count
    document = {
        "file": str(out),
        "objects": table.num_rows,
        "labelled": labelled,
        "columns": table.column_names,
    }
    answer(options.json, document, f"{out}: {labelled} labelled objects, {table.num_rows - labelled} more")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class MoveOptions:
    """Options of ``discovery hunt move``.

    Attributes
    ----------
    like
        Further positive examples.
    who
        Your name in the log; your login by default.
    json
        Print one JSON document.
    """

    like: Several = None
    who: str | None = None
    json: Json = False


def move(hunt: Path, release: Path, out: Path | None = None, /, *, options: MoveOptions = MoveOptions()) -> None:
    """Carry a hunt to another release or encoder, by object_id, else by position within 1 arcsec.

    Parameters
    ----------
    hunt
        Hunt file; it stays as it is.
    release
        Release folder to carry it to.
    out
        New hunt file; by default HUNT-RELEASE.hunt beside the old one.
    """
    from discovery.hunts import move_hunt
    from discovery.release.release import open_release
    from discovery.search.prompts import resolve_prompts

    opened = open_release(release)
    out = out or hunt.with_name(f"{hunt.stem}-{opened.name}.hunt")
    moved, report = move_hunt(hunt, opened, out, person_name(options.who), positives=resolve_prompts(opened, options.like or ()))
    found = len(report.objects) - len(report.not_found)
    counts = report.counts
    matched = f"{counts['object_id']} by object_id, {counts['position']} by position; {report.labels_left} labels left without an object"
    lines = [f"{out}: {found} of {len(report.objects)} objects found in {opened.name}, {matched}"]
    lines += [f"not found: {one.object_id} {one.note}".rstrip() for one in report.not_found]
    lines += [f"example left out, seen by another encoder: {label}" for label in report.examples_left]
    if report.audits_left:
        lines.append(f"{report.audits_left} audits of the old release do not hold for {opened.name}: draw a new one there")
    document = {
        "hunt": info_document(moved.info()),
        "objects": [dataclasses.asdict(one) for one in report.objects],
        "not_found": [one.object_id for one in report.not_found],
        "examples_left": list(report.examples_left),
        "audits_left": report.audits_left,
        "labels_left": report.labels_left,
        "counts": counts,
    }
    answer(options.json, document, "\n".join(lines))
