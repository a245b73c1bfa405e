"""The page about the command line: every verb and option, from the functions behind them."""

from __future__ import annotations

import re

from docstrings import literal

from discovery.cli import app

OPTION = re.compile(r"^\* `(?P<names>[^`]+)`: *(?P<meaning>.*)$")
NO_MEANING = ("*[", "**[")
"""How a line about an option goes on where its default follows at once."""


def page() -> str:
    """Return the page."""
    written = literal(app.generate_docs(recursive=True, heading_level=1))
    before, _, after = written.partition("## Table of Contents")
    return before.replace("# discovery", "# Command line", 1) + after[after.index("**Commands**") :]


def undocumented() -> list[str]:
    """Return the verbs that say nothing of what they do, and the options without a meaning."""
    lacking = []
    for section in re.split(r"^#+ ", app.generate_docs(recursive=True), flags=re.MULTILINE)[1:]:
        verb, _, text = section.partition("\n")
        options = [option for line in text.splitlines() if (option := OPTION.match(line))]
        lacking += [f"{verb} {option['names']}" for option in options if not option["meaning"] or option["meaning"].startswith(NO_MEANING)]
        said = re.sub(r"```.*?```", "", text, flags=re.DOTALL).strip()
        lacking += [verb] if verb.startswith("discovery") and (not said or said.startswith("**")) else []
    return lacking
