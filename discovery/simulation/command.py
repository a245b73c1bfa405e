"""``discovery simulate-survey``: write a simulated survey to try things out on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from discovery.command_output import print_json


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class SurveyOptions:
    """Options of ``discovery simulate-survey``.

    Attributes
    ----------
    galaxies
        Number of objects, stars and artefacts included; at least 45, five of each class.
    seed
        The survey follows from it, whatever the number of processes.
    format
        hdf5: stamps in the ssl-legacysurvey layout. bricks: the same sky as coadded bricks with tractor catalogues.
    mergers
        Fraction of mergers.
    rings
        Fraction of ringed galaxies.
    lenses
        Fraction of strong lenses.
    visit
        Another number is the same sky observed again: other noise, another PSF and depth of each stamp.
    psf
        What the width of every PSF is multiplied by.
    noise
        What every noise is multiplied by.
    processes
        Worker processes; by default one a usable core.
    json
        Print one JSON document instead of paths.
    """

    galaxies: int = 4000
    seed: int = 0
    format: Literal["hdf5", "bricks"] = "hdf5"
    mergers: float = 0.02
    rings: float = 0.005
    lenses: float = 0.005
    visit: int = 0
    psf: float = 1.0
    noise: float = 1.0
    processes: int | None = None
    json: Annotated[bool, Parameter(negative="")] = False


def simulate_survey(out: Path, *, options: SurveyOptions = SurveyOptions()) -> None:
    """Simulate a survey of galaxies, lenses, mergers, stars and artefacts in Legacy Survey formats.

    Every object carries its class in the column ``truth_class``.

    Parameters
    ----------
    out
        Folder to write into; made when missing.
    """
    from discovery.simulation import SurveyPlan, Visit, write_survey

    seen = Visit(number=options.visit, psf=options.psf, noise=options.noise)
    plan = SurveyPlan(galaxies=options.galaxies, seed=options.seed, mergers=options.mergers, rings=options.rings, lenses=options.lenses, visit=seen)
    paths = write_survey(out, plan, survey_format=options.format, processes=options.processes)
    if options.json:
        names = [str(path) for path in paths]
        print_json({"paths": names, "galaxies": options.galaxies, "seed": options.seed, "classes": plan.counts})
        return
    for path in paths:
        print(path)
