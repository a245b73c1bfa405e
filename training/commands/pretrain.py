"""`discovery train pretrain`."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Any

import torch
from cyclopts import Parameter

from discovery.errors import ConfigError
from training.data import load_stamps
from training.pretrain import pretrain as run_pretraining
from training.recipes import recipe

Json = Annotated[bool, Parameter(name="--json", negative="")]


def pretrain(
    *surveys: str,
    recipe_name: Annotated[str, Parameter(name="--recipe")] = "tiny64",
    out: Path,
    cache: Path = Path("runs/stamps"),
    start_from: Path | None = None,
    steps: int | None = None,
    batch: int | None = None,
    seed: int = 0,
    threads: int | None = None,
    json_output: Json = False,
) -> None:
    """Pretrain an LVM on the training part of some surveys; run it again to go on where it stopped.

    Parameters
    ----------
    surveys
        Paths of surveys, each with @COLUMN behind it where a column's labels are to be learned.
    recipe_name
        debug, tiny64 or tiny.
    out
        Folder of the run: config.json, metrics.jsonl, checkpoint.pt.
    cache
        Folder of the prepared stamps.
    start_from
        Checkpoint whose weights are the start.
    steps, batch
        Instead of the recipe's.
    threads
        CPU threads (all cores when not given).
    json_output
        Print one JSON document instead of text; the steps go to standard error.
    """
    if not surveys:
        raise ConfigError("Name at least one survey to train on.")
    if threads:
        torch.set_num_threads(threads)
    changes: dict[str, Any] = {name: value for name, value in (("steps", steps), ("batch", batch)) if value is not None}
    config = dataclasses.replace(recipe(recipe_name), seed=seed, **changes)
    checkpoint = run_pretraining(config, [load_stamps(source, cache) for source in surveys], out, start_from=start_from)
    print(json.dumps({"checkpoint": str(checkpoint), "steps": config.steps}) if json_output else checkpoint)
