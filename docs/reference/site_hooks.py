"""What mkdocs calls: it adds the pages that are made from the code, and mends links that leave docs/."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

import command_line
import configuration
import file_formats
import json_api
import python_api
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

MADE = {
    "reference/command-line.md": command_line.page,
    "reference/python.md": python_api.page,
    "reference/json-api.md": json_api.page,
    "reference/file-formats.md": file_formats.page,
    "reference/configuration.md": configuration.page,
}
LINK = re.compile(r"(?P<image>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s#]+)(?P<anchor>#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the reference, and the README as the first page."""
    readme = Path(config.config_file_path).with_name("README.md").read_text("utf-8")
    files.append(File.generated(config, "index.md", content=LINK.sub(_from_docs, readme)))
    for path, page in MADE.items():
        files.append(File.generated(config, path, content=page()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Return a page in which a link to a folder, or to a file outside docs/, is the name of it."""
    folder = posixpath.dirname(page.file.src_uri)

    def mended(link: re.Match[str]) -> str:
        target = link["target"]
        path = posixpath.normpath(posixpath.join(folder, target))
        if "://" in target or not (path.startswith("../") or target.endswith("/")):
            return link[0]
        name = path.removeprefix("../")
        return link["text"] if name in link["text"] else f"{link['text']} (`{name}`)"

    return LINK.sub(mended, markdown)


def _from_docs(link: re.Match[str]) -> str:
    """Return a link of the README as docs/ has it."""
    target, anchor = link["target"], link["anchor"] or ""
    if "://" in target:
        return link[0]
    inside = target.removeprefix("docs/") if target.startswith("docs/") else f"../{target}"
    return f"{link['image']}[{link['text']}]({inside}{anchor})"
