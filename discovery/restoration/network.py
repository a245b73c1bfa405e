"""The image heads as numpy functions with a name."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from discovery.encoders.image_heads import MultitaskModel, load_multitask, read_multitask_card


class ImageNetwork(Protocol):
    """What restores and reconstructs tiles.

    Attributes
    ----------
    side : int
        Pixels a side S of the tiles.
    checksum : str
        SHA-256 of its weights.
    """

    side: int
    checksum: str

    def restore(self, image: np.ndarray) -> np.ndarray:
        """Return (B, 3, S, S) for (B, 3, S, S) float32 in 0..1."""
        ...

    def reconstruct(self, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Return (B, 3, S, S) for an image and a mask (B, 1, S, S) that is 1 where pixels are missing."""
        ...


class TorchImageNetwork:
    """A multitask model as an `ImageNetwork`, on the device where it is.

    Parameters
    ----------
    model : MultitaskModel
        Frozen, in evaluation mode.
    checksum : str
        SHA-256 of its weights.
    """

    def __init__(self, model: MultitaskModel, checksum: str) -> None:
        self.side = model.image_size
        self.checksum = checksum
        self._model = model
        self._device = next(model.parameters()).device

    @torch.inference_mode()
    def restore(self, image: np.ndarray) -> np.ndarray:
        """Return as `ImageNetwork.restore` does."""
        return self._model.restore(self._tensor(image)).float().cpu().numpy()

    @torch.inference_mode()
    def reconstruct(self, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Return as `ImageNetwork.reconstruct` does."""
        return self._model.reconstruct(self._tensor(image), self._tensor(mask)).float().cpu().numpy()

    def _tensor(self, values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values, np.float32)).to(self._device)


def load_network(source: str | Path = "default") -> TorchImageNetwork:
    """Return the image heads: ``default`` (the ones that ship) or a folder that ``discovery train multitask`` made.

    Raises
    ------
    EncoderError
        If there are none, or card and weights do not belong together.
    """
    return TorchImageNetwork(load_multitask(source), read_multitask_card(source).checksum)
