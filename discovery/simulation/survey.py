"""Simulate a whole survey with worker processes."""

from __future__ import annotations

import multiprocessing
import multiprocessing.pool
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tqdm import tqdm

from discovery.errors import ConfigError
from discovery.processes.cores import usable_cores
from discovery.simulation.config import SurveyPlan
from discovery.simulation.files.bricks import BrickTask, plan_bricks
from discovery.simulation.files.hdf5 import StampFiles
from discovery.simulation.targets import Target, draw_targets

if TYPE_CHECKING:
    from discovery.simulation.draw import Drawn

SurveyFormat = Literal["hdf5", "bricks"]
CHUNK = 8
"""Targets a worker takes at once."""

MapFunction = Callable[[Callable, Iterable], Iterator]


def write_survey(
    folder: Path | str,
    plan: SurveyPlan,
    *,
    survey_format: SurveyFormat = "hdf5",
    processes: int | None = None,
    progress: bool = True,
) -> list[Path]:
    """Return the files of stamps, or the tractor catalogues of bricks, of ``plan`` simulated into ``folder``.

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
        When the folder cannot be made, the format is unknown or the number of processes below one.
    """
    folder = Path(folder)
    if processes is not None and processes < 1:
        raise ConfigError(f"{processes} processes cannot simulate anything: give 1 or more")
    if survey_format not in ("hdf5", "bricks"):
        raise ConfigError(f"the survey format {survey_format!r} is unknown: give hdf5 or bricks")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"the folder {folder} cannot be made ({error.strerror}): give another one") from error
    targets = draw_targets(plan)
    bar = tqdm(total=len(targets), desc="simulating", unit=" galaxies", disable=not progress)
    with bar, _workers(processes or usable_cores()) as spread:
        write = _write_hdf5 if survey_format == "hdf5" else _write_bricks
        return write(folder, plan.seed, targets, spread, bar)


def _write_hdf5(folder: Path, seed: int, targets: list[Target], spread: MapFunction, bar: tqdm) -> list[Path]:
    """Draw in the workers, write here."""
    with StampFiles(folder, len(targets)) as files:
        for target, drawn in zip(targets, spread(partial(_draw, seed), targets), strict=True):
            files.write(target, drawn)
            bar.update()
    return files.paths


def _write_bricks(folder: Path, seed: int, targets: list[Target], spread: MapFunction, bar: tqdm) -> list[Path]:
    """Draw and write each brick in one worker: compressing its images costs as much as drawing them."""
    tasks = plan_bricks(folder, seed, targets)
    paths = []
    for task, path in zip(tasks, spread(_write_brick, tasks), strict=True):
        paths.append(path)
        bar.update(len(task.targets))
    return paths


def _draw(seed: int, target: Target) -> Drawn:
    from discovery.simulation.draw import draw_target

    return draw_target(seed, target)


def _write_brick(task: BrickTask) -> Path:
    from discovery.simulation.files.bricks import write_brick

    return write_brick(task)


@contextmanager
def _workers(processes: int) -> Iterator[MapFunction]:
    """Give a ``map`` that keeps the order and runs in this process or in workers.

    The workers come from a fork server that has imported the drawing code once; a plain fork would be
    unsafe beside the threads of torch, a spawn would import it again in each.
    """
    if processes == 1:
        yield map
        return
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["discovery.simulation.draw"])
    with context.Pool(processes) as pool:
        yield partial(_ordered, pool)


def _ordered(pool: multiprocessing.pool.Pool, function: Callable, items: list) -> Iterator:
    chunk = CHUNK if len(items) >= 4 * CHUNK else 1
    return pool.imap(function, items, chunksize=chunk)
