"""Seconds a round by each strategy, and by scikit-learn's logistic regression, side by side.

Run ``python tests/benchmarks/hunt_round.py --objects 20000 100000 --dimension 256 512 1024 --labels 100``.
A round is everything between the last label and the next page: gathering the labels' vectors, training, scoring
every object and choosing the page. Vectors are random unit vectors in memory as float32; ``--store`` also
measures the whole of `Hunt.label` on this folder's disk, one durable transaction a label.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

from discovery.hunts.alpha_rule import choose
from discovery.hunts.candidates.turn import Turn
from discovery.hunts.log.store import HuntStore
from discovery.hunts.models.ranking import TrainingSet
from discovery.hunts.simulation.simulate import ArrayEmbeddings
from discovery.hunts.strategies import HuntStrategy, parse_strategy


def main() -> None:
    """Measure every size and print the table."""
    options = parse()
    print(f"machine: {platform.processor() or platform.machine()}, {os.cpu_count()} cores")
    print(f"load: {os.getloadavg()[0]:.1f}")
    print(f"command: {' '.join(sys.argv)}")
    print(f"{'objects':>9}{'D':>6}{'labels':>8}  {'ranking':<22}{'seconds':>9}{'worst':>8}{'CPU s':>8}")
    for objects in options.objects:
        for dimension in options.dimension:
            vectors = unit_vectors(objects, dimension)
            for labels in options.labels:
                for name, round_ in rounds(vectors, labels, options).items():
                    round_()  # the first call imports and allocates
                    taken = [timed(round_) for _ in range(options.repeats)]
                    wall = [one for one, _ in taken]
                    cpu = statistics.median(two for _, two in taken)
                    print(
                        f"{objects:>9}{dimension:>6}{labels:>8}  {name:<22}"
                        f"{statistics.median(wall):>9.3f}{max(wall):>8.3f}{cpu:>8.3f}",
                        flush=True,
                    )
    if options.store:
        print(f"one durable label: {1000 * label_seconds(options.store):.1f} ms")


def parse() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--objects", type=int, nargs="+", default=[20_000])
    parser.add_argument("--dimension", type=int, nargs="+", default=[256, 1024])
    parser.add_argument("--labels", type=int, nargs="+", default=[100])
    parser.add_argument("--strategies", nargs="+", default=["auto", "alpha:0.5", "linear", "similarity"])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--page-size", type=int, default=20)
    parser.add_argument("--store", type=Path, help="folder in which labels are timed")
    return parser.parse_args()


def rounds(vectors: np.ndarray, labels: int, options: argparse.Namespace) -> dict[str, Callable[[], object]]:
    """Return one round of each strategy, and scikit-learn's logistic regression beside them, ready to be timed."""
    embeddings, candidates = ArrayEmbeddings(vectors), np.ones(len(vectors), bool)
    positive, negative = np.arange(labels // 2), np.arange(labels // 2, labels)
    candidates[:labels] = False

    def ours(strategy: HuntStrategy) -> object:
        turn = Turn(
            embeddings=embeddings,
            training=TrainingSet(positives=embeddings.take(positive), negatives=embeddings.take(negative)),
            candidates=candidates,
            positives=1,
            negatives=19,
            page_size=options.page_size,
            seed=0,
        )
        return strategy.play(turn)

    def logistic() -> object:
        truth = np.arange(labels) < labels // 2
        model = LogisticRegression(class_weight="balanced", max_iter=1000).fit(vectors[:labels], truth)
        scores = model.decision_function(vectors).astype(np.float32)
        return choose(scores, candidates, options.page_size, "highest")

    played = {text: partial(ours, parse_strategy(text)) for text in options.strategies}
    return {**played, "scikit-learn logistic": logistic}


def unit_vectors(objects: int, dimension: int) -> np.ndarray:
    """Return (objects, dimension) float32 random unit vectors."""
    vectors = np.random.default_rng(0).standard_normal((objects, dimension), dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def timed(action: Callable[[], object]) -> tuple[float, float]:
    """Return how long an action takes by the clock, and seconds of CPU on all cores."""
    started, before = time.perf_counter(), time.process_time()
    action()
    return time.perf_counter() - started, time.process_time() - before


def label_seconds(folder: Path, number: int = 100) -> float:
    """Return seconds a durable label on this disk."""
    with tempfile.TemporaryDirectory(dir=folder) as made:
        store = HuntStore.create(Path(made) / "timed.hunt", {})
        line = {"object_id": "x", "row": 0, "ra_deg": 0.0, "dec_deg": 0.0, "verdict": "positive"}
        line |= {"negative_class": None, "reason": None}
        return timed(lambda: [store.add_labels([line], "timer") for _ in range(number)])[0] / number


if __name__ == "__main__":
    main()
