"""Take the pictures of the app that the README shows: ``python docs/take_screenshots.py DEMO_FOLDER``.

Serves a demo folder (made by ``discovery demo``), searches with its brightest objects of one class, labels
rounds of a hunt with the true classes and judges an audit. Real screenshots, with 6 bits a colour to keep them small.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps
from playwright.sync_api import Page, expect, sync_playwright

from discovery.release.release import Release, open_release
from web.app import create_app
from web.cli import make_server, open_socket
from web.settings import WebConfig

HERE = Path(__file__).parent
SHOWN = 14
"""Stamps of the page that are labelled when its picture is taken."""
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]


def main() -> None:
    """Serve, drive the browser, write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("demo", type=Path, help="folder that 'discovery demo' made")
    parser.add_argument("--kind", default="spiral", help="class to search and hunt for")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--audit", type=int, default=100, help="stamps that the audit draws")
    arguments = parser.parse_args()
    release = open_release(arguments.demo / "releases" / "demo")
    with tempfile.TemporaryDirectory() as hunts:
        config = WebConfig(
            releases=(release.path,), hunts=Path(hunts), survey_roots=(arguments.demo / "survey",), who="vera"
        )
        address = serve(config)
        with sync_playwright() as playwright:
            chromium = shutil.which("chromium") or shutil.which("google-chrome")
            browser = playwright.chromium.launch(executable_path=chromium, args=OPTIONS)
            page = browser.new_page(viewport={"width": 1366, "height": 768})
            page.set_default_timeout(300_000)
            expect.set_options(timeout=300_000)
            person = Person(page=page, release=release, kind=arguments.kind)
            search(person, address)
            hunt(person, arguments.rounds, arguments.audit)
            browser.close()


def serve(config: WebConfig) -> str:
    """Serve in a thread that ends with this program; return the address."""
    listening = open_socket("127.0.0.1", 0)
    server = make_server(create_app(config))
    threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True).start()
    while not server.started:
        time.sleep(0.05)
    return f"http://127.0.0.1:{listening.getsockname()[1]}"


@dataclass(frozen=True, kw_only=True)
class Person:
    """Looks for one class in the browser and knows the truth."""

    page: Page
    release: Release
    kind: str

    def judge(self, start: int = 0, stop: int | None = None) -> None:
        """Label the page or a part of it, each negative with what it is."""
        cards = self.page.locator("[data-candidate]").all()[start:stop]
        rows = [int((card.get_attribute("id") or "card-0")[5:]) for card in cards]
        for kind in self.release.catalogue.rows(rows, ["truth_class"])["truth_class"].to_pylist():
            chip = self.page.locator(f'[data-negative-class="{kind}"]')
            key = chip.get_attribute("data-key") if chip.count() else None
            if kind == self.kind:
                self.page.keyboard.press("p")
            elif key:
                self.page.keyboard.press(key)
            else:
                self.page.keyboard.press("b")
                self.page.keyboard.type(kind)
                self.page.keyboard.press("Enter")
            expect(self.page.locator(".saving")).to_have_count(0)

    def turn(self, number: int) -> None:
        """Go on to the page of a round, unless it is the first."""
        expect(self.page.locator("[data-candidate]:focus")).to_have_count(1)
        if number > 1:
            self.page.keyboard.press("Enter")
        expect(self.page.locator(".page-head .tag")).to_have_text(f"round {number}")
        expect(self.page.locator("[data-candidate]:focus")).to_have_count(1)


def search(person: Person, address: str) -> None:
    """Search by three examples and start a hunt."""
    page, release = person.page, person.release
    wanted = set(release.catalogue.where(f"truth_class = '{person.kind}'").nonzero()[0].tolist())
    clean = [row for row in sorted(wanted) if release.clean[row]][:3]
    page.goto(f"{address}/releases/demo/search")
    page.locator("#like").fill("\n".join(release.catalogue.rows(clean, ["object_id"])["object_id"].to_pylist()))
    page.locator("#search button.primary").click()
    expect(page.locator(".thumb")).to_have_count(len(clean))
    for tick in page.locator("[data-tick]").all()[:12]:
        if int(tick.get_attribute("value") or -1) in wanted:
            tick.check()
    take(page, "screenshot-search.png")
    page.locator("#name").fill(f"{person.kind}s")
    page.get_by_role("button", name="Start a hunt").click()


def hunt(person: Person, rounds: int, audit: int) -> None:
    """Label some rounds, then an audit to its end."""
    page = person.page
    for number in range(1, rounds + 1):
        person.turn(number)
        person.judge()
    page.get_by_role("link", name="Audit", exact=True).click()
    page.locator("#labels").fill(str(audit))
    page.get_by_role("button", name="Draw").click()
    page.get_by_role("link", name="Label them").click()
    for number in itertools.count(rounds + 1):
        person.turn(number)
        if page.locator(".candidate .reason.audit").count() == 0:
            break
        person.judge(stop=SHOWN)
        if number == rounds + 2:
            take(page, "screenshot-hunt.png")
        person.judge(SHOWN)
    page.get_by_role("link", name="Audit", exact=True).click()
    take(page, "screenshot-audit.png")


def take(page: Page, name: str) -> None:
    """Write a picture of the top of the page."""
    page.mouse.move(5, 300)
    page.evaluate("() => window.scrollTo(0, 0)")
    page.wait_for_load_state("networkidle")
    path = HERE / name
    page.screenshot(path=path)
    with Image.open(path) as picture:
        reduced = ImageOps.posterize(picture.convert("RGB"), 6)
    reduced.save(path, optimize=True)


if __name__ == "__main__":
    main()
