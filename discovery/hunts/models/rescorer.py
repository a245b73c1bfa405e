"""The rescorer: an MLP with one hidden layer of 2048 on the frozen embeddings (Fu et al. 2024, section V).

Training takes a fixed number of steps on at most `RescorerConfig.batch` labels each, so that a round's
time does not grow with the number of labels. It is written in numpy: for so few labels torch's threads cost more
than they bring (on a busy machine a hundred times more), and a round on the command line need not import torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from discovery.errors import HuntError

if TYPE_CHECKING:
    import torch

BETA1, BETA2 = np.float32(0.9), np.float32(0.999)


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
    unlabelled : int
        Of these, how many are weak negatives: what a person seeks is rare, so an object picked blindly is most
        likely none. Without them a few labels leave most of the release far from anything learned.
    unlabelled_share : float
        Share of the negatives' weight that the weak ones carry together.
    """

    hidden: int = 2048
    steps: int = 30
    batch: int = 128
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    background: int = 2048
    unlabelled: int = 128
    unlabelled_share: float = 0.8

    def __post_init__(self) -> None:
        """Refuse what a damaged or foreign hunt file might hold."""
        sizes = {"hidden": 2**14, "steps": 10_000, "batch": 2**14, "background": 2**16, "unlabelled": 2**14}
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
        if not isinstance(self.unlabelled_share, int | float) or not 0 <= self.unlabelled_share < 1:
            raise HuntError(f"the rescorer's unlabelled_share is {self.unlabelled_share}; it must lie in 0 to below 1")


class Rescorer:
    """A trained rescorer: logits of the positive class for unit vectors.

    Attributes
    ----------
    parameters : list of numpy.ndarray
        float32: hidden weights (D, H) and biases (H,), output weights (H,) and bias (1,).
    """

    def __init__(self, centre: np.ndarray, scale: np.float32, parameters: list[np.ndarray]) -> None:
        self._centre, self._scale = centre, scale
        self.parameters = parameters

    def scores(self, vectors: np.ndarray) -> np.ndarray:
        """Return the logits, (n,) float32, of ``vectors`` (n, D) float32."""
        return _forward((vectors - self._centre) / self._scale, self.parameters)[1]

    def to_torch(self) -> torch.nn.Module:
        """Return the same network as a torch module, (n, D) to (n,), for `discovery.release.neighbours.exact.ExactEngine`."""
        from discovery.release.neighbours.scorer_modules import two_layers

        return two_layers(self._centre, float(self._scale), *self.parameters)


def train_rescorer(
    positives: np.ndarray, negatives: np.ndarray, background: np.ndarray, seed: int, config: RescorerConfig
) -> Rescorer:
    """Train on labelled vectors with class-weighted binary cross entropy; the same input gives the same model.

    Parameters
    ----------
    positives, negatives : numpy.ndarray
        (n, D) float32, neither empty. Their order matters in the last digits: pass them sorted.
    background : numpy.ndarray
        (m, D) float32 vectors of the release; its mean and spread standardise the inputs, a draw of it are the
        weak negatives.
    seed : int
        Of the first weights and the draws.
    """
    rng = np.random.default_rng(seed)
    centre, scale = standardisation(background)
    weak = background[np.sort(rng.permutation(len(background))[: config.unlabelled])]
    inputs = (np.concatenate([positives, negatives, weak]).astype(np.float32) - centre) / scale  # (n, D)
    counts = [len(positives), len(negatives), len(weak)]
    targets = np.repeat(np.array([1, 0, 0], dtype=np.float32), counts)
    shares = np.array([1, 1 - config.unlabelled_share, config.unlabelled_share]) / counts
    labelled = len(positives) + len(negatives)
    weights = (np.repeat(shares, counts) * len(targets) / 2).astype(np.float32)  # mean 1, each class a half
    parameters = _first_weights(inputs.shape[1], config.hidden, rng)
    optimiser = _AdamW(parameters, config)
    for _ in range(config.steps):
        drawn = np.sort(rng.permutation(labelled)[: config.batch])
        drawn = np.concatenate([drawn, np.arange(labelled, len(targets))])
        optimiser.step(_gradients(inputs[drawn], targets[drawn], weights[drawn], parameters))
    return Rescorer(centre, scale, parameters)


class _AdamW:
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, algorithm 2), in place."""

    def __init__(self, parameters: list[np.ndarray], config: RescorerConfig) -> None:
        self._parameters, self._config, self._steps = parameters, config, 0
        self._means = [np.zeros_like(parameter) for parameter in parameters]
        self._squares = [np.zeros_like(parameter) for parameter in parameters]

    def step(self, gradients: list[np.ndarray]) -> None:
        """Change the parameters by one step; the gradients are used up."""
        self._steps += 1
        first, second = np.float32(1 - BETA1**self._steps), np.float32(1 - BETA2**self._steps)
        rate = np.float32(self._config.learning_rate)
        kept = np.float32(1 - self._config.learning_rate * self._config.weight_decay)
        for parameter, mean, square, gradient in zip(
            self._parameters, self._means, self._squares, gradients, strict=True
        ):
            mean *= BETA1
            mean += np.float32(1 - BETA1) * gradient
            square *= BETA2
            np.multiply(gradient, gradient, out=gradient)
            gradient *= np.float32(1 - BETA2)
            square += gradient
            np.sqrt(square / second, out=gradient)
            gradient += np.float32(1e-8)
            parameter *= kept
            parameter -= (rate / first) * mean / gradient


def _gradients(
    inputs: np.ndarray, targets: np.ndarray, weights: np.ndarray, parameters: list[np.ndarray]
) -> list[np.ndarray]:
    """Gradients of the weighted mean cross entropy of (n, D) inputs."""
    hidden, logits = _forward(inputs, parameters)
    slope = weights * (0.5 * (1 + np.tanh(0.5 * logits)) - targets) / np.float32(len(targets))  # (n,)
    back = np.outer(slope, parameters[2]) * (hidden > 0)  # (n, H)
    return [inputs.T @ back, back.sum(axis=0), slope @ hidden, slope.sum(keepdims=True)]


def _forward(inputs: np.ndarray, parameters: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Hidden activations (n, H) and logits (n,) of inputs (n, D)."""
    first, first_bias, second, second_bias = parameters
    hidden = inputs @ first
    hidden += first_bias
    np.maximum(hidden, 0, out=hidden)
    return hidden, hidden @ second + second_bias


def standardisation(background: np.ndarray) -> tuple[np.ndarray, np.float32]:
    """Return the centre (D,) and one scale for all dimensions, so that angles between embeddings are kept."""
    centre = background.mean(axis=0).astype(np.float32)
    spread = float(np.sqrt(((background - centre) ** 2).mean()))
    return centre, np.float32(max(spread, 1e-6))


def _first_weights(dimension: int, hidden: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Uniform weights within 1 / sqrt(fan in), as torch.nn.Linear draws them."""

    def uniform(*shape: int, fan_in: int) -> np.ndarray:
        return ((rng.random(shape, dtype=np.float32) * 2 - 1) * np.float32(fan_in**-0.5)).astype(np.float32)

    return [
        uniform(dimension, hidden, fan_in=dimension),
        uniform(hidden, fan_in=dimension),
        uniform(hidden, fan_in=hidden),
        uniform(1, fan_in=hidden),
    ]
