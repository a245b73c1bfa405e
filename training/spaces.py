"""Embedding spaces that are compared: an encoder, the same network untrained, another network, raw pixels."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import msgspec
import numpy as np
import torch
from sklearn.decomposition import PCA
from torch import Tensor
from tqdm import tqdm

from discovery.encoders.encoder import Encoder, make_encoder, timm_encoder
from discovery.encoders.lvm import LVM, LVMConfig
from discovery.errors import ConfigError
from discovery.stamps.preprocess import CropConfig
from training.data.labels import labelled_parts
from training.data.stamps import Stamps

BATCH = 32
PIXEL_SIDE, PIXEL_COMPONENTS, PIXEL_STAMPS = 64, 64, 4000
TRAIN_SHARE = 0.8
"""A draw takes at most this share of the training part, so that draws differ."""


class Space(Protocol):
    """Stored stamps (n, 3, 128, 128) uint8 to unit vectors (n, D) float32."""

    name: str

    def embed(self, stored: np.ndarray) -> np.ndarray:
        """Return unit vectors (n, D) float32."""
        ...


class EncoderSpace:
    """What an encoder gives.

    Raises
    ------
    ConfigError
        If the encoder needs other input than the stored stamps: fluxes, or another crop.
    """

    def __init__(self, name: str, encoder: Encoder) -> None:
        if encoder.card.convention != "dr2_rgb" or encoder.card.crop != CropConfig():
            raise ConfigError(
                f"Encoder {encoder.card.name} takes {encoder.card.convention} with the {encoder.card.crop.mode} crop;"
                " the prepared stamps are dr2_rgb with the adaptive crop. Evaluate one of that kind."
            )
        self.name, self._encoder = name, encoder

    def embed(self, stored: np.ndarray) -> np.ndarray:
        """Return the encoder's embeddings."""
        pixels = network_input(stored, self._encoder.card.input_size)
        return self._encoder.embed_inputs(pixels[:, None].numpy())


class PixelSpace:
    """The first 64 principal components of the pixels, stamps shrunk to 64 x 64."""

    name = "PCA-64 of the pixels"

    def __init__(self, stored: np.ndarray) -> None:
        components = min(PIXEL_COMPONENTS, len(stored))
        self._pca = PCA(components, svd_solver="randomized", random_state=0).fit(_shrunk(stored))

    def embed(self, stored: np.ndarray) -> np.ndarray:
        """Return the components, scaled to unit length."""
        reduced = self._pca.transform(_shrunk(stored))
        return (reduced / np.linalg.norm(reduced, axis=1, keepdims=True)).astype(np.float32)


class Vectors:
    """The vectors of one survey's stamps in one space, each computed when it is first needed."""

    def __init__(self, space: Space, stamps: Stamps) -> None:
        self.space, self._stamps = space, stamps
        self._kept: np.ndarray | None = None
        self._known = np.zeros(len(stamps.pixels), bool)

    @property
    def name(self) -> str:
        """The space's name."""
        return self.space.name

    def at(self, rows: np.ndarray) -> np.ndarray:
        """Return the vectors of some rows, (n, D) float32, unit length."""
        new = np.unique(rows[~self._known[rows]])
        for start in tqdm(
            range(0, len(new), BATCH), desc=f"embedding, {self.name}", leave=False, disable=None
        ):
            part = new[start : start + BATCH]
            vectors = self.space.embed(self._stamps.pixels[part])
            if self._kept is None:
                self._kept = np.zeros((len(self._known), vectors.shape[1]), np.float32)
            self._kept[part] = vectors
        self._known[new] = True
        assert self._kept is not None
        return self._kept[rows]


@dataclass(frozen=True, kw_only=True)
class Draw:
    """Rows of the training part and of the held-out part that one seed chose, all with labels."""

    seed: int
    train: np.ndarray
    test: np.ndarray


def draws(stamps: Stamps, *, seeds: int, limit: int, held_out: int | None = None) -> Iterator[Draw]:
    """Yield training rows drawn anew for each seed; the held-out rows are the same for all.

    Parameters
    ----------
    limit
        At most this many training stamps, and at most four fifths of them.
    held_out
        At most this many held-out stamps; all when not given.

    Raises
    ------
    ConfigError
        If there are no labels, or too few stamps with one.
    """
    train, test = labelled_parts(stamps)
    if len(train) < 30 or not len(test):
        raise ConfigError(
            f"{stamps.name} has {len(train)} training and {len(test)} held-out stamps with a label; 30 and 1 are the least."
        )
    test = np.sort(np.random.default_rng(0).permutation(test)[:held_out])
    for seed in range(seeds):
        chosen = np.random.default_rng([1, seed]).permutation(train)[
            : min(limit, int(TRAIN_SHARE * len(train)))
        ]
        yield Draw(seed=seed, train=np.sort(chosen), test=test)


def spaces(encoder: Encoder, stamps: Stamps, *, baselines: bool = True) -> list[Vectors]:
    """Return the encoder's vectors of a survey and, with ``baselines``, those it has to beat."""
    chosen: list[Space] = [EncoderSpace("encoder", encoder)]
    if baselines:
        size = encoder.card.input_size
        if encoder.card.architecture == "lvm":
            chosen.append(EncoderSpace("same network, untrained", untrained(encoder)))
        chosen.append(EncoderSpace("ResNet18, untrained", timm_encoder("resnet18", input_size=size)))
        train = np.flatnonzero(stamps.trains)
        rows = np.sort(np.random.default_rng(0).permutation(train)[:PIXEL_STAMPS])
        if len(rows) < 2:
            raise ConfigError(
                f"{stamps.name} has {len(rows)} training stamps, too few for the baselines; see --no-baselines."
            )
        chosen.append(PixelSpace(stamps.pixels[rows]))
    return [Vectors(space, stamps) for space in chosen]


def untrained(encoder: Encoder, seed: int = 1) -> Encoder:
    """Return an LVM of the same size with its first weights."""
    if encoder.card.architecture != "lvm":
        raise ConfigError(f"Encoder {encoder.card.name} is no LVM; there is no same network untrained.")
    torch.manual_seed(seed)
    config = msgspec.convert(encoder.card.config, LVMConfig)
    parts = {
        name: getattr(encoder.card, name)
        for name in ("convention", "crop", "input_size", "channel_order", "mean", "std")
    }
    return make_encoder(
        LVM(config), name="untrained", architecture="lvm", config=dataclasses.asdict(config), **parts
    )


def network_input(stored: np.ndarray, size: int) -> Tensor:
    """Return stored stamps (n, 3, S, S), colours times 255, as (n, 3, size, size) float32 in 0..1."""
    pixels = torch.from_numpy(np.ascontiguousarray(stored)).float() / 255
    if size == pixels.shape[-1]:
        return pixels
    mode = "area" if size < pixels.shape[-1] else "bilinear"
    return torch.nn.functional.interpolate(pixels, (size, size), mode=mode)


def _shrunk(stored: np.ndarray) -> np.ndarray:
    starts = range(0, len(stored), 256)
    return np.concatenate(
        [network_input(stored[start : start + 256], PIXEL_SIDE).flatten(1).numpy() for start in starts]
    )
