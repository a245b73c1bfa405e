"""``discovery hunt apply``: a finished hunt ranks another release of the same encoder."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import Parameter

from discovery.errors import HuntError
from discovery.hunts.commands.answers import answer, info_document
from discovery.hunts.commands.options import Json, person_name
from discovery.search.known_options import KnownFiles, KnownRadius, NewOnly, matched_known

if TYPE_CHECKING:
    from discovery.hunts import Hunt

SHOWN = 10


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ApplyOptions:
    """Options of ``discovery hunt apply``.

    Attributes
    ----------
    top
        So many of the best unlabelled objects are written, or shown without --out; 10 by default.
    out
        Table to write: .csv, .fits, .vot or .parquet; the labelled objects of the hunt stand in it too, those that the
        release does not hold without a row.
    where
        SQL condition on the new catalogue in place of the hunt's own; "" for none.
    own_release
        The hunt's own release folder, if it is no longer where the hunt knows it.
    known
        Tables of known objects (csv, FITS, VOTable, Parquet) with ra and dec, to flag.
    known_radius
        Within how many arcsec an object is a known one; 2 by default.
    new_only
        Leave known objects out of what is written or shown.
    who
        Your name in the log; your login by default.
    json
        Print one JSON document.
    """

    top: int | None = None
    out: Path | None = None
    where: str | None = None
    own_release: Path | None = None
    known: KnownFiles = None
    known_radius: KnownRadius = None
    new_only: NewOnly = False
    who: str | None = None
    json: Json = False


def apply(hunt: Path, release: Path, new_hunt: Path | None = None, /, *, options: ApplyOptions = ApplyOptions()) -> None:
    """Rank another release of the same encoder by all that a hunt learned, and make a hunt there to go on with.

    Labels on objects that the release does not hold teach by the vectors of the hunt's own release.

    Parameters
    ----------
    hunt
        Hunt file; it stays as it is.
    release
        Release folder to apply it to.
    new_hunt
        New hunt file; by default HUNT-RELEASE.hunt beside the old one.
    """
    from discovery.hunts.export import export_hunt
    from discovery.hunts.transfer.apply import apply_hunt
    from discovery.release.release import open_release
    from discovery.tables.writer import check_table_path

    if options.out is not None:
        check_table_path(options.out)
    if options.top is not None and options.top < 0:
        raise HuntError(f"--top is {options.top}; give 0 or more objects")
    opened = open_release(release)
    matched = matched_known(opened, options.known, options.known_radius, options.new_only)
    new_hunt = new_hunt or hunt.with_name(f"{hunt.stem}-{opened.name}.hunt")
    applied, report = apply_hunt(_source(hunt, options.own_release), opened, new_hunt, person_name(options.who), where=options.where)
    table = export_hunt(applied, options.out, top=SHOWN if options.top is None else options.top, known=matched, new_only=options.new_only)
    best = [line for line in table.to_pylist() if line["label"] is None][:SHOWN]
    document = {
        "hunt": info_document(applied.info()),
        "ranked": int(applied.allowed.sum()),
        "taught": {"found": report.found, "remembered": report.remembered, "silent": list(report.silent)},
        "objects": [dataclasses.asdict(one) for one in report.moved.objects],
        "examples_left": list(report.moved.examples_left),
        "file": None if options.out is None else str(options.out),
        "best": [{name: line[name] for name in ("rank", "object_id", "ra", "dec", "score")} for line in best],
    }
    lines = [
        f"{applied.path}: {document['ranked']} objects of {opened.name} ranked; of the labels {report.found} are on"
        f" objects found there, {report.remembered} teach by the vectors of their own release"
    ]
    if report.silent:
        lines.append(
            f"{len(report.silent)} labels do not teach: no release at hand shows their objects; name the hunt's own with --own-release"
        )
    lines += [f"example left out, seen by another encoder: {label}" for label in report.moved.examples_left]
    lines += [f"{line['rank']:>6} {line['object_id']:<32} {line['score']:8.4f}" for line in best]
    lines += [] if options.out is None else [f"{options.out}: {table.num_rows} objects"]
    lines.append(f"next: discovery hunt next {applied.path}")
    answer(options.json, document, "\n".join(lines))


def _source(path: Path, own_release: Path | None) -> Hunt | Path:
    """The hunt on its own release, or its file alone when that release is gone."""
    from discovery.hunts import open_hunt, peek_hunt, remembered_release
    from discovery.release.release import open_release

    info = peek_hunt(path)
    if own_release is None:
        try:
            own_release = remembered_release(info)
        except HuntError:
            return path
    return open_hunt(path, open_release(own_release))
