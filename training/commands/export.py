"""``discovery train export``, ``convert`` and ``card``."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Any

import msgspec
import torch
from cyclopts import Parameter
from safetensors.torch import save_file

from discovery.encoders.encoder import (
    WEIGHTS,
    Encoder,
    load_encoder,
    lvm_config_of,
    make_encoder,
    read_card,
    read_weights,
)
from discovery.encoders.lvm import LVM, LVMConfig
from discovery.errors import ConfigError, EncoderError
from discovery.stamps.preprocess import Convention, CropConfig
from training.loop.checkpoint import load_checkpoint

WHOLE = "lvm.safetensors"
"""Beside an encoder made from a whole checkpoint: the decoder's weights too."""
Json = Annotated[bool, Parameter(name="--json", negative="")]


def export(
    run: Path,
    out: Path = WEIGHTS,
    *,
    name: str,
    measured: tuple[Path, ...] = (),
    json_output: Json = False,
) -> None:
    """Make an encoder folder (float16 weights and card) from a pretraining run.

    The averaged weights are taken where the run kept them.

    Parameters
    ----------
    run
        Folder of the run.
    out
        Folder of the encoder; the one that ships when not given.
    name
        Name of the encoder on its card.
    measured
        JSON files of discovery train evaluate, kept in the card.
    json_output
        Print one JSON document instead of text.
    """
    checkpoint, config = load_checkpoint(run), _config(run)
    model = msgspec.convert(config["model"], LVMConfig)
    network = LVM(model)
    network.load_weights({k[4:]: v.half().float() for k, v in checkpoint.best.items() if k.startswith("lvm.")})
    history = history_of(run)
    history["measured"] = {path.stem: _json(path) for path in measured}
    encoder = _encoder(network, name, "dr2_rgb", history)
    encoder.save(out, half=True)
    _say(encoder, out, json_output)


def convert(
    weights: Path,
    out: Path,
    *,
    convention: Convention = "nmgy",
    attention_scale: float = 8.0,
    name: str | None = None,
    json_output: Json = False,
) -> None:
    """Turn the authors' released checkpoint into an encoder folder, or an encoder folder back into their form.

    Given a checkpoint (.pth read without unpickling code, or .safetensors), writes a folder that every --encoder option takes.
    Given an encoder folder, writes a file: .pth as {"model": weights} under the released names, or .safetensors.

    Parameters
    ----------
    weights
        The checkpoint, or the encoder folder.
    out
        The folder, or the file, to write; it must not exist.
    convention
        What the released weights were trained on.
    attention_scale
        The factor on the queries that no weight tells; 8 in the released model.
    name
        Name on the card; the file's when not given.
    json_output
        Print one JSON document instead of text.
    """
    if out.exists():
        raise ConfigError(f"{out} exists already; give another place.")
    if weights.is_dir():
        _write_released(weights, out)
        print(json.dumps({"weights": str(out)}) if json_output else out)
        return
    state = read_weights(weights)
    config = lvm_config_of(state, attention_scale)
    network = LVM(config)
    whole = "low_conv.weight" in state
    network.load_weights(state, encoder_only=not whole)
    encoder = _encoder(network, name or weights.stem, convention, {"converted_from": weights.name})
    encoder.save(out)
    if whole:
        save_file({k: v.contiguous() for k, v in network.state_dict().items()}, out / WHOLE)
    _say(encoder, out, json_output)


def card(encoder: str = "default", *, json_output: Json = False) -> None:
    """Print what an encoder is: its card.

    Parameters
    ----------
    encoder
        default, an encoder folder, or the folder of a pretraining run.
    json_output
        Print the whole card as one JSON document instead of text.
    """
    folder = Path(encoder)
    if (folder / "config.json").exists():
        found: dict[str, Any] = {"run": str(folder), **_config(folder), "step": load_checkpoint(folder).record["step"]}
    else:
        found = msgspec.to_builtins(read_card(encoder))
    if json_output:
        print(json.dumps(found))
        return
    for key, value in found.items():
        if isinstance(value, dict):
            print(f"{key}:")
            for inner, content in value.items():
                print(f"  {inner:22s} {_short(content)}")
        else:
            print(f"{key:24s} {_short(value)}")


def history_of(run: Path) -> dict[str, Any]:
    """Return what a run was trained on, with the runs it started from, for a card."""
    config = _config(run)
    metrics = run / "metrics.jsonl"
    curve = [json.loads(line) for line in metrics.read_text().splitlines()] if metrics.exists() else []
    kept = curve[:: max(1, len(curve) // 30)]
    loop = config.get("loop", config)
    objectives = config.get("objectives") or {n: config[n] for n in ("contrast", "classify", "reconstruct") if config.get(n)}
    history = {"data": config["data"], "steps": curve[-1]["step"] if curve else 0, "batch": config["batch"], "seed": loop["seed"]}
    history["objectives"] = objectives
    history["loss_curve"] = [[point["step"], round(point["loss"], 4)] for point in kept]
    before = config.get("start_from")
    if before:
        earlier = Path(before) if Path(before).is_dir() else Path(before).parent
        if (earlier / "config.json").exists():
            history["started_from"] = history_of(earlier)
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


def _write_released(folder: Path, out: Path) -> None:
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


def _say(encoder: Encoder, out: Path, json_output: bool) -> None:
    made = encoder.card
    if json_output:
        print(json.dumps({"encoder": str(out), "parameters": made.parameters, "dimension": made.dimension, "checksum": made.checksum}))
    else:
        print(f"{out}: {made.parameters} parameters, dimension {made.dimension}, checksum {made.checksum[:12]}")


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


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 160 else f"{text[:160]}... ({len(text)} characters; --json prints all)"
