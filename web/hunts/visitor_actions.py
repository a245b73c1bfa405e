"""What a visitor can do in a hunt: each action once, which forms of the pages and calls in JSON share.

The actions themselves, with their locks, checks and defaults, are the library's (`discovery.hunts.Hunt`). This module adds
what the server does beside them: the visitor's name, the job of a long action, and the next page that is made anew.
"""

from __future__ import annotations

from typing import Any

from litestar import Request
from litestar.di import NamedDependency
from litestar.params import FromPath

from discovery.hunts.log.records import Undone, Verdict
from web.access.sessions import visitor_name
from web.hunts.audit_jobs import submit_draw
from web.hunts.rounds.next_pages import NextPages
from web.jobs.queue import Job, JobQueue
from web.workspace.open_hunt import OpenHunt
from web.workspace.workspace import Workspace


class VisitorActions:
    """The actions of one visitor in one hunt."""

    def __init__(self, opened: OpenHunt, who: str, jobs: JobQueue, next_pages: NextPages) -> None:
        self.opened = opened
        self.who = who
        self.jobs = jobs
        self.next_pages = next_pages

    def label(self, row: int, verdict: Verdict, negative_class: str | None = None, reason: str | None = None) -> int:
        """Return the number of a label's event, once it is on the disk."""
        event = self.opened.hunt.label(row, verdict, who=self.who, negative_class=negative_class, reason=reason)
        self.next_pages.changed(self.opened)
        return event

    def undo(self, event: int | None = None) -> Undone:
        """Return what an undo did: of anybody's label by its event, else of this visitor's latest."""
        undone = self.opened.hunt.undo(self.who, event=event)
        self.next_pages.changed(self.opened)
        return undone

    def note(self, row: int, text: str) -> int:
        """Return the number of a note on an object."""
        return self.opened.hunt.note(row, text, self.who)

    def change(self, **settings: Any) -> None:
        """Change settings from the next round on; a consensus rule holds at once. None stays as it is."""
        self.opened.hunt.change(self.who, **settings)
        self.next_pages.changed(self.opened)

    def next_round(self, after: int | None = None, *, new_only: bool = False) -> Job:
        """Return the job that records the next round, unless the hunt has gone on since round ``after``."""
        return self.next_pages.request(self.opened, self.who, after=after, new_only=new_only)

    def draw_audit(self, labels: int) -> Job:
        """Return the job whose result is a sample drawn to be judged."""
        return submit_draw(self.jobs, self.next_pages, self.opened, labels, self.who)


def provide_actions(
    request: Request[Any, Any, Any],
    workspace: NamedDependency[Workspace],
    jobs: NamedDependency[JobQueue],
    next_pages: NamedDependency[NextPages],
    hunt: FromPath[str],
) -> VisitorActions:
    """Return the actions of the visitor in the hunt of the address.

    Raises
    ------
    NotFoundException
        If there is no such hunt.
    HuntError
        If its release is not served here or does not fit.
    """
    return VisitorActions(workspace.hunt(hunt), visitor_name(request), jobs, next_pages)
