"""How good an encoder is: k-nearest-neighbour accuracy on held-out labelled stamps, beside baselines."""

from __future__ import annotations

import dataclasses
from typing import Any

import msgspec
import numpy as np
import torch
from sklearn.decomposition import PCA
from tqdm import tqdm

from discovery.encoder import Encoder, make_encoder, timm_encoder
from discovery.errors import ConfigError
from discovery.lvm import LVM, LVMConfig
from discovery.preprocess import CropConfig
from training.data import STORED_SIZE, Stamps

NEIGHBOURS = 20
PIXEL_SIDE, PIXEL_COMPONENTS = 64, 64


def knn_accuracy(train: np.ndarray, train_labels: np.ndarray, test: np.ndarray, test_labels: np.ndarray, k: int = NEIGHBOURS) -> float:
    """Return the accuracy of a majority vote among the k nearest by cosine.

    Parameters
    ----------
    train, test : numpy.ndarray
        (N, D) and (M, D) float32, unit length.
    train_labels, test_labels : numpy.ndarray
        (N,) and (M,) integers; a tied vote goes to the smaller label.
    """
    right = 0
    for start in range(0, len(test), 1024):
        scores = test[start : start + 1024] @ train.T
        nearest = np.argpartition(-scores, k - 1, axis=1)[:, :k]
        votes = train_labels[nearest]
        counts = np.stack([(votes == label).sum(1) for label in range(train_labels.max() + 1)], axis=1)
        right += int((counts.argmax(1) == test_labels[start : start + 1024]).sum())
    return right / len(test)


def evaluate(encoder: Encoder, stamps: Stamps, *, limit: int | None = None, seed: int = 0) -> dict[str, Any]:
    """Measure an encoder and three baselines on one labelled survey.

    The neighbours come from the training part, the stamps that are judged from the held-out part.

    Parameters
    ----------
    limit
        At most this many stamps of each part, drawn with ``seed``.

    Returns
    -------
    dict
        ``knn`` (accuracy by name) with the sizes and k.
    """
    if stamps.labels is None:
        raise ConfigError(f"{stamps.name} has no labels; write PATH@COLUMN.")
    if encoder.card.convention != "dr2_rgb" or encoder.card.crop != CropConfig():
        raise ConfigError("The stored stamps are dr2_rgb with the adaptive crop; this encoder's card says otherwise.")
    labels, rng = stamps.labels, np.random.default_rng(seed)
    parts = [np.flatnonzero(mask & (labels >= 0)) for mask in (stamps.trains, ~stamps.trains)]
    train, test = (np.sort(rng.permutation(part)[:limit]) for part in parts)
    if len(train) < NEIGHBOURS or not len(test):
        raise ConfigError(f"{stamps.name} has {len(train)} training and {len(test)} held-out labelled stamps; too few to judge.")
    accuracy = {}
    for name, subject in {"encoder": encoder, **baselines(encoder)}.items():
        one, other = (embed_stored(subject, stamps.pixels, rows, name) for rows in (train, test))
        accuracy[name] = round(knn_accuracy(one, labels[train], other, labels[test]), 4)
    one, other = pca_pixels(stamps.pixels, train, test)
    accuracy["pixels PCA 64"] = round(knn_accuracy(one, labels[train], other, labels[test]), 4)
    return {"survey": stamps.name, "classes": list(stamps.classes), "k": NEIGHBOURS, "train": len(train), "held_out": len(test), "knn": accuracy}


def baselines(encoder: Encoder) -> dict[str, Encoder]:
    """Return the same network untrained and a timm ResNet18 untrained."""
    chosen = {"ResNet18 untrained": timm_encoder("resnet18", input_size=STORED_SIZE)}
    if encoder.card.architecture == "lvm":
        torch.manual_seed(1)
        config = msgspec.convert(encoder.card.config, LVMConfig)
        parts = {name: getattr(encoder.card, name) for name in ("convention", "crop", "input_size")}
        network = LVM(config)
        chosen["same network untrained"] = make_encoder(
            network, name="untrained", architecture="lvm", config=dataclasses.asdict(config), **parts
        )
    return chosen


def embed_stored(encoder: Encoder, pixels: np.ndarray, rows: np.ndarray, name: str, batch: int = 32) -> np.ndarray:
    """Embed stored stamps (N, 3, 128, 128) uint8 at some rows: (n, D) float32, unit length."""
    size = encoder.card.input_size
    parts = []
    for start in tqdm(range(0, len(rows), batch), desc=f"embedding, {name}", leave=False, disable=None):
        stored = torch.from_numpy(pixels[rows[start : start + batch]]).float() / 255
        if size != STORED_SIZE:
            stored = torch.nn.functional.interpolate(stored, (size, size), mode="area" if size < STORED_SIZE else "bilinear")
        parts.append(encoder.embed_inputs(stored[:, None].numpy()))
    return np.concatenate(parts)


def pca_pixels(pixels: np.ndarray, train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first 64 principal components of the pixels (stamps shrunk to 64 x 64), unit length."""
    flat = [_shrunk(pixels, rows) for rows in (train, test)]
    pca = PCA(min(PIXEL_COMPONENTS, len(train)), svd_solver="randomized", random_state=0).fit(flat[0])
    one, other = (pca.transform(part) for part in flat)
    return tuple(part / np.linalg.norm(part, axis=1, keepdims=True) for part in (one, other))


def _shrunk(pixels: np.ndarray, rows: np.ndarray) -> np.ndarray:
    step = STORED_SIZE // PIXEL_SIDE
    out = np.empty((len(rows), 3 * PIXEL_SIDE**2), np.float32)
    for start in range(0, len(rows), 512):
        part = pixels[rows[start : start + 512]].astype(np.float32) / 255
        part = part.reshape(len(part), 3, PIXEL_SIDE, step, PIXEL_SIDE, step).mean((3, 5))
        out[start : start + 512] = part.reshape(len(part), -1)
    return out
