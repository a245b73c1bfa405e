"""Renew what ``tests/hunts/test_science.py`` compares with: stored embeddings, and the losses of hunts on them.

Run ``python tests/benchmarks/hunt_losses.py --losses`` after a change of a strategy that is meant to be better (its figures go to
``tests/hunts/stored/losses.json``), and ``--release RELEASE`` besides to store other embeddings, of a simulated survey
with its ``truth_class``: the test compares strategies on the same embeddings for ever, so a new encoder changes nothing.
"""

from __future__ import annotations

import argparse
import json
import platform
from pathlib import Path
from typing import Any

import numpy as np

from discovery.hunts.simulation.sets import HuntSet, read_set, resampled, set_of_release, write_set
from discovery.hunts.simulation.simulator import SimulationConfig, simulate
from discovery.release.release import open_release

STORED = Path(__file__).resolve().parents[1] / "hunts" / "stored"
TARGETS = {"merger": 0.03, "barred": 0.05}
OBJECTS = 2000
CONFIG = SimulationConfig(strategies=("auto", "alpha:0.5"), examples=(3,), rounds=6, page_size=10, seeds=8)


def main() -> None:
    """Store what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--release", type=Path, help="release of a simulated survey to draw embeddings from")
    parser.add_argument("--losses", action="store_true", help="measure the losses anew")
    options = parser.parse_args()
    if options.release is not None:
        store_embeddings(options.release)
    if options.losses:
        document = {"machine": platform.platform(), "numpy": np.__version__, "losses": losses(CONFIG)}
        (STORED / "losses.json").write_text(json.dumps(document, indent=1) + "\n")


def store_embeddings(release: Path) -> None:
    """Draw a small set for each target and write it."""
    STORED.mkdir(parents=True, exist_ok=True)
    opened = open_release(release)
    for name, prevalence in TARGETS.items():
        drawn = resampled(set_of_release(opened, f"truth_class={name}"), prevalence, objects=OBJECTS)
        write_set(STORED / f"{name}.npz", drawn)


def stored_sets() -> list[HuntSet]:
    """Return the stored sets by name."""
    return [read_set(STORED / f"{name}.npz") for name in sorted(TARGETS)]


def losses(config: SimulationConfig) -> dict[str, dict[str, Any]]:
    """Return the losses of every seed (`discovery.hunts.simulation.measures.area_loss`) by set and strategy."""
    found: dict[str, dict[str, Any]] = {}
    for hunt_set in stored_sets():
        results = simulate(hunt_set, config, jobs=1).results
        found[hunt_set.name] = {one.strategy: [game.measures["loss"] for game in one.games] for one in results}
    return found


if __name__ == "__main__":
    main()
