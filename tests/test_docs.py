"""What README.md, CONTRIBUTING.md and docs/ name is there: files, modules, links, verbs and their options."""

import importlib
import pkgutil
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cyclopts import CycloptsError

from discovery.cli import VERBS, app
from discovery.errors import DiscoveryError

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PROGRAMS = ("discovery", "index", "training", "web", "tests")
FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
FILES = {"training.md", "index.faiss", "discovery.toml"}  # they look like modules


def named(pattern: str, text: str) -> set[str]:
    """Return what a pattern with one group finds."""
    return set(re.findall(pattern, text))


def command_lines(text: str) -> Iterator[tuple[str, bool]]:
    """Yield every `discovery ...` of a page, and whether it stands whole, in a block, without placeholders."""
    for language, block in FENCED.findall(text):
        if language in ("", "bash", "sh"):
            for line in block.replace("\\\n", " ").splitlines():
                if found := re.match(r"\s*(?:\w+=\S+ )*(discovery [a-z].*)", line):
                    yield found[1], "$" not in line and "..." not in line
    for code in INLINE.findall(FENCED.sub("", text)):
        if re.match(r"discovery [a-z]", code):
            yield code, False
        elif code.split(" ")[0] in VERBS and " --" in code:  # `hunt next --known FILE`
            yield f"discovery {code}", False


def words_of(line: str) -> list[str]:
    """Return the words behind `discovery`, up to a remark, a pipe or another command."""
    words = shlex.split(line.replace("'", '"') if line.count("'") % 2 else line, comments=True)[1:]
    ends = [place for place, word in enumerate(words) if word in ("|", "&&", ";", ">")]
    return words[: ends[0]] if ends else words


def options_of(verb: tuple[str, ...]) -> set[str]:
    """Return the options that a verb takes."""
    found: Any = app
    for word in verb:
        found = found[word]
    if found.default_command is None:
        return set()
    return {name for argument in found.assemble_argument_collection() for name in argument.names}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_of_ours_that_a_page_names_is_there(page):
    text = page.read_text("utf-8")
    names = named(rf"(?<![\w./-])((?:{'|'.join(PROGRAMS)})/[\w./-]*[\w/])", text)
    assert [name for name in sorted(names) if not (ROOT / name).exists()] == []
    files = [str(path.relative_to(ROOT)) for program in PROGRAMS for path in (ROOT / program).rglob("*") if "__pycache__" not in path.parts]
    short = {name.strip("/") for name in INLINE.findall(text) if re.fullmatch(r"[a-z_]+(/[a-z_0-9]+)*(/|\.py|\.html)", name)} - {"site"}
    missing = [name for name in sorted(short) if not (ROOT / "docs" / name).exists() and not any(f"/{path}".endswith(f"/{name}") for path in [*files, *PROGRAMS])]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_module_that_a_page_names_is_there(page):
    names = named(r"(?<![\w./-])((?:discovery|index|web|training)(?:\.[A-Za-z_]\w*)+)", page.read_text("utf-8")) - FILES
    for name in sorted(names):
        pkgutil.resolve_name(name)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_import_that_a_page_shows_works(page):
    for language, block in FENCED.findall(page.read_text("utf-8")):
        if language == "python":
            for module, names in re.findall(r"^from ([\w.]+) import ([\w, ]+)$", block, re.MULTILINE):
                assert [name for name in names.split(", ") if not hasattr(importlib.import_module(module), name)] == [], module


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_within_the_repository_leads_somewhere(page):
    links = named(r"\]\(([^)\s]+)\)", FENCED.sub("", page.read_text("utf-8")))
    inside = {link.partition("#")[0] for link in links if "://" not in link and not link.startswith(("#", "mailto:"))}
    assert [link for link in sorted(inside) if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_line_is_understood(page):
    wrong = []
    for line, whole in command_lines(page.read_text("utf-8")):
        words = [word for word in words_of(line) if word != "--help"]
        verb, _, rest = app.parse_commands(words)
        if not verb:
            wrong.append(f"{line}: no such verb")
            continue
        given = {word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)}
        wrong += [f"{line}: no option {name}" for name in sorted(given - options_of(verb))]
        if whole and rest:
            try:
                app.parse_args(words, exit_on_error=False, print_error=False)
            except CycloptsError as problem:
                wrong.append(f"{line}: {problem}")
            except DiscoveryError:
                pass  # the line is understood: what it names is not here
    assert wrong == []


def test_every_package_says_what_it_is():
    packages = [".".join(path.parent.relative_to(ROOT).parts) for name in PROGRAMS[:-1] for path in (ROOT / name).rglob("__init__.py")]
    for package in packages:
        text = importlib.import_module(package).__doc__ or ""
        for name in named(r"`+((?:discovery|index|web|training)(?:\.[A-Za-z_]\w*)+)`+", text):
            pkgutil.resolve_name(name)
