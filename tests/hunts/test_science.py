"""No strategy gets worse unnoticed: hunts on stored embeddings, with fixed seeds, against their recorded losses."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

pytestmark = pytest.mark.slow

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
SURE = 2.0
"""Standard errors by which the mean loss may exceed the recorded one; both are played with the same seeds."""
LEAST_NOISE = 0.01
"""Last digits differ between machines and now and then turn a page; a hunt's loss then moves by about so much."""


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hunt_losses", BENCHMARKS / "hunt_losses.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["hunt_losses"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def recorded(bench: ModuleType) -> dict:
    return json.loads((bench.STORED / "losses.json").read_text())["losses"]


def worse(now: list[float], before: list[float]) -> bool:
    """Whether the mean loss rose by more than the noise of the seeds."""
    differences = np.array(now) - np.array(before)
    noise = max(np.std(before, ddof=1) / np.sqrt(len(before)), LEAST_NOISE)
    return bool(differences.mean() > SURE * noise)


def test_auto_and_alpha_are_as_good_as_recorded(bench: ModuleType, recorded: dict) -> None:
    played = bench.losses(bench.CONFIG)
    assert played.keys() == recorded.keys()
    for name, strategies in played.items():
        assert strategies.keys() == recorded[name].keys() == {"auto", "alpha:0.5"}
        for strategy, losses in strategies.items():
            assert not worse(losses, recorded[name][strategy]), (
                f"{strategy} on {name}: mean loss {np.mean(losses):.3f}, recorded {np.mean(recorded[name][strategy]):.3f}"
            )


def test_a_worse_strategy_is_noticed(bench: ModuleType, recorded: dict) -> None:
    config = dataclasses.replace(bench.CONFIG, strategies=("mean+highest", "random"))
    for name, strategies in bench.losses(config).items():
        assert worse(strategies["mean+highest"], recorded[name]["auto"])
        assert worse(strategies["random"], recorded[name]["alpha:0.5"])
