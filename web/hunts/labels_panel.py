"""The panel that counts a hunt's labels and draws what they found; it comes anew with every label."""

from __future__ import annotations

from dataclasses import dataclass

from discovery.hunts.log.records import Round
from discovery.hunts.state import HuntState
from web.hunts.curve import Curve, Total, draw_curve
from web.workspace.open_hunt import OpenHunt

CLASS_KEYS = 9


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Counts of the labels of a hunt."""

    positive: int
    negative: int
    unsure: int
    skipped: int
    left: int
    """Candidates of the latest round without a label."""


@dataclass(frozen=True, kw_only=True)
class NegativeClass:
    """A kind of negative that a person may give by a key ("" from the tenth on)."""

    name: str
    key: str
    count: int


def tally_of(state: HuntState, latest: Round | None) -> Tally:
    """Return the counts of labels, and of candidates of a round without one."""
    counts = state.counts
    shown = [] if latest is None else latest.rows.tolist()
    return Tally(
        positive=counts.positive,
        negative=counts.negative,
        unsure=counts.unsure,
        skipped=counts.skipped,
        left=sum(row not in state.labels for row in shown),
    )


def curve_of(opened: OpenHunt, state: HuntState) -> Curve:
    """Return the plot of positives found, with the audit's number of targets once there is one."""
    given, found = state.curve
    return draw_curve(given.tolist(), found.tolist(), audit_total(opened))


def classes_of(state: HuntState) -> tuple[NegativeClass, ...]:
    """Return the kinds of negative in use by their first use, so that a key keeps its kind; the first nine have one."""
    return tuple(
        NegativeClass(name=name, key=str(place) if place <= CLASS_KEYS else "", count=number)
        for place, (name, number) in enumerate(state.negative_classes.items(), 1)
    )


def audit_total(opened: OpenHunt) -> Total | None:
    """Return the number of targets by the latest report, None while nothing was judged."""
    made = opened.reports.latest()
    if made is None or not made.progress.judged:
        return None
    return Total(estimate=made.targets.estimate, low=made.targets.low, high=made.targets.high)
