"""Stamps of a hunt in a grid."""

from __future__ import annotations

from collections.abc import Sequence

from web.stamps.cards import Card, stamp_cards
from web.stamps.pictures import GRID_SIZE
from web.workspace.open_hunt import OpenHunt


def hunt_cards(opened: OpenHunt, rows: Sequence[int], *, size: int = GRID_SIZE) -> tuple[Card, ...]:
    """Return the cards of some rows, in their order."""
    release = opened.hunt.release
    table = release.catalogue.rows(list(rows), ["row", "object_id"])
    return stamp_cards(opened.release, release, table, opened.known, size=size)
