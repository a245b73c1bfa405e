"""A hunt that the server has open."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from web.workspace.audit_reports import AuditReports
from web.workspace.known_tables import KnownTables

if TYPE_CHECKING:
    from discovery.hunts import Hunt


@dataclass(frozen=True, kw_only=True)
class OpenHunt:
    """A hunt, the file that was opened, its known objects and the reports of its audits."""

    name: str
    hunt: Hunt
    release: str
    file: tuple[int, int]
    """Device and inode: another file of the same name is opened, and checked, anew."""
    known: KnownTables
    reports: AuditReports = field(default_factory=AuditReports)
