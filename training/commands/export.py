"""``discovery train export``, ``convert`` and ``card``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cyclopts import Parameter

from discovery.encoders import WEIGHTS
from discovery.errors import ConfigError
from training.commands.options import Json

if TYPE_CHECKING:
    from discovery.encoders.encoder import Encoder


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class EncoderExportOptions:
    """Options of ``discovery train export``.

    Attributes
    ----------
    name
        Name of the encoder on its card.
    measured
        JSON files of discovery train evaluate, kept in the card.
    views
        Turns (4) and flips (8) that an embedding is the mean of; those of the run when not given.
    json_output
        Print one JSON document instead of text.
    """

    name: str
    measured: tuple[Path, ...] = ()
    views: Literal[1, 4, 8] | None = None
    json_output: Json = False


def export(run: Path, out: Path = WEIGHTS, *, options: EncoderExportOptions) -> None:
    """Make an encoder folder (float16 weights and card) from a pretraining run.

    The averaged weights are taken where the run kept them.

    Parameters
    ----------
    run
        Folder of the run.
    out
        Folder of the encoder; the one that ships when not given.
    """
    from training.encoder_folders import export_run

    encoder = export_run(run, out, name=options.name, measured=options.measured, views=options.views)
    _print(encoder, out, options.json_output)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ConvertOptions:
    """Options of ``discovery train convert``.

    Attributes
    ----------
    convention
        What the released weights were trained on.
    attention_scale
        The factor on the queries, which no weight holds; 8 in the released model.
    name
        Name on the card; the file's when not given.
    json_output
        Print one JSON document instead of text.
    """

    convention: Literal["dr2_rgb", "nmgy"] = "nmgy"
    attention_scale: float = 8.0
    name: str | None = None
    json_output: Json = False


def convert(weights: Path, out: Path, *, options: ConvertOptions = ConvertOptions()) -> None:
    """Turn the authors' released checkpoint into an encoder folder, or an encoder folder back into their form.

    Given a checkpoint (.pth read without unpickling code, or .safetensors), writes a folder that every --encoder option takes.
    Given an encoder folder, writes a file: .pth as {"model": weights} under the released names, or .safetensors.

    Parameters
    ----------
    weights
        The checkpoint, or the encoder folder.
    out
        The folder, or the file, to write; it must not exist.
    """
    if out.exists():
        raise ConfigError(f"{out} exists already; give another place.")
    from training.encoder_folders import convert_released, write_released

    if weights.is_dir():
        write_released(weights, out)
        print(json.dumps({"weights": str(out)}) if options.json_output else out)
        return
    encoder = convert_released(
        weights, out, name=options.name or weights.stem, convention=options.convention, attention_scale=options.attention_scale
    )
    _print(encoder, out, options.json_output)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class CardOptions:
    """Options of ``discovery train card``.

    Attributes
    ----------
    json_output
        Print the whole card as one JSON document instead of text.
    """

    json_output: Json = False


def card(encoder: str = "default", *, options: CardOptions = CardOptions()) -> None:
    """Print what an encoder is: its card.

    Parameters
    ----------
    encoder
        default, an encoder folder, or the folder of a pretraining run.
    """
    from training.encoder_folders import describe

    found = describe(encoder)
    if options.json_output:
        print(json.dumps(found))
        return
    for key, value in found.items():
        if isinstance(value, dict):
            print(f"{key}:")
            for inner, content in value.items():
                print(f"  {inner:22s} {_short(content)}")
        else:
            print(f"{key:24s} {_short(value)}")


def _print(encoder: Encoder, out: Path, json_output: bool) -> None:
    made = encoder.card
    if json_output:
        print(json.dumps({"encoder": str(out), "parameters": made.parameters, "dimension": made.dimension, "checksum": made.checksum}))
    else:
        print(f"{out}: {made.parameters} parameters, dimension {made.dimension}, checksum {made.checksum[:12]}")


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 160 else f"{text[:160]}... ({len(text)} characters; --json prints all)"
