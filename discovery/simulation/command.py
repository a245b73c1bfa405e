"""``discovery simulate-survey``: write a simulated survey to try things out on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from discovery.printing import print_json


def simulate_survey(
    out: Path,
    *,
    galaxies: int = 4000,
    seed: int = 0,
    format: Literal["hdf5", "bricks"] = "hdf5",
    mergers: float = 0.02,
    rings: float = 0.005,
    lenses: float = 0.005,
    visit: int = 0,
    psf: float = 1.0,
    noise: float = 1.0,
    processes: int | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Simulate a survey of galaxies, lenses, mergers, stars and artefacts in Legacy Survey formats.

    Every object carries its class in the column ``truth_class``.

    Parameters
    ----------
    out
        Folder to write into; made when missing.
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
    from discovery.simulation import SurveyPlan, Visit, write_survey

    seen = Visit(number=visit, psf=psf, noise=noise)
    plan = SurveyPlan(galaxies=galaxies, seed=seed, mergers=mergers, rings=rings, lenses=lenses, visit=seen)
    paths = write_survey(out, plan, survey_format=format, processes=processes)
    if json:
        names = [str(path) for path in paths]
        print_json({"paths": names, "galaxies": galaxies, "seed": seed, "classes": plan.counts})
        return
    for path in paths:
        print(path)
