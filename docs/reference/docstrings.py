"""Docstrings in numpydoc's form, and the fields of classes, as Markdown."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

EXAMPLE = re.compile(r"(?:^(?:>>>|\.\.\.) .*\n?)+", re.MULTILINE)
LISTS = ("Parameters", "Returns", "Yields", "Raises", "Attributes")


def markdown(docstring: str | None) -> str:
    """Return a docstring as Markdown: its lists of parameters, results and errors as lists."""
    lines = inspect.cleandoc(docstring or "").splitlines()
    starts = [n for n in range(len(lines) - 1) if lines[n] and re.fullmatch("-{3,}", lines[n + 1])]
    parts = ["\n".join(lines[: starts[0] if starts else None])]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=False):
        body = lines[start + 2 : end]
        parts.append(f"**{lines[start]}**\n\n" + ("\n".join(_items(body)) if lines[start] in LISTS else "\n".join(body)))
    text = "\n\n".join(part.strip() for part in parts).strip()
    return literal(EXAMPLE.sub(_fenced, text))


def summary(docstring: str | None) -> str:
    """Return the first paragraph of a docstring in one line; empty where there is none."""
    return literal(" ".join(inspect.cleandoc(docstring or "").split("\n\n")[0].split()))


def with_fields(owner: type) -> str:
    """Return what a dataclass or msgspec struct says of itself, with a table of its fields."""
    said, _, _ = inspect.cleandoc(owner.__doc__ or "").partition("\nAttributes\n---")  # they are in the table
    return f"{markdown(said)}\n\n{field_table(owner)}"


def field_table(owner: type) -> str:
    """Return the fields of a dataclass or msgspec struct: name, type, default and, where any has one, meaning."""
    meanings = field_meanings(owner)
    rows = [["field", "type", "default", "meaning"], ["---"] * 4]
    rows += [[f"`{name}`", _code(kind), _code(default), meanings.get(name, "").replace("|", "\\|")] for name, kind, default in _fields(owner)]
    return "\n".join(f"| {' | '.join(row if meanings else row[:3])} |" for row in rows)


def field_meanings(owner: type) -> dict[str, str]:
    """Return what the strings below the fields of a class, or its list of attributes, say of each field."""
    body = ast.parse(textwrap.dedent(inspect.getsource(owner))).body[0]
    assert isinstance(body, ast.ClassDef)
    found = dict(_listed_attributes(owner))
    for field, after in zip(body.body, body.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            found[ast.unparse(field.target)] = summary(str(after.value.value))
    return found


def _items(lines: list[str]) -> Iterator[str]:
    """Yield the entries of one of numpydoc's lists: a heading at the margin, what it means indented below."""
    for line in lines:
        if line and not line[0].isspace():
            name, _, kind = line.partition(" : ")
            yield f"- `{name}`" + (f" ({kind})" if kind else "")
        else:
            yield line


def _listed_attributes(owner: type) -> Iterator[tuple[str, str]]:
    _, _, listed = inspect.cleandoc(owner.__doc__ or "").partition("Attributes\n----------\n")
    names, words = "", []
    for line in [*listed.splitlines(), "end"]:
        if line.startswith(" "):
            words.append(line.strip())
        elif line:
            for name in filter(None, names.split(", ")):
                yield name, literal(" ".join(words))
            names, words = line.partition(" : ")[0], []


def _fields(owner: type) -> Iterator[tuple[str, str, str]]:
    """Yield name, type and default of each field; the default is empty where a value must be given."""
    kinds = {name: kind for base in reversed(owner.__mro__) for name, kind in inspect.get_annotations(base).items()}
    given: Any = msgspec.structs.fields(owner) if issubclass(owner, msgspec.Struct) else dataclasses.fields(owner)
    nothing = (msgspec.NODEFAULT, dataclasses.MISSING)
    for field in given:
        default = "" if field.default in nothing else str(field.default) if isinstance(field.default, Path) else repr(field.default)
        yield field.name, _plain(str(kinds[field.name])), "made at the start" if field.default_factory not in nothing else default


def _plain(kind: str) -> str:
    """Return a type without what `Annotated` adds to it for the command line."""
    written = ast.parse(kind, mode="eval").body
    if isinstance(written, ast.Subscript) and ast.unparse(written.value) == "Annotated" and isinstance(written.slice, ast.Tuple):
        return ast.unparse(written.slice.elts[0])
    return kind


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _fenced(example: re.Match[str]) -> str:
    shown = re.sub(r" *# doctest: \S+", "", example[0]).strip()
    return f"```pycon\n{shown}\n```\n"


def literal(text: str) -> str:
    """Return text whose double backquotes, as docstrings have them, are Markdown's single ones."""
    return re.sub("(?<!`)``(?!`)", "`", text)
