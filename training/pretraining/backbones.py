"""The network that is pretrained: the LVM, or a timm backbone with a bottleneck."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from discovery.encoders.encoder import CARD_FILE, encoder_folder, load_encoder, read_weights
from discovery.encoders.lvm import ENCODER_PREFIXES, LVM, fitted
from discovery.encoders.timm_network import TimmNetwork, fitted_by_order
from discovery.errors import ConfigError
from training.loop.checkpoint import load_checkpoint
from training.pretraining.recipes import PretrainConfig

WEIGHT_FILES = (".pth", ".pt", ".bin", ".safetensors")


class TimmLearner(nn.Module):
    """A `TimmNetwork` that takes what the LVM takes: (B, 3, S, S) in 0..1, bands g r z."""

    def __init__(self, model: str, bottleneck: int) -> None:
        super().__init__()
        self.network = TimmNetwork(model, bottleneck).to(memory_format=torch.channels_last)
        settings = self.network.settings
        self.mean, self.std = tuple(settings["mean"]), tuple(settings["std"])

    def features(self, image: Tensor) -> Tensor:
        """Return (B, D), not normalised."""
        shape = (3, 1, 1)
        scaled = (image.flip(1) - image.new_tensor(self.mean).view(shape)) / image.new_tensor(self.std).view(shape)
        return self.network(scaled.contiguous(memory_format=torch.channels_last))


def make_network(config: PretrainConfig) -> LVM | TimmLearner:
    """Return the untrained network of a configuration."""
    return TimmLearner(config.timm_model, config.bottleneck) if config.timm_model else LVM(config.model)


def encoder_parts(config: PretrainConfig, weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return what `make_encoder` needs of a trained network: the network with float16 values, and its part of the card."""
    half = {name: value.half().float() if value.is_floating_point() else value for name, value in weights.items()}
    network = make_network(config)
    if isinstance(network, LVM):
        network.load_weights({name[4:]: value for name, value in half.items() if name.startswith("lvm.")})
        return {"network": network, "architecture": "lvm", "config": dataclasses.asdict(network.config)}
    prefix = "timm.network."
    network.network.load_state_dict({name[len(prefix) :]: value for name, value in half.items() if name.startswith(prefix)})
    about = {"model": config.timm_model, "bottleneck": config.bottleneck}
    return {
        "network": network.network, "architecture": "timm", "config": about,
        "channel_order": "zrg", "mean": network.mean, "std": network.std,
    }  # fmt: skip


def start_weights(source: str | Path, module: nn.Module) -> dict[str, Tensor]:
    """Return what a run may start from: an encoder's weights, all those of another run, or a file of backbone weights."""
    path = Path(source)
    if path.suffix in WEIGHT_FILES and path.is_file() and isinstance(timm := getattr(module, "timm", None), TimmLearner):
        own = timm.network.backbone.state_dict()
        return {f"timm.network.backbone.{name}": value for name, value in fitted_by_order(read_weights(path), own).items()}
    if (encoder_folder(source) / CARD_FILE).exists():
        network = load_encoder(source, device="cpu").network
        if isinstance(network, LVM):
            return {f"lvm.{name}": value for name, value in network.encoder_state().items()}
        return {f"timm.network.{name}": value for name, value in network.state_dict().items()}
    return load_checkpoint(path).best


def adopted(module: nn.Module, state: Mapping[str, Tensor], what: str) -> dict[str, Tensor]:
    """Return a start from the weights of another run: the encoder must fit but for its image size, the rest is taken where it fits."""
    own = module.state_dict()
    taken = {n: v for n, v in fitted(state, own).items() if n in own and own[n].shape == v.shape}
    encoder = (*(f"lvm.{prefix}" for prefix in ENCODER_PREFIXES), "timm.network.backbone.")
    if missing := sorted(name for name in own.keys() - taken.keys() if name.startswith(encoder)):
        raise ConfigError(f"The checkpoint to start from, {what}, is of another model: {missing[0]} does not fit.")
    return {**own, **taken}
