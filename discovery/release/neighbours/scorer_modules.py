"""Scorers of numpy arrays as torch modules, for the exact engine."""

from __future__ import annotations

import numpy as np
import torch


class TwoLayers(torch.nn.Module):
    """Standardise, one hidden layer with ReLU, one number: (n, D) to (n,)."""

    centre: torch.Tensor
    scale: torch.Tensor

    def __init__(self, dimension: int, hidden: int) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(dimension))
        self.register_buffer("scale", torch.ones(()))
        self.layers = torch.nn.Sequential(torch.nn.Linear(dimension, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, 1))

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """Score (n, D) vectors, (n,)."""
        return self.layers((vectors - self.centre) / self.scale)[:, 0]


def two_layers(
    centre: np.ndarray, scale: float, first: np.ndarray, first_bias: np.ndarray, second: np.ndarray, second_bias: np.ndarray
) -> TwoLayers:
    """Return a network of given parameters.

    Parameters
    ----------
    centre, scale : numpy.ndarray, float
        Inputs are ``(vectors - centre) / scale``.
    first, first_bias, second, second_bias : numpy.ndarray
        (D, H), (H,), (H,) and (1,).
    """
    module = TwoLayers(*first.shape)
    given = {
        "centre": centre,
        "scale": np.float32(scale),
        "layers.0.weight": first.T,
        "layers.0.bias": first_bias,
        "layers.2.weight": second[None],
        "layers.2.bias": second_bias,
    }
    module.load_state_dict({name: torch.tensor(np.asarray(values, np.float32)) for name, values in given.items()})
    return module.requires_grad_(False)
