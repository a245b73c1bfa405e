"""Twenty people label at once on one service: milliseconds of a label and of a page, rounds apart, and whether every label was kept.

Run ``python tests/benchmarks/web_load.py --people 20 --seconds 60 --dir FOLDER``. The service is a process of its own on 127.0.0.1 in front
of a real release (noise stamps, random embeddings of the shipped encoder's dimension, made by ``discovery index``'s own writer; or any
other with ``--release`` and ``--survey-root``). Each person opens the hunt's page, fetches its stamps over six connections (each picture
once, as a browser does), labels every stamp of the page at their pace, asks for the next round and waits for it. First everybody
has a hunt of their own, then all share one. It ends by itself; errors end in the last column and in the exit status.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
from web_next_page import make_release

from discovery.hunts import new_hunt, open_hunt
from discovery.release.release import Release, open_release
from discovery.search.prompts import prompt_from_row


def main() -> None:
    """Play both cases, print the tables."""
    options = parse()
    print(f"machine: {platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"command: {' '.join(sys.argv)}")
    with tempfile.TemporaryDirectory() as scratch:
        home = options.dir or Path(scratch)
        folder = options.release or make_release(home, options.objects)
        release = open_release(folder)
        print(f"{release.count} objects of {release.dimension}; pages of {options.page_size}; {options.people} people, a label every {options.pace:g} s")
        print(f"{'':<18}{'number':>8}{'p50 ms':>9}{'p95 ms':>9}{'worst':>9}")
        lost = [play(release, folder, Path(scratch) / name, shared, options) for name, shared in (("own", False), ("shared", True))]
    if any(lost):
        raise SystemExit(f"{sum(lost)} errors or lost labels")


def parse() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each of the two cases")
    parser.add_argument("--requests", type=int, default=20_000, help="at most so many of each case")
    parser.add_argument("--pace", type=float, default=1.0, help="seconds between labels")
    parser.add_argument("--page-size", type=int, default=20)
    parser.add_argument("--objects", type=int, default=20_000)
    parser.add_argument("--strategy", default="auto")
    parser.add_argument("--release", type=Path, help="another release than the one of noise")
    parser.add_argument("--survey-root", type=Path)
    parser.add_argument("--dir", type=Path, help="folder for the release; kept")
    return parser.parse_args()


@dataclass(kw_only=True)
class Measured:
    """What all people of a case measured, in seconds; safe to share between threads, since lists are."""

    pages: list[float] = field(default_factory=list)
    stamps: list[float] = field(default_factory=list)
    labels: list[float] = field(default_factory=list)
    rounds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    given: list[tuple[str, int, str]] = field(default_factory=list)
    """Hunt, row and verdict of each label that was acknowledged."""

    @property
    def requests(self) -> int:
        """How many were made."""
        return len(self.pages) + len(self.stamps) + len(self.labels) + len(self.rounds)


def play(release: Release, folder: Path, home: Path, shared: bool, options: argparse.Namespace) -> int:
    """Let everybody label for a while; print the table; return how many errors and lost labels there were."""
    home.mkdir()
    names = ["shared"] * options.people if shared else [f"hunt-{number}" for number in range(options.people)]
    for number, name in enumerate(dict.fromkeys(names)):
        prompts = [prompt_from_row(release, 3 * number + row) for row in range(3)]
        made = new_hunt(home / f"{name}.hunt", release, positives=prompts, page_size=options.page_size, strategy=options.strategy, who="start")
        made.next_round("start")
    measured = Measured()
    with serving(folder, home, options) as address:
        until = time.monotonic() + options.seconds
        people = [
            threading.Thread(target=Person(address, name, f"person-{number}", measured, until, options).label_on)
            for number, name in enumerate(names)
        ]
        for person in people:
            person.start()
        for person in people:
            person.join()
    kept = [(name, event.row, event.verdict) for name in dict.fromkeys(names) for event in open_hunt(home / f"{name}.hunt", release).log()]
    lost = len(measured.given) - len(kept) if sorted(kept) != sorted(measured.given) else 0
    print("one hunt together" if shared else "a hunt each")
    for what in ("pages", "stamps", "labels", "rounds"):
        line(what, getattr(measured, what))
    print(f"  {len(measured.errors)} errors; {len(measured.given)} labels acknowledged, {len(kept)} in the hunts' files", flush=True)
    for error in sorted(set(measured.errors))[:5]:
        print(f"  error: {error}")
    return len(measured.errors) + abs(lost) + (sorted(kept) != sorted(measured.given))


class Person:
    """Somebody with a browser."""

    def __init__(self, address: str, hunt: str, who: str, measured: Measured, until: float, options: argparse.Namespace) -> None:
        limits = httpx.Limits(max_connections=6, max_keepalive_connections=6)
        self.client = httpx.Client(base_url=address, timeout=60, limits=limits)
        self.hunt, self.who, self.measured, self.until, self.options = hunt, who, measured, until, options
        self.seen: set[str] = set()
        self.rng = np.random.default_rng(abs(hash(who)))

    def label_on(self) -> None:
        """Label page after page until the time is over."""
        time.sleep(self.rng.uniform(0, self.options.pace))  # nobody begins at the same moment
        try:
            page = self.timed(self.measured.pages, "GET", f"/hunts/{self.hunt}")
            while time.monotonic() < self.until and self.measured.requests < self.options.requests:
                self.fetch_stamps(page)
                self.label(page)
                page = self.next_page(page)
        except Exception as problem:  # every error counts, whatever it is
            self.measured.errors.append(f"{type(problem).__name__}: {problem}"[:200])
        finally:
            self.client.close()

    def fetch_stamps(self, page: str) -> None:
        """Fetch the pictures that are not in the browser yet, six at a time."""
        pictures = set(re.findall(r'<img src="([^"]+/stamps/[^"]+)"', page)) - self.seen
        self.seen |= pictures
        waiting = iter(sorted(pictures))

        def fetch() -> None:
            for picture in waiting_ones(waiting):
                self.timed(self.measured.stamps, "GET", picture.replace("&amp;", "&"))

        threads = [threading.Thread(target=fetch) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def label(self, page: str) -> None:
        """Label every stamp of the page that has no label."""
        csrf = re.search(r'<meta name="csrf" content="(\w+)">', page)
        assert csrf is not None
        for row in re.findall(r'id="state-(\d+)"[^>]*data-verdict=""', page):
            if time.monotonic() > self.until:
                return
            verdict = "positive" if self.rng.random() < 0.3 else "negative"
            form = {"row": row, "verdict": verdict, "csrf": csrf[1]}
            self.timed(self.measured.labels, "POST", f"/hunts/{self.hunt}/labels", data=form, headers={"HX-Request": "true"})
            self.measured.given.append((self.hunt, int(row), verdict))
            time.sleep(self.options.pace * self.rng.uniform(0.5, 1.5))

    def next_page(self, page: str) -> str:
        """Ask for the next round; return its page once it is there: rounds are timed apart from pages."""
        csrf, after = (re.search(pattern, page) for pattern in (r'<meta name="csrf" content="(\w+)">', r'name="after" value="(\d+)"'))
        assert csrf is not None and after is not None
        start = time.perf_counter()
        form = {"csrf": csrf[1], "after": after[1]}
        answer = self.client.post(f"/hunts/{self.hunt}/rounds", data=form, follow_redirects=True)
        answer.raise_for_status()
        while 'id="work" role="status"' in answer.text:
            time.sleep(0.5)
            answer = self.client.get(f"/hunts/{self.hunt}/work", headers={"HX-Request": "true", "HX-Current-URL": f"x/hunts/{self.hunt}"})
            answer.raise_for_status()
        self.measured.rounds.append(time.perf_counter() - start)
        return self.timed(self.measured.pages, "GET", f"/hunts/{self.hunt}")

    def timed(self, times: list[float], method: str, address: str, **options: object) -> str:
        """Send a request, keep how long it took, return its text."""
        start = time.perf_counter()
        answer = self.client.request(method, address, **options)  # type: ignore[arg-type]
        times.append(time.perf_counter() - start)
        if answer.status_code != 200:
            self.measured.errors.append(f"{method} {re.sub(r'[0-9]+', 'N', address)[:60]}: {answer.status_code}")
        return answer.text


def waiting_ones(waiting: Iterator[str]) -> Iterator[str]:
    """Yield what is left of an iterator that several threads draw from."""
    while True:
        with DRAWING:
            one = next(waiting, None)
        if one is None:
            return
        yield one


DRAWING = threading.Lock()


@contextmanager
def serving(folder: Path, hunts: Path, options: argparse.Namespace) -> Iterator[str]:
    """Serve in a process of its own; yield its address once it listens."""
    root = options.survey_root or folder.parents[1]
    command = [sys.executable, "-m", "discovery.cli", "serve", str(folder), "--survey-root", str(root), "--port", "0", "--hunts", str(hunts)]
    environment = {**os.environ, "DISCOVERY_STAMP_CACHE": str(hunts / "stamps")}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split()[2]
    finally:
        process.terminate()
        process.wait()


def line(what: str, seconds: list[float]) -> None:
    """Print one line of the table."""
    if not seconds:
        print(f"  {what:<16}{0:>8}")
        return
    p50, p95, worst = 1e3 * np.percentile(seconds, [50, 95, 100])
    print(f"  {what:<16}{len(seconds):>8}{p50:>9.0f}{p95:>9.0f}{worst:>9.0f}")


if __name__ == "__main__":
    main()
