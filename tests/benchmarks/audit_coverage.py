"""How often the 95 % intervals of an audit hold the truth, and how wide they are beside a plain random sample's.

Plays hunts whose targets are known, audits each in several draws, and compares. Without ``--release`` the objects are unit
vectors of a mixture of Gaussians: one ordinary crowd, and targets of three kinds, of which one resembles the crowd.

``python tests/benchmarks/audit_coverage.py`` or, on a release of a simulated survey,
``python tests/benchmarks/audit_coverage.py --release RELEASE --truth truth_class=merger truth_class=lens truth_class=ring``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from pathlib import Path

import numpy as np
from scipy.stats import binomtest

from discovery.hunts.audits.design import design_audit, draw_strata, sample_of, strata_bounds
from discovery.hunts.audits.estimates import Evidence, Interval, plain_interval
from discovery.hunts.audits.report import AuditProgress, AuditReport, make_report
from discovery.hunts.simulation.sets import HuntSet, resampled, set_of_release
from discovery.hunts.simulation.simulate import ArrayEmbeddings, play_hunt
from discovery.release.release import open_release

RANKINGS = ("hunt", "noisy", "shuffled", "reversed", "hidden")
COLUMNS = (
    ("objects", "objects", "d"),
    ("left", "targets left", ".0f"),
    ("targets", "cover targets", ".3f"),
    ("completeness", "completeness", ".3f"),
    ("purity", "purity", ".3f"),
    ("next", "next 100", ".3f"),
    ("width", "width", ".0f"),
    ("plain_width", "plain", ".0f"),
    ("ratio", "ratio", ".2f"),
    ("exact_ratio", "to exact", ".2f"),
    ("plain", "plain cover", ".3f"),
    ("lower_bound_only", "bound only", ".2f"),
    ("seconds", "s", ".2f"),
)


def main() -> None:
    """Play, audit, print the table."""
    options = _options()
    command = f"python {' '.join(sys.argv)}"
    print(f"machine: {platform.machine()}, {os.cpu_count()} cores\ncommand: {command}\n")
    print("| set | prevalence | hunts | " + " | ".join(title for _, title, _ in COLUMNS) + " |")
    print("| --- | --: | --: |" + " --: |" * len(COLUMNS), flush=True)
    lines = []
    for prevalence in options.prevalence:
        per_set = []
        for drawn_from in _sets(options, prevalence):
            trials = [trial(drawn_from, prevalence, seed, options) for seed in range(options.hunts)]
            per_set.append((drawn_from.name, trials))
        for name, trials in [*per_set, *([("all", [one for _, some in per_set for one in some])] if len(per_set) > 1 else [])]:
            line = {"set": name, "prevalence": prevalence, "hunts": len(trials), **summary(trials)}
            lines.append(line)
            cells = [format(line[key], kind) for key, _, kind in COLUMNS]
            print(f"| {name} | {100 * prevalence:g} % | {len(trials)} | " + " | ".join(cells) + " |", flush=True)
    if options.json is not None:
        options.json.write_text(json.dumps({"command": command, "lines": lines}, indent=1) + "\n")


def trial(drawn_from: HuntSet, prevalence: float, seed: int, options: argparse.Namespace) -> dict[str, float]:
    """Play one hunt, audit it, and compare with the truth."""
    most = int(min(drawn_from.targets / prevalence, (len(drawn_from.truth) - drawn_from.targets) / (1 - prevalence)))
    played_on = resampled(drawn_from, prevalence, objects=min(options.objects, most), seed=seed)
    truth = played_on.truth
    played = play_hunt(
        ArrayEmbeddings(played_on.vectors),
        truth,
        strategy=options.strategy,
        rounds=options.rounds,
        page_size=options.page_size,
        seed=seed,
    )
    labelled = np.zeros(len(truth), dtype=bool)
    labelled[played.shown] = labelled[played.examples] = True
    rng = np.random.default_rng([seed, 7])
    scores, truth = _ranked(played.ranking.astype(np.float64), truth, labelled, options.ranking, rng)
    share = (1 + truth[played.shown[-20:]].sum()) / (2 + len(played.shown[-20:]))
    started = time.perf_counter()
    labelled_before = labelled.copy()
    report, labelled, scores = audited(scores, truth, labelled, float(share), options, seed)
    seconds = time.perf_counter() - started
    measured = compared(report, scores, truth, labelled)
    return {**measured, **plain(truth, labelled_before, options.labels, rng), "seconds": seconds, "objects": len(truth)}


def audited(
    scores: np.ndarray, truth: np.ndarray, labelled: np.ndarray, share: float, options: argparse.Namespace, seed: int
) -> tuple[AuditReport, np.ndarray, np.ndarray]:
    """Draw and judge every audit, with hunting between them where asked; the report, what is judged, the last scores."""
    counted = np.ones(len(truth), dtype=bool)
    drawn: list = []
    bounds = None
    rng = np.random.default_rng([seed, 8])
    for number in range(options.draws):
        evidence = _evidence(drawn, scores, truth, labelled, counted)
        bounds = strata_bounds(scores[~labelled]) if bounds is None else bounds
        design = design_audit(
            scores, ~labelled, options.labels // options.draws, share=share, bounds=bounds, earlier=evidence
        )
        rows = draw_strata(design.members, np.array(design.drawn), seed * 100 + number)
        drawn.append((design, rows))
        labelled = labelled | np.isin(np.arange(len(truth)), rows)
        if options.between:
            best = np.argsort(-np.where(labelled, -np.inf, scores), kind="stable")[: options.between]
            labelled = labelled.copy()
            labelled[best] = True
            scores, bounds = scores + 0.2 * scores.std() * rng.normal(size=len(scores)), None
    report = make_report(
        _evidence(drawn, scores, truth, labelled, counted),
        known=int((truth & labelled).sum()),
        objects=len(truth),
        bounds=strata_bounds(scores[~labelled]) if bounds is None else bounds,
        progress=AuditProgress(audits=len(drawn), drawn=options.labels, judged=options.labels, skipped=0, waiting=0),
        requested=0.9,
    )
    return report, labelled, scores


def compared(report: AuditReport, scores: np.ndarray, truth: np.ndarray, labelled: np.ndarray) -> dict[str, float]:
    """Return whether each interval holds the truth (purity: the share of the cuts), and the width for the targets."""
    known, unknown = int((truth & labelled).sum()), np.sort(scores[~labelled])[::-1]
    places = np.cumsum(truth[~labelled][np.argsort(-scores[~labelled], kind="stable")])
    purity, complete = [], [_holds(report.completeness, known / truth.sum())]
    for cut in report.curve:
        have = known + int(places[cut.objects - 1])
        purity.append(_holds(cut.purity, have / (known + cut.objects)))
        complete.append(_holds(cut.completeness, have / truth.sum()))
    return {
        "left": float(places[-1]),
        "targets": _holds(report.targets, truth.sum()),
        "completeness": float(np.mean(complete)),
        "purity": float(np.mean(purity)),
        "next": _holds(report.expected, places[min(report.next_labels, len(unknown)) - 1]),
        "width": report.targets.high - report.targets.low,
        "lower_bound_only": float(report.lower_bound_only),
    }


def plain(truth: np.ndarray, labelled: np.ndarray, labels: int, rng: np.random.Generator) -> dict[str, float]:
    """Return the same for a plain random sample of the unlabelled objects, by the same method and by the exact one."""
    open_ = truth[~labelled]
    positive = int(rng.choice(open_, labels, replace=False).sum())
    interval = plain_interval(len(open_), labels, positive)
    exact = binomtest(positive, labels).proportion_ci(method="exact")
    return {
        "plain": _holds(interval, open_.sum()),
        "plain_width": interval.high - interval.low,
        "exact_width": len(open_) * (exact.high - exact.low),
    }


def summary(trials: list[dict[str, float]]) -> dict[str, float]:
    """Return means of what holds, and medians of the widths and the rest."""
    means = {key: float(np.mean([one[key] for one in trials])) for key in ("targets", "completeness", "purity", "next", "plain", "lower_bound_only")}
    medians = {key: float(np.median([one[key] for one in trials])) for key in ("left", "width", "plain_width", "exact_width", "seconds")}
    ratios = {"ratio": medians["width"] / medians["plain_width"], "exact_ratio": medians["width"] / medians["exact_width"]}
    return {**means, **medians, **ratios, "objects": int(np.median([one["objects"] for one in trials]))}


def made_set(prevalence: float, objects: int, dimension: int = 32, seed: int = 3) -> HuntSet:
    """Return unit vectors of a crowd, and of targets of three kinds at most twice as many as are drawn."""
    rng = np.random.default_rng(seed)
    targets = 2 * round(objects * prevalence)
    centres = rng.normal(size=(3, dimension))
    centres *= np.array([[1.0], [0.9], [0.7]]) * 6.0 / np.linalg.norm(centres, axis=1, keepdims=True)
    kinds = rng.integers(0, 3, targets)
    vectors = rng.normal(size=(objects + targets, dimension))
    vectors[:targets] += centres[kinds]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return HuntSet(
        name="made",
        source="a mixture of Gaussians",
        object_ids=np.arange(len(vectors)).astype(str),
        vectors=vectors.astype(np.float32),
        truth=np.arange(len(vectors)) < targets,
    )


def _ranked(
    scores: np.ndarray, truth: np.ndarray, labelled: np.ndarray, ranking: str, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The hunt's ranking, or a worse one; ``hidden`` moves half of the targets left to anywhere."""
    if ranking == "noisy":
        scores = scores + 2 * scores.std() * rng.normal(size=len(scores))
    elif ranking == "shuffled":
        scores = rng.permutation(scores)
    elif ranking == "reversed":
        scores = -scores
    elif ranking == "hidden":
        truth, left = truth.copy(), np.flatnonzero(truth & ~labelled)
        moved = rng.choice(left, len(left) // 2, replace=False)
        truth[moved] = False
        truth[rng.choice(np.flatnonzero(~truth & ~labelled), len(moved), replace=False)] = True
    return scores, truth


def _evidence(drawn: list, scores: np.ndarray, truth: np.ndarray, labelled: np.ndarray, counted: np.ndarray) -> Evidence:
    samples = [sample_of(design, rows, scores, truth & labelled, counted)[0] for design, rows in drawn]
    return Evidence(scores[~labelled], samples)


def _holds(interval: Interval, true: float) -> float:
    return float(interval.low - 1e-9 <= true <= interval.high + 1e-9)


def _sets(options: argparse.Namespace, prevalence: float) -> list[HuntSet]:
    if options.release is None:
        return [made_set(prevalence, options.objects)]
    release = open_release(options.release)
    return [set_of_release(release, truth, name=truth.partition("=")[2] or truth) for truth in options.truth]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--release", type=Path, default=None)
    parser.add_argument("--truth", nargs="+", default=["truth_class=merger"])
    parser.add_argument("--prevalence", nargs="+", type=float, default=[0.001, 0.01, 0.1])
    parser.add_argument("--objects", type=int, default=25_000, help="fewer where there are not so many targets")
    parser.add_argument("--hunts", type=int, default=200, help="of each set at each prevalence")
    parser.add_argument("--labels", type=int, default=300, help="audit labels altogether")
    parser.add_argument("--draws", type=int, default=3, help="audits that they are drawn in")
    parser.add_argument("--between", type=int, default=0, help="best objects labelled by the hunt after each audit")
    parser.add_argument("--ranking", choices=RANKINGS, default="hunt")
    parser.add_argument("--strategy", default="linear")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--page-size", type=int, default=10)
    parser.add_argument("--json", type=Path, default=None, help="file to write the figures to")
    return parser.parse_args()


if __name__ == "__main__":
    main()
