"""A hunt that the server has open."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from web.workspace.audit_reports import AuditReports
from web.workspace.known_tables import KnownTables

if TYPE_CHECKING:
    from discovery.hunts import Hunt
    from discovery.hunts.present import Present, Watch


@dataclass(frozen=True, kw_only=True)
class OpenHunt:
    """A hunt, the file that was opened, and the locks under which its rounds are made and its labels written."""

    name: str
    hunt: Hunt
    release: str
    file: tuple[int, int]
    """Device and inode: another file of the same name is opened, and checked, anew."""
    known: KnownTables
    watch: Watch
    round_lock: threading.Lock = field(default_factory=threading.Lock)
    label_lock: threading.Lock = field(default_factory=threading.Lock)
    """Held for each label, undo and note: waiters here take turns, while waiters for the file sleep and retry."""
    reports: AuditReports = field(default_factory=AuditReports)

    def present(self) -> Present:
        """Return the present state of the hunt."""
        return self.watch.look()
