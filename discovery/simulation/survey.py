"""Simulate a whole survey with worker processes; the parent writes."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Literal

from tqdm import tqdm

from discovery.errors import ConfigError
from discovery.simulation.config import SurveyPlan
from discovery.simulation.draw import Drawn, draw_target
from discovery.simulation.hdf5 import StampFiles
from discovery.simulation.targets import Target, draw_targets

SurveyFormat = Literal["hdf5", "bricks"]
CHUNK = 8
"""Targets a worker takes at once."""


def write_survey(
    folder: Path | str,
    plan: SurveyPlan,
    *,
    survey_format: SurveyFormat = "hdf5",
    processes: int | None = None,
    progress: bool = True,
) -> list[Path]:
    """Simulate ``plan`` into ``folder`` and return the files of stamps, or the region folder of bricks.

    Parameters
    ----------
    folder
        Made when missing. Files of the same names are replaced.
    survey_format
        ``hdf5``: the ssl-legacysurvey layout. ``bricks``: the same sky as Legacy Survey bricks.
    processes
        Worker processes; by default one a usable core. What is written does not depend on it.
    progress
        Show a bar on standard error.

    Raises
    ------
    ConfigError
        When the folder cannot be made, or the number of processes is below one.
    """
    folder = Path(folder)
    if processes is not None and processes < 1:
        raise ConfigError(f"{processes} processes cannot simulate anything: give 1 or more")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"the folder {folder} cannot be made ({error.strerror}): give another one") from error
    targets = draw_targets(plan)
    workers = processes or len(os.sched_getaffinity(0))
    bar = tqdm(total=len(targets), desc="simulating", unit=" galaxies", disable=not progress)
    with bar, StampFiles(folder, len(targets)) as files:
        for target, drawn in _draw_all(plan.seed, targets, workers):
            files.write([(target, drawn)])
            bar.update()
    return files.paths


def _draw_all(seed: int, targets: list[Target], workers: int) -> Iterator[tuple[Target, Drawn]]:
    """Draw the targets, in their order."""
    draw = partial(draw_target, seed)
    if workers == 1:
        yield from zip(targets, map(draw, targets), strict=True)
        return
    with multiprocessing.get_context("spawn").Pool(workers, initializer=_one_thread) as pool:
        yield from zip(targets, pool.imap(draw, targets, chunksize=CHUNK), strict=True)


def _one_thread() -> None:
    """Keep each worker on one core."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
