"""The optimizer of a run, and its learning rate at each step."""

from __future__ import annotations

import math

import torch
from torch import nn

from training.loop.config import LoopConfig


def rate(config: LoopConfig, step: int) -> float:
    """Return the learning rate of a step: linear warm-up, then a cosine to zero."""
    if step < config.warmup:
        return config.learning_rate * (step + 1) / config.warmup
    done = (step - config.warmup) / max(1, config.steps - config.warmup)
    return config.learning_rate * (1 + math.cos(math.pi * min(1.0, done))) / 2


def make_optimizer(module: nn.Module, config: LoopConfig) -> torch.optim.Optimizer:
    """Return a fused Adam or AdamW; biases, norms and bias tables have no weight decay.

    A module may scale the rate of some parameters: ``module.rate_shares`` maps prefixes of names to factors.
    """
    shares: dict[str, float] = getattr(module, "rate_shares", {})
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            decays = parameter.ndim > 1 and "bias_table" not in name
            share = next((value for prefix, value in shares.items() if name.startswith(prefix)), 1.0)
            groups.setdefault((config.weight_decay if decays else 0.0, share), []).append(parameter)
    listed = [{"params": members, "weight_decay": decay, "share": share} for (decay, share), members in groups.items()]
    if config.optimizer == "adam":
        return torch.optim.Adam([{**group, "weight_decay": 0.0} for group in listed], lr=config.learning_rate, fused=True)
    return torch.optim.AdamW(listed, lr=config.learning_rate, betas=(0.9, 0.98), fused=True)
