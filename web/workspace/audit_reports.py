"""The reports of a hunt's audit, kept until a label, a setting or a draw changes them: a report ranks the whole release."""

from __future__ import annotations

import threading

from cachetools import LRUCache

from discovery.hunts import Hunt
from discovery.hunts.audits.report import DEFAULT_COMPLETENESS, AuditReport
from discovery.hunts.log.table_rows import Mark

MOST_KEPT = 4


class AuditReports:
    """The reports of one hunt; one is made at a time, and threads that want the same wait for it."""

    def __init__(self) -> None:
        self._making = threading.Lock()
        self._lock = threading.Lock()  # never held for long
        self._reports: LRUCache[tuple[Mark, float], AuditReport] = LRUCache(MOST_KEPT)
        self._latest: LRUCache[float, AuditReport] = LRUCache(MOST_KEPT)

    def make(self, hunt: Hunt, completeness: float = DEFAULT_COMPLETENESS) -> AuditReport:
        """Return the report on the state of the hunt.

        Raises
        ------
        HuntError
            No audit was drawn, or the completeness is out of range.
        """
        with self._making:
            mark = hunt.state().mark
            made = self._find(mark, completeness) or hunt.report(completeness)
            with self._lock:
                self._reports[mark, completeness] = self._latest[completeness] = made
        return made

    def find(self, hunt: Hunt, completeness: float = DEFAULT_COMPLETENESS) -> AuditReport | None:
        """Return the report on the state of the hunt if it is made already."""
        return self._find(hunt.state().mark, completeness)

    def latest(self, completeness: float = DEFAULT_COMPLETENESS) -> AuditReport | None:
        """Return the report made last for a completeness; labels since may have made it stale."""
        with self._lock:
            return self._latest.get(completeness)

    def is_fresh(self, hunt: Hunt) -> bool:
        """Return whether nothing has changed since `latest`."""
        return self.find(hunt) is not None

    def _find(self, mark: Mark, completeness: float) -> AuditReport | None:
        with self._lock:
            return self._reports.get((mark, completeness))
