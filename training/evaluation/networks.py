"""The networks that the encoder is compared with in few-shot classification."""

from __future__ import annotations

from pathlib import Path

import torch
import torchvision
from torch import Tensor, nn

from discovery.encoders.encoder import read_weights
from discovery.errors import ConfigError

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class PictureNetwork(nn.Module):
    """A torchvision classifier of R G B pictures on stamps g r z in 0..1."""

    def __init__(self, name: str, classes: int, weights: Path | None = None) -> None:
        super().__init__()
        self.network = torchvision.models.get_model(name, weights=None, num_classes=classes)
        if weights is not None:
            _load_body(self.network, weights, name)
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD)[:, None, None], persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return logits (B, classes) of display colours (B, 3, H, W), bluest band first."""
        return self.network((pixels.flip(1) - self.mean) / self.std)


def _load_body(network: nn.Module, path: Path, name: str) -> None:
    """Load all but the last layer, which is for other classes."""
    own, state = network.state_dict(), read_weights(path)
    last = list(own)[-1].rpartition(".")[0]
    body = {key: value for key, value in state.items() if not key.startswith(f"{last}.")}
    wrong = [
        key
        for key in own
        if not key.startswith(f"{last}.") and (key not in body or own[key].shape != body[key].shape)
    ]
    wrong += [key for key in body if key not in own]
    if wrong:
        raise ConfigError(
            f"{path} does not fit torchvision's {name}: {len(wrong)} weights, the first is {wrong[0]}."
        )
    network.load_state_dict({**{key: own[key] for key in own if key not in body}, **body})
