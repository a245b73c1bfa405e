"""Encoder folders, made from pretraining runs and from the authors' released checkpoint, and back."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors.torch import save_file

from discovery.encoders.encoder import (
    Encoder,
    load_encoder,
    lvm_config_of,
    make_encoder,
    read_card,
    read_weights,
)
from discovery.encoders.lvm import LVM
from discovery.errors import ConfigError, EncoderError
from discovery.stamps.preprocess import Convention, CropConfig
from training.loop.checkpoint import load_checkpoint
from training.pretraining.backbones import WEIGHT_FILES, encoder_parts
from training.pretraining.recipes import PretrainConfig

WHOLE = "lvm.safetensors"
"""Beside an encoder made from a whole checkpoint: the decoder's weights too."""


def export_run(run: Path, out: Path, *, name: str, measured: Sequence[Path] = (), views: int | None = None) -> Encoder:
    """Return the encoder of a pretraining run, written to a folder with float16 weights.

    Parameters
    ----------
    measured
        JSON files of ``discovery train evaluate``, kept in the card.
    views
        Turns (4) and flips (8) that an embedding is the mean of; those of the run when None.
    """
    config, history = config_of(run), history_of(run)
    history["measured"] = {path.stem: _json(path) for path in measured}
    parts = {"views": views or config.views, **encoder_parts(config, load_checkpoint(run).best)}
    encoder = make_encoder(
        **parts, name=name, convention="dr2_rgb", crop=CropConfig(), input_size=config.model.image_size, training=history, device="cpu"
    )  # fmt: skip
    encoder.save(out, half=True)
    return encoder


def convert_released(weights: Path, out: Path, *, name: str, convention: Convention, attention_scale: float) -> Encoder:
    """Return the encoder of a released checkpoint, written to a folder; the decoder's weights are kept beside it."""
    state = read_weights(weights)
    network = LVM(lvm_config_of(state, attention_scale))
    whole = "low_conv.weight" in state
    network.load_weights(state, encoder_only=not whole)
    encoder = _encoder(network, name, convention, {"converted_from": weights.name})
    encoder.save(out)
    if whole:
        save_file({k: v.contiguous() for k, v in network.state_dict().items()}, out / WHOLE)
    return encoder


def write_released(folder: Path, out: Path) -> None:
    """Return when an encoder folder's LVM is written to a file under the released names."""
    encoder = load_encoder(folder, device="cpu")
    if not isinstance(encoder.network, LVM):
        raise EncoderError(f"Encoder {encoder.card.name} is no LVM; only an LVM has the released names.")
    if out.suffix not in (".pth", ".pt", ".safetensors"):
        raise ConfigError(f"{out}: write to a file that ends in .pth or .safetensors.")
    whole = folder / WHOLE
    state = read_weights(whole) if whole.exists() else encoder.network.encoder_state()
    state = {k: v.contiguous() for k, v in state.items()}
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix == ".safetensors":
        save_file(state, out)
    else:
        torch.save({"model": state}, out)


def describe(encoder: str) -> dict[str, Any]:
    """Return an encoder's card, or the configuration and step of a pretraining run."""
    folder = Path(encoder)
    if (folder / "config.json").exists():
        return {"run": str(folder), **_config(folder), "step": load_checkpoint(folder).record["step"]}
    return msgspec.to_builtins(read_card(encoder))


def config_of(run: Path) -> PretrainConfig:
    """Return the configuration of a pretraining run."""
    known = {field.name for field in dataclasses.fields(PretrainConfig)}
    return msgspec.convert({name: value for name, value in _config(run).items() if name in known}, PretrainConfig)


def history_of(run: Path) -> dict[str, Any]:
    """Return what a run was trained on, with the runs it started from, for a card."""
    config = _config(run)
    metrics = run / "metrics.jsonl"
    curve = [json.loads(line) for line in metrics.read_text().splitlines()] if metrics.exists() else []
    kept = curve[:: max(1, len(curve) // 30)]
    loop = config.get("loop", config)
    objectives = config.get("objectives") or {n: config[n] for n in ("contrast", "classify", "reconstruct") if config.get(n)}
    data = [part for at, part in enumerate(config["data"]) if part not in config["data"][:at]]  # a survey is there once a repeat
    history = {"data": data, "steps": curve[-1]["step"] if curve else 0, "batch": config["batch"], "seed": loop["seed"]}
    history["objectives"] = objectives
    if "questions" in config:
        questions = ({**question, "surveys": list(question["surveys"])} for question in config["questions"]["question"])
        history["questions"] = [{name: one[name] for name in ("name", "kind", "columns", "weight", "surveys")} for one in questions]
        history["repeats"] = config["questions"]["repeats"]
    if "left_out" in config:
        history["left_out"] = config["left_out"]
    history["loss_curve"] = [[point["step"], round(point["loss"], 4)] for point in kept]
    before = config.get("start_from")
    if before:
        earlier = Path(before) if Path(before).is_dir() else Path(before).parent
        if (earlier / "config.json").exists():
            history["started_from"] = history_of(earlier)
        elif Path(before).suffix in WEIGHT_FILES:
            history["started_from"] = {"weights": Path(before).name}
    return history


def _encoder(network: LVM, name: str, convention: Convention, training: dict[str, Any]) -> Encoder:
    return make_encoder(
        network,
        name=name,
        architecture="lvm",
        config=dataclasses.asdict(network.config),
        convention=convention,
        crop=CropConfig(),
        input_size=network.config.image_size,
        training=training,
        device="cpu",
    )


def _config(run: Path) -> dict[str, Any]:
    if not (run / "config.json").exists():
        raise ConfigError(f"{run} is no run of discovery train pretrain: config.json is missing.")
    return _json(run / "config.json")


def _json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except OSError:
        raise ConfigError(f"There is no file {path}.") from None
    except json.JSONDecodeError:
        raise ConfigError(f"{path} is not valid JSON.") from None
