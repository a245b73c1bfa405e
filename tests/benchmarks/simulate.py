"""Galaxies a second of the simulated survey, with one and with more worker processes.

    python tests/benchmarks/simulate.py --galaxies 400 --processes 1 2
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import sys
import tempfile
import time

from discovery.simulation import SurveyPlan, write_survey
from discovery.simulation.survey import SurveyFormat


def main() -> None:
    options = _options()
    print(f"machine   {platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {_load()}")
    print(f"python    {platform.python_version()} on {platform.system()}")
    print(f"command   python {shlex.join(sys.argv)}")
    print()
    print(f"{'format':8} {'processes':>9} {'galaxies':>9} {'seconds':>8} {'galaxies/s':>10} {'CPU ms/galaxy':>14}")
    for survey_format in options.format:
        for processes in options.processes:
            seconds, cpu_seconds = _seconds(options, survey_format, processes)
            rate = options.galaxies / seconds
            cpu = f"{1e3 * cpu_seconds / options.galaxies:14.1f}" if processes == 1 else f"{'-':>14}"
            line = f"{survey_format:8} {processes:9d} {options.galaxies:9d} {seconds:8.1f} {rate:10.1f} {cpu}"
            print(line, flush=True)


def _seconds(options: argparse.Namespace, survey_format: SurveyFormat, processes: int) -> tuple[float, float]:
    """Return wall and CPU time (of this process) of a whole survey, the start of the workers included."""
    plan = SurveyPlan(galaxies=options.galaxies, seed=options.seed)
    with tempfile.TemporaryDirectory() as folder:
        start, start_cpu = time.perf_counter(), time.process_time()
        write_survey(folder, plan, survey_format=survey_format, processes=processes, progress=False)
        return time.perf_counter() - start, time.process_time() - start_cpu


def _load() -> str:
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--galaxies", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--format", nargs="+", choices=["hdf5", "bricks"], default=["hdf5"])
    return parser.parse_args()


if __name__ == "__main__":
    main()
