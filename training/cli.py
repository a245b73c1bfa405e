"""The verbs of ``discovery train``."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Any

import msgspec
import torch
from cyclopts import App, Parameter

from discovery.encoder import WEIGHTS, load_encoder, make_encoder
from discovery.errors import ConfigError
from discovery.lvm import LVM, LVMConfig
from discovery.preprocess import CropConfig
from training.data import load_stamps
from training.evaluate import evaluate as measure
from training.pretrain import pretrain as run_pretraining
from training.recipes import recipe

Json = Annotated[bool, Parameter(name="--json", negative="")]

app = App(name="train", help="Make an encoder: pretrain, evaluate, export.")


@app.command
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


@app.command
def evaluate(
    survey: str,
    *,
    encoder: str = "default",
    cache: Path = Path("runs/stamps"),
    limit: int | None = None,
    seed: int = 0,
    json_output: Json = False,
) -> None:
    """Print the k-nearest-neighbour accuracy of an encoder on held-out stamps beside three baselines.

    Parameters
    ----------
    survey
        PATH@COLUMN: a survey and its column of labels.
    encoder
        As in discovery index --encoder.
    limit
        At most this many stamps of the training and of the held-out part.
    json_output
        Print one JSON document instead of text.
    """
    result = measure(load_encoder(encoder), load_stamps(survey, cache), limit=limit, seed=seed)
    if json_output:
        print(json.dumps(result))
        return
    print(f"{result['survey']}: {result['train']} neighbours to choose from, {result['held_out']} held out, k = {result['k']}")
    for name, value in result["knn"].items():
        print(f"{name:24s} {value:.4f}")


@app.command
def export(
    run: Path, out: Path = WEIGHTS, *, name: str, measured: Path | None = None, json_output: Json = False
) -> None:
    """Make an encoder folder (float16 weights and card) from a run's checkpoint.

    Parameters
    ----------
    run
        Folder of the run.
    out
        Folder of the encoder; the one that ships when not given.
    measured
        JSON of discovery train evaluate --json, kept in the card.
    json_output
        Print one JSON document instead of text.
    """
    try:
        config = json.loads((run / "config.json").read_text())
        state = torch.load(run / "checkpoint.pt", map_location="cpu", weights_only=True)
        curve = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    except OSError as error:
        raise ConfigError(f"{run} is no finished run: {Path(error.filename).name} is missing.") from None
    model = msgspec.convert(config["model"], LVMConfig)
    network = LVM(model)
    network.load_weights({k[4:]: v.half().float() for k, v in state["model"].items() if k.startswith("lvm.")})
    encoder = make_encoder(
        network,
        name=name,
        architecture="lvm",
        config=dataclasses.asdict(model),
        convention="dr2_rgb",
        crop=CropConfig(),
        input_size=model.image_size,
        training={**_history(config, state["step"], curve, run), "measured": json.loads(measured.read_text()) if measured else {}},
    )
    encoder.save(out, half=True)
    if json_output:
        card = encoder.card
        print(json.dumps({"encoder": str(out), "parameters": card.parameters, "dimension": card.dimension, "checksum": card.checksum}))
        return
    print(f"{out}: {encoder.card.parameters} parameters, dimension {encoder.dimension}, checksum {encoder.checksum[:12]}")


def _history(config: dict[str, Any], step: int, curve: list[dict[str, Any]], run: Path) -> dict[str, Any]:
    kept = curve[:: max(1, len(curve) // 30)]
    history = {"data": config["data"], "steps": step, "batch": config["batch"], "seed": config["seed"]}
    history["weights"] = {name: config[name] for name in ("contrast", "classify", "reconstruct")}
    history["loss_curve"] = [[point["step"], round(point["loss"], 4)] for point in kept]
    if config["start_from"] and (before := Path(config["start_from"]).parent / "config.json").exists():
        earlier = json.loads(before.read_text())
        points = [json.loads(line) for line in (before.parent / "metrics.jsonl").read_text().splitlines()]
        history["started_from"] = _history(earlier, points[-1]["step"], points, before.parent)
    return history
