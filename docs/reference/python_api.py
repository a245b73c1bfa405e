"""The page about the library: its public names with their docstrings."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import msgspec
from docstrings import markdown, with_fields

MODULES = (
    "discovery",
    "discovery.errors",
    "discovery.release",
    "discovery.search",
    "discovery.search.prompts",
    "discovery.search.outliers",
    "discovery.hunts",
    "discovery.encoders.encoder",
    "discovery.readers",
    "discovery.stamps.stamp",
)
"""What a notebook imports; a name stands once, where it is first."""
LINE = 90
"""Characters that fit into a line of the page."""


def page() -> str:
    """Return the page."""
    parts, seen = ["# Python"], set()
    for name, module in _modules():
        parts.append(f"## {name}\n\n{markdown(module.__doc__)}")
        for public, value in public_names(module):
            if id(value) not in seen and not inspect.ismodule(value):
                seen.add(id(value))
                parts.append(_entry(public, value))
    return "\n\n".join(parts) + "\n"


def undocumented() -> list[str]:
    """Return the public names without a docstring."""
    found = []
    for name, module in _modules():
        for public, value in public_names(module):
            lacking = [member for member, function in _members(value) if not function.__doc__] if inspect.isclass(value) else []
            found += [f"{name}.{public}.{member}" for member in lacking]
            found += [f"{name}.{public}"] if _is_ours(value) and not value.__doc__ else []
    return found


def public_names(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """Yield the names that a module hands out: those of ``__all__``, else what it defines itself."""
    if hasattr(module, "__all__"):
        yield from ((name, getattr(module, name)) for name in module.__all__)
        return
    for name, value in vars(module).items():
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__:
            yield name, value


def _modules() -> list[tuple[str, ModuleType]]:
    """Return all modules, each of them imported before the first is looked at: some are names of others."""
    return [(name, importlib.import_module(name)) for name in MODULES]


def _entry(name: str, value: Any) -> str:
    if inspect.isclass(value):
        about = with_fields(value) if _has_fields(value) else markdown(value.__doc__)
        return "\n\n".join([f"### {name}", about, *(_function(f"#### {name}.{m}", m, f) for m, f in _members(value))])
    if inspect.isfunction(value):
        return _function(f"### {name}", name, value)
    return f"### {name}\n\n`{str(value).replace('typing.', '')}`"


def _is_ours(value: Any) -> bool:
    return inspect.isclass(value) or inspect.isfunction(value)


def _function(heading: str, name: str, function: Any) -> str:
    if isinstance(function, property):
        return f"{heading}\n\n{markdown(function.__doc__)}"
    return f"{heading}\n\n```python\n{name}{_signature(function)}\n```\n\n{markdown(function.__doc__)}"


class _AsWritten(str):
    """An annotation that a signature shows as it stands in the code, without quotes."""

    __repr__ = str.__str__


def _signature(function: Any) -> str:
    """Return what a function takes and gives, one parameter a line where it is long."""
    given = inspect.signature(function)
    kept = [each.replace(annotation=_AsWritten(each.annotation)) for each in given.parameters.values() if each.name not in ("self", "cls")]
    shown = str(given.replace(parameters=kept, return_annotation=_AsWritten(given.return_annotation)))
    if len(shown) < LINE:
        return shown
    parts = [str(each) for each in kept]
    kinds = [each.kind for each in kept]
    if inspect.Parameter.KEYWORD_ONLY in kinds and inspect.Parameter.VAR_POSITIONAL not in kinds:
        parts.insert(kinds.index(inspect.Parameter.KEYWORD_ONLY), "*")
    return "(\n" + "".join(f"    {part},\n" for part in parts) + f") -> {given.return_annotation}"


def _members(owner: type) -> Iterator[tuple[str, Any]]:
    """Yield the public methods and properties that a class of ours defines."""
    for name, value in vars(owner).items():
        if isinstance(value, classmethod | staticmethod):
            value = value.__func__
        if not name.startswith("_") and (inspect.isfunction(value) or isinstance(value, property)):
            yield name, value


def _has_fields(owner: type) -> bool:
    return issubclass(owner, msgspec.Struct) or dataclasses.is_dataclass(owner)
