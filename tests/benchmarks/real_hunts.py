"""Simulated hunts on real labelled stamps: an encoder against raw pixels and against random order.

Run ``python tests/benchmarks/real_hunts.py --data ../shared/data --encoder default --cache hunts.npz``.

The person is played by the true labels: 5 positives to start, 5 rounds of 20, median over 5 seeds. The tasks:
outer rings (efigi, Outer_Ring >= 0.5), multiple galaxies (efigi, Multiplicity >= 0.5), and good lenses
(expert_grade >= 2) hidden in the pool of SDSS stamps, alone and together with the look-alikes of lower grade,
since candidates and pool come from different telescopes. The same hunt is played on the first 64 principal
components of the same prepared stamps. Random order is the expectation: labels x targets left / objects left.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from sklearn.decomposition import PCA
from tqdm import tqdm

from discovery.encoders.encoder import Encoder, load_encoder
from discovery.hunts.models.rescorer import RescorerConfig
from discovery.hunts.simulation.measures import average_precision
from discovery.hunts.simulation.simulate import ArrayEmbeddings, play_hunt
from discovery.readers import open_survey
from discovery.stamps.stamp import Damaged

SETS = {"efigi": "labels.csv", "sdss_pool": "index.csv", "lens_candidates": "labels.csv"}
PCA_SIDE, PCA_COMPONENTS = 32, 64
BATCH = 64


@dataclass(frozen=True, kw_only=True)
class EmbeddedSet:
    """One set of stamps: names (n,), vectors (n, D), prepared pixels (n, P), and its labels by column."""

    names: np.ndarray
    vectors: np.ndarray
    pixels: np.ndarray
    labels: dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Task:
    """Something to hunt for: vectors, pixels and truth (N,) of the same objects."""

    name: str
    vectors: np.ndarray
    pixels: np.ndarray
    truth: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of the result: a task in one space with one strategy."""

    task: str
    space: str
    strategy: str
    objects: int
    targets: int
    labels: int
    found: list[int]
    median: float
    random: float
    average_precision: float
    seconds_a_round: float


def main() -> None:
    """Embed, play, and print the table and a JSON document."""
    options = parse()
    print(f"machine: {platform.processor() or platform.machine()}, {os.cpu_count()} cores", file=sys.stderr)
    print(f"command: {' '.join(sys.argv)}", file=sys.stderr)
    encoder = load_encoder(options.encoder)
    config = RescorerConfig(**json.loads(options.rescorer))
    sets = {name: embedded(options, encoder, name) for name in SETS}
    lines = []
    print(
        f"{'task':<22}{'space':<10}{'strategy':<22}{'N':>7}{'T':>5}{'found':>7}{'random':>8}{'x random':>9}{'x pixels':>9}{'AP':>7}{'s/round':>8}"
    )
    for task in tasks(sets, options.held_out):
        pixels = components(task.pixels)
        for strategy, alpha in strategies(options):
            pair = [
                played(task, space, vectors, strategy, alpha, config, options)
                for space, vectors in (("encoder", task.vectors), ("PCA-64", pixels))
            ]
            for line in pair:
                against = f"{line.median / pair[1].median:9.2f}" if pair[1].median else "        -"
                print(
                    f"{line.task:<22}{line.space:<10}{line.strategy:<22}{line.objects:>7}{line.targets:>5}"
                    f"{line.median:>7.1f}{line.random:>8.2f}{line.median / line.random:>9.1f}{against}"
                    f"{line.average_precision:>7.3f}{line.seconds_a_round:>8.2f}",
                    flush=True,
                )
            lines += pair
    if options.json:
        document = {
            "command": sys.argv,
            "encoder": encoder.card.name,
            "checksum": encoder.checksum,
            "rescorer": asdict(config),
            "lines": [asdict(line) for line in lines],
        }
        options.json.write_text(json.dumps(document, indent=1))


def parse() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[3] / "shared" / "data")
    parser.add_argument("--encoder", default="default", help="what discovery.load_encoder takes")
    parser.add_argument("--cache", type=Path, help="npz files of embeddings are kept in this folder")
    parser.add_argument(
        "--alpha", type=float, nargs="+", default=[1.0], help="play the alpha rule with each of these"
    )
    parser.add_argument("--similarity", action="store_true", help="play without a rescorer too")
    parser.add_argument("--examples", type=int, default=5)
    parser.add_argument("--negative-examples", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--page-size", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--held-out", action="store_true", help="only stamps that no encoder was trained on")
    parser.add_argument("--rescorer", default="{}", help="JSON settings of the rescorer")
    parser.add_argument("--json", type=Path, help="write the result here")
    return parser.parse_args()


def strategies(options: argparse.Namespace) -> Iterator[tuple[str, float]]:
    """Yield what is played: strategy and alpha."""
    yield from (("alpha", alpha) for alpha in options.alpha)
    if options.similarity:
        yield "similarity", 0.5


def tasks(sets: dict[str, EmbeddedSet], held_out: bool) -> Iterator[Task]:
    """Yield the hunts."""
    efigi, pool, lenses = sets["efigi"], sets["sdss_pool"], sets["lens_candidates"]
    good = lenses.labels["expert_grade"] >= 2
    for name, column in (("outer rings", "Outer_Ring"), ("multiple galaxies", "Multiplicity")):
        yield task(name, [efigi], efigi.labels[column] >= 0.5, held_out)
    truth = np.concatenate([np.zeros(len(pool.names), bool), good])
    yield task("lenses", [pool, lenses], truth, held_out, np.append(np.ones(len(pool.names), bool), good))
    yield task("lenses, look-alikes", [pool, lenses], truth, held_out)


def task(
    name: str, parts: list[EmbeddedSet], truth: np.ndarray, held_out: bool, kept: np.ndarray | None = None
) -> Task:
    """Join sets of stamps, leaving out what is not ``kept``."""
    names = np.concatenate([part.names for part in parts])
    chosen = np.ones(len(names), bool) if kept is None else kept
    if held_out:
        chosen = chosen & np.array([is_held_out(one) for one in names])
    vectors = np.concatenate([part.vectors for part in parts])[chosen]
    pixels = np.concatenate([part.pixels for part in parts])[chosen]
    return Task(name=name, vectors=vectors, pixels=pixels, truth=truth[chosen])


def is_held_out(object_id: str) -> bool:
    """Whether no encoder was trained on a stamp, by the rule of `training.data.stamps.is_training`."""
    return max(hashlib.sha1(object_id.encode()).digest()[:2]) >= 205


def played(
    task: Task,
    space: str,
    vectors: np.ndarray,
    strategy: str,
    alpha: float,
    config: RescorerConfig,
    options: argparse.Namespace,
) -> Line:
    """Play one task with every seed."""
    found, ranked, started = [], [], time.perf_counter()
    for seed in range(options.seeds):
        game = play_hunt(
            ArrayEmbeddings(vectors),
            task.truth,
            strategy=strategy,
            examples=options.examples,
            negative_examples=options.negative_examples,
            rounds=options.rounds,
            page_size=options.page_size,
            alpha=alpha,
            seed=seed,
            config=config,
        )
        left = np.ones(len(task.truth), bool)
        left[np.concatenate([game.shown, game.examples])] = False
        found.append(int(game.found.sum()))
        ranked.append(average_precision(game.ranking[left], task.truth[left]))
    labels = options.rounds * options.page_size
    targets_left = int(task.truth.sum()) - options.examples
    objects_left = len(task.truth) - options.examples - options.negative_examples
    return Line(
        task=task.name,
        space=space,
        strategy=f"alpha {alpha:g}" if strategy == "alpha" else strategy,
        objects=len(task.truth),
        targets=int(task.truth.sum()),
        labels=labels,
        found=found,
        median=float(np.median(found)),
        random=labels * targets_left / objects_left,
        average_precision=float(np.nanmedian(ranked)),
        seconds_a_round=(time.perf_counter() - started) / options.seeds / (options.rounds + 1),
    )


def components(pixels: np.ndarray) -> np.ndarray:
    """Return the first 64 principal components of (N, P) pixels as unit vectors, (N, 64) float32."""
    reduced = PCA(PCA_COMPONENTS, svd_solver="randomized", random_state=0).fit_transform(
        pixels.astype(np.float32)
    )
    return (reduced / np.linalg.norm(reduced, axis=1, keepdims=True)).astype(np.float32)


def embedded(options: argparse.Namespace, encoder: Encoder, name: str) -> EmbeddedSet:
    """Embed one set of stamps, or read it from the cache."""
    path = (
        options.cache / f"{name}-{encoder.checksum[:12]}-{encoder.card.crop.mode}.npz"
        if options.cache
        else None
    )
    if path is not None and path.is_file():
        with np.load(path) as kept:
            labels = {key[6:]: kept[key] for key in kept.files if key.startswith("label_")}
            return EmbeddedSet(
                names=kept["names"], vectors=kept["vectors"], pixels=kept["pixels"], labels=labels
            )
    result = embed(options.data / name, SETS.get(name, "labels.csv"), encoder)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        labels = {f"label_{key}": value for key, value in result.labels.items()}
        np.savez(path, names=result.names, vectors=result.vectors, pixels=result.pixels, **labels)
    return result


def embed(
    folder: Path,
    table: str,
    encoder: Encoder,
    most: int | None = None,
    keep: Callable[[str], bool] = lambda object_id: True,
) -> EmbeddedSet:
    """Read, prepare and embed the stamps of a set, of the first ``most`` those whose object_id is to be kept."""
    survey = open_survey([folder / "stamps.zip"], table=folder / table)
    lines = survey.table()
    names, vectors, pixels, places = [], [], [], []
    total = len(survey) if most is None else min(most, len(survey))
    for start in tqdm(range(0, total, BATCH), desc=folder.name, unit="batch", disable=None):
        read = survey.read(start, min(start + BATCH, total))
        good = [
            (start + place, stamp)
            for place, stamp in enumerate(read)
            if not isinstance(stamp, Damaged) and keep(stamp.object_id)
        ]
        if not good:
            continue
        inputs = np.stack([encoder.prepare(stamp).inputs for _, stamp in good])  # (B, K, 3, S, S)
        vectors.append(encoder.embed_inputs(inputs))
        pixels.append(np.stack([shrunk(views) for views in inputs]))
        names += [stamp.object_id for _, stamp in good]
        places += [place for place, _ in good]
    types = {"int64": np.float64, "double": np.float64, "string": np.str_}
    labels = {
        field.name: lines[field.name].to_numpy(zero_copy_only=False)[places].astype(types[str(field.type)])
        for field in lines.schema
        if str(field.type) in types and lines[field.name].null_count == 0
    }
    return EmbeddedSet(
        names=np.array(names),
        vectors=np.concatenate(vectors).astype(np.float32),
        pixels=np.concatenate(pixels),
        labels=labels,
    )


def shrunk(views: np.ndarray) -> np.ndarray:
    """Average prepared stamps (K, 3, S, S) to 32 x 32 and flatten them, float16."""
    side = views.shape[-1]
    step = side // PCA_SIDE
    cut = views[..., : PCA_SIDE * step, : PCA_SIDE * step]
    blocks = cut.reshape(*cut.shape[:2], PCA_SIDE, step, PCA_SIDE, step)
    return blocks.mean(axis=(3, 5)).astype(np.float16).ravel()


if __name__ == "__main__":
    main()
