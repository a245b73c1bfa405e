"""An audit's numbers as people read them."""

from __future__ import annotations

from dataclasses import dataclass

from discovery.hunts.audits.estimates import Interval
from discovery.hunts.audits.report import AuditReport
from web.layout.text_format import count


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """An audit's number as it is read: "0.72", "0.60 to 0.85"; ``range`` empty when it has none."""

    value: str
    range: str


def share(interval: Interval) -> Estimate:
    """Return a share as it is read: 72 %, 60 to 85 %."""
    return Estimate(value=f"{_percent(interval.estimate)} %", range=f"{_percent(interval.low)} to {_percent(interval.high)} %")


def completeness_estimate(made: AuditReport) -> Estimate:
    """Return the completeness of the list, a lower bound where nothing else can be given."""
    return at_least(made.completeness) if made.lower_bound_only else share(made.completeness)


def at_least(interval: Interval) -> Estimate:
    """Return the lower bound of a share: at least 60 %."""
    return Estimate(value=f"at least {_percent(interval.low)} %", range="")


def number(interval: Interval) -> Estimate:
    """Return a number as it is read: 120, 90 to 160."""
    return Estimate(
        value=count(round(interval.estimate)), range=f"{count(round(interval.low))} to {count(round(interval.high))}"
    )


def _percent(part: float) -> str:
    """Return a share in percent, with a decimal where it is small."""
    return f"{100 * part:.0f}" if part >= 0.1 or part == 0 else f"{100 * part:.1f}"
