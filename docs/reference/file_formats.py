"""The page about the files that the programs write: release, hunt and encoder."""

from __future__ import annotations

import re
import sqlite3

from docstrings import markdown, with_fields

from discovery.encoders.encoder import EncoderCard
from discovery.hunts.log.schema import MIGRATIONS, migrate, schema
from discovery.release import manifest
from discovery.stamps.preprocess import CropConfig


def page() -> str:
    """Return the page."""
    return "\n\n".join(["# File formats", _release(), _hunt(), _encoder()]) + "\n"


def _release() -> str:
    structs = [
        value
        for name, value in vars(manifest).items()
        if not name.startswith("_") and hasattr(value, "__struct_fields__") and value.__module__ == manifest.__name__
    ]
    shapes = [f"### {value.__name__}\n\n{with_fields(value)}" for value in reversed(structs)]
    return "\n\n".join([f"## Release\n\n{_block(manifest.__doc__)}", *shapes])


def _hunt() -> str:
    connection = sqlite3.connect(":memory:")
    migrate(connection, 0)
    statements = [statement for kind, _, _, statement in schema(connection) if kind == "table" and statement]
    connection.close()
    shown = "\n\n".join(re.sub(r"\n +", "\n    ", statement) + ";" for statement in statements)
    return (
        "## Hunt\n\nA hunt is one SQLite file (`NAME.hunt`), version "
        f"{len(MIGRATIONS)}. Labels, notes and settings are only ever added; what holds now follows from them. Older files gain what "
        f"they lack when they are opened.\n\n```sql\n{shown}\n```"
    )


def _encoder() -> str:
    card = f"### encoder.json\n\n{with_fields(EncoderCard)}"
    crop = f"### CropConfig\n\n{with_fields(CropConfig)}"
    return f"## Encoder\n\nA folder with `encoder.json` and `encoder.safetensors`.\n\n{card}\n\n{crop}"


def _block(docstring: str | None) -> str:
    """Return a docstring in which ``::`` begins a listing, as Markdown."""
    return markdown(docstring).replace("::\n", ":\n")
