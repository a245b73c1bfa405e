"""``discovery hunt simulate`` and ``discovery hunt bench``: hunts with the known labels as the person."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from cyclopts import Parameter

from discovery import __version__
from discovery.command_output import print_json

if TYPE_CHECKING:
    from discovery.hunts.simulation.simulator import Simulation

Names = Annotated[list[str] | None, Parameter(consume_multiple=True, negative="")]
Numbers = Annotated[list[int] | None, Parameter(consume_multiple=True, negative="")]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class SimulateOptions:
    """Options of ``discovery hunt simulate``.

    Attributes
    ----------
    truth
        SQL condition that targets fulfil, such as "truth_class = 'merger'" or "expert_grade >= 2"; truth_class=merger
        works without inner quotes.
    strategy
        auto, alpha or alpha:0.5 (the published rule), top, similarity, linear, protege, random, or MODEL+CHOOSER such as
        linear+alpha:0.9 or gp+thompson; several at once. auto, alpha and top by default.
    alpha
        Of the strategies named alpha without a number.
    page_size
        Objects a round.
    examples
        Positive examples to start from; several numbers are played one after the other. 5 by default.
    negative_examples
        Negative examples beside them.
    rounds
        Rounds.
    noise
        Share of wrong clicks, 0 to 0.5; the examples are always right.
    seeds
        Hunts a strategy; each draws its own examples and wrong clicks.
    jobs
        Processes; as many as cores by default.
    where
        SQL condition that every object must fulfil.
    kind
        Column with the sub-kind of the targets: the share of them that was found is measured.
    named_negatives
        The person names what each negative is, by the column of --kind.
    stopper
        never, dry:N or hypergeometric:R: when it would have stopped and with which recall is measured.
    lookalikes
        SQL condition of objects that resemble targets: the ranking is measured against them alone too.
    prevalence
        Draw targets and others so that targets are this share.
    objects
        With a prevalence, how many objects to draw.
    out
        JSON file to write, with every hunt.
    plot
        Picture to draw the curves into: .png, .pdf or .svg.
    json
        Print the JSON document instead of the table.
    """

    truth: str
    strategy: Names = None
    alpha: float = 0.5
    page_size: int = 20
    examples: Numbers = None
    negative_examples: int = 0
    rounds: int = 10
    noise: float = 0.0
    seeds: int = 10
    jobs: int | None = None
    where: str | None = None
    kind: str | None = None
    named_negatives: bool = False
    stopper: str = "never"
    lookalikes: str | None = None
    prevalence: float | None = None
    objects: int | None = None
    out: Annotated[Path | None, Parameter(name=["-o", "--out"])] = None
    plot: Path | None = None
    json: Annotated[bool, Parameter(negative="")] = False


def simulate(release: Path, /, *, options: SimulateOptions) -> None:
    """Play hunts whose targets are known, and measure how much each strategy finds.

    Parameters
    ----------
    release
        Release folder; duplicates are left out.
    """
    from discovery.errors import HuntError
    from discovery.hunts.simulation import report as simulation_report
    from discovery.hunts.simulation import sets as hunt_sets
    from discovery.hunts.simulation import simulator
    from discovery.release.release import open_release

    if options.out is not None:
        simulation_report.check_folder(options.out)
    if options.plot is not None:
        simulation_report.check_picture(options.plot)
    config = simulator.SimulationConfig(
        strategies=tuple(options.strategy or ("auto", "alpha", "top")),
        alpha=options.alpha,
        examples=tuple(options.examples or (5,)),
        negative_examples=options.negative_examples,
        rounds=options.rounds,
        page_size=options.page_size,
        noise=options.noise,
        seeds=options.seeds,
        named_negatives=options.named_negatives,
        stopper=options.stopper,
    )
    if options.objects is not None and options.prevalence is None:
        raise HuntError("--objects is how many are drawn at a --prevalence: give both")
    played_on = hunt_sets.set_of_release(open_release(release), options.truth, where=options.where, kind=options.kind, lookalikes=options.lookalikes)
    if options.prevalence is not None:
        played_on = hunt_sets.resampled(played_on, options.prevalence, objects=options.objects)
    simulation = simulator.simulate(played_on, config, jobs=options.jobs)
    document = {**_origin(), "simulation": simulation}
    if options.out is not None:
        options.out.write_bytes(msgspec.json.encode(document))
    if options.plot is not None:
        simulation_report.draw_curves(simulation, options.plot)
    if options.json:
        print_json(document)
        return
    _print(simulation)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class BenchOptions:
    """Options of ``discovery hunt bench``.

    Attributes
    ----------
    out
        Folder for bench.json, bench.md and the pictures.
    page
        Markdown page to write instead of bench.md.
    jobs
        Processes; as many as cores by default.
    json
        Print the JSON document instead of the tables.
    """

    out: Annotated[Path, Parameter(name=["-o", "--out"])]
    page: Path | None = None
    jobs: int | None = None
    json: Annotated[bool, Parameter(negative="")] = False


def bench(file: Path, /, *, options: BenchOptions) -> None:
    """Play a table of data sets x strategies: a JSON, a Markdown page with the tables, and a picture a set.

    Parameters
    ----------
    file
        TOML file with settings and [[sets]]: name, release and truth (or npz), and optionally where, kind, lookalikes,
        prevalence, objects, draw; strategies, alpha, examples, negative_examples, rounds, page_size, noise, seeds, named_negatives, stopper and index for
        all sets or for one; title and introduction of the page. Paths are relative to the file.
    """
    from discovery.hunts.simulation.bench import run_bench

    simulations = run_bench(file, options.out, page_path=options.page, jobs=options.jobs, command=_origin()["command"])
    if options.json:
        print_json({**_origin(), "simulations": simulations})
        return
    _print(*simulations)


def _print(*simulations: Simulation) -> None:
    from discovery.hunts.simulation.report import LEGEND, headline, text_table

    tables = [f"{headline(simulation)}\n\n{text_table(simulation)}\n" for simulation in simulations]
    sys.stdout.write("\n".join([*tables, LEGEND]) + "\n")


def _origin() -> dict[str, Any]:
    return {"program": f"discovery {__version__}", "command": shlex.join(["discovery", *sys.argv[1:]])}
