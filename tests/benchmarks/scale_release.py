"""Make a whole release of what ``scale_data.py`` wrote: its shards, a synthetic catalogue of 31 columns, the shipped encoder's card.

The shards are linked, not copied. There are no survey files: stamps cannot be shown. The index is not made: until
``discovery index build RELEASE`` has made one, only ``--engine exact`` answers.

    python tests/benchmarks/scale_release.py --data FOLDER --rows 1000000 --out RELEASE
    discovery index build RELEASE --memory 8
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np
from bare_manifest import bare_manifest
from catalogue import parts, positions
from scale_data import open_shards

from discovery.release.catalogue import write_catalogue
from discovery.release.manifest import CATALOGUE_FILE, IndexRecord
from discovery.release.manifest_file import write_manifest
from index.catalogue.duplicates import primary_rows


def main() -> None:
    """Link, write, tell the time."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, required=True)
    options.add_argument("--rows", type=int, default=None, help="whole shards up to so many; all by default")
    options.add_argument("--order", choices=["bricks", "flux"], default="bricks")
    options.add_argument("--out", type=Path, required=True)
    asked = options.parse_args()
    shards = open_shards(asked.data, asked.rows)
    asked.rows = shards.count
    asked.out.mkdir(parents=True)
    for shard in shards.shards:
        link = asked.out / shard.file
        link.parent.mkdir(exist_ok=True)
        os.link(asked.data / shard.file, link)
    start = time.perf_counter()
    places = np.concatenate([np.stack(part) for part in positions(asked)], axis=1)
    primary = primary_rows(*places, np.zeros(asked.rows, np.int8))
    print(f"{np.count_nonzero(primary != np.arange(asked.rows))} duplicates: {time.perf_counter() - start:.0f} s")
    start = time.perf_counter()
    write_catalogue(asked.out / CATALOGUE_FILE, parts(places, primary))
    print(f"catalogue of {asked.rows} rows: {time.perf_counter() - start:.0f} s, {(asked.out / CATALOGUE_FILE).stat().st_size / 1e9:.2f} GB")
    manifest = bare_manifest(asked.out.name, shards.dimension, shards.shards, IndexRecord(kind="Flat", file="none"))
    write_manifest(asked.out, manifest)


if __name__ == "__main__":
    main()
