"""Which classes stand first among the outliers of a simulated release, beside their share of all.

Run ``discovery demo --no-serve``, then ``python tests/benchmarks/outliers.py demo-survey/releases/demo``. Medians over the
forest's seeds, for all objects and for the clean ones (no star, no flag).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections import Counter
from pathlib import Path

import numpy as np

from discovery.release.release import Release, open_release
from discovery.search.outliers import find_outliers

RARE = ("ring", "merger", "lens", "artefact")
ODD = "these four"


def main() -> None:
    """Rank with every seed, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("release", type=Path)
    parser.add_argument("-k", type=int, default=50)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--json", type=Path, default=None, help="file to write the figures to")
    options = parser.parse_args()
    release = open_release(options.release)
    command = f"python {' '.join(sys.argv)}"
    print(f"machine: {platform.machine()}, {os.cpu_count()} cores; encoder {release.manifest.image.encoder.name}; {release.count} objects")
    print(f"command: {command}")
    figures = {name: measure(release, options.k, options.seeds, flagged) for name, flagged in (("all", True), ("clean", False))}
    for name, classes in figures.items():
        print(f"\n{name}: class, in the first {options.k} (median, smallest, largest), expected by chance, times chance")
        for line in classes:
            print(f"{line['class']:12} {line['found']:6g} {line['least']:4} {line['most']:4} {line['chance']:8.2f} {line['times']:7.1f}")
    if options.json is not None:
        record = {"command": command, "encoder": release.encoder_checksum, "objects": release.count, "k": options.k, "seeds": options.seeds}
        options.json.write_text(json.dumps({**record, "classes": figures}, indent=1) + "\n")


def measure(release: Release, k: int, seeds: int, flagged: bool) -> list[dict[str, float | int | str]]:
    """Return how often each class is found, most times chance first."""
    allowed = np.flatnonzero(release.primary & (release.clean | flagged))
    all_of = Counter(release.catalogue.rows(allowed, ["truth_class"])["truth_class"].to_pylist())
    found = []
    for seed in range(seeds):
        ranked = find_outliers(release, k=k, flagged=flagged, columns=["truth_class"], seed=seed)
        found.append(Counter(ranked.table["truth_class"].to_pylist()))
    lines: list[dict[str, float | int | str]] = []
    for name in (*all_of, ODD):
        counts = [sum(one[kind] for kind in RARE) if name == ODD else one[name] for one in found]
        number = sum(all_of[kind] for kind in RARE) if name == ODD else all_of[name]
        chance = k * number / len(allowed)
        median = float(np.median(counts))
        lines.append(
            {"class": name, "found": median, "least": min(counts), "most": max(counts), "chance": round(chance, 2), "times": round(median / chance, 1)}
        )
    return sorted(lines, key=lambda line: (line["class"] == ODD, -float(line["times"])))


if __name__ == "__main__":
    main()
