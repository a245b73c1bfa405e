"""Hunts: a person labels, round by round, until enough galaxies of a kind are found."""

from discovery.hunts.hunt import Hunt, new_hunt, open_hunt
from discovery.hunts.labels import Example, LabelRequest
from discovery.hunts.move import move_hunt
from discovery.hunts.records import (
    VERDICTS,
    Counts,
    HuntInfo,
    LabelEvent,
    LabelState,
    MovedObject,
    MoveReport,
    Round,
    Undone,
    Verdict,
)
from discovery.hunts.shelf import list_hunts, peek_hunt, remembered_release

__all__ = [
    "VERDICTS",
    "Counts",
    "Example",
    "Hunt",
    "HuntInfo",
    "LabelEvent",
    "LabelRequest",
    "LabelState",
    "MoveReport",
    "MovedObject",
    "Round",
    "Undone",
    "Verdict",
    "list_hunts",
    "move_hunt",
    "new_hunt",
    "open_hunt",
    "peek_hunt",
    "remembered_release",
]
