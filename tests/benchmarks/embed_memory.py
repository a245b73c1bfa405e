"""Peak anonymous memory of each step of ``discovery index`` for surveys of several sizes: it must not follow the size.

Run ``python tests/benchmarks/embed_memory.py --stamps 5000 50000 --side 24``. Stamps are made galaxies in ssl-legacysurvey files, the
encoder is a tiny one, and every size has a process of its own. The search structure is left out: `--memory` bounds it.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import re
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

BLOCK = 1000
MIB = 2**20


def main() -> None:
    """Measure each size and print the table."""
    options = parse()
    print(f"machine: {platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"command: {' '.join(sys.argv)}")
    print(f"{'stamps':>10}{'step':>12}{'peak MiB':>10}{'above start':>13}{'seconds':>9}")
    context = multiprocessing.get_context("spawn")
    for count in options.stamps:
        with tempfile.TemporaryDirectory(dir=options.dir) as folder, context.Pool(1) as pool:
            path = write_survey(Path(folder) / "made.h5", count, options.side)
            for step, (peak, above, seconds) in pool.apply(run, (path, options.shard, options.workers)).items():
                print(f"{count:10}{step:>12}{peak / MIB:10.1f}{above / MIB:13.1f}{seconds:9.1f}", flush=True)


def parse() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stamps", type=int, nargs="+", default=[5000, 50000])
    parser.add_argument("--side", type=int, default=24, help="pixels a side")
    parser.add_argument("--shard", type=int, default=1024, help="survey positions a shard")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--dir", default=None, help="folder for the survey")
    return parser.parse_args()


def run(path: Path, shard: int, workers: int) -> dict[str, tuple[int, int, float]]:
    """Return peak and growth of anonymous memory (bytes) and seconds of each step, in this process."""
    from discovery.readers import open_survey
    from index.catalogue.ids import check_ids
    from index.catalogue.write import NewRows, build_catalogue
    from index.embed.shards import embed_survey, finished_shards
    from index.plan import make_plan

    survey, encoder, building = open_survey([path]), tiny_encoder(), path.parent / "building"
    plan = make_plan(survey, [path], name="made", encoder=encoder, memory_bytes=2**30, shard_positions=shard)
    building.mkdir()
    return {
        "ids": watched(lambda: check_ids(survey)),
        "embed": watched(lambda: embed_survey(building, plan, survey, encoder, workers)),
        "resume": watched(lambda: embed_survey(building, plan, survey, encoder, workers)),
        "catalogue": watched(lambda: build_catalogue(building / "catalogue.duckdb", NewRows(survey=survey, shards=finished_shards(building, plan)))),
    }


def watched(call: Callable[[], Any]) -> tuple[int, int, float]:
    """Return the peak and growth of anonymous memory during a call, and its seconds."""
    seen, done = [anonymous_bytes()], threading.Event()

    def watch() -> None:
        while not done.wait(0.005):
            seen.append(anonymous_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.perf_counter()
    call()
    seconds = time.perf_counter() - start
    done.set()
    watcher.join()
    return max(seen), max(seen) - seen[0], seconds


def anonymous_bytes() -> int:
    """Return this process's resident anonymous memory."""
    found = re.search(r"RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def tiny_encoder() -> Any:
    """Return an untrained LVM of a few thousand parameters."""
    from discovery.encoders.encoder import make_encoder
    from discovery.encoders.lvm import LVM, LVMConfig
    from discovery.stamps.preprocess import CropConfig

    config = {"embed_dim": 4, "depths": (1, 1), "heads": (2, 2), "window": 4, "image_size": 32, "attention_scale": None}
    parts = {"name": "tiny", "architecture": "lvm", "config": config, "convention": "dr2_rgb", "crop": CropConfig(), "input_size": 32}
    return make_encoder(LVM(LVMConfig(**config)), **parts, device="cpu")


def write_survey(path: Path, count: int, side: int) -> Path:
    """Write made galaxies, a block at a time."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side] - side / 2 + 0.5
    with h5py.File(path, "w") as file:
        images = file.create_dataset("images", (count, 3, side, side), np.float32)
        for start in range(0, count, BLOCK):
            here = min(BLOCK, count - start)
            light = np.exp(-np.hypot(x, y) / rng.uniform(2, 5, (here, 1, 1, 1)))
            images[start : start + here] = light * rng.uniform(0.05, 0.5, (here, 3, 1, 1)) + rng.normal(0, 0.004, (here, 3, side, side))
        file["inds"] = np.arange(count)
        file["ra"], file["dec"] = rng.uniform(0, 360, count), rng.uniform(-30, 30, count)
        file["flux"] = rng.uniform(0, 10, (count, 3)).astype(np.float32)
    return path


if __name__ == "__main__":
    main()
