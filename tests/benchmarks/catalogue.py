"""Milliseconds of the catalogue, and of the app's pages in front of it, by number of rows.

Run ``python tests/benchmarks/catalogue.py --rows 1000000 --dir FOLDER``. It writes a release without survey files: a synthetic
catalogue of 31 columns through the release's own writer (bricks of a footprint; rows in order of bricks, or with ``--order flux``
scattered over the sky as in files that are sorted by flux) and random embeddings of 8 numbers, which no part of this needs; FOLDER keeps
it for the next time. Each line asks something new every time: nothing is answered from a kept bitmap, unless it says so. ``cpu`` is what all threads
together worked at the median, the client included: on a machine that others use too it says more than the time on the wall.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import duckdb
import httpx
import numpy as np
import pyarrow as pa
from bare_manifest import bare_manifest

from discovery.release.catalogue import Catalogue, write_catalogue
from discovery.release.manifest import CATALOGUE_FILE, MANIFEST_FILE, REPORT_FILE, IndexRecord, Shard
from discovery.release.manifest_file import write_manifest
from index.catalogue.columns import healpix_pixels
from index.catalogue.duplicates import primary_rows
from web.app import create_app
from web.cli import make_server, open_socket
from web.settings import WebConfig

BRICK_DEG = 0.25
A_BRICK = 900
ROWS_A_PART = 500_000
DIMENSION = 8
BANDS = ("g", "r", "z")


def main() -> None:
    """Make the release, ask it everything, print the tables."""
    options = parse()
    print(f"machine: {platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"command: {' '.join(sys.argv)}; DuckDB {duckdb.__version__}")
    with tempfile.TemporaryDirectory() as scratch:
        folder = make_release((options.dir or Path(scratch)) / f"catalogue-{options.rows}-{options.order}", options)
        size = (folder / CATALOGUE_FILE).stat().st_size
        print(f"{options.rows} rows, in order of {options.order}: {size / 1e9:.2f} GB, {size / options.rows:.0f} bytes a row")
        measure_catalogue(folder, options)
        measure_pages(folder, options)
    print(f"peak resident memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")


def parse() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--order", choices=["bricks", "flux"], default="bricks")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--dir", type=Path, help="folder for the release; kept")
    return parser.parse_args()


def make_release(folder: Path, options: argparse.Namespace) -> Path:
    """Return a release of synthetic lines, made unless it is there."""
    if (folder / MANIFEST_FILE).is_file():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    places = np.concatenate([np.stack(part) for part in positions(options)], axis=1)
    flags = np.zeros(options.rows, np.int8)
    primary = primary_rows(*places, flags)
    print(f"duplicates found in {time.perf_counter() - start:.1f} s: {np.count_nonzero(primary != np.arange(options.rows))}")
    start = time.perf_counter()
    write_catalogue(folder / CATALOGUE_FILE, parts(places, primary))
    print(f"catalogue written in {time.perf_counter() - start:.1f} s")
    shard = write_embeddings(folder / "embeddings.f16", options.rows)
    index = IndexRecord(kind="Flat", probes=None, file="none")
    (folder / REPORT_FILE).write_text('{"recognised": "", "duplicates": 0, "flag_star": 0, "flag_masked": 0, "flag_partial": 0, "flag_artefact": 0, "damaged": []}')
    manifest = bare_manifest(folder.name, DIMENSION, [shard], index)
    write_manifest(folder, manifest)
    return folder


def positions(options: argparse.Namespace) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield ra and dec in degrees, part by part: bricks of a third of the sky, denser and sparser, some with neighbours' objects twice."""
    rng = np.random.default_rng(0)
    in_all = -(-options.rows // A_BRICK)
    dec_of = np.degrees(np.arcsin(np.linspace(-0.3, 0.5, in_all)))
    ra_of = (np.arange(in_all) * BRICK_DEG / np.cos(np.radians(dec_of))) % 220 + 40
    for start in range(0, options.rows, ROWS_A_PART):
        count = min(ROWS_A_PART, options.rows - start)
        rows = np.arange(start, start + count)
        brick = rows // A_BRICK if options.order == "bricks" else rng.integers(0, in_all, count)
        dec = dec_of[brick] + rng.uniform(-BRICK_DEG / 2, BRICK_DEG / 2, count)
        ra = ra_of[brick] + rng.uniform(-BRICK_DEG / 2, BRICK_DEG / 2, count) / np.cos(np.radians(dec))
        again = np.flatnonzero(rng.random(count) < 0.01)[1:]
        ra[again], dec[again] = ra[again - 1], dec[again - 1] + 0.3 / 3600
        yield ra % 360, dec


def parts(places: np.ndarray, primary: np.ndarray) -> Iterator[pa.Table]:
    """Yield the lines of the catalogue."""
    rng = np.random.default_rng(1)
    for start in range(0, len(primary), ROWS_A_PART):
        ra, dec = places[:, start : start + ROWS_A_PART]
        rows = np.arange(start, start + len(ra))
        count = len(rows)
        flux = (10 ** (0.4 * (22.5 - rng.normal(19.5, 1.2, (3, count))))).astype(np.float32)
        brick = rng.permutation(700_000)[: count // A_BRICK + 1][np.arange(count) // A_BRICK]
        columns = {
            "row": rows,
            "object_id": [f"9010-{one}-{other}" for one, other in zip(brick.tolist(), rows.tolist(), strict=True)],
            "ra": ra,
            "dec": dec,
            "_healpix_29": healpix_pixels(ra, dec),
            **{f"mag_{band}": 22.5 - 2.5 * np.log10(flux[at].astype(float)) for at, band in enumerate(BANDS)},
            **{f"mag_{band}_dered": 22.4 - 2.5 * np.log10(flux[at].astype(float)) for at, band in enumerate(BANDS)},
            "crop_side_arcsec": rng.uniform(6, 40, count),
            **{f"crop_{name}": rng.integers(0, 152, count, np.int32) for name in ("row0", "row1", "column0", "column1")},
            **{f"flag_{name}": rng.random(count) < 0.03 for name in ("star", "masked", "partial", "artefact")},
            "primary_row": primary[rows],
            "survey_position": rows,
            "flux": pa.FixedSizeListArray.from_arrays(pa.array(flux.T.ravel()), 3),
            "ebv": rng.uniform(0, 0.2, count).astype(np.float32),
            "maskbits": rng.choice(np.array([0, 0, 0, 2, 4096], np.int32), count),
            "source_type": rng.choice(["PSF", "SER", "DEV", "EXP", "REX"], count),
            "z_phot_mean": rng.gamma(3, 0.1, count).astype(np.float32),
            "psfsize_r": rng.normal(1.2, 0.1, count).astype(np.float32),
            "nobs_r": rng.integers(1, 9, count, np.int16),
            "shape_r": rng.gamma(2, 1.5, count).astype(np.float32),
        }
        yield pa.table(columns)


def write_embeddings(path: Path, count: int) -> Shard:
    """Write random unit vectors."""
    rng = np.random.default_rng(2)
    with path.open("wb") as file:
        for start in range(0, count, ROWS_A_PART):
            vectors = rng.standard_normal((min(ROWS_A_PART, count - start), DIMENSION), np.float32)
            file.write((vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16).tobytes())
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return Shard(file=path.name, start=0, stop=count, rows=count, sha256=sha256)


def measure_catalogue(folder: Path, options: argparse.Namespace) -> None:
    """Time the catalogue's own functions."""
    start = time.perf_counter()
    catalogue = Catalogue(folder / CATALOGUE_FILE, options.rows)
    opened = time.perf_counter()
    _ = catalogue.primary_rows, catalogue.clean, catalogue.number()
    print(f"opened in {1e3 * (opened - start):.0f} ms; primary rows and clean rows, once, {1e3 * (time.perf_counter() - opened):.0f} ms")
    rng = np.random.default_rng(3)
    some = catalogue.rows(rng.integers(0, options.rows, 500), ["object_id", "ra", "dec"]).to_pylist()
    around, turn = iter(some), iter(range(10**6))
    print(f"{'milliseconds':<44}{'first':>8}{'median':>8}{'worst':>8}{'cpu':>8}")
    for radius in (10, 600, 36_000, 144_000):
        line(f"cone of {radius / 3600:g} deg", options, lambda radius=radius: catalogue.cone(*place(next(around)), radius))
    line("nearest position", options, lambda: catalogue.nearest_position(*place(next(around)), 3.0))
    line("find an id", options, lambda: catalogue.find_id(next(around)["object_id"]))
    for name, make in conditions(turn).items():
        line(f"where {name}", options, lambda make=make: catalogue.where(make()))
    catalogue.where("mag_r < 19")
    line("where mag_r < 19, kept", options, lambda: catalogue.where("mag_r < 19"))
    line("count of mag_r < 19, kept", options, lambda: catalogue.number("mag_r < 19"))
    deep = catalogue.number("mag_r < 19") - 60
    line("count of a new condition", options, lambda: catalogue.number(f"mag_z < 18.{next(turn)}"))
    line("first page of 50", options, lambda: catalogue.select(limit=50))
    line("first page of 50, mag_r < 19", options, lambda: catalogue.select("mag_r < 19", limit=50))
    line(f"page of 50 from {deep}, mag_r < 19", options, lambda: catalogue.select("mag_r < 19", limit=50, offset=deep, flagged=True))
    line("50 rows side by side", options, lambda: catalogue.rows(np.arange(50) + rng.integers(0, options.rows - 50)))
    for count in (1, 50, 1000):
        line(f"{count} rows from anywhere", options, lambda count=count: catalogue.rows(rng.integers(0, options.rows, count)))


def conditions(turn: Iterator[int]) -> dict[str, Callable[[], str]]:
    """Return conditions by a name, each a new one at every call."""
    return {
        "mag_r < 15 (few)": lambda: f"mag_r < 15.0{next(turn)}",
        "mag_r < 19 (a third)": lambda: f"mag_r < 19.0{next(turn)}",
        "mag_r < 25 (all)": lambda: f"mag_r < 25.0{next(turn)}",
        "ra between a and b": lambda: f"ra between 150.0{next(turn)} and 151",
        "five columns": lambda: f"mag_r < 19.0{next(turn)} and z_phot_mean > 0.2 and source_type <> 'PSF' and shape_r > 2 and maskbits & 2 = 0",
        "flux[2] > 30": lambda: f"flux[2] > 30.0{next(turn)}",
        "object_id like": lambda: f"object_id like '%{next(turn)}'",
    }


def place(one: dict) -> tuple[float, float]:
    """Return ra and dec of a line, a little beside it."""
    return one["ra"], one["dec"] + 0.5 / 3600


def measure_pages(folder: Path, options: argparse.Namespace) -> None:
    """Time the app's pages over HTTP."""
    with tempfile.TemporaryDirectory() as hunts:
        client = serve(WebConfig(releases=(folder,), hunts=Path(hunts), who="timer"))
        turn, address = iter(range(10**6)), f"/releases/{folder.name}"
        client.get(f"{address}/search", params={"where": "row < 5"}).raise_for_status()
        print(f"{'the app, milliseconds':<44}{'first':>8}{'median':>8}{'worst':>8}{'cpu':>8}")

        def page(path: str, **asked: str) -> None:
            client.get(path, params=asked).raise_for_status()

        line("list of releases", options, lambda: page("/"))
        line("search form", options, lambda: page(f"{address}/search"))
        line("catalogue, kept condition", options, lambda: page(f"{address}/search", where="mag_r < 19"))
        line("catalogue, new condition", options, lambda: page(f"{address}/search", where=f"mag_r < 19.0{next(turn)}"))
        line("catalogue, new condition, flagged too", options, lambda: page(f"{address}/search", where=f"mag_g < 19.0{next(turn)}", flagged="1"))
        line("catalogue, 1000 hits", options, lambda: page(f"{address}/search", where=f"mag_r < 18.0{next(turn)}", k="1000"))
        line("catalogue, new cone", options, lambda: page(f"{address}/search", cone=f"150.{next(turn)}, 2.2, 3600"))


def serve(config: WebConfig) -> httpx.Client:
    """Serve in a thread that ends with this program; return a client of it."""
    listening = open_socket("127.0.0.1", 0)
    config = replace(config, port=listening.getsockname()[1])
    server = make_server(create_app(config))
    threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True).start()
    while not server.started:
        time.sleep(0.05)
    return httpx.Client(base_url=f"http://127.0.0.1:{config.port}", timeout=300, follow_redirects=True)


def line(name: str, options: argparse.Namespace, ask: Callable[[], object]) -> None:
    """Time something some times and print a line: the first time stands apart, it reads from the disk."""
    times, work = [], []
    for _ in range(options.repeats + 1):
        start, busy = time.perf_counter(), time.process_time()
        ask()
        times.append(1e3 * (time.perf_counter() - start))
        work.append(1e3 * (time.process_time() - busy))
    print(f"{name:<44}{times[0]:>8.1f}{np.median(times[1:]):>8.1f}{max(times[1:]):>8.1f}{np.median(work[1:]):>8.1f}", flush=True)


if __name__ == "__main__":
    main()
