"""The rescorer: an MLP with one hidden layer of 2048 on the frozen embeddings (Fu et al. 2024, section V).

Training takes a fixed number of steps on at most `RescorerConfig.batch` labels each, so that a round's
time does not grow with the number of labels. Only this file of the hunts imports torch, and only when used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from discovery.errors import HuntError

if TYPE_CHECKING:
    import torch

SPREAD_FLOOR = 0.1
"""Dimensions that hardly vary are divided by no less than this share of the median spread."""


@dataclass(frozen=True, kw_only=True)
class RescorerConfig:
    """How the rescorer is built and trained; recorded with each round so that it can be replayed.

    Attributes
    ----------
    hidden : int
        Width of the one hidden layer (ReLU).
    steps : int
        Steps of AdamW.
    batch : int
        Most labels a step: all of them while they are fewer, else a fresh seeded draw each step.
    learning_rate, weight_decay : float
        Of AdamW.
    background : int
        Objects of the release from which the inputs' mean and spread are taken.
    """

    hidden: int = 2048
    steps: int = 60
    batch: int = 128
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    background: int = 2048

    def __post_init__(self) -> None:
        """Refuse what a damaged or foreign hunt file might ask for."""
        sizes = {"hidden": 2**14, "steps": 10_000, "batch": 2**14, "background": 2**16}
        for name, most in sizes.items():
            if not isinstance(getattr(self, name), int) or not 1 <= getattr(self, name) <= most:
                raise HuntError(
                    f"the rescorer's {name} is {getattr(self, name)}; it must lie between 1 and {most}"
                )
        for name in ("learning_rate", "weight_decay"):
            if not isinstance(getattr(self, name), int | float) or not 0 <= getattr(self, name) <= 10:
                raise HuntError(
                    f"the rescorer's {name} is {getattr(self, name)}; it must lie between 0 and 10"
                )


class Rescorer:
    """A trained rescorer: logits of the positive class for unit vectors."""

    def __init__(self, centre: np.ndarray, scale: np.ndarray, parameters: list[torch.Tensor]) -> None:
        self._centre, self._scale = centre, scale
        self._parameters = [parameter.detach() for parameter in parameters]

    def scores(self, vectors: np.ndarray) -> np.ndarray:
        """Return the logits, (n,) float32, of ``vectors`` (n, D) float32."""
        import torch

        with torch.inference_mode():
            inputs = torch.from_numpy((vectors - self._centre) / self._scale)
            return _forward(inputs, self._parameters).numpy()


def train_rescorer(
    positives: np.ndarray, negatives: np.ndarray, background: np.ndarray, seed: int, config: RescorerConfig
) -> Rescorer:
    """Train on labelled vectors with class-weighted binary cross entropy; the same input gives the same model.

    Parameters
    ----------
    positives, negatives : numpy.ndarray
        (n, D) float32, neither empty. Their order matters in the last digits: pass them sorted.
    background : numpy.ndarray
        (m, D) float32 vectors of the release; its mean and spread standardise the inputs.
    seed : int
        Of the first weights and the draws; torch's global state is left alone.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    centre, scale = _standardisation(background)
    vectors = np.concatenate([positives, negatives]).astype(np.float32)
    inputs = torch.from_numpy((vectors - centre) / scale)  # (n, D)
    targets = torch.cat([torch.ones(len(positives)), torch.zeros(len(negatives))])
    weights = len(targets) / 2 / torch.where(targets > 0, len(positives), len(negatives))
    parameters = _first_weights(inputs.shape[1], config.hidden, generator)
    optimiser = _AdamW(parameters, config)
    for _ in range(config.steps):
        drawn = torch.randperm(len(targets), generator=generator)[: config.batch].sort().values
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            _forward(inputs[drawn], parameters), targets[drawn], weight=weights[drawn]
        )
        optimiser.step(list(torch.autograd.grad(loss, parameters)))
    return Rescorer(centre, scale, parameters)


class _AdamW:
    """AdamW by torch's functional form: building ``torch.optim.AdamW`` imports the compiler, seconds at first use."""

    def __init__(self, parameters: list[torch.Tensor], config: RescorerConfig) -> None:
        import torch

        self._parameters, self._config = parameters, config
        self._means = [torch.zeros_like(parameter) for parameter in parameters]
        self._squares = [torch.zeros_like(parameter) for parameter in parameters]
        self._steps = [torch.zeros(()) for _ in parameters]

    def step(self, gradients: list[torch.Tensor]) -> None:
        """Change the parameters in place."""
        import torch
        from torch.optim.adamw import adamw

        with torch.no_grad():
            adamw(
                self._parameters,
                gradients,
                self._means,
                self._squares,
                [],
                self._steps,
                fused=True,
                amsgrad=False,
                beta1=0.9,
                beta2=0.999,
                lr=self._config.learning_rate,
                weight_decay=self._config.weight_decay,
                eps=1e-8,
                maximize=False,
            )


def _standardisation(background: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    spread = background.std(axis=0)
    floor = max(SPREAD_FLOOR * float(np.median(spread)), 1e-6)
    return background.mean(axis=0).astype(np.float32), np.maximum(spread, floor).astype(np.float32)


def _first_weights(dimension: int, hidden: int, generator: torch.Generator) -> list[torch.Tensor]:
    """Weights as torch.nn.Linear draws them, from our own generator."""
    import torch

    def uniform(*shape: int, fan_in: int) -> torch.Tensor:
        bound = fan_in**-0.5
        return ((torch.rand(*shape, generator=generator) * 2 - 1) * bound).requires_grad_()

    return [
        uniform(dimension, hidden, fan_in=dimension),
        uniform(hidden, fan_in=dimension),
        uniform(hidden, fan_in=hidden),
        uniform(1, fan_in=hidden),
    ]


def _forward(inputs: torch.Tensor, parameters: list[torch.Tensor]) -> torch.Tensor:
    """Logits (n,) of inputs (n, D)."""
    first, first_bias, second, second_bias = parameters
    return (inputs @ first + first_bias).relu() @ second + second_bias
