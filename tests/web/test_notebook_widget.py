"""The widget in a real JupyterLab, in a real browser, on a real release."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from discovery.hunts import open_hunt
from discovery.release.release import Release, open_release

pytest.importorskip("anywidget", reason="the notebook extra is absent")
nbformat = pytest.importorskip("nbformat", reason="the notebook extra is absent")
pytest.importorskip("jupyterlab", reason="JupyterLab is absent")

CELL = """from discovery.hunts import new_hunt
from discovery.search.prompts import prompt_from_row
from discovery.release.release import open_release

release = open_release({release!r})
rows = release.catalogue.select("truth_class = 'merger'", columns=["row"])["row"].to_pylist()
hunt = new_hunt("m.hunt", release, positives=[prompt_from_row(release, row) for row in rows[:3]], page_size=8, who="vera")
hunt.widget("vera")"""


@pytest.fixture
def lab(tmp_path: Path, demo_release: Path) -> Iterator[str]:
    """The address of a notebook in a JupyterLab of its own, whose one cell shows a widget."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL.format(release=str(demo_release)))])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, tmp_path / "hunt.ipynb")
    folders = {"CONFIG": "config", "DATA": "data", "RUNTIME": "runtime"}
    private = {f"JUPYTER_{kind}_DIR": str(tmp_path / name) for kind, name in folders.items()}
    options = {"ip": "127.0.0.1", "port": 0, "root_dir": tmp_path, "allow_root": True, "open_browser": False}
    command = [sys.executable, "-m", "jupyterlab", "--IdentityProvider.token=abc"]
    command += [f"--ServerApp.{name}={value}" for name, value in options.items()]
    with (tmp_path / "log").open("w") as log:
        environment = {**os.environ, **private, "HOME": str(tmp_path), "IPYTHONDIR": str(tmp_path / "ipython")}
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=tmp_path)
    try:
        yield f"{_address(server, tmp_path)}lab/tree/hunt.ipynb?token=abc&reset"
    finally:
        server.terminate()
        server.wait(30)


def _address(server: subprocess.Popen, folder: Path) -> str:
    """Wait for the server to say where it listens."""
    while server.poll() is None:
        for file in (folder / "runtime").glob("jpserver-*.json"):
            text = file.read_text()
            if text.endswith("}"):
                return str(json.loads(text)["url"])
        time.sleep(0.1)
    raise AssertionError((folder / "log").read_text())


@pytest.fixture
def release(demo_release: Path) -> Release:
    """The release that the widget shows."""
    return open_release(demo_release)


def test_a_hunt_is_played_in_jupyterlab(lab: str, page, release: Release, tmp_path: Path) -> None:
    from playwright.sync_api import expect

    page.goto(lab)
    expect(page.locator("#jp-main-statusbar")).to_contain_text("| Idle")
    page.locator(".jp-Notebook .cm-content").click()
    page.keyboard.press("Shift+Enter")
    widget, cards = page.locator(".gh"), page.locator(".gh-card")
    page.locator(".gh-primary").click()
    expect(cards).to_have_count(8)
    cells = page.locator(".jp-Notebook .jp-Cell").count()
    hunt = open_hunt(tmp_path / "m.hunt", release)
    shown = hunt.round()
    assert shown is not None and [int(card.get_attribute("data-row")) for card in cards.all()] == shown.rows.tolist()

    cards.nth(0).focus()
    for key, verdict in (("p", "positive"), ("n", "negative"), ("u", "unsure")):
        at = "pnu".index(key)
        page.keyboard.press(key)
        expect(cards.nth(at)).to_have_attribute("data-verdict", verdict)
        assert hunt.labels()[int(shown.rows[at])].verdict == verdict  # coloured, hence on the disk
    expect(cards.nth(3)).to_be_focused()
    page.get_by_label("Negatives are").fill("ring")
    cards.nth(3).focus()
    page.keyboard.press("n")
    expect(page.locator(".gh-chip")).to_have_text("1 ring")
    page.get_by_label("Negatives are").fill("")
    cards.nth(4).focus()
    page.keyboard.press("1")
    expect(cards.nth(4).locator(".gh-verdict")).to_have_text("ring")
    assert hunt.negative_classes() == {"ring": 2}
    page.keyboard.press("z")
    expect(cards.nth(4)).to_have_attribute("data-verdict", "")
    page.keyboard.press("w")
    page.keyboard.type("a plume, perhaps")
    page.keyboard.press("Enter")
    expect(cards.nth(5).locator(".gh-note")).to_contain_text("a plume, perhaps")
    expect(cards.nth(5)).to_be_focused()
    assert [note.text for note in hunt.notes(int(shown.rows[5]))] == ["a plume, perhaps"]
    for key in "axbj":  # keys that JupyterLab would take for its cells
        page.keyboard.press(key)
    assert page.locator(".jp-Notebook .jp-Cell").count() == cells

    hidden = tmp_path / "hidden"
    (tmp_path / "m.hunt").rename(hidden)
    cards.nth(5).focus()
    page.keyboard.press("p")
    expect(widget.get_by_role("alert")).to_contain_text("m.hunt")
    expect(cards.nth(5)).to_have_class("gh-card gh-failed")
    expect(cards.nth(5)).to_have_attribute("data-verdict", "")
    hidden.rename(tmp_path / "m.hunt")
    page.keyboard.press("Enter")
    expect(widget.get_by_role("alert")).to_contain_text("not saved")
    cards.nth(5).focus()
    page.keyboard.press("p")
    expect(cards.nth(5)).to_have_attribute("data-verdict", "positive")

    page.locator("summary", has_text="History").click()
    page.locator(".gh-history li", has_text=shown.object_ids[0]).get_by_role("button").click()
    expect(cards.nth(0)).to_have_attribute("data-verdict", "")
    assert int(shown.rows[0]) not in hunt.labels()
    cards.nth(0).focus()
    page.keyboard.press("p")
    page.keyboard.press("Enter")
    expect(page.locator(".gh-tag")).to_have_text("round 2")
    expect(cards.nth(0)).to_be_focused()
    second = hunt.round()
    assert second is not None and second.number == 2 and not set(second.rows.tolist()) & set(hunt.labels())

    page.get_by_label("File to write").fill("found.csv")
    page.get_by_label("Ranked rest").fill("5")
    page.locator("button", has_text="Write").click()
    expect(widget.get_by_role("status")).to_contain_text("found.csv: ")
    assert (tmp_path / "found.csv").read_text().count("\n") == 1 + 3 + len(hunt.labels()) + 5
