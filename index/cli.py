"""``discovery index``: survey files + encoder -> release, and the verbs that work on what it made."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from cyclopts import App, Parameter

from discovery.encoders.encoder import Encoder, Precision, load_encoder
from discovery.errors import ConfigError
from discovery.release.manifest import DRIFT_FILE, ENCODER_FOLDER, REPORT_FILE, Manifest, read_manifest
from discovery.stamps.preprocess import CropConfig
from index.run.engine import Share, embed_share, index_survey

VERBS = {
    "build": ("index.structure.rebuild:build", "Make the search structure of a release again, with other settings."),
    "merge": ("index.run.merge:merge", "Finish a release whose shards were embedded by several jobs."),
    "repair": ("index.grow.repair:repair", "Make damaged shards of a finished release again."),
    "drift": ("index.drift.drift:drift", "Compare a release with an older one of the same survey."),
}

app = App(name="index", help="Make a release from survey files: embed, index, catalogue.")
for _name, (_target, _help) in VERBS.items():
    app.command(_target, name=_name, help=_help)


@app.default
def index(
    *surveys: Path,
    name: str,
    out: Path = Path("releases"),
    encoder: str | None = None,
    table: Path | None = None,
    pixel_scale: float | None = None,
    style: str | None = None,
    key: str | None = None,
    select: Literal["usual", "all"] = "usual",
    max_mag: float = 20.0,
    side_pixels: int = 152,
    crop: Literal["adaptive", "fixed", "both"] | None = None,
    crop_arcsec: float | None = None,
    memory: float = 4.0,
    recall: float = 0.95,
    workers: int | None = None,
    rebuild: bool = False,
    add: Path | None = None,
    drift_sample: int = 2000,
    engine: Literal["local", "ray"] = "local",
    address: str | None = None,
    shard: str | None = None,
    precision: Literal["float32", "bfloat16"] | None = None,
    compile: Annotated[bool, Parameter(negative="")] = False,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Make a release of survey files: embed every stamp, build the index and the catalogue.

    It can be stopped at any moment and goes on when run again. The last line printed is the release's folder.
    A survey whose folder is called like a verb below is named with its path, such as ./build.

    Parameters
    ----------
    surveys
        Files or folders of stamps, in any format that discovery reads.
    name
        Name of the release.
    out
        Folder that the release is made in.
    encoder
        ``default``, a folder with encoder.json, ``lvm:FILE``, ``timm:NAME`` or ``timm:NAME:FILE``; with --add the
        older release's own.
    table
        Table (csv, Parquet, FITS, VOTable) with a line for each stamp of an image folder.
    pixel_scale
        Pixel scale in arcsec, where the files do not tell it.
    style
        Survey that sets the colour rendering: legacy, legacy-dr10 or sdss.
    key
        Column of the table that names the stamps.
    select
        Which objects of a brick are cut out: the usual galaxies, or all.
    max_mag
        Faintest z magnitude of the usual galaxies of a brick.
    side_pixels
        Side of the stamps that are cut out of a brick.
    crop
        Part of a stamp that the encoder sees, where it is not the encoder's own.
    crop_arcsec
        Side of a fixed crop in arcsec.
    memory
        Memory in GiB that the search index may take.
    recall
        Recall@10 and recall@100 that a search shall have, against comparing with every object.
    workers
        Processes that read stamps; by default two fewer than there are cores, at most 8. 0 reads in a
        thread of this one.
        On Ray: processes that embed; by default one a GPU, or one for every four CPUs.
    rebuild
        Start over: drop what is half built of that name, and replace a finished release of other inputs.
    add
        An older release of the same survey: its embeddings are kept and only what is new is embedded.
    drift_sample
        With --add: so many objects of the older release are embedded again from their new stamps, to measure drift.
    engine
        Where stamps are embedded: local, in this process; ray, on every machine of a Ray cluster.
    address
        Ray cluster, such as auto on one of its machines; without it --engine ray uses this machine alone.
    shard
        I/N, I from 0 to N - 1: embed this share of the survey's shards alone, beside other such jobs that share the
        --out folder; 'discovery index merge' finishes.
    precision
        What the encoder computes in: by default bfloat16 on a GPU, else float32. A release has one: finished shards of
        another one are made again where this is said, and an error where not.
    compile
        Compile the encoder (torch.compile): for long runs on a GPU.
    json
        Print one JSON document instead of text.
    """
    _check_together(add, engine, shard, rebuild)
    options = {"table": table, "pixel_scale_arcsec": pixel_scale, "survey": style, "key": key, "select": select}
    settings: dict[str, Any] = {
        "name": name,
        "out": out,
        "encoder": _encoder(encoder, add, _crop(crop, crop_arcsec), precision, compile),
        "options": {**options, "max_mag": max_mag, "side_pixels": side_pixels},
        "memory_gib": memory,
        "recall": recall,
        "workers": workers,
    }
    if shard is not None:
        _print_share(surveys, Share.parse(shard), {**settings, "precision": precision}, json)
        return
    if add is not None:
        from index.grow.add import add_release

        folder = add_release(surveys, old=add, rebuild=rebuild, drift_sample=drift_sample, precision=precision, **settings)
    else:
        folder = index_survey(surveys, rebuild=rebuild, engine=engine, address=address, precision=precision, **settings)
    manifest, report = read_manifest(folder), msgspec.json.decode((folder / REPORT_FILE).read_bytes())
    if json:
        report["damaged"] = report.pop("damaged_count")
        document = {"release": str(folder), "name": name, **report, "measured": manifest.measured}
        sys.stdout.write(msgspec.json.encode(document).decode() + "\n")
        return
    for line in _summary(folder, manifest, report):
        sys.stdout.write(line + "\n")
    sys.stdout.write(f"{folder}\n")


def _check_together(add: Path | None, engine: str, shard: str | None, rebuild: bool) -> None:
    if shard is not None and (rebuild or engine == "ray" or add is not None):
        raise ConfigError("--shard is one of several jobs: it does not go with --rebuild, --engine ray or --add.")
    if add is not None and engine == "ray":
        raise ConfigError("--add embeds what is new in this process: it does not go with --engine ray.")


def _encoder(source: str | None, add: Path | None, crop: CropConfig | None, precision: Precision | None, compiled: bool) -> Encoder:
    usual = "default" if add is None else str(add / ENCODER_FOLDER)
    encoder = load_encoder(usual if source is None else source, crop=crop)
    encoder.precision = precision or encoder.precision
    encoder.compiled = compiled
    return encoder


def _print_share(surveys: Sequence[Path], share: Share, settings: dict[str, Any], json: bool) -> None:
    name, out = settings["name"], settings["out"]
    shards, embedded = embed_share(surveys, share, **settings)
    finishing = f"discovery index merge --name {name} --out {out}"
    document = {"name": name, "shard": f"{share.number}/{share.of}", "shards": shards, "embedded_in_this_run": embedded, "then": finishing}
    told = f"share {share.number}/{share.of} of {name}: {shards} shards are there, {embedded} stamps embedded now\nwhen all shares are: {finishing}\n"
    sys.stdout.write(msgspec.json.encode(document).decode() + "\n" if json else told)


def _crop(mode: Literal["adaptive", "fixed", "both"] | None, crop_arcsec: float | None) -> CropConfig | None:
    if mode is None:
        if crop_arcsec is not None:
            raise ConfigError("--crop-arcsec goes with --crop fixed or --crop both.")
        return None
    return CropConfig(mode=mode, fixed_arcsec=crop_arcsec)


def _summary(folder: Path, manifest: Manifest, report: dict[str, Any]) -> list[str]:
    measured = manifest.measured
    recall = [f"recall@{k} {measured[f'recall_at_{k}']}" for k in (10, 100) if measured[f"recall_at_{k}"] is not None]
    return [
        report["recognised"],
        f"{report['rows']} of {report['positions']} stamps embedded, {report['damaged_count']} damaged; "
        f"{report['duplicates']} duplicates, {report['flag_star']} stars, {report['flag_masked']} masked, "
        f"{report['flag_partial']} partial, {report['flag_artefact']} artefact-like",
        *_stage_lines(measured),
        f"index {manifest.spaces[0].index.kind}: {', '.join([*recall, str(measured['milliseconds_a_query'])])} ms a query",
        *_grown_lines(folder, report),
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
