"""Classifiers on an encoder: a linear or two-layer head on frozen vectors, or the whole network."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support
from sklearn.model_selection import StratifiedKFold, StratifiedShuffleSplit
from torch import Tensor, nn

from discovery.encoders.encoder import Encoder, make_encoder
from discovery.encoders.lvm import LVM
from discovery.errors import TrainingError
from training.data.stamps import PixelArray
from training.finetuning.class_figures import class_figures
from training.loop.config import LoopConfig
from training.loop.optimizer import make_optimizer, rate
from training.spaces import network_input

STRENGTHS = (0.001, 0.01, 0.1, 1.0)
"""Inverse strengths C of the penalty that the linear head chooses from."""
MANY = 1000
MLP_STEPS, MLP_BATCH, MLP_RATE = 400, 64, 1e-3


class Head(nn.Module):
    """Logits (B, classes) from unit vectors (B, D): standardised, then one linear layer, or two with a GELU between.

    Parameters
    ----------
    hidden
        Width between the two layers; 0 for the linear head.
    """

    def __init__(self, dimension: int, classes: int, hidden: int = 0) -> None:
        super().__init__()
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("mean", torch.zeros(dimension))
        self.register_buffer("scale", torch.ones(dimension))
        self.body: nn.Module = nn.Linear(dimension, classes)
        if hidden:
            self.body = nn.Sequential(nn.Linear(dimension, hidden), nn.GELU(), nn.Linear(hidden, classes))

    def forward(self, vectors: Tensor) -> Tensor:
        """Return logits (B, classes) of unit vectors (B, D)."""
        return self.body((vectors - self.mean) / self.scale)

    @torch.inference_mode()
    def probabilities(self, vectors: np.ndarray) -> np.ndarray:
        """Return (n, classes) float32 for unit vectors (n, D)."""
        return self(torch.from_numpy(vectors)).softmax(1).numpy()

    def standardise(self, vectors: np.ndarray) -> None:
        """Take mean and deviation from training vectors (n, D)."""
        self.mean = torch.from_numpy(vectors.mean(0).astype(np.float32))
        self.scale = torch.from_numpy(np.maximum(vectors.std(0), 1e-6).astype(np.float32))


def fit_linear(vectors: np.ndarray, labels: np.ndarray, classes: int, seed: int = 0) -> Head:
    """Return a fitted logistic regression, the strength of its penalty chosen on parts of the training stamps only.

    Five folds (fewer where a class has fewer stamps), one split of a fifth from 1000 stamps on.
    """
    head = Head(vectors.shape[1], classes)
    head.standardise(vectors)
    ready = (vectors - head.mean.numpy()) / head.scale.numpy()
    best = max(STRENGTHS, key=lambda strength: _inner_accuracy(ready, labels, strength, seed))
    fitted = _regression(best).fit(ready, labels)
    weight, bias = fitted.coef_, fitted.intercept_
    if len(weight) == 1:  # two classes: scikit-learn keeps the second's logit alone
        weight, bias = np.concatenate([0 * weight, weight]), np.concatenate([0 * bias, bias])
    assert isinstance(head.body, nn.Linear)
    with torch.no_grad():
        head.body.weight.zero_()
        head.body.bias.fill_(-1e4)  # a class that was not seen is never chosen
        head.body.weight[fitted.classes_] = torch.from_numpy(weight).float()
        head.body.bias[fitted.classes_] = torch.from_numpy(bias).float()
    return head


def fit_mlp(vectors: np.ndarray, labels: np.ndarray, classes: int, seed: int = 0, hidden: int = 512) -> Head:
    """Return a head of two layers, fitted by AdamW."""
    torch.manual_seed(seed)
    head = Head(vectors.shape[1], classes, hidden)
    head.standardise(vectors)
    config = LoopConfig(steps=MLP_STEPS, learning_rate=MLP_RATE, warmup=20, weight_decay=0.1, seed=seed)
    inputs, truth = torch.from_numpy(vectors), torch.from_numpy(labels)
    pieces = (
        {"vectors": inputs[rows], "label": truth[rows]}
        for rows in row_batches(len(labels), MLP_BATCH, seed, 0)
    )
    fit(Loss(head, "vectors"), pieces, config, torch.device("cpu"))
    return head.eval()


class Loss(nn.Module):
    """Cross entropy of a classifier, as the training loop wants it."""

    def __init__(self, classifier: nn.Module, takes: str = "pixels") -> None:
        super().__init__()
        self.classifier, self.takes = classifier, takes

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the mean cross entropy of a batch, and its accuracy."""
        logits = self.classifier(batch[self.takes])
        loss = F.cross_entropy(logits.float(), batch["label"])
        return loss, {"accuracy": (logits.argmax(1) == batch["label"]).float().mean()}


class WholeClassifier(nn.Module):
    """An encoder's network that learns, with a head: pixels (B, 3, S, S) in 0..1 to logits."""

    def __init__(self, encoder: Encoder, head: Head) -> None:
        super().__init__()
        self.network = copy.deepcopy(encoder.network).cpu().requires_grad_(True)
        if isinstance(self.network, LVM):  # the decoder has no part in this
            for part in (
                self.network.layers_up,
                self.network.concat_back_dim,
                self.network.norm_up,
                self.network.up,
                self.network.low_conv,
            ):
                part.requires_grad_(False)
        self.head = copy.deepcopy(head)
        self.card = encoder.card
        self.shift: Tensor
        self.unit: Tensor
        self.register_buffer("shift", torch.tensor(encoder.card.mean)[:, None, None], persistent=False)
        self.register_buffer("unit", torch.tensor(encoder.card.std)[:, None, None], persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return logits (B, classes) of display colours (B, 3, S, S)."""
        pixels = pixels.flip(1) if self.card.channel_order == "zrg" else pixels
        pixels = (pixels - self.shift) / self.unit
        features = self.network.features(pixels) if isinstance(self.network, LVM) else self.network(pixels)
        return self.head(F.normalize(features.float(), dim=1))

    def encoder(self, name: str, training: dict[str, Any]) -> Encoder:
        """Return the trained network as an encoder of its own, its weights rounded to float16 as they are stored."""
        network = copy.deepcopy(self.network).cpu()
        state = network.state_dict()
        network.load_state_dict(
            {
                key: value.half().float() if value.is_floating_point() else value
                for key, value in state.items()
            }
        )
        parts = {
            key: getattr(self.card, key)
            for key in (
                "architecture",
                "config",
                "convention",
                "crop",
                "input_size",
                "channel_order",
                "mean",
                "std",
            )
        }
        return make_encoder(network, name=name, training=training, **parts)


def stamp_batches(
    pixels: PixelArray,
    rows: np.ndarray,
    labels: np.ndarray,
    *,
    batch: int,
    size: int,
    seed: int,
    first_step: int = 0,
) -> Iterator[dict[str, Tensor]]:
    """Give endless batches of turned and mirrored stamps, the same ones from any step on.

    Yields
    ------
    dict
        ``pixels`` (B, 3, size, size) in 0..1, ``label`` (B,).
    """
    for step, chosen in enumerate(row_batches(len(rows), batch, seed, first_step), first_step):
        stamps = network_input(pixels[rows[chosen]], size)
        generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
        yield {"pixels": turned(stamps, generator), "label": torch.from_numpy(labels[chosen])}


def row_batches(count: int, batch: int, seed: int, first_step: int) -> Iterator[np.ndarray]:
    """Give endless batches of sorted positions below ``count``, each once an epoch, of nearly equal size."""
    pieces = steps_an_epoch(count, batch)
    epoch, first = divmod(first_step, pieces)
    while True:
        order = np.random.default_rng([5, seed, epoch]).permutation(count)
        for piece in np.array_split(order, pieces)[first:]:
            yield np.sort(piece)
        epoch, first = epoch + 1, 0


def steps_an_epoch(count: int, batch: int) -> int:
    """Return how many batches make an epoch; none is a single stamp where that can be avoided."""
    return max(1, min(math.ceil(count / batch), count // 2))


def turned(stamps: Tensor, generator: torch.Generator) -> Tensor:
    """Return stamps (B, 3, S, S) each turned by a multiple of 90 degrees, half of them mirrored."""
    times = torch.randint(0, 4, (len(stamps),), generator=generator)
    mirrored = torch.rand(len(stamps), generator=generator) < 0.5
    made = torch.stack([torch.rot90(stamp, int(k), (1, 2)) for stamp, k in zip(stamps, times, strict=True)])
    return torch.where(mirrored[:, None, None, None], made.flip(-1), made)


def fit(
    module: nn.Module, batches: Iterator[dict[str, Tensor]], config: LoopConfig, device: torch.device
) -> None:
    """Train a module for a short while, with nothing written down; `training.loop.loop.train` is for runs.

    Raises
    ------
    TrainingError
        If the loss is not finite.
    """
    torch.manual_seed(config.seed)
    module.to(device).train()
    optimizer = make_optimizer(module, config)
    for step, batch in enumerate(islice(batches, config.steps)):
        for group in optimizer.param_groups:
            group["lr"] = rate(config, step)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            loss, _ = module({name: value.to(device) for name, value in batch.items()})
        if not torch.isfinite(loss):
            raise TrainingError(
                f"The loss is not finite at step {step + 1}; lower the learning rate ({config.learning_rate:g})."
            )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(module.parameters(), config.clip)
        optimizer.step()
    module.eval()


@torch.inference_mode()
def predict(
    classifier: nn.Module, pixels: PixelArray, rows: np.ndarray, size: int, batch: int = 64
) -> np.ndarray:
    """Return the probabilities (n, classes) float32 that a classifier of pixels gives to stored stamps."""
    device = next(classifier.parameters()).device
    parts = []
    for start in range(0, len(rows), batch):
        stamps = network_input(pixels[rows[start : start + batch]], size).to(device)
        parts.append(classifier(stamps).float().softmax(1).cpu().numpy())
    return np.concatenate(parts)


def measures(predicted: np.ndarray, truth: np.ndarray, classes: tuple[str, ...]) -> dict[str, Any]:
    """Return `class_figures`, and precision, recall and F1 by class.

    ``confusion[i][j]`` counts stamps of class i called j.
    """
    found = np.stack(
        precision_recall_fscore_support(truth, predicted, labels=range(len(classes)), zero_division=0.0),
        axis=1,
    )
    by_class = [
        {"class": name, "stamps": int(n), "precision": round(p, 4), "recall": round(r, 4), "f1": round(f, 4)}
        for name, (p, r, f, n) in zip(classes, found.tolist(), strict=True)
    ]
    figures = {
        name: round(figure, 4) for name, figure in class_figures(truth, predicted, len(classes)).items()
    }
    return {
        **figures,
        "by_class": by_class,
        "confusion": confusion_matrix(truth, predicted, labels=range(len(classes))).tolist(),
    }


def _inner_accuracy(vectors: np.ndarray, labels: np.ndarray, strength: float, seed: int) -> float:
    fewest = int(np.bincount(labels)[np.unique(labels)].min())
    if fewest < 2:
        return strength == STRENGTHS[1]
    folds: Any = StratifiedKFold(min(5, fewest), shuffle=True, random_state=seed)
    if len(labels) >= MANY:
        folds = StratifiedShuffleSplit(1, test_size=0.2, random_state=seed)
    scores = [
        _regression(strength).fit(vectors[one], labels[one]).score(vectors[other], labels[other])
        for one, other in folds.split(vectors, labels)
    ]
    return float(np.mean(scores))


def _regression(strength: float) -> LogisticRegression:
    return LogisticRegression(C=strength, max_iter=5000, tol=1e-3)
