"""Preparing and measuring stamps, before and after: the time of each, and how often boxes, inputs or flags differ.

Run ``git worktree add ../before COMMIT`` and then
``python tests/benchmarks/prepare.py SURVEY... --before ../before --stamps 2000``. Each survey is a file or folder of stamps.
Times are of one thread's CPU, the median of blocks of 200 stamps.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import cv2
import numpy as np

from discovery.errors import StampError
from discovery.readers import open_survey
from discovery.stamps import preprocess
from discovery.stamps.preprocess import CropConfig
from discovery.stamps.stamp import Stamp
from index.embed import quality

BLOCK = 200
SIZE = 128


def main() -> None:
    """Compare the surveys one after another and print the table."""
    options = parse()
    cv2.setNumThreads(1)
    now = SimpleNamespace(preprocess=preprocess, quality=quality)
    before = loaded(options.before)
    print(f"machine: {platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, numpy {np.__version__}, OpenCV {cv2.__version__}")
    print(f"command: {' '.join(sys.argv)}")
    print(f"{'survey':24}{'stamps':>8}{'prepare ms':>18}{'measure ms':>18}{'differ: boxes':>15}{'inputs':>8}{'most by':>9}{'flags':>7}")
    for path in options.surveys:
        counts, times, most = compare(path, options.stamps, before, now)
        told = [f"{times['before', step]:.3f} -> {times['now', step]:.3f}" for step in ("prepare", "measure")]
        print(
            f"{path.name:24}{counts['stamps']:8}{told[0]:>18}{told[1]:>18}{counts['boxes']:15}{counts['inputs']:8}{most:9.1e}{counts['flags']:7}",
            flush=True,
        )


def parse() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("surveys", type=Path, nargs="+")
    parser.add_argument("--before", type=Path, required=True, help="folder with another version of this repository")
    parser.add_argument("--stamps", type=int, default=2000, help="of each survey")
    return parser.parse_args()


def loaded(folder: Path) -> SimpleNamespace:
    """Return the two modules of another version."""
    old = SimpleNamespace(preprocess=module(folder / "discovery/stamps/preprocess.py"), quality=module(folder / "index/catalogue/quality.py"))
    old.quality.dr2_rgb = old.preprocess.dr2_rgb
    return old


def module(path: Path) -> ModuleType:
    """Import a file under a name of its own."""
    found = importlib.util.spec_from_file_location(f"before_{path.stem}", path)
    assert found is not None and found.loader is not None
    made = importlib.util.module_from_spec(found)
    sys.modules[found.name] = made
    found.loader.exec_module(made)
    return made


def compare(path: Path, stamps: int, before: Any, now: Any) -> tuple[Counter, dict[tuple[str, str], float], float]:
    """Return how many stamps were compared and how many differ, milliseconds by version and step, and the largest difference."""
    counts: Counter = Counter()
    blocks: dict[tuple[str, str], list[float]] = {}
    survey, most = open_survey([path]), 0.0
    for start in range(0, min(stamps, len(survey)), BLOCK):
        usable = [stamp for stamp in survey.read(start, min(start + BLOCK, stamps)) if is_usable(stamp)]
        if not usable:
            continue
        found = {}
        for name, version in (("before", before), ("now", now)):
            found[name] = timed(blocks, (name, "prepare"), version.preprocess.prepare, usable, convention="dr2_rgb", crop=CropConfig(), size=SIZE)
            found[name, "flags"] = timed(blocks, (name, "measure"), version.quality.looks_like_artefact, usable)
        pairs = list(zip(found["before"], found["now"], strict=True))
        counts["stamps"] += len(usable)
        counts["boxes"] += sum(one.box != other.box for one, other in pairs)
        counts["inputs"] += sum(not np.array_equal(one.inputs, other.inputs) for one, other in pairs)
        counts["flags"] += sum(one != other for one, other in zip(found["before", "flags"], found["now", "flags"], strict=True))
        same = [np.abs(one.inputs - other.inputs).max() for one, other in pairs if one.box == other.box]
        most = max([most, *map(float, same)])
    return counts, {key: float(np.median(values)) for key, values in blocks.items()}, most


def is_usable(stamp: Any) -> bool:
    """Tell whether a stamp can be prepared."""
    try:
        return isinstance(stamp, Stamp) and bool(preprocess.prepare(stamp, convention="dr2_rgb", crop=CropConfig(), size=SIZE))
    except StampError:
        return False


def timed(blocks: dict, key: tuple[str, str], call: Callable, stamps: list[Stamp], **options: Any) -> list:
    """Apply a function to each stamp and record its milliseconds a stamp."""
    start = time.thread_time()
    made = [call(stamp, **options) for stamp in stamps]
    blocks.setdefault(key, []).append(1000 * (time.thread_time() - start) / len(stamps))
    return made


if __name__ == "__main__":
    main()
