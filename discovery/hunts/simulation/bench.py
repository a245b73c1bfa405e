"""A bench: data sets x strategies from a TOML file, one JSON, one Markdown page, one picture a data set.

::

    strategies = ["alpha:0.5", "top", "linear"]   # settings of all sets; each may have its own
    examples = [5]
    rounds = 10
    page_size = 10
    seeds = 10

    [[sets]]
    name = "mergers-2"
    release = "releases/large"          # or npz = "sets/mergers.npz"; paths are relative to the file
    truth = "truth_class=merger"
    prevalence = 0.02
    objects = 25000
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from discovery.errors import HuntError
from discovery.hunts.simulation.report import check_folder, draw_curves, page
from discovery.hunts.simulation.sets import HuntSet, read_set, resampled, set_of_release
from discovery.hunts.simulation.simulator import Simulation, SimulationConfig, check_size, simulate

_NAME = re.compile(r"[\w][\w.-]*")


class BenchSet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One data set: where it comes from, and settings of its own.

    Attributes
    ----------
    release, npz : str or None
        One of them: a release folder with ``truth`` (``where``, ``kind``, ``lookalikes``: see `set_of_release`), or a file
        that `write_set` wrote.
    prevalence, objects, draw : float, int, int
        Draw targets and others at this share, so many objects, with this seed; see `resampled`.
    """

    name: str
    release: str | None = None
    npz: str | None = None
    truth: str | None = None
    where: str | None = None
    kind: str | None = None
    lookalikes: str | None = None
    prevalence: float | None = None
    objects: int | None = None
    draw: int = 0
    strategies: tuple[str, ...] | None = None
    alpha: float | None = None
    examples: tuple[int, ...] | None = None
    negative_examples: int | None = None
    rounds: int | None = None
    page_size: int | None = None
    noise: float | None = None
    seeds: int | None = None
    named_negatives: bool | None = None
    stopper: str | None = None
    index: str | None = None


class Bench(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A bench file: settings of all sets, as `SimulationConfig` has them, the sets, and words for the page."""

    sets: tuple[BenchSet, ...]
    title: str = "Simulated hunts"
    introduction: str = ""
    strategies: tuple[str, ...] | None = None
    alpha: float | None = None
    examples: tuple[int, ...] | None = None
    negative_examples: int | None = None
    rounds: int | None = None
    page_size: int | None = None
    noise: float | None = None
    seeds: int | None = None
    named_negatives: bool | None = None
    stopper: str | None = None
    index: str | None = None


def read_bench(path: Path) -> Bench:
    """Read a bench file and check all that can be checked before anything is played.

    Raises
    ------
    HuntError
        The file cannot be read, has an unknown key or a wrong value, or two sets of one name.
    """
    try:
        bench = msgspec.toml.decode(path.read_bytes(), type=Bench)
    except OSError as problem:
        raise HuntError(f"{path} cannot be read: {problem.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise HuntError(f"{path.name}: {problem}") from None
    names = [one.name for one in bench.sets]
    for name in names:
        if not _NAME.fullmatch(name) or names.count(name) > 1:
            raise HuntError(
                f"{path.name}: each set needs a name of its own of letters, digits, '.', '_', '-'; {name!r} is none"
            )
    if not names:
        raise HuntError(f"{path.name} has no [[sets]]")
    for one in bench.sets:
        _check_source(path, one)
        try:
            config_of(bench, one)
        except HuntError as problem:
            raise HuntError(f"{path.name}, set {one.name}: {problem}") from None
    return bench


def config_of(bench: Bench, one: BenchSet) -> SimulationConfig:
    """Return how a set is played: its own settings, else the bench's, else the defaults."""
    chosen: dict[str, Any] = {}
    for name in SimulationConfig.__dataclass_fields__:
        for source in (bench, one):
            if getattr(source, name) is not None:
                chosen[name] = getattr(source, name)
    return SimulationConfig(**chosen)


def open_set(one: BenchSet, folder: Path) -> HuntSet:
    """Read a set; its paths are relative to ``folder``."""
    if one.npz is not None:
        found = read_set(folder / one.npz, name=one.name)
    else:
        from discovery.release.release import open_release

        assert one.release is not None and one.truth is not None  # read_bench saw to it
        found = set_of_release(
            open_release(folder / one.release),
            one.truth,
            where=one.where,
            kind=one.kind,
            lookalikes=one.lookalikes,
            name=one.name,
        )
    return found if one.prevalence is None else resampled(found, one.prevalence, objects=one.objects, seed=one.draw)


def run_bench(
    path: Path, out: Path, *, page_path: Path | None = None, jobs: int | None = None, command: str = ""
) -> list[Simulation]:
    """Play a bench file and write ``bench.json``, a Markdown page and a picture a set.

    Every file is written anew after each set, so that an interrupted bench keeps what it has.

    Parameters
    ----------
    path : Path
        Bench file.
    out : Path
        Folder, made when it is missing.
    page_path : Path, optional
        Markdown page; by default ``bench.md`` in ``out``.

    Raises
    ------
    HuntError
        See `read_bench`, `open_set` and `simulate`; the sets are all opened before the first is played.
    """
    bench = read_bench(path)
    if page_path is not None:
        check_folder(page_path)
    for one in bench.sets:
        check_size(open_set(one, path.parent), config_of(bench, one))
    out.mkdir(parents=True, exist_ok=True)
    simulations: list[Simulation] = []
    for one in bench.sets:
        simulations.append(simulate(open_set(one, path.parent), config_of(bench, one), jobs=jobs))
        draw_curves(simulations[-1], out / f"{one.name}.png")
        _write(bench, out, page_path or out / "bench.md", simulations, command)
    return simulations


def _write(bench: Bench, out: Path, path: Path, simulations: Sequence[Simulation], command: str) -> None:
    """Write the JSON and the page of what was played so far."""
    document = {"title": bench.title, "command": command, "simulations": simulations}
    (out / "bench.json").write_bytes(msgspec.json.encode(document))
    plots = [Path(os.path.relpath(out / f"{one.name}.png", path.parent)).as_posix() for one in simulations]
    text = page(simulations, plots, title=bench.title, introduction=bench.introduction, command=command)
    path.write_text(text, encoding="utf-8")


def _check_source(path: Path, one: BenchSet) -> None:
    where = f"{path.name}, set {one.name}"
    if (one.release is None) == (one.npz is None):
        raise HuntError(f"{where}: give either release or npz")
    if one.release is not None and one.truth is None:
        raise HuntError(f"{where}: a release needs a truth, such as truth = \"truth_class=merger\"")
    if one.npz is not None and any((one.truth, one.where, one.kind, one.lookalikes)):
        raise HuntError(f"{where}: truth, where, kind and lookalikes belong to a release; an npz file has its own")
    if one.objects is not None and one.prevalence is None:
        raise HuntError(f"{where}: objects is how many are drawn at a prevalence; give both")

