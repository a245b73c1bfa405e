"""Retrieval: each held-out stamp as a query among the rest, and rare things from five examples."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score, ndcg_score

from discovery.encoders.encoder import Encoder
from discovery.errors import ConfigError
from discovery.hunts.models.ranking import TrainingSet, rank
from discovery.hunts.simulation.simulate import ArrayEmbeddings
from training.data.labels import labelled_parts, labels_of
from training.data.stamps import Stamps
from training.evaluation.tables import document, spread
from training.spaces import Vectors, spaces

CUTS = (10, 100)
GAIN_CUT = 10
EXAMPLES = 5
GALLERY_SHARE = 0.8
AT_ONCE = 512


def retrieval(
    encoder: Encoder,
    stamps: Stamps,
    *,
    seeds: int = 3,
    held_out: int | None = None,
    baselines: bool = True,
    vectors: list[Vectors] | None = None,
) -> dict[str, Any]:
    """Return the table of recall@k and nDCG@10 by class, each held-out stamp being the query once.

    A draw takes four fifths of the held-out stamps (of ``held_out`` of them, when given); queries and what they
    are searched in are the same stamps, the query itself left out.

    Raises
    ------
    ConfigError
        If a class has fewer than two held-out stamps.
    """
    labels, rows = labels_of(stamps), labelled_parts(stamps)[1]
    rows = np.sort(np.random.default_rng(0).permutation(rows)[:held_out])
    values: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    sizes: dict[str, int] = {}
    vectors = vectors or spaces(encoder, stamps, baselines=baselines)
    for seed in range(seeds):
        drawn = np.sort(
            np.random.default_rng([2, seed]).permutation(rows)[: max(2, int(GALLERY_SHARE * len(rows)))]
        )
        truth = labels[drawn]
        sizes = {name: int((truth == at).sum()) for at, name in enumerate(stamps.classes)}
        few = [name for name, count in sizes.items() if count < 2]
        if few:
            raise ConfigError(
                f"Class {few[0]!r} of {stamps.name} has {sizes[few[0]]} held-out stamps in a draw; retrieval needs two."
            )
        for one in vectors:
            found = [class_measures(one.at(drawn), truth, at) for at in range(len(stamps.classes))]
            for measure in found[0]:
                each = [figures[measure] for figures in found]
                for name, figure in zip(
                    (*stamps.classes, "mean of classes"), (*each, float(np.mean(each))), strict=True
                ):
                    values[name, one.name][measure].append(figure)
    lines = [
        {
            "class": name,
            "stamps": sizes.get(name),
            "space": space,
            **{m: spread(figures) for m, figures in found.items()},
        }
        for (name, space), found in sorted(
            values.items(), key=lambda item: [*stamps.classes, "mean of classes"].index(item[0][0])
        )
    ]
    counts = {"held out": len(rows), "in a draw": sum(sizes.values())}
    notes = [f"recall@{k} of a class of n stamps is at most {k}/(n - 1)" for k in CUTS]
    return document(
        "retrieval", survey=stamps.name, encoder=encoder, counts=counts, seeds=seeds, lines=lines, notes=notes
    )


def examples(
    encoder: Encoder,
    tasks: Sequence[tuple[str, Stamps]],
    *,
    seeds: int = 20,
    baselines: bool = True,
) -> dict[str, Any]:
    """Return the table of how well five examples find the rest of a rare kind: average precision of the similarity.

    Parameters
    ----------
    tasks
        Names, and stamps with the classes no and yes; tasks of one survey share their vectors. The examples are
        drawn anew for each seed; the rest of the held-out part is ranked by the library's own similarity.

    Raises
    ------
    ConfigError
        If a task has no more held-out stamps of its kind than examples.
    """
    lines: list[dict[str, Any]] = []
    known: dict[tuple[str, ...], list[Vectors]] = {}
    for name, stamps in tasks:
        rows = labelled_parts(stamps)[1]
        truth = labels_of(stamps)[rows] == 1
        if truth.sum() <= EXAMPLES or truth.all():
            raise ConfigError(
                f"{name}: {int(truth.sum())} of {len(rows)} held-out stamps are of the kind; more than {EXAMPLES} and fewer than all are needed."
            )
        survey = (stamps.name, *stamps.object_ids)
        if survey not in known:
            known[survey] = spaces(encoder, stamps, baselines=baselines)
        chance = (truth.sum() - EXAMPLES) / (len(rows) - EXAMPLES)
        for one in known[survey]:
            found = [_from_examples(one.at(rows), truth, seed) for seed in range(seeds)]
            figures = {"average_precision": spread(found), "mean": round(float(np.mean(found)), 4)}
            lines.append(
                {
                    "kind": name,
                    "of": f"{int(truth.sum())} of {len(rows)}",
                    "space": one.name,
                    **figures,
                    "chance": round(float(chance), 4),
                }
            )
    pixels = {line["kind"]: line["mean"] for line in lines if line["space"].startswith("PCA")}
    for line in lines:
        line["times_PCA"] = round(line["mean"] / pixels[line["kind"]], 2) if pixels else None
    names = ", ".join(dict.fromkeys(stamps.name for _, stamps in tasks))
    return document(
        f"found from {EXAMPLES} examples",
        survey=names,
        encoder=encoder,
        counts={"examples": EXAMPLES},
        seeds=seeds,
        lines=lines,
    )


def class_measures(vectors: np.ndarray, labels: np.ndarray, wanted: int) -> dict[str, float]:
    """Return the means over a class of recall@k and nDCG@10, each of its stamps being the query among all others.

    Parameters
    ----------
    vectors : numpy.ndarray
        (N, D) of unit length.
    labels : numpy.ndarray
        (N,) int; the class ``wanted`` has at least two stamps.
    """
    queries = np.flatnonzero(labels == wanted)
    sums: dict[str, float] = defaultdict(float)
    for start in range(0, len(queries), AT_ONCE):
        some = queries[start : start + AT_ONCE]
        others = np.arange(len(labels)) != some[:, None]
        scores = (vectors[some] @ vectors.T)[others].reshape(len(some), -1)
        truth = np.broadcast_to(labels == wanted, others.shape)[others].reshape(scores.shape)
        order = np.argsort(-scores, axis=1, kind="stable")[:, : max(CUTS)]
        ranked = np.take_along_axis(truth, order, 1)
        for k in CUTS:
            sums[f"recall@{k}"] += float(ranked[:, :k].sum()) / (len(queries) - 1)
        sums[f"nDCG@{GAIN_CUT}"] += len(some) * float(ndcg_score(truth, scores, k=GAIN_CUT))
    return {name: value / len(queries) for name, value in sums.items()}


def _from_examples(vectors: np.ndarray, truth: np.ndarray, seed: int) -> float:
    given = np.random.default_rng([3, seed]).choice(np.flatnonzero(truth), EXAMPLES, replace=False)
    training = TrainingSet(positives=vectors[given], negatives=vectors[:0])
    scores = rank(ArrayEmbeddings(vectors), training, seed=seed, train=False).order_scores
    rest = np.ones(len(truth), bool)
    rest[given] = False
    return float(average_precision_score(truth[rest], scores[rest]))
