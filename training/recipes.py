"""Recipes: functions that return a configuration."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

from discovery.errors import ConfigError
from discovery.lvm import LVMConfig


@dataclass(frozen=True, kw_only=True)
class PretrainConfig:
    """Everything that decides a pretraining run.

    Attributes
    ----------
    batch : int
        Stamps a step; each gives two views.
    learning_rate : float
        Peak of the cosine schedule, after ``warmup`` steps.
    contrast, classify, reconstruct : float
        Weights of the parts of the loss (`training.objectives`); a part of weight 0 is not computed.
    temperature : float
        Of the contrastive part.
    checkpoint_minutes : float
        Time between checkpoints.
    """

    model: LVMConfig
    steps: int
    batch: int
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warmup: int = 100
    contrast: float = 1.0
    classify: float = 1.0
    reconstruct: float = 0.0
    temperature: float = 0.2
    seed: int = 0
    checkpoint_minutes: float = 5.0

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch < 2:
            raise ConfigError(f"steps {self.steps} must be at least 1 and batch {self.batch} at least 2.")
        if not self.contrast + self.classify + self.reconstruct > 0:
            raise ConfigError("Every part of the loss has weight 0; give contrast, classify or reconstruct a weight.")


#: 3.9 M parameters, 2.6 M of them in the encoder.
TINY = LVMConfig(embed_dim=32, depths=(1, 1, 4, 2), heads=(2, 4, 8, 8), drop_path=0.05, attention_dropout=0.0)


def debug() -> PretrainConfig:
    """A few steps of a very small model: does the program run?"""
    model = LVMConfig(embed_dim=16, depths=(1, 1, 1, 1), heads=(2, 2, 2, 2), image_size=64)
    return PretrainConfig(model=model, steps=20, batch=16, warmup=5, reconstruct=1.0)


def tiny() -> PretrainConfig:
    """The same model at the paper's 128 pixels; start it from a run of `tiny64`, which costs a quarter a step."""
    return PretrainConfig(model=TINY, steps=800, batch=128, learning_rate=3e-4)


def tiny64() -> PretrainConfig:
    """The shipped encoder: 64 pixels, so that a few thousand stamps embed in seconds on two cores."""
    return PretrainConfig(model=dataclasses.replace(TINY, image_size=64), steps=2000, batch=128, warmup=100)


RECIPES: dict[str, Callable[[], PretrainConfig]] = {"debug": debug, "tiny": tiny, "tiny64": tiny64}


def recipe(name: str) -> PretrainConfig:
    """Return a recipe's configuration; raises `ConfigError` for an unknown name."""
    if name not in RECIPES:
        raise ConfigError(f"No recipe {name!r}; there are {', '.join(RECIPES)}.")
    return RECIPES[name]()
