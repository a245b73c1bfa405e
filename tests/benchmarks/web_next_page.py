"""Milliseconds from the click on "next" to the page, with and without the work in the background, side by side.

Run ``python tests/benchmarks/web_next_page.py --objects 100000 --dir FOLDER``. The release is real: a file of noise stamps,
indexed by ``discovery index``'s own writer with an encoder that gives random unit vectors of the shipped one's dimension; FOLDER
keeps it for the next time. Two real servers show a hunt each; every stamp of a page is labelled over HTTP at a person's pace, in
turn on both, and then the next page is asked for: its HTML (as after the click, redirect included), and the HTML with all stamps.
"""

from __future__ import annotations

import argparse
import itertools
import os
import platform
import re
import statistics
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import httpx
import numpy as np

from discovery.encoders.encoder import Encoder, load_encoder
from discovery.hunts import new_hunt
from discovery.release.release import open_release
from discovery.search.prompts import prompt_from_row
from index.cli import index_survey
from web.app import create_app
from web.cli import make_server, open_socket
from web.settings import WebConfig

SIDE = 32
HUNT = "timed"


class RandomEncoder(Encoder):
    """The shipped encoder's card with embeddings drawn at random."""

    rng = np.random.default_rng(0)

    def embed_inputs(self, inputs: np.ndarray) -> np.ndarray:
        """Return (B, D) random unit vectors."""
        vectors = self.rng.standard_normal((len(inputs), self.dimension), dtype=np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def main() -> None:
    """Make the release, measure every strategy, print the table."""
    options = parse()
    print(f"machine: {platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"command: {' '.join(sys.argv)}")
    with tempfile.TemporaryDirectory() as scratch:
        folder = make_release(options.dir or Path(scratch), options.objects)
        release = open_release(folder)
        print(f"{release.count} objects of {release.dimension}; pages of {options.page_size}; a label every {options.pace:g} s")
        print(f"{'strategy':<12}{'rest s':<8}{'background':<12}{'page ms':>9}{'worst':>8}{'+ stamps ms':>13}{'a label ms':>12}")
        for strategy, rest in itertools.product(options.strategy, options.rest):
            measure(folder, strategy, rest, options)


def parse() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=100_000)
    parser.add_argument("--strategy", nargs="+", default=["auto", "alpha"])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--page-size", type=int, default=20)
    parser.add_argument("--pace", type=float, default=0.5, help="seconds between labels")
    parser.add_argument("--rest", type=float, nargs="+", default=[0.5, 3.0], help="seconds from the last label to the click")
    parser.add_argument("--dir", type=Path, help="folder for the release; kept")
    return parser.parse_args()


def make_release(folder: Path, objects: int) -> Path:
    """Return a release of noise stamps with random embeddings, made unless it is there."""
    found = folder / "releases" / f"random-{objects}"
    if found.is_dir():
        return found
    folder.mkdir(parents=True, exist_ok=True)
    survey, rng = folder / f"noise-{objects}.h5", np.random.default_rng(1)
    with h5py.File(survey, "w") as file:
        images = file.create_dataset("images", (objects, SIDE, SIDE, 3), np.uint8)
        for start in range(0, objects, 4096):
            stop = min(start + 4096, objects)
            images[start:stop] = rng.integers(0, 255, (stop - start, SIDE, SIDE, 3), dtype=np.uint8)
        file["ra"] = np.linspace(0, 359, objects)
        file["dec"] = np.degrees(np.arcsin(rng.uniform(-0.9, 0.9, objects)))
    shipped = load_encoder()
    encoder = RandomEncoder(shipped.network, shipped.card)
    return index_survey([survey], name=found.name, encoder=encoder, out=found.parent, workers=0)


@dataclass(frozen=True, kw_only=True)
class Visit:
    """A browser in front of one of the servers, and what it measured in seconds."""

    name: str
    client: httpx.Client
    pages: list[float]
    stamps: list[float]
    labels: list[float]


def measure(folder: Path, strategy: str, rest: float, options: argparse.Namespace) -> None:
    """Play the rounds on both servers in turn and print a line for each."""
    release = open_release(folder)
    with tempfile.TemporaryDirectory() as hunts:
        visits = []
        for ahead in (False, True):
            home = Path(hunts) / str(ahead)
            home.mkdir()
            prompts = [prompt_from_row(release, row) for row in (1, 2, 3)]
            hunt = new_hunt(
                home / f"{HUNT}.hunt", release, positives=prompts, page_size=options.page_size, strategy=strategy, who="timer"
            )
            hunt.next_round("timer")
            config = WebConfig(releases=(folder,), hunts=home, survey_roots=(folder.parents[1],), who="timer", ahead=ahead)
            visits.append(Visit(name="yes" if ahead else "no", client=serve(config), pages=[], stamps=[], labels=[]))
        for _ in range(options.rounds + 1):
            for visit in visits:
                play(visit, options.pace, rest)
    for visit in visits:
        pages, stamps = (statistics.median(1000 * one for one in times[1:]) for times in (visit.pages, visit.stamps))
        label = statistics.median(1000 * one for one in visit.labels)
        worst = 1000 * max(visit.pages[1:])  # the first round warms caches and threads
        print(f"{strategy:<12}{rest:<8g}{visit.name:<12}{pages:>9.0f}{worst:>8.0f}{stamps:>13.0f}{label:>12.0f}", flush=True)


def serve(config: WebConfig) -> httpx.Client:
    """Serve in a thread that ends with this program; return a client of it."""
    listening = open_socket("127.0.0.1", 0)
    config = replace(config, port=listening.getsockname()[1])
    server = make_server(create_app(config))
    threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True).start()
    while not server.started:
        time.sleep(0.05)
    return httpx.Client(base_url=f"http://127.0.0.1:{config.port}", timeout=300, follow_redirects=True)


def play(visit: Visit, pace: float, rest: float) -> None:
    """Label the present page, every third stamp positive, and time the click on "next"."""
    page = visit.client.get(f"/hunts/{HUNT}").text
    csrf = found(r'<meta name="csrf" content="(\w+)">', page)
    rows = re.findall(r'id="card-(\d+)"', page)
    for place, row in enumerate(rows):
        form = {"row": row, "verdict": "negative" if place % 3 else "positive", "csrf": csrf}
        start = time.perf_counter()
        visit.client.post(f"/hunts/{HUNT}/labels", data=form, headers={"HX-Request": "true"}).raise_for_status()
        visit.labels.append(time.perf_counter() - start)
        time.sleep(pace if place + 1 < len(rows) else rest)
    start = time.perf_counter()
    form = {"after": found(r'name="after" value="(\d+)"', page), "csrf": csrf}
    shown = visit.client.post(f"/hunts/{HUNT}/rounds", data=form)
    visit.pages.append(time.perf_counter() - start)
    for address in re.findall(r'<img src="(/releases/[^"]+/crop[^"]+)" alt="[^"]+" width="160"', shown.text):
        visit.client.get(address.replace("&amp;", "&")).raise_for_status()
    visit.stamps.append(time.perf_counter() - start)


def found(pattern: str, text: str) -> str:
    """Return what a page must hold."""
    match = re.search(pattern, text)
    if match is None:
        raise SystemExit(f"the page lacks {pattern}: {text[:200]}")
    return match[1]


if __name__ == "__main__":
    main()
