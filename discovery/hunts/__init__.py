"""Hunts: a person labels, round by round, until enough galaxies of a kind are found."""

from discovery.hunts.choices import chosen_strategy
from discovery.hunts.hunt import Hunt
from discovery.hunts.labels import Example, LabelRequest
from discovery.hunts.move import move_hunt
from discovery.hunts.records import (
    VERDICTS,
    Counts,
    Disagreement,
    HistoryLine,
    HuntInfo,
    LabelEvent,
    LabelState,
    MovedObject,
    MoveReport,
    Note,
    Round,
    Undone,
    Verdict,
)
from discovery.hunts.shelf import list_hunts, peek_hunt, remembered_release
from discovery.hunts.standing import Prepared
from discovery.hunts.start import new_hunt, open_hunt

__all__ = [
    "VERDICTS",
    "Counts",
    "Disagreement",
    "Example",
    "HistoryLine",
    "Hunt",
    "HuntInfo",
    "LabelEvent",
    "LabelRequest",
    "LabelState",
    "MoveReport",
    "MovedObject",
    "Note",
    "Prepared",
    "Round",
    "Undone",
    "Verdict",
    "chosen_strategy",
    "list_hunts",
    "move_hunt",
    "new_hunt",
    "open_hunt",
    "peek_hunt",
    "remembered_release",
]
