"""The next page of each hunt, made outside the request, and ahead of it where the setting ``ahead`` is on."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial

from discovery.errors import DiscoveryError
from discovery.hunts import PreparedPage
from discovery.hunts.log.records import Round
from discovery.search.known_objects import KnownRows
from web.hunts.rounds.background_pages import BackgroundPages
from web.jobs.queue import Job, JobQueue
from web.stamps.pictures import PictureCache
from web.stamps.stamps import grid_stamp, render_picture
from web.workspace.open_hunt import OpenHunt

QUICK_SECONDS = 1.0
"""A page that takes longer to make is begun with the last label of the present page, not with each: no click is to wait
for a page that another label has made stale. The same holds for any page while other jobs wait."""


@dataclass(frozen=True, kw_only=True)
class PageAhead:
    """A page that was made ahead, and its hunt."""

    opened: OpenHunt
    prepared: PreparedPage


class NextPages:
    """Makes the pages of all hunts.

    Parameters
    ----------
    jobs : JobQueue
        Where they are made.
    pictures : PictureCache
        Where the stamps of a page made ahead wait to be shown.
    ahead : bool
        Whether pages are made while people label; otherwise when they are requested.
    """

    def __init__(self, jobs: JobQueue, pictures: PictureCache, *, ahead: bool) -> None:
        self._jobs = jobs
        self._pictures = pictures
        self._ahead = BackgroundPages(jobs, after=self._draw_stamps) if ahead else None
        self._seconds: dict[str, float] = {}

    def changed(self, opened: OpenHunt) -> None:
        """Make the hunt's next page anew in the background, since a label or a setting has changed; forget failed jobs."""
        for key in (opened.name, f"{opened.name}/audit"):  # reports and exports carry the mark of their moment
            self._jobs.forget(key)
        quick = self._seconds.get(opened.name, 0.0) <= QUICK_SECONDS and not self._jobs.crowded
        if self._ahead is not None and (quick or _all_labelled(opened)):
            self._ahead.request(opened.name, lambda: self._prepare(opened))

    def request(self, opened: OpenHunt, who: str, *, after: int | None = None, new_only: bool = False) -> Job:
        """Return the job that records the next page; its result is the round.

        Parameters
        ----------
        after : int, optional
            Number of the round that the visitor saw: where the hunt is further already, its latest round is the result.
            By default the present round.
        """
        if after is None:
            latest = opened.hunt.state().round
            after = 0 if latest is None else latest.number

        return self._jobs.submit(
            opened.name, f"round {after + 1}", lambda: self._next_round(opened, who, after, new_only=new_only)
        )

    def close(self) -> None:
        """Make no more pages ahead."""
        if self._ahead is not None:
            self._ahead.close()

    def _next_round(self, opened: OpenHunt, who: str, after: int, *, new_only: bool) -> Round:
        """Return the next round, recorded: the page made ahead when it still fits, else one made now.

        Raises
        ------
        DiscoveryError
            No page can be made, here or in the background.
        """
        ready = self._ahead.take(opened.name) if self._ahead is not None else None
        prepared = ready.prepared if ready is not None and ready.opened is opened else None
        without = known_rows(opened) if new_only else None
        return opened.hunt.next_round(who, prepared=prepared, after=after, without=without)

    def _prepare(self, opened: OpenHunt) -> PageAhead:
        """Make the page that follows, with or without known objects as the present one."""
        started = time.perf_counter()
        without = known_rows(opened) if leaves_known_out(opened.hunt.state().round) else None
        prepared = opened.hunt.prepare(without=without)
        self._seconds[opened.name] = time.perf_counter() - started
        return PageAhead(opened=opened, prepared=prepared)

    def _draw_stamps(self, ready: PageAhead) -> None:
        release = ready.opened.hunt.release
        for row in ready.prepared.round.rows.tolist():
            picture = grid_stamp(ready.opened.release, release, row)
            try:
                self._pictures.get(picture, partial(render_picture, release, picture))
            except DiscoveryError:
                return  # its page shows that the stamp cannot be read, and so probably for the others


def known_rows(opened: OpenHunt) -> KnownRows | None:
    """Return the known rows of a hunt's release, None when no table is given."""
    return opened.known.rows(opened.release, opened.hunt.release)


def leaves_known_out(round_: Round | None) -> bool:
    """Return whether a round left known objects out."""
    return round_ is not None and bool(round_.parts.get("candidates", {}).get("without"))


def _all_labelled(opened: OpenHunt) -> bool:
    state = opened.hunt.state()
    return state.round is None or all(row in state.labels for row in state.round.rows.tolist() if row >= 0)
