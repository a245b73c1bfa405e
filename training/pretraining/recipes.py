"""Recipes and configuration files: what decides a pretraining run."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec

from discovery.encoders.lvm import PATCH, LVMConfig
from discovery.errors import ConfigError
from training.data.augment import AugmentConfig
from training.loop.config import LoopConfig
from training.pretraining.objectives import OBJECTIVES


@dataclass(frozen=True, kw_only=True)
class PretrainConfig:
    """Everything that decides a pretraining run, but for its data.

    Attributes
    ----------
    batch : int
        Stamps an update, over all processes; each gives two views.
    objectives : dict of str to float
        Weights of the parts of the loss (`training.pretraining.objectives.OBJECTIVES`); a part that is not named is not computed.
    temperature : float
        Of the contrastive part.
    mask_patch, mask_share : int, float
        Side in pixels of a masked patch, and the share of patches that is masked.
    network : str
        ``lvm``, or ``timm:NAME``: any timm backbone, at ``model.image_size`` pixels.
    bottleneck : int
        Numbers of an embedding behind a timm backbone.
    views : {1, 4, 8}
        Turns (4) and flips (8) that an embedding is the mean of (see `discovery.encoders.encoder.EncoderCard`).
    """

    model: LVMConfig
    loop: LoopConfig
    batch: int
    objectives: dict[str, float] = field(default_factory=lambda: {"contrast": 1.0, "classify": 1.0})
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    temperature: float = 0.2
    mask_patch: int = 16
    mask_share: float = 0.6
    network: str = "lvm"
    bottleneck: int = 256
    views: Literal[1, 4, 8] = 1

    def __post_init__(self) -> None:
        if unknown := sorted(self.objectives.keys() - OBJECTIVES.keys()):
            raise ConfigError(f"No objective {unknown[0]!r}; there are {', '.join(OBJECTIVES)}.")
        if not any(self.objectives.values()) or min(self.objectives.values()) < 0:
            raise ConfigError(f"The objectives' weights are {self.objectives}; give at least one a weight above 0, and none below.")
        if self.network != "lvm" and not self.timm_model:
            raise ConfigError(f"network is {self.network!r}; write lvm, or timm:NAME.")
        if self.timm_model and (known := sorted({"reconstruct", "masked", "denoise"} & {n for n, w in self.objectives.items() if w})):
            raise ConfigError(f"Objective {known[0]} needs the LVM's decoder, which {self.network} has not; leave it out.")
        if self.batch < 2 or self.batch % self.loop.accumulate:
            raise ConfigError(f"batch is {self.batch}; it must be at least 2 and a multiple of accumulate, {self.loop.accumulate}.")
        size = self.model.image_size
        if self.mask_patch % PATCH or size % self.mask_patch or not 0 < self.mask_share < 1:
            raise ConfigError(
                f"mask_patch {self.mask_patch} must be a multiple of {PATCH} that divides image_size {size}, and mask_share between 0 and 1."
            )

    @property
    def timm_model(self) -> str:
        """Name of the timm backbone, empty for the LVM."""
        return self.network[5:] if self.network.startswith("timm:") else ""

    @property
    def dimension(self) -> int:
        """Length of an embedding."""
        return self.bottleneck if self.timm_model else self.model.dimension

    def weight(self, objective: str) -> float:
        """Return an objective's weight, 0 where it is not named."""
        return self.objectives.get(objective, 0.0)


#: 3.9 M parameters, 2.6 M of them in the encoder.
TINY = LVMConfig(embed_dim=32, depths=(1, 1, 4, 2), heads=(2, 4, 8, 8), image_size=64, drop_path=0.05, attention_dropout=0.0)


def debug() -> PretrainConfig:
    """Return a very small model with every objective but questions, in a minute on a CPU: does the program run?"""
    model = LVMConfig(embed_dim=16, depths=(1, 1, 1, 1), heads=(2, 2, 2, 2), image_size=64)
    loop = LoopConfig(steps=60, learning_rate=1e-3, warmup=5, ema=0.99, evaluate_every=30)
    return PretrainConfig(model=model, loop=loop, batch=32, objectives={name: 1.0 for name in OBJECTIVES if name != "questions"})


def tiny() -> PretrainConfig:
    """The shipped encoder: 64 pixels, so that a few thousand stamps embed in seconds on two cores."""
    loop = LoopConfig(steps=2000, learning_rate=1e-3, warmup=100, ema=0.998, evaluate_every=500)
    return PretrainConfig(model=TINY, loop=loop, batch=128)


def detail() -> PretrainConfig:
    """Return a small timm backbone at 128 pixels that learns many questions beside the contrast; start it from ImageNet weights."""
    loop = LoopConfig(steps=6000, learning_rate=1e-3, warmup=150, ema=0.998, evaluate_every=500, log_every=10)
    return PretrainConfig(
        model=LVMConfig(image_size=128), loop=loop, batch=32, network="timm:tf_efficientnet_lite0", objectives={"questions": 1.0, "contrast": 0.1}
    )  # fmt: skip


def base() -> PretrainConfig:
    """The paper's network of 100 M parameters, batch 512, Adam; its objective with a contrastive term beside it."""
    loop = LoopConfig(steps=150_000, learning_rate=3e-4, optimizer="adam", warmup=2000, ema=0.9998, evaluate_every=5000, compile=True)
    return PretrainConfig(model=LVMConfig(), loop=loop, batch=512, objectives={"reconstruct": 1.0, "masked": 1.0, "contrast": 0.1})


RECIPES: dict[str, Callable[[], PretrainConfig]] = {"debug": debug, "tiny": tiny, "detail": detail, "base": base}


def read_config(source: str) -> PretrainConfig:
    """Return a recipe's configuration, or that of a TOML file.

    A file names a recipe to start from (``recipe = "tiny"``) and what it changes: ``batch``, ``temperature``,
    ``mask_patch``, ``mask_share`` and the tables ``model``, ``loop``, ``augment`` and ``objectives`` (which
    replaces the recipe's).

    Raises
    ------
    ConfigError
        For an unknown recipe, no such file, an unknown key or a value of another type.
    """
    if source in RECIPES:
        return RECIPES[source]()
    path = Path(source)
    if path.suffix != ".toml":
        raise ConfigError(f"No recipe {source!r}; there are {', '.join(RECIPES)}, or give a .toml file.")
    try:
        given = tomllib.loads(path.read_text())
    except OSError:
        raise ConfigError(f"No configuration file {source}.") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{source} is not valid TOML: {error}.") from None
    name = given.pop("recipe", None)
    if name not in RECIPES:
        raise ConfigError(f"{source} must name the recipe to start from: recipe = one of {', '.join(RECIPES)}, not {name!r}.")
    return changed(RECIPES[name](), given, source)


def changed(config: PretrainConfig, changes: Mapping[str, Any], source: str) -> PretrainConfig:
    """Return a configuration with some changes, ``loop`` and the other tables merged key by key."""
    plain = dataclasses.asdict(config)
    for key, value in changes.items():
        _known(key, plain, source, "")
        if isinstance(plain[key], dict):
            if not isinstance(value, Mapping):
                raise ConfigError(f"{source}: {key} is a table, not {value!r}.")
            if key == "objectives":
                plain[key] = dict(value)
                continue
            for inner in value:
                _known(inner, plain[key], source, f"{key}.")
            plain[key] |= value
        else:
            plain[key] = value
    try:
        return msgspec.convert(plain, PretrainConfig)
    except msgspec.ValidationError as error:
        cause = error.__cause__
        raise ConfigError(str(cause) if isinstance(cause, ConfigError) else f"{source}: {error}.") from None


def as_toml(config: PretrainConfig, recipe: str) -> str:
    """Return a configuration as the TOML file that `read_config` reads."""
    lines, tables = [f"recipe = {json.dumps(recipe)}"], []
    for key, value in dataclasses.asdict(config).items():
        if isinstance(value, dict):
            tables += ["", f"[{key}]", *(f"{name} = {json.dumps(inner)}" for name, inner in value.items() if inner is not None)]
        else:
            lines.append(f"{key} = {json.dumps(value)}")
    return "\n".join([*lines, *tables, ""])


def _known(key: str, among: Mapping[str, Any], source: str, prefix: str) -> None:
    if key not in among:
        raise ConfigError(f"{source} has an unknown key {prefix}{key}; there are {', '.join(among)}.")
