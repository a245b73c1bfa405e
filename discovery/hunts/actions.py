"""What can be done in a hunt, each action once: with its locks, its checks and its defaults, for every skin alike."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from discovery.errors import HuntError
from discovery.hunts.audits.audit import Audit, draw_audit, report
from discovery.hunts.audits.report import DEFAULT_COMPLETENESS, DEFAULT_LABELS, AuditReport
from discovery.hunts.bound_hunt import BoundHunt
from discovery.hunts.candidates.default_source import default_source
from discovery.hunts.candidates.nearby import Engine
from discovery.hunts.consensus import agreed
from discovery.hunts.export import export_hunt
from discovery.hunts.log.records import LabelRequest, Round, Undone, Verdict
from discovery.hunts.log.release_check import object_rows
from discovery.hunts.log.store import HuntStore, now
from discovery.hunts.log.validation import changed_settings, checked_person
from discovery.hunts.models.ranking import round_seed
from discovery.hunts.rounds.play import play
from discovery.hunts.rounds.round_input import Exclusion, PreparedPage, RoundInput, exclusion_of
from discovery.hunts.settings import checked_choices
from discovery.hunts.state import HuntState
from discovery.hunts.strategies import parse_strategy

if TYPE_CHECKING:
    import pyarrow as pa

    from discovery.release.release import Release
    from discovery.search.known_objects import KnownRows


class HuntActions(BoundHunt):
    """The actions on one hunt; safe to share between threads, and between processes by its file.

    Labels, undos, notes and settings take turns within a process: who waits has the next turn, while who waits for
    the file itself sleeps and tries again. Rounds, audits and exports take turns of their own.
    """

    def __init__(self, store: HuntStore, release: Release, engine: Engine | None = None) -> None:
        super().__init__(store, release, engine)
        self._log_lock = threading.Lock()

    # -- labels and notes

    def label(
        self,
        row: int,
        verdict: Verdict,
        *,
        who: str,
        negative_class: str | None = None,
        reason: str | None = None,
    ) -> int:
        """Return the number of the event of a verdict on the object of a row; it is durable by then.

        A duplicate's verdict goes to its primary row. ``cleared`` takes an earlier verdict back. A blank negative class
        or reason is none.

        Raises
        ------
        HuntError
            No such row or verdict, or a negative class on another verdict.
        """
        request = LabelRequest(row=row, verdict=verdict, negative_class=negative_class, reason=reason)
        return self.label_many([request], who=who)[0]

    def label_many(self, requests: Iterable[LabelRequest], *, who: str) -> list[int]:
        """Return the numbers of the events of several verdicts, written in one transaction: all of them or none."""
        requests = list(requests)
        places = self._places([request.row for request in requests])
        labels = [
            {
                **place,
                "verdict": request.verdict,
                "negative_class": _text_or_none(request.negative_class),
                "reason": _text_or_none(request.reason),
            }
            for place, request in zip(places, requests, strict=True)
        ]
        with self._log_lock:
            return self.store.add_labels(labels, who)

    def undo(self, who: str, event: int | None = None) -> Undone:
        """Return what an undo did: it reverts this person's latest label, or, by its number, any label of anybody.

        The undo is an event of its own, with who did it.

        Raises
        ------
        HuntError
            The given event is none, is an undo itself, or was undone already; without an event: this person has no
            label that is not undone yet.
        """
        with self._log_lock:
            return self.store.undo(who, event, agreed)

    def note(self, row: int, text: str, who: str) -> int:
        """Return the number of a note kept on the object of a row; notes are added, never changed.

        Raises
        ------
        HuntError
            No such row, or an empty or too long text.
        """
        place = self._places([row])[0]
        with self._log_lock:
            return self.store.add_note(place, text, who)

    # -- settings, which hold from the next round on

    def change(self, who: str, **choices: Any) -> None:
        """Change strategy, alpha, consensus and stopper (see `new_hunt`) as far as they are given: all of it or nothing.

        Raises
        ------
        HuntError
            There is no such strategy, rule or stopper, or alpha is out of range.
        """
        checked = checked_choices(**choices)
        with self._log_lock:
            changed_settings(self.settings(), **checked)
            self.store.change_settings(checked, who)

    # -- rounds

    def next_round(
        self,
        who: str,
        page_size: int | None = None,
        prepared: PreparedPage | None = None,
        *,
        after: int | None = None,
        without: KnownRows | None = None,
    ) -> Round:
        """Return the next round: all objects ranked by the labels so far, and the page recorded.

        When another process records a round meanwhile, that round is returned. When nothing is left to
        show, the round has no rows (`Round.exhausted`) and is not recorded.

        Parameters
        ----------
        who : str
            Who plays it.
        page_size : int, optional
            Objects in this round; the hunt's own number by default.
        prepared : PreparedPage, optional
            A page that `prepare` made: used when nothing has changed since, else the page is computed.
        after : int, optional
            Number of the round that this person sees, 0 for none, by default the latest: where the hunt has gone on
            meanwhile, its latest round is returned and nothing is played.
        without : KnownRows, optional
            Known objects, which are left out of this round.

        Raises
        ------
        HuntError
            No positive or negative example or label is left to rank by.
        """
        who, exclusion = checked_person(who), exclusion_of(without)
        after = len(self.state().rounds) if after is None else after
        with self.ranking_lock:
            latest = self.round()
            if latest is not None and latest.number != after:
                return latest
            return self._recorded(who, page_size, prepared, exclusion)

    def prepare(self, page_size: int | None = None, *, without: KnownRows | None = None) -> PreparedPage:
        """Return the next page without recording it, for `next_round` to take while nothing changes.

        Raises
        ------
        HuntError
            No positive or negative example or label is left to rank by.
        """
        exclusion, state = exclusion_of(without), self.state()
        page = changed_settings(state.settings, page_size=page_size).page_size
        played = play(self.context, self.round_input(state, page, exclusion), who="", when="")
        return PreparedPage(round=played, mark=state.mark, exclusion=exclusion)

    def round_input(self, state: HuntState, page_size: int, exclusion: Exclusion | None) -> RoundInput:
        """Return what the next round follows from."""
        number, settings = len(state.rounds) + 1, state.settings
        strategy = parse_strategy(settings.strategy, alpha=settings.alpha)
        return RoundInput(
            number=number,
            seed=round_seed(settings.seed, number),
            states=state.all_verdicts,
            before=state.rounds,
            last_event=state.mark.last_event,
            strategy=settings.strategy,
            alpha=settings.alpha,
            consensus=settings.consensus,
            page_size=page_size,
            audit=state.mark.audit,
            audit_rows=state.drawn_rows(),
            exclusion=exclusion,
            stopper=settings.stopper,
            source=default_source(self.release, self.engine, poolable=strategy.poolable),
        )

    # -- audits and exports

    def draw_audit(self, labels: int = DEFAULT_LABELS, *, who: str, seed: int | None = None) -> Audit:
        """Return a sample drawn to be judged, whose stamps come with the next rounds; see `discovery.hunts.audits.audit.draw_audit`."""
        return draw_audit(self, labels, who=who, seed=seed)

    def report(self, completeness: float = DEFAULT_COMPLETENESS) -> AuditReport:
        """Return how much the hunt has found, as far as its audits show; see `discovery.hunts.audits.audit.report`."""
        return report(self, completeness=completeness)

    def export(self, path: Path | str, **options: Any) -> pa.Table:
        """Return, and write, the labelled objects and, on request, the ranked rest; see `discovery.hunts.export.export_hunt`."""
        return export_hunt(self, Path(path), **options)

    def _recorded(self, who: str, page_size: int | None, prepared: PreparedPage | None, exclusion: Exclusion | None) -> Round:
        """The next round, played anew as long as others add to the hunt meanwhile."""
        while True:
            state = self.state()
            page = changed_settings(state.settings, page_size=page_size).page_size
            number = len(state.rounds) + 1
            if prepared is not None and prepared.holds(state.mark, page, exclusion):
                played = prepared.recorded_by(who, now())
            else:
                played = play(self.context, self.round_input(state, page, exclusion), who=who, when=now())
            if played.exhausted or self.store.add_round(played, self.context.places.of(played.rows)):
                return played
            rounds = self.state().rounds
            if len(rounds) >= number:
                return rounds[number - 1]

    def _places(self, rows: Sequence[int]) -> list[dict[str, Any]]:
        """The primary objects of some rows, as the file keeps them."""
        for row in rows:
            if not 0 <= row < self.release.count:
                raise HuntError(f"{self.release.name} has no row {row}; its rows go from 0 to {self.release.count - 1}")
        return object_rows(self.release, self.release.catalogue.primary_rows[np.array(rows, dtype=np.int64)])


def _text_or_none(text: str | None) -> str | None:
    return None if text is None or not text.strip() else text
