"""``discovery index merge``: check the shards that several jobs made, and finish their release."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

from discovery.encoders.encoder import Precision, load_encoder
from discovery.errors import ConfigError, ReleaseError
from discovery.release.manifest import ENCODER_FOLDER, MANIFEST_FILE
from discovery.storage.locks import only_run
from index.drift.drift import SAMPLE
from index.embed.finished_shards import NAMED, precisions_of, problem_of
from index.plan import Plan, explain_difference, read_plan
from index.run.engine import check_objects, this_machine
from index.run.release import build_release
from index.run.run import PLAN_FILE, Run, planned, put_in_place
from index.run.settings import RunSettings

FLAGS = {
    "pixel_scale_arcsec": "--pixel-scale",
    "survey": "--style",
    "key": "--key",
    "select": "--select",
    "max_mag": "--max-mag",
    "side_pixels": "--side-pixels",
}


def merge_shares(name: str, out: Path | str = Path("releases"), *, drift_sample: int = SAMPLE) -> Path:
    """Finish a release of which `index.run.engine.embed_share` made every shard; return its folder.

    Parameters
    ----------
    drift_sample : int
        In a release that grows: how many objects that the older one holds are embedded again for the drift report.

    Raises
    ------
    ConfigError
        If there is nothing to merge, the survey has changed since, or jobs are still working.
    ReleaseError
        If shards are missing, damaged or of another precision than most: the message names them and the command that
        makes them.
    SurveyError
        If ids of the survey are not unique.
    """
    settings = RunSettings(name=name, out=Path(out))
    folder, building = settings.folder, settings.building
    if not any((building / file).exists() for file in (PLAN_FILE, MANIFEST_FILE)):
        if (folder / MANIFEST_FILE).exists() and not building.exists():
            return folder
        raise ConfigError(f"There is nothing to merge in {building}: embed the survey first, with 'discovery index ... --shard I/N'.")
    with only_run(building):
        if not (building / MANIFEST_FILE).exists():
            run = _begun(settings)
            _check_shards(run)
            check_objects(run)
            build_release(run, {"engine": "shards", **this_machine(run.encoder)}, drift_sample=drift_sample)
        put_in_place(building, folder)
    return folder


def _begun(settings: RunSettings) -> Run:
    """Return the run that the plan describes, if the survey still is what it was."""
    building = settings.building
    old = read_plan(building / PLAN_FILE)
    if old is None:
        raise ConfigError(f"The plan in {building} is of another version of discovery, or damaged: remove the folder and embed again.")
    encoder = load_encoder(building / ENCODER_FOLDER)
    options = {**old.options, "table": old.table or old.options.get("table")}
    settings = replace(
        settings,
        options=options,
        memory_gib=old.memory_bytes / 2**30,
        recall=old.recall,
        shard_positions=old.shard_positions,
        older=Path(old.older) if old.older else None,
    )
    run = planned(old.paths, settings, encoder)
    if not run.plan.same_as(old):
        raise ConfigError(
            f"The survey is not what the shards in {building} were made of (changed: {explain_difference(old, run.plan)}). "
            "Undo the change, or remove that folder and embed again."
        )
    return run


def _check_shards(run: Run) -> None:
    problems = {number: problem_of(run.building, run.plan, number) for number in range(run.plan.shard_count)}
    found = precisions_of(run.building, run.plan, [number for number, problem in problems.items() if problem is None])
    usual = max(found, key=lambda precision: len(found[precision]), default=None)
    for number in [number for precision in found if precision != usual for number in found[precision]]:
        problems[number] = problem_of(run.building, run.plan, number, usual)
    wrong = {number: problem for number, problem in problems.items() if problem is not None}
    if not wrong:
        return
    named = [f"{problem} Make it with: {shard_command(run, number, usual)}" for number, problem in list(wrong.items())[:NAMED]]
    which = "missing or damaged" if len(found) < 2 else "missing, damaged or of another precision"
    raise ReleaseError(
        f"{len(wrong)} of {run.plan.shard_count} shards of {run.plan.name} are {which}, so nothing was merged. "
        + " ".join(named)
        + (f" And {len(wrong) - NAMED} more." if len(wrong) > NAMED else "")
        + f" Or run the whole array of jobs again{'' if usual is None else f' with --precision {usual}'}: it makes only these."
    )


def shard_command(run: Run, number: int, precision: Precision | None) -> str:
    """Return the command that makes one shard of a run."""
    plan = run.plan
    parts = ["discovery", "index", *plan.paths, "--name", plan.name, "--out", str(run.folder.parent)]
    parts += ["--encoder", str(run.building / ENCODER_FOLDER), "--memory", repr(plan.memory_bytes / 2**30)]
    parts += ["--recall", repr(plan.recall), *_survey_flags(plan)]
    parts += ["--add", plan.older] if plan.older else []
    parts += [] if precision is None else ["--precision", precision]
    parts += ["--shard", f"{number}/{plan.shard_count}"]
    return shlex.join(parts)


def _survey_flags(plan: Plan) -> list[str]:
    flags = [] if plan.table is None else ["--table", plan.table]
    for option, flag in FLAGS.items():
        if plan.options.get(option) is not None:
            flags += [flag, str(plan.options[option])]
    return flags
