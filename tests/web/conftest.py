"""A real server on 127.0.0.1 in front of a real release, and a real browser."""

from __future__ import annotations

import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest

from discovery.hunts import Hunt, new_hunt
from discovery.release.release import Release, open_release
from discovery.search.prompts import prompt_from_row
from web.settings import WebConfig

TOKEN = "a-token-nobody-guesses"
CHROMIUM_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass(frozen=True, kw_only=True)
class Running:
    """A server that answers."""

    address: str
    config: WebConfig

    def client(self, **options) -> httpx.Client:
        """Return a client that keeps cookies."""
        return httpx.Client(base_url=self.address, timeout=120, **options)


@pytest.fixture(scope="session", autouse=True)
def own_stamp_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep rendered stamps out of the user's cache."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def serve_config() -> Iterator[Callable[[WebConfig], Running]]:
    """Start servers in threads; all end with the tests."""
    from web.app import create_app
    from web.cli import make_server, open_socket

    started = []

    def start(config: WebConfig) -> Running:
        listening = open_socket("127.0.0.1", 0)
        config = replace(config, port=listening.getsockname()[1])
        server = make_server(create_app(config))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        started.append((server, thread, listening))
        while not server.started:
            time.sleep(0.02)
        return Running(address=f"http://127.0.0.1:{config.port}", config=config)

    yield start
    for server, thread, listening in started:
        server.should_exit = True
        thread.join(30)
        listening.close()


@pytest.fixture(scope="session")
def release(demo_release: Path) -> Release:
    """The release that the servers show."""
    return open_release(demo_release)


@pytest.fixture(scope="session")
def known_table(release: Release, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table that knows every object with an even row, 0.4 arcsec to the north of it."""
    lines = release.catalogue.select('"row" % 2 = 0', columns=["row", "ra", "dec"]).to_pylist()
    path = tmp_path_factory.mktemp("known") / "evens.csv"
    written = [f"EVEN {line['row']},{line['ra']},{line['dec'] + 0.4 / 3600}\n" for line in lines]
    path.write_text("name,ra,dec\n" + "".join(written))
    return path


@pytest.fixture
def small_hunt(server: Running, release: Release, request: pytest.FixtureRequest) -> Hunt:
    """A hunt of its own for a test, with eight candidates."""
    name = re.sub(r"\W", "-", request.node.name)[:60]
    server.config.hunts.mkdir(exist_ok=True)
    path = server.config.hunts / f"{name}.hunt"
    hunt = new_hunt(path, release, positives=[prompt_from_row(release, 1)], page_size=8, who="vera")
    hunt.next_round("vera")
    return hunt


@pytest.fixture(scope="session")
def web_config(demo_release: Path, known_table: Path, tmp_path_factory: pytest.TempPathFactory) -> WebConfig:
    """Settings of a server for one person."""
    return WebConfig(
        releases=(demo_release,),
        hunts=tmp_path_factory.mktemp("hunts") / "hunts",
        survey_roots=(demo_release.parents[1],),
        who="vera",
        upload_megabytes=1.0,
        known=(known_table,),
    )


@pytest.fixture(scope="session")
def server(serve_config: Callable[[WebConfig], Running], web_config: WebConfig) -> Running:
    """A server without a token."""
    return serve_config(web_config)


@pytest.fixture(scope="session")
def guarded(serve_config: Callable[[WebConfig], Running], web_config: WebConfig) -> Running:
    """A server with a token."""
    return serve_config(replace(web_config, token=TOKEN, allowed_hosts=("galaxies.example",)))


@pytest.fixture
def client(server: Running) -> Iterator[httpx.Client]:
    """A visitor of the open server."""
    with server.client() as visitor:
        yield visitor


@pytest.fixture(scope="session")
def browser():
    """Debian's chromium, or a skip that says so."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=120_000)
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("no chromium is installed: browser journeys are not tested")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=CHROMIUM_OPTIONS)
        yield running
        running.close()


@pytest.fixture
def page(browser):
    """A laptop-sized page on which any console error fails the test, unless it is taken out of ``page.said``."""
    context = browser.new_context(viewport={"width": 1366, "height": 768}, accept_downloads=True)
    context.set_default_timeout(120_000)
    opened, said = context.new_page(), []
    opened.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.said = said
    yield opened
    context.close()
    assert said == []
