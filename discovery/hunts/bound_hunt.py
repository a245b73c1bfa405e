"""A hunt's file bound to its release: its state, what it may show, and how it ranks the release. Nothing here writes."""

from __future__ import annotations

import threading
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from discovery.hunts.candidates.default_source import gpu_engine
from discovery.hunts.candidates.nearby import Engine, Nearby, searchable
from discovery.hunts.log.info import HuntInfo
from discovery.hunts.log.records import Example, Round
from discovery.hunts.log.release_check import Places, check_release
from discovery.hunts.log.store import HuntStore
from discovery.hunts.log.validation import HuntSettings
from discovery.hunts.models.ranking import Ranking, TrainingSet, is_large, round_seed
from discovery.hunts.rounds.labels import training_set
from discovery.hunts.rounds.round_input import HuntContext
from discovery.hunts.state import HuntState, StateReader
from discovery.hunts.strategies import parse_strategy
from discovery.search.filters import filtered_rows

if TYPE_CHECKING:
    from discovery.release.release import Release


class BoundHunt:
    """One hunt on one release, as exports, audits, provenance and replays read it; safe to share between threads.

    Parameters
    ----------
    store : HuntStore
        The hunt's file.
    release : Release
        The release that it is played on.
    engine : Engine, optional
        What scores every object exactly.
    """

    def __init__(self, store: HuntStore, release: Release, engine: Engine | None = None) -> None:
        check_release(store, release)
        self.release = release
        self.store = store
        """The hunt's file."""
        self.ranking_lock = threading.Lock()
        """Held while a round, an audit or an export is made: each ranks the release, and its outcome is recorded."""
        self._engine = engine
        self._states = StateReader(store)

    @property
    def path(self) -> Path:
        """The hunt's file."""
        return self.store.path

    def state(self) -> HuntState:
        """Return what the hunt's log comes to now; only what was added since the last call is read."""
        return self._states.read()

    def settings(self) -> HuntSettings:
        """Return the settings as they hold for the next round."""
        return self.state().settings

    def info(self) -> HuntInfo:
        """Return the hunt's settings and counts."""
        return self.state().info(self.path)

    def round(self) -> Round | None:
        """Return the latest round; None before the first."""
        return self.state().round

    def ranking(self, state: HuntState | None = None) -> Ranking:
        """Return every object of the release ranked by the labels of a state (default: now), as the next round would.

        Raises
        ------
        HuntError
            No positive or negative example or label is left to rank by.
        """
        state = state or self.state()
        strategy = parse_strategy(state.settings.strategy, alpha=state.settings.alpha)
        seed = round_seed(state.settings.seed, len(state.rounds) + 1)
        return strategy.rank(self.release, self.training(state), seed)

    def training(self, state: HuntState | None = None) -> TrainingSet:
        """Return the vectors that teach: labels and examples; what an audit drew never does."""
        state = state or self.state()
        teaching = [verdict for verdict in state.all_verdicts if verdict.row not in state.drawn]
        return training_set(self.release, self.usable_examples, teaching)

    @cached_property
    def engine(self) -> Engine | None:
        """What scores every object exactly: what the hunt was opened with, else a GPU's scan of a large release."""
        large = is_large(self.release, self.release.dimension)
        return self._engine or (gpu_engine(self.release) if large else None)

    @cached_property
    def allowed(self) -> np.ndarray:
        """Primary rows that meet the hunt's filters, its cone among them, (N,) bool: what it may show at all."""
        return filtered_rows(self.release, self.settings().filters()).mask

    @cached_property
    def usable_examples(self) -> list[Example]:
        """The examples that this release's encoder made."""
        return [one for one in self.state().examples if one.encoder_checksum == self.release.encoder_checksum]

    @cached_property
    def context(self) -> HuntContext:
        """What is the same in every round of the hunt."""
        state = self.state()
        wide = 2 * np.count_nonzero(self.allowed) > self.release.count
        return HuntContext(
            release=self.release,
            places=Places(self.release),
            release_id=state.release.id,
            allowed=self.allowed,
            examples=self.usable_examples,
            where=state.settings.where,
            flagged=state.settings.flagged,
            cone=state.settings.cone,
            nearby=Nearby(self.release, None if wide else self.allowed) if searchable(self.release) else None,
            engine=self.engine,
        )
