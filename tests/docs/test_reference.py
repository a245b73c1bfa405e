"""The site: it builds without a warning or a network, and its reference leaves nothing out."""

import importlib
import re
from pathlib import Path
from types import ModuleType

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def reference(monkeypatch):
    """A function that imports one of the modules that write the reference."""
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "reference"))

    def module(name: str) -> ModuleType:
        return importlib.import_module(name)

    return module


@pytest.mark.parametrize("name", ["configuration", "json_api", "python_api"])
def test_nothing_is_undocumented(reference, name):
    assert reference(name).undocumented() == []


def test_every_verb_and_option_is_documented(reference):
    assert reference("command_line").undocumented() == []


def test_pages_name_what_there_is(reference):
    from discovery.cli import VERBS

    written = {name: reference(name).page() for name in ("command_line", "configuration", "json_api", "python_api", "file_formats")}
    assert [verb for verb in VERBS if f"## discovery {verb}\n" not in written["command_line"]] == []
    assert "### discovery hunt label" in written["command_line"] and "`--positive" in written["command_line"]
    assert "| `survey_roots` |" in written["configuration"]
    assert "### POST /api/hunts/{hunt}/labels" in written["json_api"]
    assert "### open_release" in written["python_api"] and "**Raises**" in written["python_api"]
    for part in ("CREATE TABLE labels", "### Manifest", "`checksum`"):
        assert part in written["file_formats"]


def test_the_site_builds_and_fetches_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_MKDOCS_2_WARNING", "1")
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    build(load_config(str(ROOT / "mkdocs.yml"), strict=True, site_dir=str(tmp_path)))  # a warning ends it
    pages = list(tmp_path.rglob("*.html"))
    assert {"index.html", "tutorial.html", "python.html", "command-line.html"} <= {page.name for page in pages}
    fetched = re.compile(r'<(?:script|img|iframe)[^>]* src="?https?:|<link[^>]* rel="?(?:stylesheet|preconnect)[^>]* href="?https?:')
    assert [page.name for page in pages if fetched.search(page.read_text("utf-8"))] == []
