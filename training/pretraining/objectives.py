"""Parts of the pretraining loss: named, each a small pure piece, added with weights."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.loop.processes import gather, processes_count, shared_by_all, total

OBJECTIVES = {
    "reconstruct": "mean squared error of the decoded view (the paper's)",
    "masked": "mean squared error on masked patches, with the skips closed to them (after SimMIM, Xie et al. 2022)",
    "denoise": "mean squared error of the view before noise and a worse PSF were added",
    "contrast": "two views of a stamp find one another among the batch (NT-Xent, SimCLR)",
    "classify": "cross entropy of the labels that some surveys bring",
    "questions": "votes, classes, attributes and numbers of many surveys, with gaps (`training.pretraining.questions`)",
}


def contrast(one: Tensor, other: Tensor, temperature: float) -> Tensor:
    """Return the contrastive loss of two views, NT-Xent (Chen et al. 2020, SimCLR, equation 1), over all processes' stamps.

    Parameters
    ----------
    one, other : Tensor
        (B, P) projections of the two views, not normalised.
    """
    one, other = gather(one.float()), gather(other.float())
    count = len(one)
    both = F.normalize(torch.cat([one, other]), dim=1)  # (2B, P)
    scores = both @ both.T / temperature
    scores = scores.masked_fill(torch.eye(2 * count, dtype=torch.bool, device=scores.device), float("-inf"))
    partner = torch.arange(2 * count, device=scores.device).roll(count)
    return shared_by_all(F.cross_entropy(scores, partner))


class Classifiers(nn.Module):
    """One linear classifier for each labelled survey, on the same features."""

    def __init__(self, dimension: int, classes: Sequence[int]) -> None:
        super().__init__()
        self.heads = nn.ModuleList(nn.Linear(dimension, max(count, 1)) for count in classes)

    def forward(self, features: Tensor, part: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean cross entropy and accuracy over the labelled stamps of all processes (zero without any)."""
        loss, right = features.sum() * 0, features.new_zeros(())
        for index, head in enumerate(self.heads):
            wanted = torch.where(part == index, label, -1)
            scores = head(features)
            ignored = torch.where(wanted < 0, -100, wanted)
            loss = loss + F.cross_entropy(scores.float(), ignored, label_smoothing=0.1, reduction="sum", ignore_index=-100)
            right = right + ((scores.argmax(1) == wanted) & (wanted >= 0)).sum()
        known = total((label >= 0).sum().float()).clamp_min(1)
        return loss * processes_count() / known, right * processes_count() / known


def projector(dimension: int) -> nn.Sequential:
    """Return the head of the contrastive part: D to 2D to 128."""
    return nn.Sequential(nn.Linear(dimension, 2 * dimension), nn.GELU(), nn.Linear(2 * dimension, 128))


def masked_error(picture: Tensor, target: Tensor, visible: Tensor) -> Tensor:
    """Return the mean squared error over the masked pixels; ``visible`` is (B, 1, S, S), 1 where not masked."""
    hidden = (1 - visible).expand_as(target)
    return ((picture.float() - target).square() * hidden).sum() / hidden.sum().clamp_min(1)


def patch_masks(chance: Tensor, size: int, patch: int, share: float) -> Tensor:
    """Return (B, 1, S, S): 0 on a share of the patches of each stamp, 1 elsewhere.

    Parameters
    ----------
    chance : Tensor
        (B, n) uniform numbers, n the number of patches: those with the smallest are masked.
    """
    side = size // patch
    hidden = round(share * side * side)
    order = chance[:, : side * side].argsort(1).argsort(1)
    visible = (order >= hidden).float().view(-1, 1, side, side)
    return F.interpolate(visible, scale_factor=patch, mode="nearest")


def close_skips(skips: Sequence[Tensor], visible: Tensor) -> list[Tensor]:
    """Return the skip maps (B, h, w, C), zero wherever a pixel below is masked, so that only the bottleneck knows what is there."""
    size = visible.shape[-1]
    closed = []
    for skip in skips:
        open_ = -F.max_pool2d(-visible, size // skip.shape[1])  # 1 where all pixels are visible
        closed.append(skip * open_.permute(0, 2, 3, 1).to(skip.dtype))
    return closed
