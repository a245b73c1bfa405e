"""``discovery index --add``: a newer release of the same survey grows from an older one.

Objects that the older release holds keep their rows and embeddings; only the others are embedded. Of the known objects a
seeded sample is embedded again from the new stamps, and compared.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from discovery.encoders.encoder import Encoder, Precision
from discovery.errors import ConfigError, EncoderMismatch, SurveyError
from discovery.processes.cores import default_workers
from discovery.release.manifest import MANIFEST_FILE
from discovery.release.release import Release, open_release
from discovery.sky.crossmatch import BY_ID, Matches, match_objects, rows_named
from discovery.stamps.stamp import Survey
from discovery.storage.atomic import clear_replaced, remove
from discovery.storage.locks import only_run
from index.catalogue.columns import sky_positions
from index.catalogue.ids import check_ids
from index.drift.drift import SAMPLE, SEED
from index.embed.selected_positions import SelectedSurvey
from index.embed.shards import embed_survey
from index.grow.release import NEW_FOLDER, build_grown, made_names, suffix_of
from index.plan import RECALL
from index.run.engine import (
    Run,
    begin,
    check_options,
    finish,
    is_to_be_made,
    machine_told,
    planned,
)

READ_AT_ONCE = 65_536
log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, eq=False)
class Newcomers:
    """Which objects of a survey an older release holds.

    Attributes
    ----------
    survey : Survey
        The new survey.
    matches : Matches
        Where the object at each of its positions is in the older release.
    """

    survey: Survey
    matches: Matches

    @cached_property
    def new(self) -> SelectedSurvey:
        """The objects that are not there."""
        return SelectedSurvey(self.survey, np.flatnonzero(self.matches.rows < 0))

    @property
    def renamed(self) -> np.ndarray:
        """Which of the new objects have an object_id that is another object's in the older release: (n,) bool."""
        return self.matches.taken[self.new.positions]

    @property
    def told(self) -> dict[str, Any]:
        """What the report says."""
        known = self.matches.rows >= 0
        by_id = int(np.count_nonzero(self.matches.by == BY_ID))
        return {
            "positions": len(self.survey),
            "known_by_object_id": by_id,
            "known_by_position": int(np.count_nonzero(known)) - by_id,
            "renamed": int(np.count_nonzero(self.renamed)),
        }

    def sample(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Draw at most ``count`` known objects: their positions in the survey, ascending, and rows of the older release."""
        known = np.flatnonzero(self.matches.rows >= 0)
        positions = np.sort(np.random.default_rng(SEED).permutation(known)[:count])
        return positions, self.matches.rows[positions]


def add_release(
    surveys: Sequence[Path | str],
    *,
    old: Path | str,
    name: str,
    encoder: Encoder | None = None,
    out: Path | str = Path("releases"),
    options: dict[str, Any] | None = None,
    memory_gib: float = 4.0,
    recall: float = RECALL,
    workers: int | None = None,
    rebuild: bool = False,
    shard_positions: int | None = None,
    drift_sample: int = SAMPLE,
    precision: Precision | None = None,
) -> Path:
    """Make (or go on making) the release OUT/NAME: all rows of an older release, and behind them what is new; return its folder.

    An object is known when its object_id is in the older release, unless both positions are known and lie more than 1
    arcsec apart (then it is another object, and the new one's id gets ``@NAME`` behind it), or when it lies within 1
    arcsec of one there. The older release stays as it is.

    Parameters
    ----------
    surveys : sequence of Path
        Files or folders of the newer data release, of which objects may be known or new.
    old : Path
        The older release.
    encoder : Encoder, optional
        By default, and necessarily, the older release's own.
    options, memory_gib, recall, workers, rebuild, shard_positions
        As in `index.run.engine.index_survey`.
    drift_sample : int
        How many known objects are embedded again for the drift report; 0 for none.
    precision : str, optional
        Shards of a half-built release that were computed in another one are made again; by default that is an error.

    Raises
    ------
    ConfigError
        As `index.run.engine.index_survey`, if nothing is new, or the older release is in the way.
    EncoderMismatch
        If the encoder is not the one that made the older release.
    ReleaseError
        If the older release is damaged.
    SurveyError
        If the survey cannot be read, or an object_id would stand in the release twice.
    """
    check_options(name, memory_gib, recall, workers, shard_positions)
    if drift_sample < 0:
        raise ConfigError(f"A drift sample of {drift_sample} cannot be drawn; give 0 or more.")
    older = open_release(old)
    if older.path == (Path(out) / name).resolve():
        raise ConfigError(f"The grown release would replace {older.path}, which it grows from: choose another --name.")
    encoder = _same_encoder(older, encoder)
    run = planned(surveys, name, Path(out), options, encoder, memory_gib, recall, shard_positions, rebuild)
    newcomers = Newcomers(survey=run.survey, matches=_matched(run.survey, older))
    run = _grown_run(run, older, newcomers)
    if run.folder.exists() and not is_to_be_made(run, rebuild):
        clear_replaced(run.folder)
        return run.folder
    if not (run.building / MANIFEST_FILE).exists():
        _check(name, older, newcomers)
    run.building.mkdir(parents=True, exist_ok=True)
    with only_run(run.building):
        begin(run, rebuild)
        if not (run.building / MANIFEST_FILE).exists():
            workers = default_workers() if workers is None else workers
            _make(run, older, newcomers, encoder, workers, drift_sample, precision)
        remove(run.building / NEW_FOLDER)
        finish(run)
    return run.folder


def _check(name: str, old: Release, newcomers: Newcomers) -> None:
    """Check what can be checked before a folder is made: there are new objects, and no two rows will have one object_id."""
    if len(newcomers.new) == 0:
        raise ConfigError(
            f"Release {old.name} holds all {len(newcomers.survey)} objects of these files: nothing is new. To compare the stamps, "
            "index the files on their own and run 'discovery index drift'."
        )
    check_ids(newcomers.survey)
    renamed = SelectedSurvey(newcomers.survey, newcomers.new.positions[newcomers.renamed])
    if len(renamed):
        made = pa.chunked_array(
            made_names(renamed.table(at, at + READ_AT_ONCE)["object_id"], suffix_of(name)).combine_chunks()
            for at in range(0, len(renamed), READ_AT_ONCE)
        )
        taken = np.flatnonzero(rows_named(old.catalogue, made) >= 0)
        if len(taken):
            raise SurveyError(f"Object id {made[int(taken[0])]} is in release {old.name} already: choose another --name.")


def _make(
    run: Run, old: Release, newcomers: Newcomers, encoder: Encoder, workers: int, drift_sample: int, precision: Precision | None
) -> None:
    start = time.perf_counter()
    embedded = embed_survey(run.building / NEW_FOLDER, run.plan, run.survey, encoder, workers, precision=precision)
    seconds = time.perf_counter() - start
    measured = {
        "embedded_in_last_run": embedded,
        "stamps_a_second": round(embedded / seconds, 1) if embedded else None,
        "engine": "local",
        "workers": workers,
        **machine_told(encoder),
    }
    build_grown(
        run,
        old,
        newcomers.new,
        encoder,
        renamed=newcomers.renamed,
        sample=newcomers.sample(drift_sample),
        told=newcomers.told,
        measured=measured,
    )


def _same_encoder(old: Release, encoder: Encoder | None) -> Encoder:
    if encoder is None:
        return old.encoder()
    if encoder.checksum != old.encoder_checksum:
        raise EncoderMismatch(
            f"Release {old.name} was made by encoder {old.manifest.spaces[0].encoder.name}, of another checksum (or crop) than this one: "
            "leave --encoder and --crop out, or index the new survey on its own and move hunts with 'discovery hunt move'."
        )
    return encoder


def _matched(survey: Survey, old: Release) -> Matches:
    """Find every object of the survey in the older release; some 100 bytes an object."""
    names: list[pa.Array] = []
    places = [np.empty((2, 0))]
    for start in range(0, len(survey), READ_AT_ONCE):
        came = survey.table(start, min(start + READ_AT_ONCE, len(survey)))
        names += came["object_id"].cast(pa.large_string()).chunks
        places.append(np.stack(sky_positions(came)))
    ra, dec = np.concatenate(places, axis=1)
    return match_objects(old.catalogue, pa.chunked_array(names, pa.large_string()), ra, dec)


def _grown_run(run: Run, old: Release, newcomers: Newcomers) -> Run:
    """Return the run that embeds the new objects alone; its plan also holds what it grows from."""
    matched = hashlib.sha256(newcomers.new.positions.tobytes() + newcomers.matches.taken.tobytes()).hexdigest()
    plan = msgspec.structs.replace(
        run.plan, positions=len(newcomers.new), grown_from=f"{old.name} {old.manifest.plan} {old.count} {matched}"
    )
    return Run(folder=run.folder, building=run.building, plan=plan, survey=newcomers.new)


