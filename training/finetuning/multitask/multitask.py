"""Multitask finetuning: one encoder, three heads, and shares of the steps that follow from how well each does.

Fu et al. 2024, section III; losses, degradations and numbers of stamps are the paper's. What differs: the picture
heads (`discovery.encoders.image_heads`), the part of the split that the active rule looks at (`training.finetuning.multitask.active`), and the
data's bands and size.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from discovery.encoders.encoder import Encoder
from discovery.encoders.image_heads import WIDTH, MultitaskModel
from discovery.encoders.lvm import LVM
from discovery.errors import ConfigError
from discovery.stamps.preprocess import CropConfig
from training.data.degrade import Degradation
from training.finetuning.multitask import active
from training.finetuning.multitask.config import Strategy
from training.finetuning.multitask.measures import Figures, measured
from training.finetuning.multitask.tasks import (
    TASKS,
    TaskData,
    lifted,
    pictures,
    recoloured,
    task_batch,
    turned,
)
from training.loop.checkpoint import load_checkpoint, load_into
from training.loop.config import LoopConfig
from training.loop.loop import Batch, train
from training.loop.processes import Place


@dataclass(frozen=True, kw_only=True)
class MultitaskConfig:
    """Everything that decides a multitask run.

    Attributes
    ----------
    strategy : {"frozen", "uniform", "active"}
        ``frozen`` trains the heads only, with equal shares; ``uniform`` the encoder too; ``active`` also changes the
        shares at each evaluation.
    batch : int
        Stamps a step; a step belongs to one task.
    encoder_rate : float
        Learning rate of the encoder, as a part of the heads'.
    recolour : float
        Largest relative change of a band's brightness in the picture tasks' training stamps, so that the heads serve
        galaxies of other colours than the survey's.
    width : int
        Channels inside the picture heads.
    """

    strategy: Strategy
    loop: LoopConfig
    batch: int = 32
    encoder_rate: float = 0.3
    recolour: float = 0.0
    width: int = WIDTH
    degradation: Degradation = field(default_factory=Degradation)

    def __post_init__(self) -> None:
        if self.batch < 1 or not 0 < self.encoder_rate <= 1:
            raise ConfigError(f"batch {self.batch} must be at least 1, and encoder_rate {self.encoder_rate} above 0 and at most 1.")
        if not 0 <= self.recolour < 1:
            raise ConfigError(f"recolour {self.recolour} must be from 0 to below 1.")
        if self.loop.accumulate != 1 or self.loop.compile:
            raise ConfigError("Multitask training takes one batch an update and does not compile: its steps differ in their task.")


class Multitask(nn.Module):
    """The model with its losses, and the quality of each task, which a checkpoint keeps."""

    def __init__(self, encoder: Encoder, classes: tuple[str, ...], config: MultitaskConfig) -> None:
        super().__init__()
        self.model = MultitaskModel(copy.deepcopy(plain_lvm(encoder)).requires_grad_(True), classes, config.width)
        self.frozen = config.strategy == "frozen"
        if self.frozen:
            self.model.lvm.requires_grad_(False)
        self.rate_shares = {"model.lvm.": config.encoder_rate}
        self.quality: Tensor
        self.register_buffer("quality", torch.full((len(TASKS),), float("nan"), dtype=torch.float64))

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of the batch's task, under the task's name as well."""
        task = TASKS[int(batch["task"])]
        if task == "classification":
            loss = F.cross_entropy(self.model.classify(batch["clean"]), batch["label"])
        elif task == "restoration":
            loss = F.mse_loss(self.model.restore(batch["degraded"]), batch["clean"])
        else:
            loss = F.mse_loss(self.model.reconstruct(batch["clean"], batch["mask"]), batch["clean"])
        return loss, {"task": batch["task"].float()}

    def train(self, mode: bool = True) -> Multitask:
        """Return the module, its mode set; a frozen encoder stays in evaluation mode, without drop path."""
        super().train(mode)
        if self.frozen:
            self.model.lvm.eval()
        return self

    @property
    def shares(self) -> dict[str, float]:
        """Share of the steps of each task, from its present quality; equal ones before any evaluation."""
        known = {task: 0.0 if np.isnan(value) else value for task, value in zip(TASKS, self.quality.tolist(), strict=True)}
        return active.shares(known)

    def learn_quality(self, figures: Figures) -> None:
        """Take new validation figures into the running qualities."""
        for place, value in enumerate(qualities(figures).values()):
            before = self.quality[place].item()
            self.quality[place] = active.smoothed(None if np.isnan(before) else before, value)


def multitask(
    config: MultitaskConfig,
    data: TaskData,
    encoder: Encoder,
    run: Path,
    *,
    start_from: Path | None = None,
    show: Callable[[Figures], None] | None = None,
    place: Place | None = None,
) -> MultitaskModel:
    """Return the trained model in evaluation mode; a run that was stopped goes on.

    Its weights are float16 values, as `save_multitask` stores them, so that what is measured is what ships.

    Parameters
    ----------
    run
        Folder of the run (see `training.loop.loop.train`).
    start_from
        Run or checkpoint of another multitask training whose weights and qualities are the start.
    show
        Called with the validation figures of each evaluation.

    Raises
    ------
    ConfigError
        If the encoder is no LVM for display colours, several processes were started, or the run's folder holds another run.
    TrainingError
        If the loss is not finite.
    """
    place = place or Place()
    if place.world > 1:
        raise ConfigError("Multitask training runs in one process: start it without torchrun.")
    torch.manual_seed(config.loop.seed)
    module = Multitask(encoder, data.classes, config)

    def evaluate(averaged: nn.Module, step: int) -> dict[str, float]:
        assert isinstance(averaged, Multitask)
        figures = measured(averaged.model, data, "validation", config.degradation)
        if config.strategy == "active":
            module.learn_quality(figures)
        if show is not None:
            show(figures)
        flat = {f"{task}_{name}": value for task, row in figures.items() for name, value in row.items()}
        return flat | {f"share_{task}": value for task, value in module.shares.items()}

    checkpoint = train(
        module, lambda step: _batches(module, data, config, step), config.loop, run,
        record=_record(config, data, encoder) | {"start_from": str(start_from) if start_from else None},
        evaluate=evaluate, place=place, start=None if start_from is None else load_checkpoint(start_from).best,
    )  # fmt: skip
    load_into(module, load_checkpoint(checkpoint).best, str(checkpoint))
    model = module.model.eval().requires_grad_(False)
    for value in model.state_dict().values():
        value.copy_(value.half())
    return model


def qualities(figures: Figures) -> dict[str, float]:
    """Return each task's quality in 0..1, as the active rule has it."""
    found = {"classification": figures["classification"]["f1"]}
    for task in TASKS[1:]:
        found[task] = active.picture_quality(figures[task]["psnr"], figures[task]["input_psnr"])
    return found


def task_of_step(shares: dict[str, float], seed: int, step: int) -> str:
    """Return the task to which a step belongs: drawn by the shares, the same one each time."""
    drawn = np.random.default_rng([seed, step, 0]).random()
    bounds = np.cumsum([shares[task] for task in TASKS])
    return TASKS[min(int(np.searchsorted(bounds, drawn, side="right")), len(TASKS) - 1)]


def plain_lvm(encoder: Encoder) -> LVM:
    """Return the encoder's network, if it is an LVM that takes display colours as they are.

    Raises
    ------
    ConfigError
        If it is another network or takes other input: the picture heads' output could not be compared with it.
    """
    card = encoder.card
    plain = card.convention == "dr2_rgb" and card.crop == CropConfig() and card.channel_order == "grz"
    if not isinstance(encoder.network, LVM) or not plain or card.mean != (0.0,) * 3 or card.std != (1.0,) * 3:
        raise ConfigError(
            f"Encoder {card.name} cannot carry picture heads: they need an LVM for dr2_rgb colours with the adaptive crop, such as 'default'."
        )
    return encoder.network


def _batches(module: Multitask, data: TaskData, config: MultitaskConfig, step: int) -> Iterator[Batch]:
    """Give each step's batch; its task depends on the shares at that moment, so that nothing is read ahead."""
    size = module.model.image_size
    while True:
        rng = np.random.default_rng([config.loop.seed, step, 1])
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        task = task_of_step(module.shares, config.loop.seed, step)
        rows = rng.choice(data.train[task], min(config.batch, len(data.train[task])), replace=False)
        clean = turned(pictures(data.stamps, rows, size), generator)
        if task != "classification":
            clean = lifted(recoloured(clean, config.recolour, generator), generator)
        yield task_batch(task, clean, torch.from_numpy(data.labels[rows]), config.degradation, generator)
        step += 1


def _record(config: MultitaskConfig, data: TaskData, encoder: Encoder) -> dict[str, Any]:
    counts = {part: {task: len(rows) for task, rows in getattr(data, part).items()} for part in ("train", "validation", "test")}
    return {
        "program": "multitask",
        **dataclasses.asdict(config),
        "encoder": {"name": encoder.card.name, "checksum": encoder.checksum},
        "data": {"survey": data.stamps.name, "classes": {name: list(members) for name, members in data.groups.items()}, **counts},
    }

