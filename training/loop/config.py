"""How a training run goes: its schedule, and how often it is saved and measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from discovery.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class LoopConfig:
    """How a run goes, whatever it trains.

    Attributes
    ----------
    steps : int
        Updates of the weights.
    learning_rate : float
        Peak: linear warm-up over ``warmup`` steps, then a cosine to zero.
    optimizer : {"adamw", "adam"}
        Fused; ``adam`` is the paper's, without weight decay.
    clip : float
        Largest norm of the gradient.
    accumulate : int
        Batches an update; each update then takes that many from ``batches``.
    ema : float
        Decay of the running average of the weights, 0 for none; its early steps decay faster.
    precision : {"auto", "float32", "bfloat16"}
        Autocast; ``auto`` is bfloat16 on CUDA and float32 elsewhere.
    compile : bool
        Use torch.compile.
    checkpoint_minutes : float
        Time between checkpoints; one is also written at the end and on SIGTERM.
    log_every, evaluate_every : int
        Steps between log lines, and between evaluations (0: only at the end).
    """

    steps: int
    learning_rate: float
    weight_decay: float = 0.05
    optimizer: Literal["adamw", "adam"] = "adamw"
    warmup: int = 0
    clip: float = 1.0
    accumulate: int = 1
    ema: float = 0.0
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    compile: bool = False
    checkpoint_minutes: float = 5.0
    log_every: int = 1
    evaluate_every: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "accumulate", "log_every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least 1.")
        if not self.learning_rate > 0 or not 0 <= self.ema < 1:
            raise ConfigError(f"learning_rate {self.learning_rate} must be above 0, and ema {self.ema} from 0 to below 1.")
