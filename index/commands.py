"""``discovery index build``, ``merge``, ``repair`` and ``drift``: verbs that work on what ``discovery index`` made."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

Json = Annotated[bool, Parameter(negative="")]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """Options of ``discovery index build``.

    Attributes
    ----------
    memory
        Memory in GiB that building it may take.
    recall
        Recall@10 and recall@100 that a search shall have, against comparing with every object.
    kind
        FAISS factory string such as PCA64,IVF4096,SQ8, where the plan shall not choose.
    json
        Print one JSON document instead of text.
    """

    memory: float = 4.0
    recall: float = 0.95
    kind: str | None = None
    json: Json = False


def build(release: Path, *, options: BuildOptions = BuildOptions()) -> None:
    """Make the search structure of a release again, with other settings; embeddings and catalogue stay as they are.

    Programs that have the release open go on with the structure that they know, and take the new one when they open it again.

    Parameters
    ----------
    release
        Folder that ``discovery index`` made.
    """
    from discovery.release.manifest_file import read_manifest

    read_manifest(release)
    from index.structure.rebuild import rebuild

    manifest = rebuild(release, memory_gib=options.memory, recall=options.recall, kind=options.kind)
    record, measured = manifest.image.index, manifest.measured
    if options.json:
        document = {"release": str(release), "index": msgspec.to_builtins(record), "measured": measured}
        sys.stdout.write(msgspec.json.encode(document).decode() + "\n")
        return
    effort = "" if record.probes is None else f", {record.probes} cells and {record.candidates} candidates a query"
    sys.stdout.write(f"index {record.kind} in {record.file}{effort}\n")
    sys.stdout.write(
        f"recall@10 {measured['recall_at_10']}, recall@100 {measured['recall_at_100']} (wanted: {measured['recall_asked']}); "
        f"{measured['milliseconds_a_query']} ms a query, 95 % within {measured['milliseconds_p95']} ms\n"
    )


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class MergeOptions:
    """Options of ``discovery index merge``.

    Attributes
    ----------
    name
        Name of the release, as in the jobs.
    out
        Folder that the release is made in, as in the jobs.
    drift_sample
        Where the jobs were run with --add: so many objects of the older release are embedded again, to measure drift.
    json
        Print one JSON document instead of text.
    """

    name: str
    out: Path = Path("releases")
    drift_sample: int = 2000
    json: Json = False


def merge(*, options: MergeOptions) -> None:
    """Finish the release whose shards were embedded by jobs with --shard: check them, build the catalogue and the index.

    Every shard must be there, whole, and hold each of its survey positions once; ids must be unique. It can be stopped
    at any moment and goes on when run again. The last line printed is the release's folder.
    """
    from discovery.release.manifest_file import read_manifest
    from index.run.merge import merge_shares

    folder = merge_shares(options.name, options.out, drift_sample=options.drift_sample)
    manifest = read_manifest(folder)
    if options.json:
        document = {"release": str(folder), "name": options.name, "rows": manifest.rows, "measured": manifest.measured}
        sys.stdout.write(msgspec.json.encode(document).decode() + "\n")
        return
    sys.stdout.write(f"{manifest.rows} rows in {len(manifest.image.shards)} shards\n{folder}\n")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class RepairOptions:
    """Options of ``discovery index repair``.

    Attributes
    ----------
    json
        Print one JSON document instead of text.
    """

    json: Json = False


def repair(release: Path, *, options: RepairOptions = RepairOptions()) -> None:
    """Find damaged shards of embeddings in a finished release and make them again from the survey's files.

    Parameters
    ----------
    release
        Release folder.
    """
    from discovery.release.manifest_file import read_manifest

    read_manifest(release)
    from index.run.repair import repair_release

    repaired = repair_release(release)
    if options.json:
        sys.stdout.write(msgspec.json.encode({"release": str(release), "repaired": repaired}).decode() + "\n")
        return
    sys.stdout.write(f"{len(repaired)} shards made again{': ' if repaired else ''}{', '.join(repaired)}\n")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class DriftOptions:
    """Options of ``discovery index drift``.

    Attributes
    ----------
    sample
        Most embeddings of each, and most objects that are in both, that are compared.
    plot
        Picture to write, such as drift.png.
    json
        Print one JSON document instead of text.
    """

    sample: int = 2000
    plot: Path | None = None
    json: Json = False


def drift(old: Path, new: Path, *, options: DriftOptions = DriftOptions()) -> None:
    """Compare two releases by the same encoder: did the embeddings move, do objects find themselves, does it follow PSF and depth.

    Parameters
    ----------
    old
        Release folder.
    new
        Release folder: one made on its own, or one that grew from the old one with --add.
    """
    from discovery.release.release import open_release

    before, after = open_release(old), open_release(new)
    from index.drift.drift import compare_releases
    from index.drift.report import report_json
    from index.drift.text import plot_drift, report_lines

    report, seen = compare_releases(before, after, sample=options.sample)
    if options.plot is not None:
        plot_drift(report, seen, options.plot)
    text = report_json(report).decode() if options.json else "\n".join(report_lines(report))
    sys.stdout.write(text.rstrip("\n") + "\n")
