"""A hunt: labels and rounds on one release, kept in one file. What the command line, notebook and pages call."""

from __future__ import annotations

import getpass
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from discovery.errors import HuntError
from discovery.hunts.audits.log import audited
from discovery.hunts.candidates.default_source import default_source, gpu_engine
from discovery.hunts.candidates.nearby import Engine, Nearby, searchable
from discovery.hunts.label_book import LabelBook
from discovery.hunts.log.binding import Places, check_release
from discovery.hunts.log.folder import describe
from discovery.hunts.log.records import HuntInfo, Round
from discovery.hunts.log.store import HuntStore, Snapshot, now
from discovery.hunts.log.validation import HuntSettings, changed_settings, checked_person
from discovery.hunts.models.ranking import Ranking, TrainingSet, is_large, round_seed
from discovery.hunts.rounds.labels import Example, training_set
from discovery.hunts.rounds.play import play, play_published
from discovery.hunts.rounds.replay_basis import with_changes
from discovery.hunts.rounds.standing import (
    Ground,
    LeftOut,
    Prepared,
    Start,
    left_out_of,
    recorded_parts,
    recorded_start,
)
from discovery.hunts.settings import checked_choices
from discovery.hunts.strategies import parse_strategy
from discovery.search.filters import filtered_rows

if TYPE_CHECKING:
    import pyarrow as pa

    from discovery.hunts.notebook.widget import HuntWidget
    from discovery.release.release import Release
    from discovery.search.known_objects import KnownRows


class Hunt(LabelBook):
    """One hunt on one release; safe to share between threads, and between processes by its file."""

    def __init__(self, store: HuntStore, release: Release, engine: Engine | None = None) -> None:
        super().__init__(store, release)
        self._engine = engine
        self._bound = store.releases()[-1]
        check_release(store, release)

    @property
    def store(self) -> HuntStore:
        """The hunt's file as lines."""
        return self._store

    @property
    def alpha(self) -> float:
        """The alpha rule's threshold now."""
        return self.settings().alpha

    @property
    def page_size(self) -> int:
        """Objects a round."""
        return self.settings().page_size

    @property
    def strategy(self) -> str:
        """Name of the strategy that the next round plays by."""
        return self.settings().strategy

    @property
    def consensus(self) -> str:
        """What holds when several people label: ``latest``, ``majority`` or ``arbiter:NAME``."""
        return self.settings().consensus

    def settings(self) -> HuntSettings:
        """Return the present settings."""
        return self._store.settings()

    def info(self) -> HuntInfo:
        """Return the hunt's settings and counts."""
        return describe(self._store)

    # -- settings, which hold from the next round on

    def change(self, who: str, **choices: Any) -> None:
        """Change strategy, alpha, consensus and stopper (see `new_hunt`) as far as they are given: all of it or nothing.

        Raises
        ------
        HuntError
            There is no such strategy, rule or stopper, or alpha is out of range.
        """
        checked = checked_choices(**choices)
        changed_settings(self.settings(), **checked)
        self._store.change_settings(checked, who)

    def set_alpha(self, alpha: float, who: str) -> None:
        """Change the threshold of the alpha rule."""
        self.change(who, alpha=alpha)

    def set_strategy(self, strategy: str, who: str) -> None:
        """Change how rounds rank and choose; see `discovery.hunts.strategies`."""
        self.change(who, strategy=strategy)

    def set_consensus(self, consensus: str, who: str) -> None:
        """Change what holds when several people label: ``latest``, ``majority`` or ``arbiter:NAME``."""
        self.change(who, consensus=consensus)

    # -- rounds

    def next_round(
        self,
        who: str,
        page_size: int | None = None,
        prepared: Prepared | None = None,
        *,
        without: KnownRows | None = None,
    ) -> Round:
        """Rank all objects by the labels so far and record the next page.

        When another process records a round meanwhile, that round is returned. When nothing is left to
        show, the round has no rows (`Round.exhausted`) and is not recorded.

        Parameters
        ----------
        who : str
            Who asks.
        page_size : int, optional
            Objects in this round; the hunt's own number by default.
        prepared : Prepared, optional
            A page that `prepare` made: used when nothing has changed since, else the page is computed.
        without : KnownRows, optional
            Known objects, which are left out of this round.

        Raises
        ------
        HuntError
            No positive or negative example or label is left to rank by.
        """
        who, left_out = checked_person(who), left_out_of(without)
        while True:
            taken = self._store.snapshot()
            page = changed_settings(taken.settings, page_size=page_size).page_size
            number = len(taken.rounds) + 1
            if prepared is not None and prepared.holds(taken.mark, page, left_out):
                played = replace(prepared.round, who=who, when=now())
            else:
                played = play(self._ground, self._start(taken, page, left_out), who=who, when=now())
            if played.exhausted or self._store.add_round(played, self._ground.places.lines(played.rows)):
                return played
            rounds = self._store.rounds()
            if len(rounds) >= number:
                return rounds[number - 1]

    def prepare(self, page_size: int | None = None, *, without: KnownRows | None = None) -> Prepared:
        """Compute the next page without recording it, for `next_round` to take while nothing changes.

        Raises
        ------
        HuntError
            No positive or negative example or label is left to rank by.
        """
        left_out, taken = left_out_of(without), self._store.snapshot()
        page = changed_settings(taken.settings, page_size=page_size).page_size
        start = self._start(taken, page, left_out)
        return Prepared(
            round=play(self._ground, start, who="", when=""), mark=taken.mark, left_out=left_out
        )

    def round(self) -> Round | None:
        """Return the latest round; None before the first."""
        rounds = self.rounds()
        return rounds[-1] if rounds else None

    def rounds(self) -> list[Round]:
        """Return all rounds as recorded."""
        return self._store.rounds()

    def replay(self, round_number: int) -> Round:
        """Compute a round again from the log as it stood; it equals the recorded one on the same kind of machine.

        A candidate pool comes from the release's index, or from an engine. Where that is another one than the round's, the pool may be
        another too, and the round that is returned says so in its parts (``changed`` of the source, see `discovery.hunts.rounds.replay_basis`).

        Raises
        ------
        HuntError
            There is no such round, or it was played on another release before a move.
        """
        rounds = self.rounds()
        if not 1 <= round_number <= len(rounds):
            raise HuntError(f"there is no round {round_number}; the hunt has {len(rounds)}")
        recorded = rounds[round_number - 1]
        if recorded.release_id != self._bound["id"]:
            raise HuntError(f"round {round_number} was played on another release, before the hunt was moved")
        parts = recorded_parts(recorded, self.release.count)
        start = recorded_start(
            recorded,
            parts,
            states=self._store.states(recorded.last_event, parts.consensus),
            before=rounds[: round_number - 1],
            audit_rows=self._audit_rows(parts.audits),
            count=self.release.count,
        )
        if parts.strategy is None:
            return play_published(self._ground, start, who=recorded.who, when=recorded.when)
        played = play(self._ground, start, who=recorded.who, when=recorded.when, versions=parts.versions)
        return with_changes(recorded, played)

    # -- ranking of the whole release

    def ranking(self) -> Ranking:
        """Rank every object of the release by the labels so far, as the next round would."""
        taken = self._store.snapshot()
        strategy = parse_strategy(taken.settings.strategy, alpha=taken.settings.alpha)
        seed = round_seed(taken.settings.seed, len(taken.rounds) + 1)
        return strategy.rank(self.release, self._training(taken), seed)

    def training(self) -> TrainingSet:
        """Return the vectors that teach now: labels and examples; what an audit drew never does."""
        return self._training(self._store.snapshot())

    def export(self, path: Path | str, **options: Any) -> pa.Table:
        """Write the labelled objects and, on request, the ranked rest; see `discovery.hunts.export.export_hunt`."""
        from discovery.hunts.export import export_hunt

        return export_hunt(self, Path(path), **options)

    def widget(
        self, who: str | None = None, *, known: KnownRows | None = None, new_only: bool = False
    ) -> HuntWidget:
        """Return the hunt's page for a notebook; ``who`` is your login by default."""
        from discovery.hunts.notebook.widget import HuntWidget

        return HuntWidget(self, getpass.getuser() if who is None else who, known=known, new_only=new_only)

    @cached_property
    def engine(self) -> Engine | None:
        """What scores every object exactly: what the hunt was opened with, else a GPU's scan of a large release."""
        large = is_large(self.release, self.release.dimension)
        return self._engine or (gpu_engine(self.release) if large else None)

    @cached_property
    def allowed(self) -> np.ndarray:
        """Primary rows that meet the hunt's filters, its cone among them, (N,) bool: what it may show at all."""
        return filtered_rows(self.release, self._store.settings().filters()).mask

    @cached_property
    def usable_examples(self) -> list[Example]:
        """The examples that this release's encoder made."""
        return [one for one in self.examples() if one.encoder_checksum == self.release.encoder_checksum]

    @cached_property
    def _ground(self) -> Ground:
        settings = self._store.settings()
        wide = 2 * np.count_nonzero(self.allowed) > self.release.count
        return Ground(
            release=self.release,
            places=Places(self.release),
            release_id=self._bound["id"],
            allowed=self.allowed,
            examples=self.usable_examples,
            where=settings.where,
            flagged=settings.flagged,
            nearby=Nearby(self.release, None if wide else self.allowed) if searchable(self.release) else None,
            engine=self.engine,
        )

    def _start(self, taken: Snapshot, page_size: int, left_out: LeftOut | None) -> Start:
        """What the next round follows from."""
        number = len(taken.rounds) + 1
        strategy = parse_strategy(taken.settings.strategy, alpha=taken.settings.alpha)
        return Start(
            number=number,
            seed=round_seed(taken.settings.seed, number),
            states=taken.states,
            before=taken.rounds,
            last_event=taken.last_event,
            strategy=taken.settings.strategy,
            alpha=taken.settings.alpha,
            consensus=taken.settings.consensus,
            page_size=page_size,
            audit=taken.mark.audit,
            audit_rows=self._audit_rows(taken.mark.audit),
            left_out=left_out,
            stopper=taken.settings.stopper,
            source=default_source(strategy, self.release, self.engine),
        )

    def _audit_rows(self, upto: int) -> list[int]:
        """What the audits up to one drew, in that order."""
        return [row for row, mark in audited(self._store).items() if mark.audit <= upto]

    def _training(self, taken: Snapshot) -> TrainingSet:
        drawn = set(self._audit_rows(taken.mark.audit))
        teaching = [state for state in taken.states if state.row not in drawn]
        return training_set(self.release, self.usable_examples, teaching)
