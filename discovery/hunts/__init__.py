"""Hunts: a person labels, round by round, until enough galaxies of a kind are found."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from discovery.hunts.folder import list_hunts as list_hunts
    from discovery.hunts.folder import peek_hunt as peek_hunt
    from discovery.hunts.folder import remembered_release as remembered_release
    from discovery.hunts.hunt import Hunt as Hunt
    from discovery.hunts.log.info import HuntInfo as HuntInfo
    from discovery.hunts.log.records import VERDICTS as VERDICTS
    from discovery.hunts.log.records import Counts as Counts
    from discovery.hunts.log.records import Disagreement as Disagreement
    from discovery.hunts.log.records import Example as Example
    from discovery.hunts.log.records import LabelEvent as LabelEvent
    from discovery.hunts.log.records import LabelRequest as LabelRequest
    from discovery.hunts.log.records import LabelState as LabelState
    from discovery.hunts.log.records import Note as Note
    from discovery.hunts.log.records import Round as Round
    from discovery.hunts.log.records import Undone as Undone
    from discovery.hunts.log.records import Verdict as Verdict
    from discovery.hunts.rounds.round_input import PreparedPage as PreparedPage
    from discovery.hunts.settings import chosen_strategy as chosen_strategy
    from discovery.hunts.start import new_hunt as new_hunt
    from discovery.hunts.start import open_hunt as open_hunt
    from discovery.hunts.state import HuntState as HuntState
    from discovery.hunts.transfer.move import move_hunt as move_hunt
    from discovery.hunts.transfer.move_report import MovedObject as MovedObject
    from discovery.hunts.transfer.move_report import MoveReport as MoveReport

_HOMES = {
    "Counts": "discovery.hunts.log.records",
    "Disagreement": "discovery.hunts.log.records",
    "Example": "discovery.hunts.log.records",
    "Hunt": "discovery.hunts.hunt",
    "HuntInfo": "discovery.hunts.log.info",
    "HuntState": "discovery.hunts.state",
    "LabelEvent": "discovery.hunts.log.records",
    "LabelRequest": "discovery.hunts.log.records",
    "LabelState": "discovery.hunts.log.records",
    "MoveReport": "discovery.hunts.transfer.move_report",
    "MovedObject": "discovery.hunts.transfer.move_report",
    "Note": "discovery.hunts.log.records",
    "PreparedPage": "discovery.hunts.rounds.round_input",
    "Round": "discovery.hunts.log.records",
    "Undone": "discovery.hunts.log.records",
    "VERDICTS": "discovery.hunts.log.records",
    "Verdict": "discovery.hunts.log.records",
    "chosen_strategy": "discovery.hunts.settings",
    "list_hunts": "discovery.hunts.folder",
    "move_hunt": "discovery.hunts.transfer.move",
    "new_hunt": "discovery.hunts.start",
    "open_hunt": "discovery.hunts.start",
    "peek_hunt": "discovery.hunts.folder",
    "remembered_release": "discovery.hunts.folder",
}

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


def __getattr__(name: str) -> Any:
    """Import the public names on first use, so that help and a wrong path need no numerical library."""
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
