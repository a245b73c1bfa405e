"""Detail: does an embedding find bars, rings, mergers and lenses, from five examples and from all labels?

Two kinds of targets. Of surveys that encoders learn from, only the held-out part is ranked; examples are drawn from it
and the linear model learns the labels of the training part. Of surveys that no encoder here learned (``transfer``),
all stamps are ranked, and the linear model is cross-validated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from discovery.encoders.encoder import Encoder
from discovery.errors import ConfigError
from discovery.hunts.models.ranking import TrainingSet, rank
from discovery.hunts.simulation.measures import average_precision
from discovery.hunts.simulation.simulate import ArrayEmbeddings
from discovery.tables.reader import match_key, read_table
from training.data.stamps import Stamps, load_stamps
from training.evaluation.tables import document, spread
from training.spaces import EncoderSpace, PixelSpace, Space, Vectors

EXAMPLES, FOLDS, BOOTSTRAPS = 5, 5, 200
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1)
PIXEL_STAMPS = 4000


@dataclass(frozen=True, kw_only=True)
class DetailTarget:
    """What is to be found.

    Attributes
    ----------
    surveys : dict of str to str
        Surveys and for each the table with the column, both below the folder of the data.
    low, high : float or None
        A stamp is one from ``high`` on and none below ``low`` (``high`` when None); between them it is left out.
    value : str or None
        For a column of names: the one that is looked for.
    missing : float or None
        A value that means "not assessed"; such stamps are left out.
    transfer : bool
        No encoder that is measured learned from these surveys.
    prevalence : float or None
        For each draw so many of the targets are left that they are this share.
    """

    name: str
    surveys: dict[str, str]
    column: str
    high: float = 0.5
    low: float | None = None
    value: str | None = None
    missing: float | None = None
    transfer: bool = False
    prevalence: float | None = None

    def truth(self, values: Sequence[Any]) -> np.ndarray:
        """Return (n,) int: 1, 0, or -1 where a stamp is left out."""
        if self.value is not None:
            return np.array([-1 if one is None else int(str(one) == self.value) for one in values])
        numbers = np.array([np.nan if one is None else float(one) for one in values])
        low = self.high if self.low is None else self.low
        out = np.full(len(numbers), -1)
        out[numbers >= self.high] = 1
        out[numbers < low] = 0
        if self.missing is not None:
            out[numbers == self.missing] = -1
        return out


EFIGI = {"efigi": "efigi/labels.csv"}
VOTES = {"gz_votes": "gz_votes/labels.csv", "gz2": "gz_votes/votes.csv"}
TARGETS = (
    DetailTarget(name="efigi bars", surveys=EFIGI, column="Bar_Length", missing=-1),
    DetailTarget(name="efigi inner rings", surveys=EFIGI, column="Inner_Ring", missing=-1),
    DetailTarget(name="efigi outer rings", surveys=EFIGI, column="Outer_Ring", missing=-1),
    DetailTarget(name="efigi perturbed", surveys=EFIGI, column="Perturbation", missing=-1),
    DetailTarget(name="efigi multiple", surveys=EFIGI, column="Multiplicity", missing=-1),
    DetailTarget(name="gz_votes odd", surveys=VOTES, column="odd_yes", high=0.9),
    DetailTarget(name="gz_votes ring", surveys=VOTES, column="odd_ring"),
    DetailTarget(name="gz_votes merger", surveys=VOTES, column="odd_merger"),
    DetailTarget(name="decals rings", surveys={"decals_rings": "decals_rings/labels.csv"}, column="ring", transfer=True),
    DetailTarget(name="euclid mergers at 2 %", surveys={"euclid": "euclid/labels.csv"}, column="label", value="merger", transfer=True, prevalence=0.02),
    DetailTarget(name="lenses among look-alikes", surveys={"lens_candidates": "lens_candidates/labels.csv"}, column="expert_grade", high=2.0, low=1.3, transfer=True),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Case:
    """A target with its stamps: the embeddings' rows, what they are, and which are ranked.

    Attributes
    ----------
    rows : list of tuple
        A survey's name and its rows (n,), in the order of ``truth``.
    truth, ranked : numpy.ndarray
        (N,) bool: the targets; the stamps that are ranked (the held-out part, or all).
    """

    target: DetailTarget
    rows: list[tuple[str, np.ndarray]]
    truth: np.ndarray
    ranked: np.ndarray


def detail(
    encoders: Sequence[tuple[str, Encoder]],
    surveys: dict[str, Stamps],
    data: Path,
    *,
    targets: Sequence[DetailTarget] = TARGETS,
    seeds: int = 20,
    pixels: bool = True,
) -> dict[str, Any]:
    """Return the table of encoders, and of raw pixels, on every target whose surveys are given.

    Parameters
    ----------
    encoders
        Names in the table, the one that it is about first.
    surveys
        Prepared stamps by the name of their survey.
    data
        Folder that the targets' tables are below.
    seeds
        Draws of the examples.

    Raises
    ------
    ConfigError
        If no target's surveys are there, or a target has too few stamps.
    """
    cases = [case_of(target, surveys, data) for target in targets if target.surveys.keys() <= surveys.keys()]
    if not cases:
        raise ConfigError(f"No target's surveys are among {', '.join(surveys) or 'none'}; they are {_needed(targets)}.")
    lines = []
    vectors = {name: [Vectors(space, stamps) for space in _spaces(encoders, stamps, pixels)] for name, stamps in surveys.items()}
    for case in tqdm(cases, desc="detail", disable=None):
        for number, name in enumerate(space.name for space in next(iter(vectors.values()))):
            found = np.concatenate([vectors[survey][number].at(rows) for survey, rows in case.rows])
            lines.append(_line(case, name, found, seeds))
    encoder = encoders[0][1]
    counts = {"examples": EXAMPLES}
    notes = [
        "from 5 examples: average precision of the mean cosine; all labels: of a linear model, in brackets the 5 to 95 % of"
        f" {BOOTSTRAPS} bootstraps over the ranked stamps",
        "transfer: no label of the survey was learned; the linear model is cross-validated in five folds",
    ]
    return document("detail", survey=", ".join(surveys), encoder=encoder, counts=counts, seeds=seeds, lines=lines, notes=notes)


def surveys_of(data: Path, cache: Path, names: Sequence[str] = ()) -> dict[str, Stamps]:
    """Return the prepared stamps of the targets' surveys that a folder holds (of those named, if any are)."""
    wanted = names or tuple(dict.fromkeys(name for target in TARGETS for name in target.surveys))
    found = {}
    for name in wanted:
        if (data / name).is_dir():
            found[name] = load_stamps(str(data / name), cache)
    return found


def case_of(target: DetailTarget, surveys: dict[str, Stamps], data: Path) -> Case:
    """Return a target's stamps that have an answer."""
    rows, truth, ranked = [], [], []
    for survey, table in target.surveys.items():
        stamps = surveys[survey]
        known = _truth(target, data / table, stamps)
        kept = np.flatnonzero(known >= 0)
        rows.append((survey, kept))
        truth.append(known[kept] == 1)
        ranked.append(np.ones(len(kept), bool) if target.transfer else ~stamps.trains[kept])
    case = Case(target=target, rows=rows, truth=np.concatenate(truth), ranked=np.concatenate(ranked))
    held = case.truth[case.ranked]
    if held.sum() <= EXAMPLES or held.all():
        raise ConfigError(
            f"{target.name}: {int(held.sum())} of {len(held)} stamps that are ranked are such; more than {EXAMPLES} and fewer than all are needed."
        )
    return case


def from_examples(vectors: np.ndarray, truth: np.ndarray, seed: int, prevalence: float | None = None) -> float:
    """Return the average precision of the library's similarity to five examples among the other stamps."""
    rng = np.random.default_rng([3, seed])
    given = rng.choice(np.flatnonzero(truth), EXAMPLES, replace=False)
    rest = np.ones(len(truth), bool)
    rest[given] = False
    rest &= _thinned(truth, rest, prevalence, rng)
    training = TrainingSet(positives=vectors[given], negatives=vectors[:0])
    scores = rank(ArrayEmbeddings(vectors), training, seed=seed, train=False).order_scores
    return average_precision(scores[rest], truth[rest])


def linear_scores(vectors: np.ndarray, truth: np.ndarray, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Return the scores of the test rows by a linear model of the training rows.

    Logistic regression of standardised vectors; its strength is what gives the best average precision in five folds
    of the training rows.
    """
    scaler = StandardScaler().fit(vectors[train])
    seen, called = scaler.transform(vectors[train]), truth[train]
    folds = list(StratifiedKFold(min(FOLDS, int(called.sum())), shuffle=True, random_state=0).split(seen, called))
    quality = [np.mean([_inner(seen, called, one, other, strength) for one, other in folds]) for strength in STRENGTHS]
    best = STRENGTHS[int(np.argmax(quality))]
    return _regression(best).fit(seen, called).decision_function(scaler.transform(vectors[test]))


def all_labels(case: Case, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return scores and truth of the ranked stamps, by a linear model that learned from other stamps."""
    if not case.target.transfer:
        train, test = np.flatnonzero(~case.ranked), np.flatnonzero(case.ranked)
        return linear_scores(vectors, case.truth, train, test), case.truth[test]
    scores = np.empty(len(case.truth))
    for train, test in StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(vectors, case.truth):
        scores[test] = linear_scores(vectors, case.truth, train, test)
    return scores, case.truth


def _line(case: Case, space: str, vectors: np.ndarray, seeds: int) -> dict[str, Any]:
    target, held = case.target, case.truth[case.ranked]
    found = [from_examples(vectors[case.ranked], held, seed, target.prevalence) for seed in range(seeds)]
    scores, truth = all_labels(case, vectors)
    whole, draws = _bootstrapped(scores, truth, target.prevalence)
    return {
        "target": target.name + (", transfer" if target.transfer else ""),
        "of": f"{int(held.sum())} of {len(held)}",
        "random": round(target.prevalence or float(held.mean()), 4),
        "space": space,
        "from_5_examples": spread(found),
        "all_labels": {"median": round(whole, 5), "low": round(draws[0], 5), "high": round(draws[1], 5), "values": [round(whole, 5), *draws]},
    }


def _bootstrapped(scores: np.ndarray, truth: np.ndarray, prevalence: float | None) -> tuple[float, list[float]]:
    rng, found = np.random.default_rng(4), []
    for _ in range(BOOTSTRAPS):
        rows = rng.integers(0, len(truth), len(truth))
        kept = _thinned(truth[rows], np.ones(len(rows), bool), prevalence, rng)
        found.append(average_precision(scores[rows][kept], truth[rows][kept]))
    low, middle, high = np.nanpercentile(found, [5, 50, 95])
    return float(middle if prevalence else average_precision(scores, truth)), [round(float(low), 5), round(float(high), 5)]


def _thinned(truth: np.ndarray, among: np.ndarray, prevalence: float | None, rng: np.random.Generator) -> np.ndarray:
    """Return a mask that keeps all others and so many targets that they are a share of all."""
    kept = np.ones(len(truth), bool)
    if prevalence is not None:
        targets, others = np.flatnonzero(truth & among), int((~truth & among).sum())
        wanted = round(others * prevalence / (1 - prevalence))
        kept[rng.permutation(targets)[wanted:]] = False
    return kept


def _inner(vectors: np.ndarray, truth: np.ndarray, train: np.ndarray, test: np.ndarray, strength: float) -> float:
    return average_precision(_regression(strength).fit(vectors[train], truth[train]).decision_function(vectors[test]), truth[test])


def _regression(strength: float) -> LogisticRegression:
    return LogisticRegression(C=strength, class_weight="balanced", max_iter=2000, tol=1e-3)


def _truth(target: DetailTarget, path: Path, stamps: Stamps) -> np.ndarray:
    table = read_table(path)
    if target.column not in table.column_names:
        raise ConfigError(f"{path} has no column {target.column!r}; it has {', '.join(table.column_names)}.")
    values = table[target.column].to_pylist()
    lines = match_key(table, list(stamps.object_ids)).rows
    return target.truth([values[line] if line >= 0 else None for line in lines])


def _spaces(encoders: Sequence[tuple[str, Encoder]], stamps: Stamps, pixels: bool) -> list[Space]:
    found: list[Space] = [EncoderSpace(name, encoder) for name, encoder in encoders]
    if pixels:
        train = np.flatnonzero(stamps.trains)
        found.append(PixelSpace(stamps.pixels[np.sort(np.random.default_rng(0).permutation(train)[:PIXEL_STAMPS])]))
    return found


def _needed(targets: Sequence[DetailTarget]) -> str:
    return ", ".join(dict.fromkeys(survey for target in targets for survey in target.surveys))
