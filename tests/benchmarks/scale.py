"""Build and search at 10^6, 3 x 10^6, 10^7 rows: ours beside what a user would take instead, one after another.

Every method runs in a process of its own on what ``scale_data.py`` wrote (a prefix of it for the smaller sizes). Memory is
sampled every 20 ms: anonymous (what the process must have) and resident (mapped pages count there). A query asks for 100 rows; the
effort is the least of the method's own settings that reaches the recall asked for; cold is the first query after the files
left the page cache. The last table fits time and space by powers of the number of rows.

    python tests/benchmarks/scale.py --data FOLDER --rows 1000000 3000000 10000000 --methods ours faiss --out results.json
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from scale_data import open_shards
from scale_methods import METHODS, K, Ours

from discovery.release.shards import EmbeddingShards

QUERIES, ROUNDS = 200, 3


def main() -> None:
    """Run what is asked for and print the tables."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, required=True, help="folder that scale_data.py wrote")
    options.add_argument("--rows", type=int, nargs="+", default=[1_000_000])
    options.add_argument("--methods", nargs="+", choices=list(METHODS), default=["ours", "faiss"])
    options.add_argument("--memory", type=float, default=12.0, help="GiB for ours")
    options.add_argument("--recall", type=float, default=0.95)
    options.add_argument("--work", type=Path, help="where indexes are written; beside the data by default")
    options.add_argument("--keep", action="store_true", help="leave the indexes there, and take those that are there")
    options.add_argument("--out", type=Path, help="JSON of all figures; what stands there already is kept and not run again")
    options.add_argument("--one", choices=list(METHODS), help=argparse.SUPPRESS)
    asked = options.parse_args()
    if asked.one:
        print(json.dumps(measure(asked)))
        return
    print(f"# {platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at start")
    print(f"# {' '.join(sys.argv)}")
    done: list[dict[str, Any]] = json.loads(asked.out.read_text()) if asked.out and asked.out.exists() else []
    for rows in asked.rows:
        for method in asked.methods:
            most = METHODS[method].most_rows
            if (method, rows) in [(line["method"], line["rows"]) for line in done] or (most and rows > most):
                continue
            done.append(_in_process(method, rows))
            if asked.out:
                asked.out.write_text(json.dumps(done, indent=1) + "\n")
            print(_line(done[-1]), flush=True)
    print_tables(done)


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    """Build, open and query one method in this process."""
    (rows,) = asked.rows
    shards = open_shards(asked.data, rows)
    method = Ours(asked.memory, asked.recall) if asked.one == "ours" else METHODS[asked.one]()
    folder = (asked.work or asked.data / "work") / f"{asked.one}-{rows}"
    built = folder.exists() and asked.keep
    found: dict[str, Any] = {"method": asked.one, "name": method.name, "rows": shards.count, "dimension": shards.dimension}
    if not built:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        start, cpu = time.perf_counter(), time.process_time()
        with Memory() as memory:
            method.build(shards, folder)
        found |= {"build_s": time.perf_counter() - start, "build_cpu_s": time.process_time() - cpu}
        found |= {"build_anonymous_gib": memory.anonymous, "build_resident_gib": memory.resident}
    found |= json.loads(_again(asked, folder)) if not built else query(method, shards, asked, folder)
    if not asked.keep:
        shutil.rmtree(folder)
    return found


def query(method: Any, shards: EmbeddingShards, asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Open what was built and ask it: cold, then at each effort until the recall is there."""
    queries = np.load(asked.data / "queries.npy")[:QUERIES].astype(np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    truth = exact(shards, queries, asked.data)
    files = [path for path in folder.rglob("*") if path.is_file()]
    for path in [*files, *(shards.folder / shard.file for shard in shards.shards)]:
        _forget(path)
    found: dict[str, Any] = {"disk_gib": sum(path.stat().st_size for path in files) / 2**30}
    with Memory() as memory:
        start = time.perf_counter()
        method.open(shards, folder)
        found["open_s"] = time.perf_counter() - start
        cold = [_timed(method, vector, method.efforts[0])[1] for vector in queries[:20]]
        found["cold_first_ms"], found["cold_median_ms"] = cold[0], float(np.median(cold))
        for effort in method.efforts:
            answers = [_timed(method, vector, effort)[0] for vector in queries]
            recall = [float(np.mean([len(np.intersect1d(mine[:k], best[:k])) / k for mine, best in zip(answers, truth, strict=True)])) for k in (10, K)]
            if recall[1] >= asked.recall:
                break
        times = [_timed(method, vector, effort)[1] for _ in range(ROUNDS) for vector in queries]
    if hasattr(method, "raw"):
        found |= beside_raw(method, queries)
    found |= {"effort": effort, "recall_10": recall[0], "recall_100": recall[1]}
    found |= {"median_ms": float(np.median(times)), "p95_ms": float(np.percentile(times, 95)), "load": os.getloadavg()[0]}
    found |= {"search_anonymous_gib": memory.anonymous, "search_resident_gib": memory.resident}
    return found


def beside_raw(method: Any, queries: np.ndarray) -> dict[str, float]:
    """Ask ours and FAISS alone in turn, query by query; the ratio of the medians and of the 95th percentiles."""
    times: dict[str, list[float]] = {"ours": [], "raw": []}
    for vector in [*queries[:20], *(vector for _ in range(ROUNDS) for vector in queries)]:
        for name, ask in (("ours", lambda vector=vector: method.query(vector, None)), ("raw", lambda vector=vector: method.raw(vector))):
            start = time.perf_counter()
            ask()
            times[name].append(1000 * (time.perf_counter() - start))
    ours, raw = (np.array(times[name][20:]) for name in ("ours", "raw"))
    return {
        "raw_median_ms": float(np.median(raw)),
        "raw_p95_ms": float(np.percentile(raw, 95)),
        "ratio_median": float(np.median(ours) / np.median(raw)),
        "ratio_p95": float(np.percentile(ours, 95) / np.percentile(raw, 95)),
    }


def exact(shards: EmbeddingShards, queries: np.ndarray, folder: Path) -> np.ndarray:
    """Return the K nearest rows of each query by comparing with all, (q, K); kept beside the data."""
    path = folder / f"truth-{shards.count}-{len(queries)}.npy"
    if path.exists():
        return np.load(path)
    best = np.full((len(queries), K), -np.inf, np.float32)
    rows = np.full((len(queries), K), -1, np.int64)
    for start, chunk in shards.chunks():
        similarity = queries @ chunk.T
        top = np.argpartition(-similarity, K, axis=1)[:, :K]
        both = np.concatenate([best, np.take_along_axis(similarity, top, 1)], axis=1)
        both_rows = np.concatenate([rows, top + start], axis=1)
        order = np.argsort(-both, axis=1, kind="stable")[:, :K]
        best, rows = np.take_along_axis(both, order, 1), np.take_along_axis(both_rows, order, 1)
    np.save(path, rows)
    return rows


class Memory:
    """Samples this process's memory while it runs: peaks in GiB above nothing."""

    def __enter__(self) -> Memory:
        self.anonymous = self.resident = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        while True:
            lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
            anonymous, resident = (int(lines[name].split()[0]) / 2**20 for name in ("RssAnon", "VmRSS"))
            self.anonymous, self.resident = max(self.anonymous, anonymous), max(self.resident, resident)
            if self._stop.wait(0.02):
                return


def print_tables(done: list[dict[str, Any]]) -> None:
    """Print everything as Markdown, and the powers of growth."""
    print("\n| rows | method | build min | CPU min | build anon GiB | disk GiB | recall@10 | recall@100 | median ms | p95 ms | cold first ms | anon GiB | resident GiB |")
    print("|---|---|---|---|---|---|---|---|---|---|---|---|---|")
    for line in sorted(done, key=lambda one: (one["rows"], one["method"])):
        print(_line(line))
    print("\n| method | build CPU ~ rows^ | anon ~ rows^ | disk ~ rows^ | median ms ~ rows^ |\n|---|---|---|---|---|")
    for name in dict.fromkeys(line["name"] for line in done):
        mine = [line for line in done if line["name"] == name and "build_cpu_s" in line]
        if len({line["rows"] for line in mine}) > 1:
            powers = [_power(mine, key) for key in ("build_cpu_s", "search_anonymous_gib", "disk_gib", "median_ms")]
            print(f"| {name} | " + " | ".join(f"{power:.2f}" for power in powers) + " |")


def _line(one: dict[str, Any]) -> str:
    build = [one[key] / scale if key in one else float("nan") for key, scale in (("build_s", 60), ("build_cpu_s", 60), ("build_anonymous_gib", 1))]
    rest = [one[key] for key in ("disk_gib", "recall_10", "recall_100", "median_ms", "p95_ms", "cold_first_ms", "search_anonymous_gib", "search_resident_gib")]
    formats = ("{:.1f}", "{:.1f}", "{:.2f}", "{:.2f}", "{:.3f}", "{:.3f}", "{:.1f}", "{:.1f}", "{:.0f}", "{:.2f}", "{:.2f}")
    return f"| {one['rows']} | {one['name']} | " + " | ".join(form.format(value) for form, value in zip(formats, [*build, *rest], strict=True)) + " |"


def _power(lines: list[dict[str, Any]], key: str) -> float:
    rows = np.log([line["rows"] for line in lines])
    return float(np.polyfit(rows, np.log([max(line[key], 1e-6) for line in lines]), 1)[0])


def _in_process(method: str, rows: int) -> dict[str, Any]:
    command = [sys.executable, *_without_rows(sys.argv), "--one", method, "--rows", str(rows)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])


def _again(asked: argparse.Namespace, folder: Path) -> str:
    """Query in a new process, so that building's memory does not count."""
    command = [sys.executable, *_without_rows(sys.argv), "--one", asked.one, "--rows", str(asked.rows[0]), "--keep"]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1]


def _without_rows(arguments: list[str]) -> list[str]:
    """Leave out the lists, which would take in what follows."""
    kept, skipping = [], False
    for argument in arguments:
        skipping = argument in ("--rows", "--methods", "--one") or (skipping and not argument.startswith("--"))
        if not skipping:
            kept.append(argument)
    return kept


def _timed(method: Any, vector: np.ndarray, effort: Any) -> tuple[np.ndarray, float]:
    start = time.perf_counter()
    rows = method.query(vector, effort)
    return rows, 1000 * (time.perf_counter() - start)


def _forget(path: Path) -> None:
    """Ask the kernel to drop a file's pages."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    main()
