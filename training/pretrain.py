"""Pretraining: a loop one can read, resumable to the step.

All randomness of a step comes from (seed, step), so that a resumed run sees the same stamps in the same views.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from discovery.errors import ConfigError
from discovery.lvm import LVM
from training import augment
from training.data import Stamps, batches
from training.objectives import Classifiers, contrast, projector
from training.recipes import PretrainConfig

LOG_EVERY = 20


class Pretraining(nn.Module):
    """The model with the heads that only training needs."""

    def __init__(self, config: PretrainConfig, classes: Sequence[int]) -> None:
        super().__init__()
        self.config = config
        self.lvm = LVM(config.model)
        self.projector = projector(config.model.dimension)
        self.classifiers = Classifiers(config.model.dimension, classes)

    def forward(self, one: Tensor, other: Tensor, part: Tensor, label: Tensor) -> tuple[Tensor, dict[str, float]]:
        """Return the loss and its parts for two views (B, 3, S, S)."""
        config, views = self.config, torch.cat([one, other])
        tokens, skips = self.lvm.encode(views)
        features = tokens.mean(1)  # (2B, D)
        loss, parts = features.sum() * 0, {}
        if config.contrast:
            projected = self.projector(features)  # (2B, P)
            value = contrast(projected[: len(one)], projected[len(one) :], config.temperature)
            loss, parts["contrast"] = loss + config.contrast * value, float(value.detach())
        if config.classify:
            value, accuracy = self.classifiers(features, part.repeat(2), label.repeat(2))
            loss, parts["classify"], parts["accuracy"] = loss + config.classify * value, float(value.detach()), float(accuracy)
        if config.reconstruct:
            value = nn.functional.mse_loss(self.lvm.decode(tokens, skips), views)
            loss, parts["reconstruct"] = loss + config.reconstruct * value, float(value.detach())
        return loss, parts


def pretrain(
    config: PretrainConfig, parts: Sequence[Stamps], run: Path, *, start_from: Path | None = None, device: str | None = None
) -> Path:
    """Train, or go on where the run stopped.

    Parameters
    ----------
    run
        Folder for ``config.json``, ``metrics.jsonl`` and ``checkpoint.pt``.
    start_from
        Checkpoint of another run whose weights are the start (its image size may differ).

    Returns
    -------
    Path
        The checkpoint.

    Raises
    ------
    ConfigError
        If the run's folder holds another configuration.
    """
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    run.mkdir(parents=True, exist_ok=True)
    _write_config(config, parts, start_from, run)
    torch.manual_seed(config.seed)
    model = Pretraining(config, [len(s.classes) for s in parts]).to(place)
    if start_from is not None:
        adopt(model, torch.load(start_from, map_location="cpu", weights_only=True)["model"])
    optimizer = torch.optim.AdamW(_groups(model, config.weight_decay), lr=config.learning_rate, betas=(0.9, 0.98))
    checkpoint, step = run / "checkpoint.pt", 0
    if checkpoint.exists():
        saved = torch.load(checkpoint, map_location=place, weights_only=True)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        step = saved["step"]
    model.train()
    saved_at = time.monotonic()
    with (run / "metrics.jsonl").open("a") as metrics:
        for pixels, part, label in batches(parts, config.batch, config.seed, step):
            if step >= config.steps:
                break
            began = time.monotonic()
            for group in optimizer.param_groups:
                group["lr"] = rate(config, step)
            values = _step(model, optimizer, pixels, part, label, step, place)
            step += 1
            if step % LOG_EVERY == 0 or step == config.steps:
                record = {"step": step, "lr": rate(config, step - 1), **values, "seconds": time.monotonic() - began}
                metrics.write(json.dumps(record) + "\n")
                metrics.flush()
                print("  ".join(f"{name} {value:9.4g}" for name, value in record.items()), file=sys.stderr, flush=True)
            if step == config.steps or time.monotonic() - saved_at > 60 * config.checkpoint_minutes:
                _save(checkpoint, model, optimizer, step)
                saved_at = time.monotonic()
    return checkpoint


def rate(config: PretrainConfig, step: int) -> float:
    """Return the learning rate: linear warm-up, then a cosine to zero."""
    if step < config.warmup:
        return config.learning_rate * (step + 1) / config.warmup
    done = (step - config.warmup) / max(1, config.steps - config.warmup)
    return config.learning_rate * (1 + math.cos(math.pi * min(1.0, done))) / 2


def adopt(model: Pretraining, state: dict[str, Tensor]) -> None:
    """Take over the weights of a run at another image size.

    Bias tables of windows that change size are resampled (bicubic), as Swin does between resolutions.
    """
    own, taken = model.state_dict(), {}
    for name, value in state.items():
        if name in own and own[name].shape != value.shape and name.endswith("relative_position_bias_table"):
            value = _resample_table(value, own[name].shape[0])
        if name in own and own[name].shape == value.shape:
            taken[name] = value
    if missing := sorted(name for name in own.keys() - taken.keys() if name.startswith("lvm.")):
        raise ConfigError(f"The checkpoint to start from is of another model: {missing[0]} does not fit.")
    model.load_state_dict(taken, strict=False)


def _step(
    model: Pretraining,
    optimizer: torch.optim.Optimizer,
    pixels: np.ndarray,
    part: np.ndarray,
    label: np.ndarray,
    step: int,
    place: torch.device,
) -> dict[str, float]:
    config = model.config
    generator = torch.Generator().manual_seed(config.seed * 1_000_003 + step)
    torch.manual_seed(config.seed * 1_000_003 + step)  # drop path
    stamps = torch.from_numpy(pixels).float() / 255
    one, other = (augment.view(stamps, config.model.image_size, generator).to(place) for _ in range(2))
    with torch.autocast(place.type, torch.bfloat16, enabled=place.type == "cuda"):
        loss, values = model(one, other, torch.from_numpy(part).to(place), torch.from_numpy(label).to(place))
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return {"loss": float(loss.detach()), **values}


def _groups(model: nn.Module, weight_decay: float) -> list[dict]:
    """Give matrices weight decay, and biases, norms and bias tables none."""
    matrices = [p for name, p in model.named_parameters() if p.ndim > 1 and "bias_table" not in name]
    others = [p for name, p in model.named_parameters() if p.ndim <= 1 or "bias_table" in name]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


def _resample_table(table: Tensor, entries: int) -> Tensor:
    old, new = math.isqrt(table.shape[0]), math.isqrt(entries)
    grid = table.T.reshape(1, -1, old, old)
    return nn.functional.interpolate(grid, (new, new), mode="bicubic", align_corners=True).flatten(2)[0].T.contiguous()


def _save(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, step: int) -> None:
    partial = path.with_suffix(".partial")
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step}, partial)
    os.replace(partial, path)


def _write_config(config: PretrainConfig, parts: Sequence[Stamps], start_from: Path | None, run: Path) -> None:
    data = [{"name": s.name, "stamps": len(s.object_ids), "training": int(s.trains.sum()), "classes": list(s.classes)} for s in parts]
    record = {**dataclasses.asdict(config), "data": data, "start_from": str(start_from) if start_from else None}
    record = json.loads(json.dumps(record))
    path = run / "config.json"
    if path.exists() and json.loads(path.read_text()) != record:
        raise ConfigError(f"{run} holds a run of another configuration; give another folder, or the same options to go on.")
    path.write_text(json.dumps(record, indent=1))
