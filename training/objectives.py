"""Parts of the pretraining loss, each a small pure piece."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def contrast(one: Tensor, other: Tensor, temperature: float) -> Tensor:
    """Contrastive loss of two views, NT-Xent (Chen et al. 2020, SimCLR, equation 1).

    Parameters
    ----------
    one, other : Tensor
        (B, P) projections of the two views, not normalised.
    """
    count = len(one)
    both = F.normalize(torch.cat([one, other]).float(), dim=1)  # (2B, P)
    scores = both @ both.T / temperature
    scores.fill_diagonal_(float("-inf"))
    partner = torch.cat([torch.arange(count, 2 * count), torch.arange(count)]).to(one.device)
    return F.cross_entropy(scores, partner)


class Classifiers(nn.Module):
    """One linear classifier for each labelled survey, on the same features."""

    def __init__(self, dimension: int, classes: Sequence[int]) -> None:
        super().__init__()
        self.heads = nn.ModuleList(nn.Linear(dimension, max(count, 1)) for count in classes)

    def forward(self, features: Tensor, part: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean cross entropy and accuracy over the labelled stamps (zero without any)."""
        loss, right, known = features.sum() * 0, features.new_zeros(()), 0
        for index, head in enumerate(self.heads):
            mine = (part == index) & (label >= 0)
            if mine.any():
                scores = head(features[mine])
                loss = loss + F.cross_entropy(scores, label[mine], label_smoothing=0.1, reduction="sum")
                right = right + (scores.argmax(1) == label[mine]).sum()
                known += int(mine.sum())
        return loss / max(known, 1), right / max(known, 1)


def projector(dimension: int) -> nn.Sequential:
    """Return the head of the contrastive part: D to 2D to 128."""
    return nn.Sequential(nn.Linear(dimension, 2 * dimension), nn.GELU(), nn.Linear(2 * dimension, 128))
