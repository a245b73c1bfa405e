"""Accuracy of the nearest neighbours: does an encoder put like beside like, without any training?"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np

from discovery.encoders.encoder import Encoder
from discovery.errors import ConfigError
from training.data.labels import labels_of
from training.data.stamps import Stamps
from training.evaluation.tables import document, spread
from training.spaces import Vectors, draws, spaces

NEIGHBOURS = 20


def knn_accuracy(
    train: np.ndarray,
    train_labels: np.ndarray,
    test: np.ndarray,
    test_labels: np.ndarray,
    k: int = NEIGHBOURS,
) -> float:
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


def knn(
    encoder: Encoder,
    stamps: Stamps,
    *,
    k: int = NEIGHBOURS,
    seeds: int = 3,
    limit: int = 4000,
    held_out: int | None = None,
    baselines: bool = True,
    vectors: list[Vectors] | None = None,
) -> dict[str, Any]:
    """Return the table of k-nearest-neighbour accuracy on the held-out part, for an encoder and what it has to beat.

    Parameters
    ----------
    limit, held_out
        Stamps a draw takes from the training part, and most stamps that are judged; see `draws`.
    vectors
        Vectors of these stamps that are there already.

    Returns
    -------
    dict
        The table; see `training.evaluation.tables`.

    Raises
    ------
    ConfigError
        If there are too few labelled stamps.
    """
    labels, values, draw = labels_of(stamps), defaultdict(list), None
    vectors = vectors or spaces(encoder, stamps, baselines=baselines)
    for draw in draws(stamps, seeds=seeds, limit=limit, held_out=held_out):
        if len(draw.train) < k or k < 1:
            raise ConfigError(f"k is {k}, with {len(draw.train)} stamps to choose from; give another --k.")
        for one in vectors:
            found = knn_accuracy(
                one.at(draw.train), labels[draw.train], one.at(draw.test), labels[draw.test], k
            )
            values[one.name].append(found)
    if draw is None:
        raise ConfigError(f"seeds is {seeds}; it must be at least 1.")
    counts = {"k": k, "neighbours to choose from": len(draw.train), "held out": len(draw.test)}
    lines = [{"space": name, "accuracy": spread(found)} for name, found in values.items()]
    return document(
        "k-nearest neighbours",
        survey=stamps.name,
        encoder=encoder,
        counts=counts,
        seeds=seeds,
        lines=lines,
        classes=list(stamps.classes),
    )
