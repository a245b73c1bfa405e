"""Milliseconds until a page of stamps from HDF5 files of the real layout stands in the browser, cold and warm.

Run ``python tests/benchmarks/web_stamps.py --stamps 20000 --dir FOLDER``. A survey as ssl-legacysurvey's files (float32, 3 x 152 x 152,
277 kB a stamp, several files) is indexed by ``discovery index``'s own writer with an encoder that gives random unit vectors; FOLDER keeps
it for the next time. A page is what a browser does: the HTML, then its stamps over six connections that are kept alive. ``cold``
is a new server process with an empty disk cache, whose files the operating system was told to drop from memory; ``restart`` a new
process with the disk cache of the last; ``new page`` other stamps in a server that runs; ``warm`` the same page again.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import h5py
import httpx
import numpy as np

from discovery.encoders.encoder import Encoder, load_encoder
from index.cli import index_survey

SIDE = 152
FILES = 4
CONNECTIONS = 6


class RandomEncoder(Encoder):
    """The shipped encoder's card with embeddings drawn at random."""

    rng = np.random.default_rng(0)

    def embed_inputs(self, inputs: np.ndarray) -> np.ndarray:
        """Return (B, D) random unit vectors."""
        vectors = self.rng.standard_normal((len(inputs), self.dimension), dtype=np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def main() -> None:
    """Make the survey and its release, measure, print the table."""
    options = parse()
    print(f"machine: {platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"command: {' '.join(sys.argv)}")
    with tempfile.TemporaryDirectory() as scratch:
        home = options.dir or Path(scratch)
        release = make_release(home, options.stamps)
        cache = Path(scratch) / "stamps"
        print(f"{options.stamps} stamps in {FILES} files; a page of {options.page}")
        print(f"{'':<12}{'milliseconds: page, then all stamps':<40}{'together':>10}")
        times: dict[str, list[tuple[float, float]]] = {}
        for turn in range(options.repeats):
            shutil.rmtree(cache, ignore_errors=True)
            forget(home)
            with serving(release, home, cache) as address:
                times.setdefault("cold", []).append(show(address, release, turn, options.page))
                times.setdefault("warm", []).append(show(address, release, turn, options.page))
                times.setdefault("new page", []).append(show(address, release, turn + 1000, options.page))
            forget(home)
            with serving(release, home, cache) as address:
                times.setdefault("restart", []).append(show(address, release, turn, options.page))
        for name, measured in times.items():
            told = ", ".join(f"{page:.0f} + {stamps:.0f}" for page, stamps in measured)
            print(f"{name:<12}{told:<40}{np.median([page + stamps for page, stamps in measured]):>10.0f}")


def parse() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stamps", type=int, default=20_000)
    parser.add_argument("--page", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--dir", type=Path, help="folder for the survey and the release; kept")
    return parser.parse_args()


def make_release(home: Path, count: int) -> Path:
    """Return a release of a survey of noisy galaxies, made unless it is there."""
    found = home / "releases" / f"stamps-{count}"
    if found.is_dir():
        return found
    survey = home / f"survey-{count}" / "images" / "south"
    survey.mkdir(parents=True, exist_ok=True)
    each = -(-count // FILES)
    for number in range(FILES):
        write_file(survey / f"images_npix152_{number * each:09d}_{(number + 1) * each:09d}.h5", number, min(each, count - number * each))
    shipped = load_encoder()
    return index_survey([survey], name=found.name, encoder=RandomEncoder(shipped.network, shipped.card), out=found.parent, workers=0)


def write_file(path: Path, number: int, count: int) -> None:
    """Write one file: round galaxies of all sizes in noise, and the fields that the real files have."""
    rng = np.random.default_rng(number)
    radius = np.hypot(*(np.mgrid[:SIDE, :SIDE] - SIDE / 2 + 0.5)).astype(np.float32)
    noise = rng.normal(0, 0.004, (3, 4 * SIDE, 4 * SIDE)).astype(np.float32)
    with h5py.File(path, "w") as file:
        images = file.create_dataset("images", (count, 3, SIDE, SIDE), np.float32)
        for start in range(0, count, 500):
            some = np.empty((min(500, count - start), 3, SIDE, SIDE), np.float32)
            for stamp in some:
                row, column = rng.integers(0, 3 * SIDE, 2)
                stamp[:] = noise[:, row : row + SIDE, column : column + SIDE]
                stamp += (rng.uniform(0.05, 0.5, 3).astype(np.float32))[:, None, None] * np.exp(-radius / rng.uniform(3, 14))
            images[start : start + len(some)] = some
        rows = number * 10**6 + np.arange(count)
        columns = {"inds": rows, "release": np.full(count, 9010), "brickid": 330_000 + rows // 900, "objid": rows % 900}
        columns |= {"ra": rng.uniform(100, 200, count), "dec": rng.uniform(-10, 30, count), "ebv": rng.uniform(0, 0.1, count)}
        columns |= {"flux": rng.gamma(2, 30, (count, 3)), "psfsize": rng.normal(1.2, 0.1, (count, 3)), "z_phot_mean": rng.gamma(3, 0.1, count)}
        for name, values in columns.items():
            file[name] = values
        file["source_type"] = rng.choice([b"SER", b"DEV", b"EXP"], count)


def forget(home: Path) -> None:
    """Have the operating system drop the files' pages from memory, so that reading means the disk."""
    os.sync()
    for path in home.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


@contextmanager
def serving(release: Path, home: Path, cache: Path) -> Iterator[str]:
    """Serve in a process of its own; yield its address once it listens."""
    command = [sys.executable, "-m", "discovery.cli", "serve", str(release), "--survey-root", str(home), "--port", "0"]
    environment = {**os.environ, "DISCOVERY_STAMP_CACHE": str(cache)}
    process = subprocess.Popen([*command, "--hunts", str(cache.parent / "hunts")], stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split()[2]
    finally:
        process.terminate()
        process.wait()


def show(address: str, release: Path, turn: int, page: int) -> tuple[float, float]:
    """Open a page of the catalogue as a browser does; return the milliseconds of its HTML and of all its stamps."""
    where = f"row % 97 = {turn % 97} and row >= {turn // 97}"
    limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
    with httpx.Client(base_url=address, timeout=120, limits=limits) as client, ThreadPoolExecutor(CONNECTIONS) as browser:
        start = time.perf_counter()
        html = client.get(f"/releases/{release.name}/search", params={"where": where, "k": str(page), "flagged": "1"}).text
        there = time.perf_counter()
        pictures = re.findall(r'<img src="([^"]+/stamps/[^"]+)"', html)
        answers = list(browser.map(lambda picture: client.get(picture.replace("&amp;", "&")), pictures))
        done = time.perf_counter()
    if len(pictures) != page or any(answer.headers["content-type"] != "image/png" for answer in answers):
        raise SystemExit(f"{len(pictures)} stamps of {page}: the page is not what it should be")
    return 1e3 * (there - start), 1e3 * (done - there)


if __name__ == "__main__":
    main()
