"""A run of ``discovery index``: begin it or go on with it, embed, build, publish."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from discovery.encoder import Encoder
from discovery.errors import ConfigError, SurveyError
from discovery.manifest import MANIFEST_FILE, read_manifest
from discovery.readers import open_survey
from discovery.stamps import Survey
from index.build import build_release
from index.embed import PARTS_FOLDER, embed_survey
from index.plan import RECALL, Plan, explain_difference, make_plan, read_plan
from index.publish import clear_replaced, only_run, publish, put, remove

PLAN_FILE = "plan.json"
CHECKED_AT_A_TIME = 65536
log = logging.getLogger(__name__)


def index_survey(
    surveys: Sequence[Path | str],
    *,
    name: str,
    encoder: Encoder,
    out: Path | str = Path("releases"),
    options: dict[str, Any] | None = None,
    memory_gib: float = 4.0,
    recall: float = RECALL,
    workers: int | None = None,
    rebuild: bool = False,
    shard_positions: int | None = None,
) -> Path:
    """Make (or go on making) the release OUT/NAME; return its folder.

    Parameters
    ----------
    options : dict, optional
        Keywords of `discovery.readers.open_survey`.
    memory_gib : float
        Memory that the search structure may take.
    recall : float
        Recall that the search structure is tuned to.
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
    if not 0 < recall <= 1:
        raise ConfigError(f"--recall is {recall}; give a share above 0 and at most 1.")
    if not surveys:
        raise SurveyError("No survey given: name at least one file or folder.")
    out = Path(out).absolute()
    folder, building = out / name, out / f".{name}.building"
    paths = [Path(path).absolute() for path in surveys]
    survey = open_survey(paths, **{key: value for key, value in (options or {}).items() if value is not None})
    log.info("%s", survey.recognised)
    memory_bytes = int(memory_gib * 2**30)
    plan = make_plan(
        survey, paths, name=name, encoder=encoder, memory_bytes=memory_bytes, recall=recall, shard_positions=shard_positions
    )
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


def _default_workers() -> int:
    return max(0, min(8, len(os.sched_getaffinity(0)) - 2))
