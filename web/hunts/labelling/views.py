"""What changes on a hunt's page with a label."""

from __future__ import annotations

from dataclasses import dataclass

from web.hunts.curve import Curve
from web.hunts.labels_panel import NegativeClass, Tally, classes_of, curve_of, tally_of
from web.workspace.open_hunt import OpenHunt


@dataclass(frozen=True, kw_only=True)
class LabelFragment:
    """The answer to a label or an undo: the new state of its card and of the side panel."""

    row: int
    verdict: str
    negative_class: str
    undone: bool
    """Whether this answers an undo, whose card is found by its id."""
    tally: Tally
    curve: Curve
    classes: tuple[NegativeClass, ...]


def label_view(opened: OpenHunt, row: int, *, undone: bool = False) -> LabelFragment:
    """Return what changes on the page after a label or an undo on the object of a row (-1: one that is not here)."""
    state = opened.hunt.state()
    label = state.labels.get(row)
    return LabelFragment(
        row=row,
        verdict="" if label is None else label.verdict,
        negative_class=(label and label.negative_class) or "",
        undone=undone,
        tally=tally_of(state, state.round),
        curve=curve_of(opened, state),
        classes=classes_of(state),
    )
