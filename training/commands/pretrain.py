"""``discovery train pretrain``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from cyclopts import Parameter

from discovery.errors import ConfigError
from training.data.stamps import load_stamps
from training.loop.processes import processes
from training.pretraining.pretrain import pretrain as run_pretraining
from training.pretraining.recipes import as_toml, changed, read_config

Json = Annotated[bool, Parameter(name="--json", negative="")]


def pretrain(
    config: str,
    /,
    *surveys: str,
    out: Path | None = None,
    cache: Path = Path("runs/stamps"),
    start_from: str | None = None,
    objective: tuple[str, ...] = (),
    steps: int | None = None,
    batch: int | None = None,
    learning_rate: float | None = None,
    seed: int | None = None,
    device: Literal["cpu", "cuda"] | None = None,
    threads: int | None = None,
    show: Annotated[bool, Parameter(negative="")] = False,
    json_output: Json = False,
) -> None:
    """Pretrain an LVM on the training part of some surveys; run it again to go on where it stopped.

    Under torchrun every process takes its share of each batch.

    Parameters
    ----------
    config
        A recipe (debug, tiny, base) or a TOML file that changes one.
    surveys
        Paths of surveys or of training shards, each with @COLUMN behind it where a column's labels are to be learned.
    out
        Folder of the run: config.json, metrics.jsonl, tensorboard, reconstructions, checkpoint.safetensors.
    cache
        Folder of the prepared stamps of surveys that are not shards.
    start_from
        default, an encoder folder, or another run, whose weights are the start.
    objective
        NAME=WEIGHT, several times: instead of the configuration's objectives.
    steps, batch, learning_rate, seed
        Instead of the configuration's.
    device
        CUDA where there is one when not given.
    threads
        CPU threads (all cores when not given).
    show
        Print the configuration as TOML and stop.
    json_output
        Print one JSON document instead of text; the steps go to standard error.
    """
    chosen = read_config(config)
    loop = {"steps": steps, "learning_rate": learning_rate, "seed": seed}
    given: dict[str, Any] = {"loop": {name: value for name, value in loop.items() if value is not None}}
    if batch is not None:
        given["batch"] = batch
    if objective:
        given["objectives"] = _weights(objective)
    chosen = changed(chosen, given, "The command line")
    if show:
        print(as_toml(chosen, config if "." not in config else "tiny"), end="")
        return
    if not surveys or out is None:
        raise ConfigError("Name at least one survey to train on, and the run's folder with --out.")
    if threads:
        torch.set_num_threads(threads)
    with processes(device) as place:
        parts = [load_stamps(source, cache) for source in surveys]
        checkpoint = run_pretraining(chosen, parts, out, start_from=start_from, place=place)
        if place.first:
            done = {"checkpoint": str(checkpoint), "steps": chosen.loop.steps}
            print(json.dumps(done) if json_output else checkpoint)


def _weights(texts: tuple[str, ...]) -> dict[str, float]:
    weights = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            weights[name] = float(value)
        except ValueError:
            raise ConfigError(f"--objective {text}: write NAME=WEIGHT, such as masked=1.") from None
    return weights
