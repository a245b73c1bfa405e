"""What a hunt could find at best: models trained on all true labels of a bench's sets, five-fold cross-validated.

Run ``python tests/benchmarks/hunt_ceilings.py docs/hunts.toml --out docs/hunts/ceilings.json``. Each object is scored by a model
that saw the labels of the other four fifths: ridge logistic regression (the best of three penalties by AUPR) and the MLP of
the rescorer (hidden 2048, without weak negatives). The share of the ideal after 200 labels is that of taking the highest
200 scores, as `discovery.hunts.simulation.measures.share_of_ideal`. A hunt starts from five labels and ends with some two hundred: what it
lacks to the ceiling the strategy may still gain, what the ceiling lacks to 1 only another encoder.
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sklearn.model_selection import StratifiedKFold

from discovery.hunts.models.logistic import fit_logistic
from discovery.hunts.models.rescorer import RescorerConfig, standardisation, train_rescorer
from discovery.hunts.simulation.bench import open_set, read_bench
from discovery.hunts.simulation.measures import area_under_roc, average_precision, share_of_ideal
from discovery.hunts.simulation.sets import HuntSet

PENALTIES = (300.0, 30.0, 3.0)
MLP = RescorerConfig(steps=150, batch=256, unlabelled=1, unlabelled_share=0.0)
BACKGROUND = 2048

Fit = Callable[[np.ndarray, np.ndarray], Callable[[np.ndarray], np.ndarray]]


def main() -> None:
    """Score every set once and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bench", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    bench, found = read_bench(options.bench), {}
    for one in bench.sets:
        if one.name.endswith(("-random", "-pages-of-10")):
            continue  # the same objects as another set
        hunt_set = open_set(one, options.bench.parent)
        linear = max((measured(hunt_set, linear_fit(penalty)) for penalty in PENALTIES), key=lambda one: one["aupr"])
        found[one.name] = {"linear": linear, "mlp": measured(hunt_set, mlp_fit)}
        print(one.name, found[one.name], flush=True)
        options.out.write_text(json.dumps({"machine": platform.platform(), "ceilings": found}, indent=1) + "\n")


def measured(hunt_set: HuntSet, fit: Fit) -> dict[str, float]:
    """Measure out-of-fold scores, standardised within each fold by its others."""
    scores, truth = np.zeros(len(hunt_set.truth)), hunt_set.truth
    for train, test in StratifiedKFold(5, shuffle=True, random_state=0).split(hunt_set.vectors, truth):
        score = fit(hunt_set.vectors[train], truth[train])
        others = score(hunt_set.vectors[train][~truth[train]])
        scores[test] = (score(hunt_set.vectors[test]) - others.mean()) / others.std()
    order = np.argsort(-scores, kind="stable")
    return {
        "share_of_ideal_200": round(share_of_ideal(truth[order], hunt_set.targets, 200), 4),
        "aupr": round(average_precision(scores, truth), 4),
        "auroc": round(area_under_roc(scores, truth), 4),
    }


def linear_fit(penalty: float) -> Fit:
    """Ridge logistic regression, both classes weighing the same."""

    def fit(vectors: np.ndarray, truth: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        centre, scale = standardisation(vectors)
        weights = np.where(truth, 0.5 / truth.mean(), 0.5 / (~truth).mean())
        model = fit_logistic((vectors - centre) / scale, truth.astype(float), weights, penalty)
        return lambda some: model.logits((some - centre) / scale)

    return fit


def mlp_fit(vectors: np.ndarray, truth: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """The rescorer's MLP on labels alone, each batch with as many targets as others."""
    rng = np.random.default_rng(0)
    ordinary = vectors[np.sort(rng.permutation(len(vectors))[:BACKGROUND])]
    targets = vectors[truth]
    repeats = max(1, round((~truth).sum() / len(targets)))
    return train_rescorer(np.repeat(targets, repeats, axis=0), vectors[~truth], ordinary, 0, MLP).scores


if __name__ == "__main__":
    main()
