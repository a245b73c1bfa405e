"""Few-shot classification: the encoder against AlexNet, VGG16 and ResNet50, by stamps a class."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from discovery.encoders.encoder import Encoder
from discovery.errors import ConfigError
from training.data.labels import labelled_parts, labels_of
from training.data.shots import check_classes, shots
from training.data.stamps import Stamps
from training.evaluation.networks import PictureNetwork
from training.evaluation.options import NETWORKS, VARIANTS, WholeTraining
from training.evaluation.tables import document, spread
from training.finetuning.classes.classification import (
    Head,
    Loss,
    WholeClassifier,
    fit,
    fit_linear,
    fit_mlp,
    measures,
    predict,
    stamp_batches,
    steps_an_epoch,
)
from training.loop.config import LoopConfig
from training.spaces import EncoderSpace, Vectors, untrained


def few_shot(
    encoder: Encoder,
    stamps: Stamps,
    *,
    sizes: Sequence[int] = (10, 20, 50, 100, 500),
    seeds: int = 5,
    variants: Sequence[str] = tuple(VARIANTS),
    networks: Sequence[str] = tuple(NETWORKS),
    weights: Mapping[str, Path] | None = None,
    held_out: int | None = None,
    whole: WholeTraining | None = None,
    device: torch.device | None = None,
    vectors: Vectors | None = None,
) -> dict[str, Any]:
    """Return the table of accuracy on held-out stamps by the number of training stamps a class.

    Parameters
    ----------
    sizes
        Stamps a class; a class that has fewer gives all it has.
    seeds
        Draws for the variants on frozen vectors.
    variants, networks
        Which of `VARIANTS` and of `NETWORKS`; every one is tested on the same held-out stamps and, seed by seed,
        trained on the same ones.
    weights
        Files of trained weights (torchvision's names) by network: those start from them as well as from scratch.

    Raises
    ------
    ConfigError
        For an unknown name, a size below 2, or a class with fewer than two training stamps.
    """
    whole, device = whole or WholeTraining(), device or torch.device("cpu")
    weights = dict(weights or {})
    _check(variants, networks, weights, sizes, seeds)
    labels, (train, test) = labels_of(stamps), labelled_parts(stamps)
    check_classes(stamps, train, 2)
    test = np.sort(np.random.default_rng(0).permutation(test)[:held_out])
    vectors = vectors or Vectors(EncoderSpace("encoder", encoder), stamps)
    tasks = list(_tasks(variants, networks, weights, tuple(sizes), seeds, whole))
    values: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
    used: dict[int, list[int]] = {}
    for model, size, seed in tqdm(tasks, desc="few-shot", disable=None):
        rows = shots(stamps, train, size, seed)
        used[size] = np.bincount(labels[rows], minlength=len(stamps.classes)).tolist()
        called = model.called(encoder, stamps, vectors, rows, test, whole, seed, device)
        values[model.name, size].append(measures(called, labels[test], stamps.classes))
    lines = [
        {"model": name, "stamps_a_class": size, "seeds": len(found), "accuracy": spread([one["accuracy"] for one in found]),
         "f1": spread([one["f1"] for one in found])}
        for (name, size), found in values.items()
    ]  # fmt: skip
    few = [
        f"at {size} a class: {', '.join(f'{name} {n}' for name, n in zip(stamps.classes, counts, strict=True) if n < size)} (all there are)"
        for size, counts in sorted(used.items())
        if min(counts) < size
    ]
    notes = ["f1 is the mean over the classes", *few]
    if networks:
        notes.append(
            f"AlexNet, VGG16 and ResNet50 see {whole.image_size} pixels, the LVM {encoder.card.input_size}; {whole.epochs} epochs, at least {whole.least_steps} steps"
        )
    return document(
        "few-shot accuracy",
        survey=stamps.name,
        encoder=encoder,
        counts={"held out": len(test)},
        seeds=seeds,
        lines=lines,
        notes=notes,
        classes=list(stamps.classes),
        used={str(size): counts for size, counts in used.items()},
    )


@dataclass(frozen=True, kw_only=True)
class _Model:
    """One line of the table: what is trained, and from which weights."""

    name: str
    variant: str = ""
    network: str = ""
    weights: Path | None = None

    def called(
        self,
        encoder: Encoder,
        stamps: Stamps,
        vectors: Vectors,
        rows: np.ndarray,
        test: np.ndarray,
        whole: WholeTraining,
        seed: int,
        device: torch.device,
    ) -> np.ndarray:
        """Return the class of each test row, having trained on some rows."""
        labels, classes = labels_of(stamps)[rows], len(stamps.classes)
        if self.variant in ("linear", "mlp"):
            head = (fit_linear if self.variant == "linear" else fit_mlp)(
                vectors.at(rows), labels, classes, seed
            )
            return head.probabilities(vectors.at(test)).argmax(1)
        torch.manual_seed(seed)
        size = encoder.card.input_size if self.variant else whole.image_size
        module: nn.Module
        if self.variant == "full":
            module = WholeClassifier(encoder, fit_linear(vectors.at(rows), labels, classes, seed))
        elif self.variant == "scratch":
            module = WholeClassifier(untrained(encoder, seed), Head(encoder.dimension, classes))
        else:
            module = PictureNetwork(self.network, classes, self.weights)
        config = _schedule(whole, len(rows), self.variant == "full" or self.weights is not None, seed)
        fit(
            Loss(module),
            stamp_batches(stamps.pixels, rows, labels, batch=whole.batch, size=size, seed=seed),
            config,
            device,
        )
        return predict(module, stamps.pixels, test, size).argmax(1)


def _tasks(
    variants: Sequence[str],
    networks: Sequence[str],
    weights: Mapping[str, Path],
    sizes: tuple[int, ...],
    seeds: int,
    whole: WholeTraining,
) -> Iterator[tuple[_Model, int, int]]:
    cheap = [
        _Model(name=VARIANTS[variant], variant=variant)
        for variant in variants
        if variant in ("linear", "mlp")
    ]
    costly = [
        _Model(name=VARIANTS[variant], variant=variant)
        for variant in variants
        if variant not in ("linear", "mlp")
    ]
    compared = []
    for network in networks:
        compared.append(_Model(name=f"{NETWORKS[network]} from scratch", network=network))
        if network in weights:
            compared.append(
                _Model(
                    name=f"{NETWORKS[network]} pretrained ({weights[network].name})",
                    network=network,
                    weights=weights[network],
                )
            )
    those = whole.sizes or sizes
    for models, some, count in (
        (cheap, sizes, seeds),
        (costly, those, whole.seeds),
        (compared, those, whole.network_seeds),
    ):
        yield from ((model, size, seed) for model in models for size in some for seed in range(count))


def _check(
    variants: Sequence[str],
    networks: Sequence[str],
    weights: Mapping[str, Path],
    sizes: Sequence[int],
    seeds: int,
) -> None:
    for given, known, what in (
        (variants, VARIANTS, "variant"),
        (networks, NETWORKS, "network"),
        (weights, NETWORKS, "network"),
    ):
        odd = [name for name in given if name not in known]
        if odd:
            raise ConfigError(f"There is no {what} {odd[0]!r}; choose from {', '.join(known)}.")
    idle = [name for name in weights if name not in networks]
    if idle:
        raise ConfigError(f"Weights are given for {idle[0]}, which is not among the networks to compare.")
    if not sizes or min(sizes) < 2 or seeds < 1 or not (variants or networks):
        raise ConfigError(
            "Give sizes of at least 2 stamps a class, at least one seed, and a variant or a network."
        )


def _schedule(whole: WholeTraining, count: int, trained: bool, seed: int) -> LoopConfig:
    """Return the settings of one training on ``count`` stamps."""
    steps = max(whole.least_steps, whole.epochs * steps_an_epoch(count, whole.batch))
    learning_rate = whole.finetune_rate if trained else whole.learning_rate
    return LoopConfig(steps=steps, learning_rate=learning_rate, warmup=min(20, steps // 5), seed=seed)
