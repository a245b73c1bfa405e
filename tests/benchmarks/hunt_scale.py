"""Rounds of a hunt in a large release, stage by stage, beside scoring every object.

Run ``python tests/benchmarks/hunt_scale.py RELEASE --rounds 30 --compare 5``, on a release that ``scale_release.py`` and ``discovery
index build`` made. The person's truth: the objects nearest to a hidden one. Every ``--compare`` rounds the same page is made once more by scoring
every object: its seconds, and the share of it that the pool's page holds. Stages: *file* is reading and
writing the hunt's file, *(CPU)* its seconds on all cores, which other work on the machine does not lengthen, *names* asking the catalogue for what is shown. ``--audit`` draws an audit at the end, which ranks everything.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from discovery.hunts import LabelRequest, new_hunt
from discovery.hunts.audits import audit as audits
from discovery.hunts.candidates.pool import ExactSource, PoolSource
from discovery.hunts.choosers import HighestChooser
from discovery.hunts.hunt import Hunt
from discovery.hunts.log.release_check import Places
from discovery.hunts.log.store import HuntStore
from discovery.hunts.models.blend import BlendModel
from discovery.hunts.models.ranking import LearnedModel
from discovery.hunts.rounds import play as playing
from discovery.release.release import Release, open_release
from discovery.search.prompts import prompt_from_row

EXAMPLES, BLOCK, SAMPLE = 5, 256, 2**18


class Stages:
    """Seconds spent in functions, by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def watch(self, owner: Any, name: str, stage: str) -> None:
        """Count every call of ``owner.name`` for a stage."""
        inner: Callable[..., Any] = getattr(owner, name)

        def timed(*given: Any, **named: Any) -> Any:
            started = time.perf_counter()
            try:
                return inner(*given, **named)
            finally:
                self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - started

        setattr(owner, name, timed)

    def taken(self) -> dict[str, float]:
        """Return what was counted since the last call."""
        found, self.seconds = self.seconds, {}
        return found


def main() -> None:
    """Play and print the table."""
    options = parse()
    release = open_release(options.release)
    print(f"machine: {platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"command: {' '.join(sys.argv)}")
    print(f"release: {release.count} objects x {release.dimension}, {options.strategy}", flush=True)
    truth = Oracle(release, options.targets)
    print(f"memory once the truth is known: {memory()}", flush=True)
    stages = watched()
    with tempfile.TemporaryDirectory() as folder:
        prompts = [prompt_from_row(release, row) for row in truth.examples]
        path = Path(folder) / "scale.hunt"
        hunt = new_hunt(path, release, positives=prompts, strategy=options.strategy, page_size=options.page_size, who="b")
        lines = [round_line(hunt, truth, stages, options, number) for number in range(1, options.rounds + 1)]
        print_table(lines)
        print(f"targets found: {hunt.counts().positive} of about {options.targets}; memory: {memory()}")
        started = time.perf_counter()
        replayed = hunt.replay(options.rounds) == hunt.round()
        print(f"the last round replayed: {'equal' if replayed else 'DIFFERS'}, {time.perf_counter() - started:.2f} s")
        if options.audit:
            started = time.perf_counter()
            drawn = audits.draw_audit(hunt, 100, who="b")
            print(f"an audit of {len(drawn.rows)} drawn: {time.perf_counter() - started:.1f} s; memory: {memory()}")


def parse() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("release", type=Path)
    parser.add_argument("--strategy", default="auto@pool")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--page-size", type=int, default=20)
    parser.add_argument("--targets", type=int, default=3000)
    parser.add_argument("--compare", type=int, default=10, help="score everything besides every so many rounds; 0 never")
    parser.add_argument("--audit", action="store_true")
    return parser.parse_args()


class Oracle:
    """The person's truth: the objects nearest to a hidden one, about so many, by the share of a sample of the release."""

    def __init__(self, release: Release, targets: int) -> None:
        rng = np.random.default_rng(0)
        self._release = release
        self._hidden = release.take(rng.choice(np.flatnonzero(release.primary), 1))[0]
        starts = rng.choice(max(1, release.count // BLOCK), min(SAMPLE, release.count) // BLOCK, replace=False) * BLOCK
        rows = np.concatenate([np.arange(start, start + BLOCK) for start in np.sort(starts)])
        rows = rows[release.primary[rows]]
        near = release.take(rows) @ self._hidden
        above = max(EXAMPLES, round(targets * len(rows) / release.count))
        self._least = float(np.partition(near, -above)[-above])
        self.examples: list[int] = rng.choice(rows[near >= self._least], EXAMPLES, replace=False).tolist()

    def says(self, rows: np.ndarray) -> np.ndarray:
        """Return which rows are targets, (n,) bool."""
        return np.asarray(self._release.take(rows) @ self._hidden >= self._least)


def watched() -> Stages:
    """Count the time of a round's stages."""
    stages = Stages()
    for owner, name, stage in (
        (BlendModel, "learn", "fit"),
        (PoolSource, "gather", "candidates"),
        (ExactSource, "gather", "candidates"),
        (LearnedModel, "rank", "score"),
        (HighestChooser, "choose", "choose"),
        (HuntStore, "snapshot", "file"),
        (HuntStore, "add_round", "file"),
        (Places, "lines", "names"),
    ):
        stages.watch(owner, name, stage)
    return stages


def round_line(
    hunt: Hunt, truth: Oracle, stages: Stages, options: argparse.Namespace, number: int
) -> dict[str, float]:
    """Play a round, label its page with the truth, and return the seconds of its stages."""
    line: dict[str, float] = {}
    exact: np.ndarray | None = None
    if options.compare and number % options.compare == 0:
        start = hunt.round_input(hunt.state(), options.page_size, None)
        whole = dataclasses.replace(start, strategy=options.strategy.partition("@")[0] + "@all")
        started = time.perf_counter()
        exact = playing.play(hunt.context, whole, who="b", when="").rows
        line["everything"] = time.perf_counter() - started
    stages.taken()
    started, before = time.perf_counter(), time.process_time()
    played = hunt.next_round("b")
    line["round"], line["round (CPU)"] = time.perf_counter() - started, time.process_time() - before
    line |= stages.taken()
    line["rest"] = line["round"] - sum(line.get(name, 0.0) for name in ("fit", "candidates", "score", "choose", "file", "names"))
    line["objects"] = played.parts["candidates"].get("source", {}).get("objects", hunt.release.count)
    said = truth.says(played.rows)
    line["targets"] = float(said.mean())
    if exact is not None:
        line["held"] = float(np.isin(exact, played.rows).mean())
    verdicts = ["positive" if true else "negative" for true in said.tolist()]
    labels = [LabelRequest(row=row, verdict=verdict) for row, verdict in zip(played.rows.tolist(), verdicts, strict=True)]
    started = time.perf_counter()
    hunt.label_many(labels, who="b")
    line["labels"] = time.perf_counter() - started
    return line


def print_table(lines: list[dict[str, float]]) -> None:
    """Print p50, p95 and worst of each column."""
    print(f"{'stage':<12}{'p50':>10}{'p95':>10}{'worst':>10}   (seconds; {len(lines)} rounds, the first one aside)")
    for name in ("fit", "candidates", "score", "choose", "file", "names", "rest", "round", "round (CPU)", "labels", "everything"):
        values = [line[name] for line in lines[1:] if name in line]
        if values:
            print(f"{name:<12}{np.median(values):>10.3f}{np.quantile(values, 0.95):>10.3f}{max(values):>10.3f}")
    print(f"first round: {lines[0]['round']:.2f} s; objects ranked: {np.mean([line['objects'] for line in lines]):.0f}")
    held = [line["held"] for line in lines if "held" in line]
    if held:
        print(f"share of the page of scoring everything that the round's page holds: mean {np.mean(held):.3f}, least {min(held):.2f}")
    print("targets a page: " + " ".join(f"{line['targets']:.2f}" for line in lines))


def memory() -> str:
    """Anonymous and resident memory of this process, and the most that was resident."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
    names = {"RssAnon": "anonymous", "VmRSS": "resident", "VmHWM": "at most resident"}
    return ", ".join(f"{words} {int(status[name].split()[0]) / 2**20:.2f} GiB" for name, words in names.items())


if __name__ == "__main__":
    main()
