"""Hunts: a person labels, round by round, until enough galaxies of a kind are found."""

from discovery.hunts.folder import list_hunts, peek_hunt, remembered_release
from discovery.hunts.hunt import Hunt
from discovery.hunts.log.info import HuntInfo
from discovery.hunts.log.records import (
    VERDICTS,
    Counts,
    Disagreement,
    Example,
    LabelEvent,
    LabelRequest,
    LabelState,
    Note,
    Round,
    Undone,
    Verdict,
)
from discovery.hunts.rounds.round_input import PreparedPage
from discovery.hunts.settings import chosen_strategy
from discovery.hunts.start import new_hunt, open_hunt
from discovery.hunts.state import HuntState
from discovery.hunts.transfer.move import move_hunt
from discovery.hunts.transfer.move_report import MovedObject, MoveReport

__all__ = [
    "VERDICTS",
    "Counts",
    "Disagreement",
    "Example",
    "Hunt",
    "HuntInfo",
    "HuntState",
    "LabelEvent",
    "LabelRequest",
    "LabelState",
    "MoveReport",
    "MovedObject",
    "Note",
    "PreparedPage",
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
