"""The three tasks of multitask training: whose stamps, in which parts, and what a batch of each holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from discovery.errors import ConfigError
from training.data.degrade import Degradation, degraded, masks
from training.data.stamps import Stamps
from training.spaces import network_input

TASKS = ("classification", "restoration", "reconstruction")
GZ2_GROUPS = {
    "elliptical": ("round_smooth", "inbetween_smooth"),
    "edge_on": ("edge_on",),
    "spiral": ("spiral",),
    "other": ("cigar_smooth",),
}
"""The paper's four classes from Galaxy Zoo 2's five clean ones, which have no irregular or merging galaxies for ``other``."""
SKY = 0.15
"""Highest sky level, of 0..1, to which the picture tasks' training stamps are raised."""

Groups = Mapping[str, Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Stamps of each task; the defaults are the paper's.

    Attributes
    ----------
    classification, restoration, reconstruction : (int, int)
        Training and test stamps.
    validation : (int, int)
        Stamps of the validation part for classification, and for each of the picture tasks. The paper used its
        test set for this.
    """

    classification: tuple[int, int] = (2000, 1000)
    restoration: tuple[int, int] = (1000, 100)
    reconstruction: tuple[int, int] = (1000, 100)
    validation: tuple[int, int] = (500, 100)

    def __post_init__(self) -> None:
        for name in ("classification", "restoration", "reconstruction", "validation"):
            if min(getattr(self, name)) < 1:
                raise ConfigError(f"{name} has {getattr(self, name)} stamps; each number must be at least 1.")


@dataclass(frozen=True, kw_only=True)
class TaskData:
    """Stamps with the rows that each task uses.

    Attributes
    ----------
    labels : numpy.ndarray
        (N,) int64 into ``classes``, -1 for stamps of no class.
    groups : dict of str to sequence of str
        The classes, and the survey's own of which each is made.
    train, validation, test : dict of str to numpy.ndarray
        Rows (n,) by task; no stamp is in two parts, but tasks share stamps.
    """

    stamps: Stamps
    labels: np.ndarray
    groups: Groups
    train: Mapping[str, np.ndarray]
    validation: Mapping[str, np.ndarray]
    test: Mapping[str, np.ndarray]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return tuple(self.groups)


def task_data(stamps: Stamps, sizes: Sizes, seed: int, groups: Groups | None = None) -> TaskData:
    """Return each task's stamps: training part without validation, validation part, held-out part.

    Classification takes the same number of each class as far as there are so many, and fills up from the
    others; the picture tasks take any stamps.

    Parameters
    ----------
    groups
        Names of new classes and the survey's own that each is made of; `GZ2_GROUPS` where the survey has those
        classes, else the survey's own. A class that is in no group is left out.

    Raises
    ------
    ConfigError
        If there are no labels, a class is unknown or empty, or a part has no stamps.
    """
    if stamps.labels is None:
        raise ConfigError(f"{stamps.name} has no labels; name their column: {stamps.name}@COLUMN.")
    if groups is None:
        known = {name for members in GZ2_GROUPS.values() for name in members}
        groups = GZ2_GROUPS if known == set(stamps.classes) else {name: (name,) for name in stamps.classes}
    labels = _grouped(stamps, groups)
    chosen: dict[str, dict[str, np.ndarray]] = {}
    parts = {
        "train": (stamps.trains & ~stamps.validates, [sizes.classification[0], sizes.restoration[0], sizes.reconstruction[0]]),
        "validation": (stamps.validates, [sizes.validation[0], sizes.validation[1], sizes.validation[1]]),
        "test": (~stamps.trains, [sizes.classification[1], sizes.restoration[1], sizes.reconstruction[1]]),
    }
    for number, (part, (member, counts)) in enumerate(parts.items()):
        chosen[part] = {}
        for index, (task, count) in enumerate(zip(TASKS, counts, strict=True)):
            rng = np.random.default_rng([seed, number, index])
            rows = np.flatnonzero(member & (labels >= 0)) if task == "classification" else np.flatnonzero(member)
            if len(rows) == 0:
                raise ConfigError(f"The {part} part of {stamps.name} has no stamps for {task}; give a larger survey.")
            rows = rng.permutation(rows)
            chosen[part][task] = balanced(rows, labels[rows], count) if task == "classification" else rows[:count]
    if len(missing := set(range(len(groups))) - set(labels[chosen["train"]["classification"]])):
        raise ConfigError(f"Class {list(groups)[min(missing)]!r} has no training stamps in {stamps.name}; leave it out.")
    return TaskData(stamps=stamps, labels=labels, groups=groups, **chosen)


def balanced(rows: np.ndarray, labels: np.ndarray, count: int) -> np.ndarray:
    """Return ``count`` rows, from each class in turn as long as it has any; all where there are fewer."""
    turn = np.empty(len(rows), np.int64)
    for value in np.unique(labels):
        turn[labels == value] = np.arange((labels == value).sum())
    return rows[np.lexsort((labels, turn))][:count]


def pictures(stamps: Stamps, rows: np.ndarray, size: int) -> Tensor:
    """Return stored stamps as (n, 3, size, size) float in 0..1."""
    return network_input(np.stack([stamps.pixels[row] for row in rows]), size)


def turned(stamps: Tensor, generator: torch.Generator) -> Tensor:
    """Return stamps each turned by a multiple of 90 degrees, half of them mirrored."""
    turns = torch.randint(8, (len(stamps),), generator=generator).tolist()
    quarters = [torch.rot90(stamp, turn % 4, (1, 2)) for stamp, turn in zip(stamps, turns, strict=True)]
    return torch.stack([stamp.flip(2) if turn > 3 else stamp for stamp, turn in zip(quarters, turns, strict=True)])


def recoloured(stamps: Tensor, most: float, generator: torch.Generator) -> Tensor:
    """Return stamps with the brightness of each band changed by a factor of its own."""
    if most == 0:
        return stamps
    factors = 1 + most * (2 * torch.rand(len(stamps), 3, 1, 1, generator=generator) - 1)
    return (stamps * factors).clamp(max=1)


def lifted(stamps: Tensor, generator: torch.Generator) -> Tensor:
    """Return stamps with the sky of half of them raised: it is black in SDSS pictures, and 0.13 in dr2_rgb's."""
    level = torch.rand(len(stamps), 1, 1, 1, generator=generator) * SKY
    level = level * (torch.rand(len(stamps), 1, 1, 1, generator=generator) < 0.5)
    return level + (1 - level) * stamps


def task_batch(task: str, clean: Tensor, labels: Tensor, how: Degradation, generator: torch.Generator) -> dict[str, Tensor]:
    """Return a batch of a task.

    Parameters
    ----------
    clean : Tensor
        (B, 3, S, S) in 0..1.
    labels : Tensor
        (B,) int64.

    Returns
    -------
    dict
        ``clean``, ``task`` (a number, the place in `TASKS`), and for classification ``label``, for restoration
        ``degraded``, for reconstruction ``mask`` (B, 1, S, S).
    """
    batch = {"clean": clean, "task": torch.tensor(TASKS.index(task))}
    if task == "classification":
        return batch | {"label": labels}
    if task == "restoration":
        return batch | {"degraded": degraded(clean, how, generator)}
    return batch | {"mask": masks(len(clean), clean.shape[-1], how, generator)}


def _grouped(stamps: Stamps, groups: Groups) -> np.ndarray:
    assert stamps.labels is not None
    place = np.full(len(stamps.classes) + 1, -1)  # the last one for the label -1
    for number, (name, members) in enumerate(groups.items()):
        for member in members:
            if member not in stamps.classes:
                raise ConfigError(f"Class {name!r} is made of {member!r}, which {stamps.name} lacks; it has {', '.join(stamps.classes)}.")
            place[stamps.classes.index(member)] = number
    if len(groups) < 2:
        raise ConfigError(f"{stamps.name} has {len(groups)} class; classification needs at least two.")
    return place[stamps.labels]
