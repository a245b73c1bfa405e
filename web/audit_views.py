"""What the page of a hunt's audit shows, and the audit in short on the hunt's page."""

from __future__ import annotations

from discovery.hunts.audit_log import audited, waiting
from web.curves import Total
from web.hunt_pages import AuditBrief
from web.shelf import OpenHunt


def audit_brief(opened: OpenHunt) -> AuditBrief:
    """Return the audit in short."""
    return AuditBrief(drawn=len(audited(opened.hunt.store)), waiting=len(waiting(opened.hunt.store)), completeness=None, purity=None, advice="")


def audit_total(opened: OpenHunt) -> Total | None:
    """Return the number of targets."""
    return None
