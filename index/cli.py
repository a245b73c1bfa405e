"""``discovery index``: survey files + encoder -> release."""

from __future__ import annotations

import logging
import os
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from cyclopts import Parameter

from discovery.encoder import Encoder, load_encoder
from discovery.errors import ConfigError, SurveyError
from discovery.manifest import MANIFEST_FILE, REPORT_FILE, Manifest, read_manifest
from discovery.preprocess import CropConfig
from discovery.readers import open_survey
from discovery.stamps import Survey
from index.build import build_release
from index.embed import PARTS_FOLDER, embed_survey
from index.plan import Plan, explain_difference, make_plan, read_plan
from index.publish import clear_replaced, only_run, publish, put, remove

PLAN_FILE = "plan.json"
CHECKED_AT_A_TIME = 65536
log = logging.getLogger(__name__)


def index(
    *surveys: Path,
    name: str,
    out: Path = Path("releases"),
    encoder: str = "default",
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
    workers: int | None = None,
    rebuild: bool = False,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Make a release of survey files: embed every stamp, build the index and the catalogue.

    It can be stopped at any moment and goes on when run again. The last line printed is the release's folder.

    Parameters
    ----------
    surveys
        Files or folders of stamps, in any format that discovery reads.
    name
        Name of the release.
    out
        Folder that the release is made in.
    encoder
        ``default``, a folder with encoder.json, ``lvm:FILE``, ``timm:NAME`` or ``timm:NAME:FILE``.
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
    workers
        Processes that read stamps; by default two fewer than there are cores.
    rebuild
        Start over: drop what is half built of that name, and replace a finished release of other inputs.
    json
        Print one JSON document instead of text.
    """
    options = {"table": table, "pixel_scale_arcsec": pixel_scale, "survey": style, "key": key, "select": select}
    folder = index_survey(
        surveys,
        name=name,
        out=out,
        encoder=load_encoder(encoder, crop=_crop(crop, crop_arcsec)),
        options={**options, "max_mag": max_mag, "side_pixels": side_pixels},
        memory_gib=memory,
        workers=workers,
        rebuild=rebuild,
    )
    manifest, report = read_manifest(folder), msgspec.json.decode((folder / REPORT_FILE).read_bytes())
    if json:
        report["damaged"] = len(report["damaged"])
        document = {"release": str(folder), "name": name, **report, "measured": manifest.measured}
        sys.stdout.write(msgspec.json.encode(document).decode() + "\n")
        return
    for line in _summary(manifest, report):
        sys.stdout.write(line + "\n")
    sys.stdout.write(f"{folder}\n")


def index_survey(
    surveys: Sequence[Path | str],
    *,
    name: str,
    encoder: Encoder,
    out: Path | str = Path("releases"),
    options: dict[str, Any] | None = None,
    memory_gib: float = 4.0,
    workers: int | None = None,
    rebuild: bool = False,
    shard_positions: int | None = None,
) -> Path:
    """Make (or go on making) the release OUT/NAME; return its folder.

    Parameters
    ----------
    options : dict, optional
        Keywords of `discovery.readers.open_survey`.
    shard_positions : int, optional
        Survey positions a shard; from the survey's size by default.

    Raises
    ------
    ConfigError
        If an option is wrong, or a release or a half-built one of that name was made of other inputs.
    SurveyError
        If the survey cannot be read or holds no usable stamp.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        raise ConfigError(f"'{name}' is no name for a release: use letters, digits, '.', '_' and '-'.")
    if memory_gib <= 0 or (workers is not None and workers < 0) or (shard_positions is not None and shard_positions < 1):
        raise ConfigError("--memory must be positive and --workers not negative.")
    if not surveys:
        raise SurveyError("No survey given: name at least one file or folder.")
    out = Path(out).absolute()
    folder, building = out / name, out / f".{name}.building"
    paths = [Path(path).absolute() for path in surveys]
    survey = open_survey(paths, **{key: value for key, value in (options or {}).items() if value is not None})
    log.info("%s", survey.recognised)
    memory_bytes = int(memory_gib * 2**30)
    plan = make_plan(survey, paths, name=name, encoder=encoder, memory_bytes=memory_bytes, shard_positions=shard_positions)
    if folder.exists() and not _is_to_be_made(folder, plan, rebuild):
        clear_replaced(folder)
        return folder
    building.mkdir(parents=True, exist_ok=True)
    with only_run(building):
        _begin(building, plan, rebuild)
        if not (building / MANIFEST_FILE).exists():
            _make(building, folder, plan, survey, encoder, _default_workers() if workers is None else workers)
        for leftover in (PARTS_FOLDER, PLAN_FILE):
            remove(building / leftover)
        publish(building, folder)
    return folder


def _make(building: Path, folder: Path, plan: Plan, survey: Survey, encoder: Encoder, workers: int) -> None:
    _check_ids(survey)
    start = time.perf_counter()
    embedded = embed_survey(building, plan, survey, encoder, workers)
    seconds = time.perf_counter() - start
    measured = {
        "embedded_in_last_run": embedded,
        "stamps_a_second": round(embedded / seconds, 1) if embedded else None,
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "device": str(encoder.device),
        "workers": workers,
        "cores": os.cpu_count(),
    }
    build_release(building, folder, plan, survey, encoder, measured)


def _is_to_be_made(folder: Path, plan: Plan, rebuild: bool) -> bool:
    """Return whether a finished release has to be made again; False where it is what was asked for."""
    if not (folder / MANIFEST_FILE).exists():
        raise ConfigError(f"{folder} exists and is no release; choose another --name or --out.")
    if rebuild:
        return True
    if read_manifest(folder).plan == plan.fingerprint:
        log.info("Release %s is already there, made of the same inputs.", folder)
        return False
    raise ConfigError(
        f"Release {folder} was made of other inputs (survey files, options or encoder changed): "
        "choose another --name, or add --rebuild to replace it."
    )


def _begin(building: Path, plan: Plan, rebuild: bool) -> None:
    """Make the folder ready: empty for a new run, as it was for one that goes on."""
    path = building / PLAN_FILE
    if (building / MANIFEST_FILE).exists():
        going_on = read_manifest(building).plan == plan.fingerprint
    else:
        going_on = path.exists() and _fits(building, read_plan(path), plan, rebuild)
    if going_on:
        log.info("Going on with the half-built release in %s.", building)
        return
    for old in building.iterdir():
        remove(old)
    put(path, msgspec.json.encode(plan))


def _fits(building: Path, old: Plan | None, plan: Plan, rebuild: bool) -> bool:
    if old != plan and not rebuild:
        raise ConfigError(
            f"{building} holds a half-built release of other inputs (changed: {explain_difference(old, plan)}). "
            "Undo the change to go on, choose another --name, or add --rebuild to start over."
        )
    return old == plan


def _check_ids(survey: Survey) -> None:
    seen: dict[str, int] = {}
    for start in range(0, len(survey), CHECKED_AT_A_TIME):
        names = survey.table(start, start + CHECKED_AT_A_TIME)["object_id"].to_pylist()
        for position, object_id in enumerate(names, start):
            if seen.setdefault(object_id, position) != position:
                raise SurveyError(f"Object id {object_id} stands at positions {seen[object_id]} and {position}: ids must be unique.")


def _crop(mode: Literal["adaptive", "fixed", "both"] | None, crop_arcsec: float | None) -> CropConfig | None:
    if mode is None:
        if crop_arcsec is not None:
            raise ConfigError("--crop-arcsec goes with --crop fixed or --crop both.")
        return None
    return CropConfig(mode=mode, fixed_arcsec=crop_arcsec)


def _default_workers() -> int:
    return max(0, min(8, len(os.sched_getaffinity(0)) - 2))


def _summary(manifest: Manifest, report: dict[str, Any]) -> list[str]:
    measured = manifest.measured
    recall = [f"recall@{k} {measured[f'recall_at_{k}']}" for k in (10, 100) if measured[f"recall_at_{k}"] is not None]
    return [
        report["recognised"],
        f"{report['rows']} of {report['positions']} stamps embedded, {len(report['damaged'])} damaged; "
        f"{report['duplicates']} duplicates, {report['flag_star']} stars, {report['flag_masked']} masked, "
        f"{report['flag_partial']} partial, {report['flag_artefact']} artefact-like",
        f"index {manifest.spaces[0].index.kind}: {', '.join([*recall, str(measured['milliseconds_a_query'])])} ms a query",
    ]
