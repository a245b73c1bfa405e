"""The loss of hunting through a candidate pool: a Markdown table from what ``discovery hunt bench`` played.

Run ``python tests/benchmarks/hunt_pool_table.py runs/candidates/bench.json runs/candidates-others/bench.json --out docs/hunts-candidates.md``.
Each ``STRATEGY@pool:COUNT`` stands beside the same strategy without it: same set, seeds, examples and person.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

HEAD = """# Candidate pools: what they lose

The hunts of [hunts.md](hunts.md) again, with `auto` ranking a candidate pool that an index finds instead of every object: the same sets, seeds,
examples and clicks, one after the other in one run. Made by

```
discovery hunt bench docs/hunts-candidates.toml --out runs/candidates --page runs/candidates.md --jobs 1
discovery hunt bench docs/hunts-candidates-others.toml --out runs/candidates-others --page runs/candidates-others.md --jobs 1
python tests/benchmarks/hunt_pool_table.py runs/candidates/bench.json runs/candidates-others/bench.json --out docs/hunts-candidates.md
```

The index is a FAISS inverted file with 4 sqrt(N) cells, of which a question visits as many as find 95 % of an object's 100 nearest, and the
question along the model's direction eight times as many, as in a release (`discovery.hunts.candidates.pool.WIDE`). Its misses count. The sets are small,
so that eight times the usual cells are a sixth of all here; in a large survey they are some per cent: `tests/benchmarks/hunt_scale.py` measures
there which share of the exact page a round still shows ([hunts.md](hunts.md#large-releases)).

*Found*: share of the ideal after all labels (median), every object ranked -> pool. *Targets lost*: mean over the seeds of the targets found less through the
pool in the same hunt, with its standard error; negative where the pool found more. *Same pages*: hunts that found the same targets at every label.

| set | strategy | pool / objects | seeds | found | of targets | targets lost | same pages |
| --- | --- | --: | --: | --: | --: | --: | --: |
"""


def main() -> None:
    """Read, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("benches", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    lines, found, lost = [], 0.0, 0.0
    for path in options.benches:
        for simulation in json.loads(path.read_text())["simulations"]:
            for whole, pooled in pairs(simulation["results"]):
                line, total, fewer = compared(simulation, whole, pooled)
                lines.append(line)
                if whole["strategy"] == "auto":
                    found, lost = found + total, lost + fewer
    ending = f"\n`auto` over all sets and seeds: {found:.0f} targets found ranking every object, {lost:+.0f} fewer through the pool"
    options.out.write_text(HEAD + "\n".join(lines) + f"\n{ending} ({lost / found:.2%}).\n", encoding="utf-8")


def pairs(results: list[dict[str, Any]]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return each result beside that of the same strategy and examples through a pool."""
    whole = {(one["strategy"], one["examples"]): one for one in results if "@" not in one["strategy"]}
    return [(whole[one["strategy"].partition("@")[0], one["examples"]], one) for one in results if "@pool" in one["strategy"]]


def compared(simulation: dict[str, Any], whole: dict[str, Any], pooled: dict[str, Any]) -> tuple[str, float, float]:
    """Return the line of a pair, and over its seeds the targets found and lost."""
    games = list(zip(whole["games"], pooled["games"], strict=True))
    lost = [one["found"][-1] - other["found"][-1] for one, other in games]
    labels = len(games[0][0]["found"]) - 1
    targets = simulation["targets"] - whole["examples"]
    ideal = min(targets, labels)
    shares = [statistics.median(game["found"][-1] / ideal for game in side) for side in zip(*games, strict=True)]
    error = statistics.stdev(lost) / len(lost) ** 0.5 if len(lost) > 1 else 0.0
    same = sum(one["found"] == other["found"] for one, other in games)
    size = pooled["strategy"].rpartition(":")[2]
    name = simulation["name"] + (f", {whole['examples']} examples" if whole["examples"] != 5 else "")
    line = (
        f"| {name} | {whole['strategy']} | {size} / {simulation['objects']} | {len(games)} | {shares[0]:.3f} -> {shares[1]:.3f} |"
        f" {targets} | {statistics.mean(lost):.2f} +- {error:.2f} | {same} of {len(games)} |"
    )
    return line, sum(one["found"][-1] for one, _ in games), sum(lost)


if __name__ == "__main__":
    main()
