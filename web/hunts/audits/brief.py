"""The audit in short, on the hunt's page."""

from __future__ import annotations

from dataclasses import dataclass

from discovery.hunts.models.ranking import is_large
from web.hunts.audits.estimates import Estimate, completeness_estimate, share
from web.hunts.curve import Curve
from web.hunts.labels_panel import Tally, curve_of, tally_of
from web.hunts.tabs import HuntTabs, hunt_tabs
from web.workspace.open_hunt import OpenHunt


@dataclass(frozen=True, kw_only=True)
class AuditBrief:
    """The audit on the hunt's page: its estimates, or how many of its stamps wait."""

    drawn: int
    waiting: int
    pending: bool
    """Whether labels were given since these numbers were made."""
    by_itself: bool
    """Whether the page has them made anew without a click; a large release is ranked only on a click."""
    completeness: Estimate | None
    lower_bound_only: bool
    purity: Estimate | None
    purity_of: int
    """So many unlabelled objects the list of this purity takes in."""
    advice: str


@dataclass(frozen=True, kw_only=True)
class BriefFragment:
    """The audit in short with the panel that shows its total, once they are made."""

    head: HuntTabs
    audit: AuditBrief
    tally: Tally
    curve: Curve


def brief_view(opened: OpenHunt) -> BriefFragment:
    """Return the parts of a hunt's page that show its audit."""
    state = opened.hunt.state()
    return BriefFragment(
        head=hunt_tabs(opened, "label"),
        audit=audit_brief(opened),
        tally=tally_of(state, state.round),
        curve=curve_of(opened, state),
    )


def audit_brief(opened: OpenHunt) -> AuditBrief:
    """Return the audit in short: the latest report, and whether it is out of date."""
    state = opened.hunt.state()
    drawn, left = len(state.drawn), len(state.waiting)
    made = opened.reports.latest()
    judged = made if made is not None and made.progress.judged else None
    first = judged.curve[0] if judged is not None and judged.curve else None
    return AuditBrief(
        drawn=drawn,
        waiting=left,
        pending=drawn > left and not opened.reports.is_fresh(opened.hunt),
        by_itself=not is_large(opened.hunt.release, opened.hunt.release.dimension),
        completeness=None if judged is None else completeness_estimate(judged),
        lower_bound_only=made is not None and made.lower_bound_only,
        purity=None if first is None else share(first.purity),
        purity_of=0 if first is None else first.objects,
        advice="" if judged is None else f"{judged.advice}: {judged.why}",
    )
