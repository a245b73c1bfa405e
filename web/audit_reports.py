"""What a hunt's audit says, kept until a label, a rule or a draw changes it: a report ranks the whole release."""

from __future__ import annotations

import threading
from collections import OrderedDict

from discovery.hunts import Hunt
from discovery.hunts.audit import report
from discovery.hunts.audit_report import AuditReport
from discovery.hunts.store import Mark

USUAL_WISH = 0.9
"""The completeness to advise on when nobody wishes for another."""
MOST_KEPT = 4


class HuntReports:
    """The reports of one hunt; one is made at a time, and threads that want the same wait for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: OrderedDict[tuple[Mark, float], AuditReport] = OrderedDict()

    def make(self, hunt: Hunt, wished: float = USUAL_WISH) -> AuditReport:
        """Return the report of the hunt as it stands.

        Raises
        ------
        HuntError
            No audit was drawn, or the wished completeness is out of range.
        """
        with self._lock:
            key = (hunt.store.mark(), wished)
            if key not in self._held:
                self._held[key] = report(hunt, completeness=wished)
            self._held.move_to_end(key)
            while len(self._held) > MOST_KEPT:
                self._held.popitem(last=False)
            return self._held[key]

    def latest(self) -> AuditReport | None:
        """Return the report made last with the usual wish, which labels since may have overtaken."""
        held = [made for (_, wished), made in list(self._held.items()) if wished == USUAL_WISH]
        return held[-1] if held else None

    def is_fresh(self, hunt: Hunt) -> bool:
        """Say whether nothing has changed since `latest`."""
        return (hunt.store.mark(), USUAL_WISH) in self._held
