"""Linear probe: how well a linear model of the embeddings separates the classes."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from discovery.encoders.encoder import Encoder
from discovery.errors import ConfigError
from training.data.labels import labels_of
from training.data.stamps import Stamps
from training.evaluation.tables import document, spread
from training.finetuning.classes.classification import fit_linear, measures
from training.spaces import Vectors, draws, spaces


def probe(
    encoder: Encoder,
    stamps: Stamps,
    *,
    seeds: int = 3,
    limit: int = 4000,
    held_out: int | None = None,
    baselines: bool = True,
    vectors: list[Vectors] | None = None,
) -> dict[str, Any]:
    """Return the table of logistic regression on frozen embeddings, on the held-out part.

    The parameters are those of `training.evaluation.neighbours.knn`.
    """
    labels, values, draw = labels_of(stamps), defaultdict(list), None
    vectors = vectors or spaces(encoder, stamps, baselines=baselines)
    for draw in draws(stamps, seeds=seeds, limit=limit, held_out=held_out):
        for one in vectors:
            head = fit_linear(one.at(draw.train), labels[draw.train], len(stamps.classes), draw.seed)
            called = head.probabilities(one.at(draw.test)).argmax(1)
            values[one.name].append(measures(called, labels[draw.test], stamps.classes))
    if draw is None:
        raise ConfigError(f"seeds is {seeds}; it must be at least 1.")
    lines = [
        {"space": name, **{m: spread([one[m] for one in found]) for m in ("accuracy", "f1")}}
        for name, found in values.items()
    ]
    counts = {"trained on": len(draw.train), "held out": len(draw.test)}
    notes = ["logistic regression on frozen embeddings; f1 is the mean over the classes"]
    return document(
        "linear probe",
        survey=stamps.name,
        encoder=encoder,
        counts=counts,
        seeds=seeds,
        lines=lines,
        notes=notes,
        classes=list(stamps.classes),
    )
