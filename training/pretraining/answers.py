"""Heads and losses of the questions: one linear map of the features, a loss a question, gaps left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.pretraining.questions import Question

MOST_RARE = 6.0
"""Largest weight of a rare attribute's presence."""


@dataclass(frozen=True, kw_only=True)
class Unit:
    """A part of the loss: all answers of votes or classes, or one attribute or number.

    Attributes
    ----------
    place : slice
        Its numbers among those of all questions.
    share : float
        Of the stamps that are learned, how many answer it.
    weight : float
        Of its loss among those of all units, which sum to 1.
    mean, std : float
        Of the answers (attributes and numbers).
    """

    name: str
    kind: str
    place: slice
    share: float
    weight: float
    mean: float = 0.0
    std: float = 1.0


def units_of(questions: Sequence[Question], learned: np.ndarray) -> list[Unit]:
    """Return the units that have answers, their losses balanced by the root of the number of answers.

    The share of a question of votes down a tree counts the volunteers who came to it.

    Parameters
    ----------
    learned
        (N, C) the answers of all stamps that are learned, each as often as an epoch holds it, NaN where there is none.
    """
    found, first = [], 0
    for question in questions:
        whole = question.kind in ("votes", "classes")
        widths = [question.width] if whole else [1] * question.width
        for number, width in enumerate(widths):
            place = slice(first, first + width)
            name = question.name if whole else f"{question.name}.{question.columns[number]}"
            found.append(_unit(name, question, place, learned[:, place]))
            first += width
    found = [unit for unit in found if unit.share > 0]
    total = sum(unit.weight for unit in found)
    return [Unit(**{**vars(unit), "weight": unit.weight / total}) for unit in found]


class Answers(nn.Module):
    """One linear head over the features for all questions.

    Parameters
    ----------
    dimension
        Length of the features.
    width
        Numbers of all questions together.
    """

    def __init__(self, dimension: int, width: int, units: Sequence[Unit]) -> None:
        super().__init__()
        self.units = tuple(units)
        self.head = nn.Linear(dimension, width)

    def forward(self, features: Tensor, targets: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss and the mean loss of each kind of question.

        Each unit's loss is summed over the stamps that answer it and divided by how many of a batch do so on average:
        every answer weighs the same in every batch, and a batch without any gives zero.

        Parameters
        ----------
        features : Tensor
            (B, D).
        targets : Tensor
            (B, C), NaN where there is no answer.
        """
        called = self.head(features).float()
        kinds: dict[str, list[Tensor]] = {}
        losses = []
        for unit in self.units:
            value = answer_loss(unit, called[:, unit.place], targets[:, unit.place]) / (len(targets) * unit.share)
            losses.append(unit.weight * value)
            kinds.setdefault(unit.kind, []).append(value.detach())
        loss = torch.stack(losses).sum() if losses else features.sum() * 0
        return loss, {kind: torch.stack(values).mean() for kind, values in kinds.items()}


def answer_loss(unit: Unit, called: Tensor, target: Tensor) -> Tensor:
    """Return the sum of a unit's loss over the stamps that answer it.

    Votes and classes: cross entropy of the fractions, ``-sum_i f_i log p_i``. Attributes: binary cross entropy of the
    number itself, the presence of rare ones weighing up to `MOST_RARE` times as much. Numbers: smooth L1 of the
    standardised number.

    Parameters
    ----------
    called, target : Tensor
        (B, k) raw outputs of the head, and answers with NaN where there is none.
    """
    known = torch.isfinite(target).all(1)  # (B,)
    target = torch.where(known[:, None], target, 0.0)
    if unit.kind in ("votes", "classes"):
        each = -(target * F.log_softmax(called, dim=1)).sum(1)
    elif unit.kind == "attributes":
        rare = called.new_tensor(_rareness(unit.mean))
        each = F.binary_cross_entropy_with_logits(called, target, pos_weight=rare, reduction="none").sum(1)
    else:
        each = F.smooth_l1_loss(called, (target - unit.mean) / unit.std, reduction="none").sum(1)
    return torch.where(known, each, 0.0).sum()


def _rareness(mean: float) -> float:
    return float(np.clip(np.sqrt((1 - mean) / max(mean, 1e-6)), 1.0, MOST_RARE))


def _unit(name: str, question: Question, place: slice, values: np.ndarray) -> Unit:
    known = values[np.isfinite(values).all(1)]
    answered = float(known.sum()) if question.kind == "votes" else float(len(known))
    scaled = question.kind in ("attributes", "numbers") and len(known)
    return Unit(
        name=name,
        kind=question.kind,
        place=place,
        share=answered / max(1, len(values)),
        weight=question.weight * answered**0.5,
        mean=float(known.mean()) if scaled else 0.0,
        std=max(float(known.std()), 1e-6) if scaled else 1.0,
    )
