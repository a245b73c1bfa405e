"""Small parts that several pages show."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class NamedValue:
    """A name and a value as shown; ``unit`` may be empty."""

    name: str
    value: str
    unit: str = ""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A switch of the object page."""

    label: str
    href: str
    chosen: bool
