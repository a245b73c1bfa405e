"""Stamps in a grid, and where their links go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlencode

import pyarrow as pa

from discovery.release.release import Release
from web.layout.parts import NamedValue
from web.layout.text_format import figure, unit_of
from web.stamps.pictures import GRID_SIZE
from web.stamps.stamps import grid_picture
from web.workspace.known_tables import KnownTables


@dataclass(frozen=True, kw_only=True)
class Card:
    """A stamp in a grid."""

    row: int
    object_id: str
    picture: str
    """Address of the stamp, with its scale bar."""
    href: str
    more_like: str
    similarity: str = ""
    known: str = ""
    """"known as NAME, 0.4 arcsec"; empty for an object that no table knows."""
    facts: tuple[NamedValue, ...] = ()


def stamp_cards(
    name: str,
    release: Release,
    table: pa.Table,
    known: KnownTables,
    columns: Sequence[str] = (),
    *,
    size: int = GRID_SIZE,
) -> tuple[Card, ...]:
    """Return the cards of a grid, one for each record of a table with row and object_id."""
    release.stamp_records.fetch(table["row"].to_pylist())  # their pictures are requested next, one by one
    cards = []
    for record in table.to_pylist():
        similarity = record.get("similarity")
        cards.append(
            Card(
                row=record["row"],
                object_id=record["object_id"],
                picture=grid_picture(name, release, record["row"], size=size),
                href=object_address(name, record["row"]),
                more_like=search_address(name, urlencode({"like": record["object_id"]})),
                similarity="" if similarity is None else f"{similarity:.3f}",
                known=known.flag(name, release, record["row"]),
                facts=tuple(
                    NamedValue(name=column, value=figure(record[column], digits=4), unit=unit_of(column))
                    for column in columns
                    if column not in ("row", "object_id")
                ),
            )
        )
    return tuple(cards)


def object_address(name: str, row: int) -> str:
    """Return the address of an object's page."""
    return f"/releases/{quote(name, safe='')}/objects/{row}"


def search_address(name: str, query: str = "") -> str:
    """Return the address of a search in a release."""
    return f"/releases/{quote(name, safe='')}/search" + (f"?{query}" if query else "")
