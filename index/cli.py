"""``discovery index``: survey files + encoder -> release, and the verbs that work on what it made."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from cyclopts import App

from discovery.files.paths import check_paths_exist
from discovery.release.manifest import DRIFT_FILE, ENCODER_FOLDER, REPORT_FILE, Manifest
from discovery.release.manifest_file import read_manifest
from index.options import IndexOptions

if TYPE_CHECKING:
    from discovery.encoders.encoder import Encoder
    from index.run.engine import index_survey as index_survey
    from index.run.settings import RunSettings

VERBS = {
    "build": ("index.commands:build", "Make the search structure of a release again, with other settings."),
    "merge": ("index.commands:merge", "Finish a release whose shards were embedded by several jobs."),
    "repair": ("index.commands:repair", "Make damaged shards of a finished release again."),
    "drift": ("index.commands:drift", "Compare a release with an older one of the same survey."),
}

app = App(name="index", help="Make a release from survey files: embed, index, catalogue.")
for _name, (_target, _help) in VERBS.items():
    app.command(_target, name=_name, help=_help)


def __getattr__(name: str) -> Any:
    """Import `index_survey` on first use, so that help needs no encoder."""
    if name == "index_survey":
        from index.run.engine import index_survey

        return index_survey
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@app.default
def index(*surveys: Path, options: IndexOptions) -> None:
    """Make a release of survey files: embed every stamp, build the index and the catalogue.

    It can be stopped at any moment and goes on when run again. The last line printed is the release's folder.
    A survey whose folder is called like a verb below is named with its path, such as ./build.

    Parameters
    ----------
    surveys
        Files or folders of stamps, in any format that discovery reads.
    """
    check_paths_exist(surveys)
    if options.shard is not None:
        _embed_share(surveys, options, options.shard)
        return
    folder = _release(surveys, options)
    manifest, report = read_manifest(folder), msgspec.json.decode((folder / REPORT_FILE).read_bytes())
    if options.json:
        report["damaged"] = report.pop("damaged_count")
        document = {"release": str(folder), "name": options.name, **report, "measured": manifest.measured}
        sys.stdout.write(msgspec.json.encode(document).decode() + "\n")
        return
    for line in _summary(folder, manifest, report):
        sys.stdout.write(line + "\n")
    sys.stdout.write(f"{folder}\n")


def _release(surveys: Sequence[Path], options: IndexOptions) -> Path:
    """Return the folder of the release, made now or there already."""
    from index.run.engine import make_release

    return make_release(surveys, _settings(options), _encoder(options))


def _settings(options: IndexOptions) -> RunSettings:
    from index.run.settings import RunSettings

    return RunSettings(
        name=options.name,
        out=options.out,
        options=options.reading(),
        memory_gib=options.memory,
        recall=options.recall,
        workers=options.workers,
        rebuild=options.rebuild,
        engine=options.engine,
        address=options.address,
        precision=options.precision,
        older=options.add,
        drift_sample=options.drift_sample,
    )


def _encoder(options: IndexOptions) -> Encoder:
    from discovery.encoders.encoder import load_encoder
    from discovery.stamps.preprocess import CropConfig

    usual = "default" if options.add is None else str(options.add / ENCODER_FOLDER)
    crop = None if options.crop is None else CropConfig(mode=options.crop, fixed_arcsec=options.crop_arcsec)
    encoder = load_encoder(usual if options.encoder is None else options.encoder, crop=crop)
    encoder.precision = options.precision or encoder.precision
    encoder.compiled = options.compile
    return encoder


def _embed_share(surveys: Sequence[Path], options: IndexOptions, shard: str) -> None:
    from index.run.engine import embed_share
    from index.run.settings import Share

    share = Share.parse(shard)
    shards, embedded = embed_share(surveys, share, _settings(options), _encoder(options))
    merging = f"discovery index merge --name {options.name} --out {options.out}"
    numbered = f"{share.number}/{share.of}"
    document = {"name": options.name, "shard": numbered, "shards": shards, "embedded_in_this_run": embedded, "then": merging}
    text = f"share {numbered} of {options.name}: {shards} shards are there, {embedded} stamps embedded now\nwhen all shares are: {merging}\n"
    sys.stdout.write(msgspec.json.encode(document).decode() + "\n" if options.json else text)


def _summary(folder: Path, manifest: Manifest, report: dict[str, Any]) -> list[str]:
    measured = manifest.measured
    recall = [f"recall@{k} {measured[f'recall_at_{k}']}" for k in (10, 100) if measured[f"recall_at_{k}"] is not None]
    return [
        report["recognised"],
        f"{report['rows']} of {report['positions']} stamps embedded, {report['damaged_count']} damaged; "
        f"{report['duplicates']} duplicates, {report['flag_star']} stars, {report['flag_masked']} masked, "
        f"{report['flag_partial']} partial, {report['flag_artefact']} artefact-like",
        *_warning_lines(report),
        *_stage_lines(measured),
        f"index {manifest.image.index.kind}: {', '.join([*recall, str(measured['milliseconds_a_query'])])} ms a query",
        *_grown_lines(folder, report),
    ]


def _warning_lines(report: dict[str, Any]) -> list[str]:
    shared = report.get("shared_positions", 0)
    if not shared:
        return []
    return [
        f"warning: {shared} objects with different stamps have exactly the position of others, which cannot be theirs: "
        "they are not merged, and a search by position finds the wrong ones there"
    ]


def _grown_lines(folder: Path, report: dict[str, Any]) -> list[str]:
    if "grown_from" not in report:
        return []
    grown, drift = report["grown_from"], msgspec.json.decode((folder / DRIFT_FILE).read_bytes())
    return [
        f"grown from {grown['release']}: {grown['rows']} rows kept, {grown['added']} added; of {grown['positions']} objects "
        f"{grown['known_by_object_id']} were known by object_id and {grown['known_by_position']} by position",
        f"drift: {drift['advice']}",
    ]


def _stage_lines(measured: dict[str, Any]) -> list[str]:
    if "stages" not in measured:
        return []
    stages = ", ".join(f"{name} {found['stamps_a_second']:g}" for name, found in measured["stages"].items())
    return [
        f"stamps a second of busy time: {stages}; readers waited {measured['readers_waiting']:.0%} of their time, "
        f"the encoder {measured['encoder_waiting']:.0%}: bottleneck {measured['bottleneck']}"
    ]
