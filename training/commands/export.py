"""`discovery train export`, `convert` and `card`."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Any

import msgspec
import torch
from cyclopts import Parameter

from discovery.encoder import WEIGHTS, make_encoder
from discovery.errors import ConfigError
from discovery.lvm import LVM, LVMConfig
from discovery.preprocess import CropConfig

Json = Annotated[bool, Parameter(name="--json", negative="")]


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
