"""The head: an embedding and side features in, a mean and a standard deviation for each target out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from discovery.errors import ConfigError
from training.finetuning.parameters.config import Inputs

"""What a head looks at: the embedding, the side features, or both."""
CARD_FILE, WEIGHTS_FILE = "head.json", "head.safetensors"
LOG_SIGMA_LIMIT = 6.0


class HeadCard(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a head is.

    Attributes
    ----------
    targets : tuple of str
        Columns that it estimates.
    inputs : {"both", "embedding", "side"}
    side_names : tuple of str
        Side features that it takes, in order; empty where it takes none.
    dimension : int
        Length D of the embedding.
    hidden : int
        Width of the two hidden layers of each target.
    encoder, encoder_checksum : str
        Whose embeddings it was trained on.
    finetuned : bool
        Whether that encoder was trained together with the head and lies beside it.
    sigma_factors : tuple of float
        What the stated sigma of each target is multiplied with, from the validation part.
    training : dict
        Data, plan and figures; for people.
    """

    version: Literal[1] = 1
    targets: tuple[str, ...]
    inputs: Inputs
    side_names: tuple[str, ...]
    dimension: int
    hidden: int
    encoder: str
    encoder_checksum: str
    finetuned: bool = False
    sigma_factors: tuple[float, ...] = ()
    training: dict[str, Any] = {}


class ParameterHead(nn.Module):
    """For each target its own network of two hidden layers, on standardised features; targets are standardised within.

    Sharing layers would let a target of few known values spoil, by overfitting, what the others learn. Scales come by
    `fit_scales`.
    """

    def __init__(self, dimension: int, side: int, targets: int, *, inputs: Inputs, hidden: int = 256, dropout: float = 0.3) -> None:
        super().__init__()
        self.inputs = inputs
        features = (dimension if inputs != "side" else 0) + (side if inputs != "embedding" else 0)
        if features == 0:
            raise ConfigError("These stamps have no side features (no pixel scale is known); use the embedding, or give --pixel-scale.")
        self.each = nn.ModuleList(
            nn.Sequential(
                nn.Linear(features, hidden), nn.GELU(), nn.Dropout(dropout),
                nn.Linear(hidden, hidden), nn.GELU(), nn.Dropout(dropout),
                nn.Linear(hidden, 2),
            )
            for _ in range(targets)
        )  # fmt: skip
        for name, length in (("feature", features), ("target", targets)):
            self.register_buffer(f"{name}_centre", torch.zeros(length))
            self.register_buffer(f"{name}_width", torch.ones(length))
        self.feature_centre: Tensor
        self.feature_width: Tensor
        self.target_centre: Tensor
        self.target_width: Tensor

    def features(self, embedding: Tensor, side: Tensor) -> Tensor:
        """Return what the head looks at, joined: (B, D) and (B, F) to (B, D + F) or one of them."""
        return {"both": torch.cat([embedding, side], 1), "embedding": embedding, "side": side}[self.inputs]

    def fit_scales(self, embedding: Tensor, side: Tensor, targets: Tensor) -> None:
        """Take means and deviations from the training part; NaN in ``targets`` (n, T) is left out."""
        features = self.features(embedding, side)
        self.feature_centre.copy_(features.mean(0))
        self.feature_width.copy_(features.std(0).clamp_min(1e-6))
        known = targets.isfinite()
        count = known.sum(0)
        centre = torch.where(known, targets, 0).sum(0) / count
        self.target_centre.copy_(centre)
        self.target_width.copy_((torch.where(known, targets - centre, 0).square().sum(0) / count).sqrt().clamp_min(1e-6))

    def forward(self, embedding: Tensor, side: Tensor) -> tuple[Tensor, Tensor]:
        """Return the standardised mean and log sigma, (B, T) each."""
        x = (self.features(embedding, side) - self.feature_centre) / self.feature_width
        mean, raw = torch.stack([network(x) for network in self.each], dim=2).unbind(1)  # (B, T) each
        return mean, LOG_SIGMA_LIMIT * torch.tanh(raw / LOG_SIGMA_LIMIT)

    def loss(self, embedding: Tensor, side: Tensor, targets: Tensor) -> Tensor:
        """Return the Gaussian negative log likelihood of each target, (T,), over the lines (B, T) that know it.

        ``log sigma + (y - mean)^2 / 2 sigma^2`` in units of the standardised target, without its constant.
        """
        mean, log_sigma = self(embedding, side)
        known = targets.isfinite()
        y = torch.where(known, (targets - self.target_centre) / self.target_width, mean.detach())
        each = log_sigma + 0.5 * ((y - mean) * torch.exp(-log_sigma)).square()
        return torch.where(known, each, 0).sum(0) / known.sum(0).clamp_min(1)

    @torch.inference_mode()
    def estimate(self, embedding: Tensor, side: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Return means and sigmas in the targets' units, (B, T) float64 each."""
        mean, log_sigma = self(embedding, side)
        mean, sigma = mean * self.target_width + self.target_centre, log_sigma.exp() * self.target_width
        return mean.double().cpu().numpy(), sigma.double().cpu().numpy()


def sigma_factors(estimate: np.ndarray, sigma: np.ndarray, true: np.ndarray, least: int = 30) -> tuple[float, ...]:
    """Return the factor on each target's sigma with which 68.3 % of the known values lie within one sigma.

    Targets with fewer than ``least`` known values keep 1. All arrays are (n, T).
    """
    pulls = np.abs(estimate - true) / sigma
    share = math.erf(math.sqrt(0.5))
    known = [column[np.isfinite(column)] for column in pulls.T]
    return tuple(round(float(np.quantile(column, share)), 4) if len(column) >= least else 1.0 for column in known)


def save_head(folder: Path, head: ParameterHead, card: HeadCard) -> None:
    """Write ``head.safetensors`` and ``head.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: value.contiguous().cpu() for name, value in head.state_dict().items()}, folder / WEIGHTS_FILE)
    (folder / CARD_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(card), indent=1))


def load_head(folder: Path) -> tuple[ParameterHead, HeadCard]:
    """Return the head of a folder, in evaluation mode, and its card.

    Raises
    ------
    ConfigError
        If there is none, or card and weights do not fit.
    """
    try:
        card = msgspec.json.decode((folder / CARD_FILE).read_bytes(), type=HeadCard)
        state = load_file(folder / WEIGHTS_FILE)
        head = ParameterHead(card.dimension, len(card.side_names), len(card.targets), inputs=card.inputs, hidden=card.hidden)
        head.load_state_dict(state)
    except OSError:
        raise ConfigError(f"There is no head in {folder}: give the folder of a finished run of finetune parameters.") from None
    except (msgspec.DecodeError, msgspec.ValidationError, SafetensorError, RuntimeError) as error:
        raise ConfigError(f"The head in {folder} is damaged: {str(error).splitlines()[0]}") from None
    return head.eval(), card


def as_tensors(arrays: Sequence[np.ndarray]) -> list[Tensor]:
    """Return numpy arrays as float32 tensors."""
    return [torch.from_numpy(np.asarray(array, np.float32)) for array in arrays]
