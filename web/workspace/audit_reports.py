"""What a hunt's audit says, kept until a label, a rule or a draw changes it: a report ranks the whole release."""

from __future__ import annotations

import threading
from collections import OrderedDict

from discovery.hunts import Hunt
from discovery.hunts.audits.audit import report
from discovery.hunts.audits.report import AuditReport
from discovery.hunts.log.store import Mark

DEFAULT_COMPLETENESS = 0.9
"""The completeness to advise on when nobody wishes for another."""
MOST_KEPT = 4


class AuditReports:
    """The reports of one hunt; one is made at a time, and threads that want the same wait for it."""

    def __init__(self) -> None:
        self._making = threading.Lock()
        self._lock = threading.Lock()  # never held for long
        self._held: OrderedDict[tuple[Mark, float], AuditReport] = OrderedDict()

    def make(self, hunt: Hunt, wished: float = DEFAULT_COMPLETENESS) -> AuditReport:
        """Return the report of the hunt as it stands.

        Raises
        ------
        HuntError
            No audit was drawn, or the wished completeness is out of range.
        """
        with self._making:
            key = (hunt.store.mark(), wished)
            made = self._held.get(key) or report(hunt, completeness=wished)
            with self._lock:
                self._held[key] = made
                self._held.move_to_end(key)
                while len(self._held) > MOST_KEPT:
                    self._held.popitem(last=False)
        return made

    def find(self, hunt: Hunt, wished: float = DEFAULT_COMPLETENESS) -> AuditReport | None:
        """Return the report of the hunt as it stands if it is there already."""
        key = (hunt.store.mark(), wished)
        with self._lock:
            return self._held.get(key)

    def latest(self, wished: float = DEFAULT_COMPLETENESS) -> AuditReport | None:
        """Return the report made last with a wish, which labels since may have overtaken."""
        with self._lock:
            same = [made for (_, wish), made in self._held.items() if wish == wished]
        return same[-1] if same else None

    def is_fresh(self, hunt: Hunt) -> bool:
        """Say whether nothing has changed since `latest`."""
        return self.find(hunt) is not None
