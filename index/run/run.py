"""A release to be made: what it is made of, and the folder that it is built in.

The work lies in the folder ``.NAME.building`` beside the release to be: the plan, the encoder, finished shards with
their records. Any number of processes, on any number of machines that share the folder, may make shards there
(`index.run.engine.embed_share`, or Ray's workers); one of them or another one builds the release.
"""

from __future__ import annotations

import copy
import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from discovery.encoders.encoder import Encoder, Precision, load_encoder
from discovery.errors import ConfigError, EncoderMismatch, SurveyError
from discovery.readers import open_survey
from discovery.release.manifest import MANIFEST_FILE
from discovery.release.manifest_file import read_manifest
from discovery.release.release import Release, open_release
from discovery.stamps.stamp import Survey
from discovery.storage.atomic import clear_unfinished, put_first, remove, replace_folder
from discovery.storage.locks import LOCK_FILE
from index.embed.finished_shards import RECORDS_FOLDER
from index.grow.newcomers import Newcomers, find_newcomers
from index.plan import Plan, explain_difference, make_plan, read_plan
from index.run.settings import RunSettings

PLAN_FILE = "plan.json"
log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """A release to be made.

    Attributes
    ----------
    folder, building : Path
        Where it will be, and where it is built.
    plan : Plan
        All that decides its bytes.
    survey : Survey
        What is embedded; in a release that grows, the objects that are new.
    encoder : Encoder
        By which.
    newcomers : Newcomers or None
        What a release grows from, and which objects of its survey are new there.
    """

    folder: Path
    building: Path
    plan: Plan
    survey: Survey
    encoder: Encoder
    newcomers: Newcomers | None = None

    @property
    def older(self) -> Release | None:
        """The release that this one grows from."""
        return None if self.newcomers is None else self.newcomers.older


def planned(surveys: Sequence[Path | str], settings: RunSettings, encoder: Encoder | None = None) -> Run:
    """Return what a run will do: the survey opened, and what is new in it found.

    What a half-built release knows of the survey is taken from there.

    Parameters
    ----------
    encoder : Encoder, optional
        By default the older release's own, or the one that comes with the program.

    Raises
    ------
    EncoderMismatch
        If the older release was made by another encoder.
    ReleaseError
        If the older release is missing or damaged.
    SurveyError
        If the survey cannot be read.
    """
    if not surveys:
        raise SurveyError("No survey given: name at least one file or folder.")
    older = None if settings.older is None else open_release(settings.older)
    encoder = in_precision(_encoder(older, encoder), settings.precision)
    paths = [Path(path).absolute() for path in surveys]
    begun = read_plan(settings.building / PLAN_FILE) if (settings.building / PLAN_FILE).exists() and not settings.rebuild else None
    given = {key: value for key, value in settings.options.items() if value is not None}
    shard_positions = settings.shard_positions
    if begun is not None and begun.paths == tuple(str(path) for path in paths):
        given = {"ids": begun.options.get("ids"), **given}  # spares every job to find out how ids become unique
        shard_positions = shard_positions or begun.shard_positions
    survey = open_survey(paths, **given)
    log.info("%s", survey.recognised)
    plan = make_plan(
        survey,
        paths,
        name=settings.name,
        encoder=encoder,
        memory_bytes=int(settings.memory_gib * 2**30),
        recall=settings.recall,
        shard_positions=shard_positions,
    )
    if older is None:
        return Run(folder=settings.folder, building=settings.building, plan=plan, survey=survey, encoder=encoder)
    newcomers = find_newcomers(survey, older)
    plan = _grown(plan, newcomers)
    return Run(folder=settings.folder, building=settings.building, plan=plan, survey=newcomers.new, encoder=encoder, newcomers=newcomers)


def in_precision(encoder: Encoder, precision: Precision | None) -> Encoder:
    """Return the encoder that computes in a precision (the same network); as it is where none is given."""
    if precision is None:
        return encoder
    encoder = copy.copy(encoder)
    encoder.precision = precision
    return encoder


def begin(run: Run, rebuild: bool) -> None:
    """Make the building folder ready: empty for a new run, as it was for one that goes on."""
    clear_unfinished(run.building)
    if (run.building / MANIFEST_FILE).exists():
        going_on = read_manifest(run.building).plan == run.plan.fingerprint
    else:
        going_on = (run.building / PLAN_FILE).exists() and is_same_plan(run, rebuild)
    if going_on:
        log.info("Going on with the half-built release in %s.", run.building)
        return
    for old in run.building.iterdir():
        if old.name != LOCK_FILE:
            remove(old)
    put_plan(run)


def put_plan(run: Run) -> None:
    """Write the plan, if no other process has: it is the same for all."""
    put_first(run.building / PLAN_FILE, lambda beside: beside.write_bytes(msgspec.json.encode(run.plan)))


def is_to_be_made(run: Run, rebuild: bool) -> bool:
    """Return whether a finished release has to be made again; False where it is what is wanted.

    Raises
    ------
    ConfigError
        If it was made of other inputs, or is no release.
    """
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


def is_built(run: Run) -> bool:
    """Return whether all but putting the release in place is done, as after a merge that was killed.

    Raises
    ------
    ConfigError
        If what is built there is another release.
    """
    if not (run.building / MANIFEST_FILE).exists():
        return False
    if read_manifest(run.building).plan != run.plan.fingerprint:
        raise ConfigError(
            f"{run.building} holds a release of other inputs that is all but in place: 'discovery index merge' puts it there. "
            "Choose another --name for this one."
        )
    return True


def is_same_plan(run: Run, rebuild: bool = False) -> bool:
    """Return whether the half-built release there is this one.

    Raises
    ------
    ConfigError
        If it is not, and is not to be dropped.
    """
    old = read_plan(run.building / PLAN_FILE)
    if not run.plan.same_as(old) and not rebuild:
        raise ConfigError(
            f"{run.building} holds a half-built release of other inputs (changed: {explain_difference(old, run.plan)}). "
            "Undo the change to go on, choose another --name, or add --rebuild to start over."
        )
    return run.plan.same_as(old)


def put_in_place(building: Path, folder: Path) -> None:
    """Put a built release in its place; the caller holds the building folder, in which plan and records may be gone after a kill."""
    clear_unfinished(building)
    for leftover in (RECORDS_FOLDER, PLAN_FILE, LOCK_FILE):
        remove(building / leftover)
    replace_folder(building, folder)


def _encoder(older: Release | None, encoder: Encoder | None) -> Encoder:
    if older is None or encoder is None:
        return encoder or (load_encoder() if older is None else older.encoder())
    if encoder.checksum != older.encoder_checksum:
        raise EncoderMismatch(
            f"Release {older.name} was made by encoder {older.manifest.image.encoder.name}, of another checksum (or crop) than this one: "
            "leave --encoder and --crop out, or index the new survey on its own and move hunts with 'discovery hunt move'."
        )
    return encoder


def _grown(plan: Plan, newcomers: Newcomers) -> Plan:
    """Return the plan of the new objects alone, which also holds what the release grows from."""
    older = newcomers.older
    matched = hashlib.sha256(newcomers.new.positions.tobytes() + newcomers.matches.taken.tobytes()).hexdigest()
    return msgspec.structs.replace(
        plan,
        positions=len(newcomers.new),
        grown_from=f"{older.name} {older.manifest.plan} {older.count} {matched}",
        first_shard=len(older.manifest.image.shards),
        older=str(older.path),
    )
