"""A run of ``discovery index``: begin it or go on with it, embed, build, put in place.

A fresh release and one that grows from an older one are made alike: what is embedded is the survey, or what is new in
it, and becomes one segment; the older release's segments, if any, stand before it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from discovery.encoders.encoder import Encoder, Precision
from discovery.processes.cores import default_workers, usable_cores
from discovery.release.manifest import ENCODER_FOLDER, MANIFEST_FILE
from discovery.storage.atomic import clear_replaced, put_first
from discovery.storage.locks import only_run
from index.catalogue.ids import check_ids
from index.drift.drift import SAMPLE
from index.embed.shards import embed_survey
from index.plan import RECALL
from index.run.release import build_release
from index.run.run import Run, begin, is_built, is_same_plan, is_to_be_made, planned, put_in_place, put_plan
from index.run.settings import Engine, RunSettings, Share


def index_survey(
    surveys: Sequence[Path | str],
    *,
    name: str,
    encoder: Encoder | None = None,
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
    add: Path | str | None = None,
    drift_sample: int = SAMPLE,
) -> Path:
    """Make (or go on making) the release OUT/NAME; return its folder.

    With ``add`` it has all rows of an older release, and behind them what is new. An object is known when its object_id
    is in the older release, unless both positions are known and lie more than 1 arcsec apart (then it is another object,
    and the new one's id gets ``@NAME`` behind it), or when it lies within 1 arcsec of one there. The older release stays
    as it is.

    Parameters
    ----------
    surveys : sequence of Path
        Files or folders of stamps.
    encoder : Encoder, optional
        By default the one that comes with the program; with ``add``, necessarily, the older release's own.
    name, out, options, memory_gib, recall, workers, rebuild, shard_positions, engine, address, precision, drift_sample
        As in `index.run.settings.RunSettings`.
    add : Path, optional
        The older release that this one grows from.

    Raises
    ------
    ConfigError
        If an option is wrong, a release or a half-built one of that name was made of other inputs, or nothing is new.
    EncoderMismatch
        If the encoder is not the one that made the older release.
    ReleaseError
        If the older release is damaged.
    SurveyError
        If the survey cannot be read or holds no usable stamp, or an object_id would stand in the release twice.
    """
    settings = RunSettings(
        name=name,
        out=Path(out),
        options=options or {},
        memory_gib=memory_gib,
        recall=recall,
        workers=workers,
        rebuild=rebuild,
        shard_positions=shard_positions,
        engine=engine,
        address=address,
        precision=precision,
        older=None if add is None else Path(add),
        drift_sample=drift_sample,
    )
    return make_release(surveys, settings, encoder)


def make_release(surveys: Sequence[Path | str], settings: RunSettings, encoder: Encoder | None = None) -> Path:
    """Make (or go on making) a release; return its folder. See `index_survey`."""
    run = planned(surveys, settings, encoder)
    if run.folder.exists() and not is_to_be_made(run, settings.rebuild):
        clear_replaced(run.folder)
        return run.folder
    if not (run.building / MANIFEST_FILE).exists():
        check_objects(run)
    run.building.mkdir(parents=True, exist_ok=True)
    with only_run(run.building):
        begin(run, settings.rebuild)
        if not (run.building / MANIFEST_FILE).exists():
            build_release(run, _embed(run, settings), drift_sample=settings.drift_sample)
        put_in_place(run.building, run.folder)
    return run.folder


def embed_share(
    surveys: Sequence[Path | str], share: Share, settings: RunSettings, encoder: Encoder | None = None
) -> tuple[int, int]:
    """Make a share of the shards of a release, beside other such jobs; `index.run.merge` finishes it.

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
    run = planned(surveys, settings, encoder)
    numbers = range(share.number, run.plan.shard_count, share.of)
    if run.folder.exists() and not is_to_be_made(run, rebuild=False):
        return len(numbers), 0
    if run.newcomers is not None:
        run.newcomers.check(settings.name)
    run.building.mkdir(parents=True, exist_ok=True)
    with only_run(run.building, shared=True):
        if is_built(run):
            return len(numbers), 0
        put_plan(run)
        is_same_plan(run)
        put_first(run.building / ENCODER_FOLDER, run.encoder.save)
        workers = default_workers() if settings.workers is None else settings.workers
        return len(numbers), embed_survey(run.building, run.plan, run.survey, run.encoder, workers, numbers, settings.precision)


def check_objects(run: Run) -> None:
    """Check that no two rows will have one object_id, and that a release that grows has something new.

    Raises
    ------
    ConfigError
        If nothing is new.
    SurveyError
        If an object_id would stand in the release twice.
    """
    if run.newcomers is None:
        check_ids(run.survey)
    else:
        run.newcomers.check(run.plan.name)
        check_ids(run.newcomers.survey)


def this_machine(encoder: Encoder) -> dict[str, Any]:
    """Return what a manifest says of where and when it was made."""
    return {
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "device": str(encoder.device),
        "precision": encoder.precision,
        "cores": usable_cores(),
    }


def _embed(run: Run, settings: RunSettings) -> dict[str, Any]:
    """Make the shards that are missing; return what was measured."""
    start, workers = time.perf_counter(), settings.workers
    if settings.engine == "ray":
        from index.embed.cluster import embed_on_cluster

        put_first(run.building / ENCODER_FOLDER, run.encoder.save)
        embedded = embed_on_cluster(run.building, run.plan, run.survey, run.encoder, settings.address, workers, settings.precision)
    else:
        workers = default_workers() if workers is None else workers
        embedded = embed_survey(run.building, run.plan, run.survey, run.encoder, workers, precision=settings.precision)
    seconds = time.perf_counter() - start
    return {
        "embedded_in_last_run": embedded,
        "stamps_a_second": round(embedded / seconds, 1) if embedded else None,
        "engine": settings.engine,
        "workers": workers,
        **this_machine(run.encoder),
    }
