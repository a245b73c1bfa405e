"""How long a large release takes to open, to be read in pieces and to be verified.

Writes shards of random unit vectors and a small catalogue below a folder, opens them as a release does and prints a table::

    python tests/benchmarks/open_release.py --rows 10000000 --dimension 64 --shard-rows 4096 --folder /scratch
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from bare_manifest import bare_manifest

from discovery.release.catalogue import write_catalogue
from discovery.release.manifest import IndexRecord, Shard
from discovery.release.manifest_file import write_manifest
from discovery.release.release import Release, open_release
from discovery.search.known_objects import KnownObjects
from discovery.sky.crossmatch import match_objects

FLAGS = ("flag_star", "flag_masked", "flag_partial", "flag_artefact")
LINES = 2**18


def main() -> None:
    options = parsed()
    print(f"{platform.processor() or platform.machine()}, {len(os.sched_getaffinity(0))} cores; {' '.join(sys.argv)}")
    folder = Path(tempfile.mkdtemp(dir=options.folder))
    try:
        write_release(folder, options.rows, options.dimension, options.shard_rows)
        measure(folder, options.scattered)
    finally:
        shutil.rmtree(folder)


def measure(folder: Path, scattered: int) -> None:
    print(f"{'what':40} {'seconds':>9} {'peak RSS, MB':>13}")
    release: Release = told("open", lambda: open_release(folder))
    told("open again", lambda: open_release(folder))
    rows = np.random.default_rng(1).integers(0, release.count, scattered)
    told(f"take {scattered} scattered rows, first time", lambda: release.take(rows))
    told(f"take {scattered} scattered rows, again", lambda: release.take(rows))
    told("stored chunks, summed", lambda: sum(float(chunk[::4096].sum()) for _, chunk in release.stored_chunks()))
    told("chunks in float32", lambda: sum(len(chunk) for _, chunk in release.chunks()))
    told("verify", release.verify)
    told("primary rows", lambda: release.primary.sum())
    rng, count = np.random.default_rng(2), min(release.count, 1_000_000)
    names = pa.array([f"{row}" for row in range(0, 2 * count, 2)])
    ra, dec = rng.uniform(0, 360, count), rng.uniform(-30, 30, count)
    told(f"match {count} objects by id and position", lambda: match_objects(release.catalogue, names, ra, dec))
    known = KnownObjects(file="known.csv", sha256="", names=names, ra_deg=ra, dec_deg=dec)
    told(f"match {count} known objects", lambda: known.match(release, 2.0))


def told(what: str, work: Callable) -> object:
    start = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - start
    print(f"{what:40} {seconds:9.3f} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:13.0f}", flush=True)
    return result


def write_release(folder: Path, rows: int, dimension: int, shard_rows: int) -> None:
    (folder / "embeddings").mkdir()
    shards, rng = [], np.random.default_rng(0)
    for number, start in enumerate(range(0, rows, shard_rows)):
        count = min(shard_rows, rows - start)
        vectors = rng.standard_normal((count, dimension), np.float32)
        data = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype("<f2").tobytes()
        file = f"embeddings/image-{number:05d}.f16"
        (folder / file).write_bytes(data)
        shards.append(Shard(file=file, start=start, stop=start + count, rows=count, sha256=hashlib.sha256(data).hexdigest()))
    write_catalogue(folder / "catalogue.duckdb", lines(rows))
    manifest = bare_manifest("large", dimension, shards, IndexRecord(kind="Flat"))
    write_manifest(folder, manifest)
    print(f"{rows} rows x {dimension} in {len(shards)} shards")


def lines(rows: int) -> Iterator[pa.Table]:
    rng = np.random.default_rng(3)
    for start in range(0, rows, LINES):
        row = np.arange(start, min(start + LINES, rows))
        flags = {name: np.zeros(len(row), bool) for name in FLAGS}
        places = {"ra": rng.uniform(0, 360, len(row)), "dec": rng.uniform(-30, 30, len(row))}
        names = pa.array(row).cast(pa.string())
        yield pa.table({"row": row, "object_id": names, **places, **flags, "primary_row": row, "survey_position": row})


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dimension", type=int, default=64)
    parser.add_argument("--shard-rows", type=int, default=4096)
    parser.add_argument("--scattered", type=int, default=10_000)
    parser.add_argument("--folder", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
