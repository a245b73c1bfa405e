"""A run of ``discovery index``: begin it or go on with it, embed, build, publish.

The work stands in the folder ``.NAME.building`` beside the release to be: the plan, the encoder, finished shards
with their parts. Any number of processes, on any number of machines that share the folder, may make shards there
(`embed_share`, or Ray's workers); one of them or another one builds the release (`finish`).
"""

from __future__ import annotations

import copy
import logging
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from discovery.encoders.encoder import Encoder, Precision
from discovery.errors import ConfigError, SurveyError
from discovery.processes.cores import default_workers, usable_cores
from discovery.readers import open_survey
from discovery.release.manifest import ENCODER_FOLDER, MANIFEST_FILE, read_manifest
from discovery.stamps.stamp import Survey
from discovery.storage.atomic import clear_replaced, clear_unfinished, put_first, remove, replace_folder
from discovery.storage.locks import LOCK_FILE, only_run
from index.catalogue.ids import check_ids
from index.embed.parts import PARTS_FOLDER
from index.embed.shards import embed_survey
from index.plan import RECALL, Plan, explain_difference, make_plan, read_plan
from index.run.build import build_release

PLAN_FILE = "plan.json"
Engine = Literal["local", "ray"]
log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Run:
    """A release to be made.

    Attributes
    ----------
    folder, building : Path
        Where it will be, and where it is built.
    """

    folder: Path
    building: Path
    plan: Plan
    survey: Survey


@dataclass(frozen=True, kw_only=True)
class Share:
    """The shards number, number + of, number + 2 of ..., of a run that is split into ``of`` jobs."""

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Share:
        """Read ``I/N``, I from 0 to N - 1.

        Raises
        ------
        ConfigError
            If it is not that.
        """
        found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
        if not found or int(found[1]) >= int(found[2]):
            raise ConfigError(f"--shard {text}: give I/N with I from 0 to N - 1, such as 0/100 to 99/100.")
        return cls(number=int(found[1]), of=int(found[2]))


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
    engine: Engine = "local",
    address: str | None = None,
    precision: Precision | None = None,
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
    workers : int, optional
        Processes that read stamps; on Ray, processes that embed.
    shard_positions : int, optional
        Survey positions a shard; from the survey's size by default.
    engine : {"local", "ray"}
        Where shards are embedded: in this process, or on a Ray cluster.
    address : str, optional
        Of the cluster; without it Ray starts one of this machine alone.
    precision : {"float32", "bfloat16"}, optional
        What to compute in: finished shards of another one are made again. By default the encoder's own, on Ray that of
        the workers, and shards of another one are an error.

    Raises
    ------
    ConfigError
        If an option is wrong, or a release or a half-built one of that name was made of other inputs.
    SurveyError
        If the survey cannot be read or holds no usable stamp.
    """
    check_options(name, memory_gib, recall, workers, shard_positions, engine, address)
    encoder = in_precision(encoder, precision)
    run = planned(surveys, name, Path(out), options, encoder, memory_gib, recall, shard_positions, rebuild)
    if run.folder.exists() and not is_to_be_made(run, rebuild):
        clear_replaced(run.folder)
        return run.folder
    run.building.mkdir(parents=True, exist_ok=True)
    with only_run(run.building):
        begin(run, rebuild)
        if not (run.building / MANIFEST_FILE).exists():
            check_ids(run.survey)
            measured = _embed(run, encoder, workers, engine, address, precision)
            build_release(run.building, run.folder, run.plan, run.survey, encoder, measured)
        finish(run)
    return run.folder


def embed_share(
    surveys: Sequence[Path | str],
    share: Share,
    *,
    name: str,
    encoder: Encoder,
    out: Path | str = Path("releases"),
    options: dict[str, Any] | None = None,
    memory_gib: float = 4.0,
    recall: float = RECALL,
    workers: int | None = None,
    shard_positions: int | None = None,
    precision: Precision | None = None,
) -> tuple[int, int]:
    """Make a share of the shards of the release OUT/NAME, beside other processes; `index.run.merge` finishes it.

    The first process writes the plan and the encoder, which are the same for all.

    Returns
    -------
    shards, embedded : int
        Shards of the share (all there now), and stamps that were embedded by this call.

    Raises
    ------
    ConfigError
        As `index_survey`, or if a run of the whole survey is working there.
    """
    check_options(name, memory_gib, recall, workers, shard_positions)
    encoder = in_precision(encoder, precision)
    run = planned(surveys, name, Path(out), options, encoder, memory_gib, recall, shard_positions)
    numbers = range(share.number, run.plan.shard_count, share.of)
    if run.folder.exists() and not is_to_be_made(run, rebuild=False):
        return len(numbers), 0
    run.building.mkdir(parents=True, exist_ok=True)
    with only_run(run.building, shared=True):
        if _is_built(run):
            return len(numbers), 0
        put_first(run.building / PLAN_FILE, lambda beside: beside.write_bytes(msgspec.json.encode(run.plan)))
        _is_same_plan(run, rebuild=False)
        put_first(run.building / ENCODER_FOLDER, encoder.save)
        workers = default_workers() if workers is None else workers
        return len(numbers), embed_survey(run.building, run.plan, run.survey, encoder, workers, numbers, precision)


def planned(
    surveys: Sequence[Path | str],
    name: str,
    out: Path,
    options: dict[str, Any] | None,
    encoder: Encoder,
    memory_gib: float,
    recall: float,
    shard_positions: int | None,
    rebuild: bool = False,
) -> Run:
    """Open the survey and fix what a run will do; what a half-built release knows of the survey is taken from there."""
    if not surveys:
        raise SurveyError("No survey given: name at least one file or folder.")
    folder, building = out.absolute() / name, building_folder(out, name)
    paths = [Path(path).absolute() for path in surveys]
    begun = read_plan(building / PLAN_FILE) if (building / PLAN_FILE).exists() and not rebuild else None
    given = {key: value for key, value in (options or {}).items() if value is not None}
    if begun is not None and begun.paths == tuple(str(path) for path in paths):
        given = {"ids": begun.options.get("ids"), **given}  # spares every job to find out how ids become unique
        shard_positions = shard_positions or begun.shard_positions
    survey = open_survey(paths, **given)
    log.info("%s", survey.recognised)
    plan = make_plan(
        survey,
        paths,
        name=name,
        encoder=encoder,
        memory_bytes=int(memory_gib * 2**30),
        recall=recall,
        shard_positions=shard_positions,
    )
    return Run(folder=folder, building=building, plan=plan, survey=survey)


def building_folder(out: Path, name: str) -> Path:
    """Return where a release is built."""
    return out.absolute() / f".{name}.building"


def finish(run: Run) -> None:
    """Put a built release in its place; the caller holds the building folder."""
    put_in_place(run.building, run.folder)


def put_in_place(building: Path, folder: Path) -> None:
    """As `finish`, by the two folders alone: after a kill the plan and the parts may be gone."""
    clear_unfinished(building)
    for leftover in (PARTS_FOLDER, PLAN_FILE, LOCK_FILE):
        remove(building / leftover)
    replace_folder(building, folder)


def in_precision(encoder: Encoder, precision: Precision | None) -> Encoder:
    """Return the encoder that computes in a precision (the same network); as it is where nobody says one."""
    if precision is None:
        return encoder
    encoder = copy.copy(encoder)
    encoder.precision = precision
    return encoder


def machine_told(encoder: Encoder) -> dict[str, Any]:
    """Return what a manifest says of where it was made."""
    return {
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "device": str(encoder.device),
        "precision": encoder.precision,
        "cores": usable_cores(),
    }


def _embed(
    run: Run, encoder: Encoder, workers: int | None, engine: Engine, address: str | None, precision: Precision | None
) -> dict[str, Any]:
    start = time.perf_counter()
    if engine == "ray":
        from index.embed.cluster import embed_on_cluster

        put_first(run.building / ENCODER_FOLDER, encoder.save)
        embedded = embed_on_cluster(run.building, run.plan, run.survey, encoder, address, workers, precision)
    else:
        workers = default_workers() if workers is None else workers
        embedded = embed_survey(run.building, run.plan, run.survey, encoder, workers, precision=precision)
    seconds = time.perf_counter() - start
    return {
        "embedded_in_last_run": embedded,
        "stamps_a_second": round(embedded / seconds, 1) if embedded else None,
        "engine": engine,
        "workers": workers,
        **machine_told(encoder),
    }


def is_to_be_made(run: Run, rebuild: bool) -> bool:
    """Return whether a finished release has to be made again; False where it is what was asked for."""
    folder = run.folder
    if not (folder / MANIFEST_FILE).exists():
        raise ConfigError(f"{folder} exists and is no release; choose another --name or --out.")
    if rebuild:
        return True
    if read_manifest(folder).plan == run.plan.fingerprint:
        log.info("Release %s is already there, made of the same inputs.", folder)
        return False
    raise ConfigError(
        f"Release {folder} was made of other inputs (survey files, options or encoder changed): "
        "choose another --name, or add --rebuild to replace it."
    )


def begin(run: Run, rebuild: bool) -> None:
    """Make the folder ready: empty for a new run, as it was for one that goes on."""
    clear_unfinished(run.building)
    if (run.building / MANIFEST_FILE).exists():
        going_on = read_manifest(run.building).plan == run.plan.fingerprint
    else:
        going_on = (run.building / PLAN_FILE).exists() and _is_same_plan(run, rebuild)
    if going_on:
        log.info("Going on with the half-built release in %s.", run.building)
        return
    for old in run.building.iterdir():
        if old.name != LOCK_FILE:
            remove(old)
    put_first(run.building / PLAN_FILE, lambda beside: beside.write_bytes(msgspec.json.encode(run.plan)))


def _is_built(run: Run) -> bool:
    """Return whether all but putting the release in place is done, as after a merge that was killed."""
    if not (run.building / MANIFEST_FILE).exists():
        return False
    if read_manifest(run.building).plan != run.plan.fingerprint:
        raise ConfigError(
            f"{run.building} holds a release of other inputs that is all but in place: 'discovery index merge' puts it there. "
            "Choose another --name for this one."
        )
    return True


def _is_same_plan(run: Run, rebuild: bool) -> bool:
    old = read_plan(run.building / PLAN_FILE)
    if old != run.plan and not rebuild:
        raise ConfigError(
            f"{run.building} holds a half-built release of other inputs (changed: {explain_difference(old, run.plan)}). "
            "Undo the change to go on, choose another --name, or add --rebuild to start over."
        )
    return old == run.plan


def check_options(
    name: str,
    memory_gib: float,
    recall: float,
    workers: int | None,
    shard_positions: int | None,
    engine: Engine = "local",
    address: str | None = None,
) -> None:
    """Raise ConfigError unless the options of a run make sense."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        raise ConfigError(f"'{name}' is no name for a release: use letters, digits, '.', '_' and '-'.")
    if memory_gib <= 0 or (workers is not None and workers < 0) or (shard_positions is not None and shard_positions < 1):
        raise ConfigError("--memory must be positive and --workers not negative.")
    if not 0 < recall <= 1:
        raise ConfigError(f"--recall is {recall}; give a share above 0 and at most 1.")
    if address is not None and engine != "ray":
        raise ConfigError("--address names a Ray cluster: it goes with --engine ray.")
