"""Linear scorers as torch modules, for an engine that scores every object on a GPU."""

from __future__ import annotations

import numpy as np
import torch


def linear_module(weights: np.ndarray, bias: float) -> torch.nn.Module:
    """Return a module that gives ``vectors @ weights + bias``, (n, D) to (n,)."""
    layer = torch.nn.Linear(len(weights), 1)
    given = {"weight": np.asarray(weights, np.float32)[None], "bias": np.array([bias], np.float32)}
    layer.load_state_dict({name: torch.tensor(values) for name, values in given.items()})
    return torch.nn.Sequential(layer, torch.nn.Flatten(0)).requires_grad_(False)


def negative_module(module: torch.nn.Module) -> torch.nn.Module:
    """Return a module that gives the scores of another with the other sign."""
    return _Negative(module)


class _Negative(torch.nn.Module):
    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """Score (n, D) vectors, (n,)."""
        return -self.inner(vectors)
