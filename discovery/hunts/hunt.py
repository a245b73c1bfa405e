"""A hunt: labels and rounds on one release, kept in one file. What the command line, notebook and pages call."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Any

import numpy as np

from discovery.hunts.actions import HuntActions
from discovery.hunts.log.records import Counts, Disagreement, Example, LabelEvent, LabelState, Note, Round
from discovery.hunts.replay import replayed_round

if TYPE_CHECKING:
    from discovery.hunts.notebook.widget import HuntWidget
    from discovery.search.known_objects import KnownRows


class Hunt(HuntActions):
    """One hunt on one release; safe to share between threads, and between processes by its file.

    `state` holds everything that the hunt's log comes to; the other names here are its parts as notebooks and scripts use
    them, each of the moment of its call.
    """

    # -- settings

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

    def set_alpha(self, alpha: float, who: str) -> None:
        """Change the threshold of the alpha rule."""
        self.change(who, alpha=alpha)

    def set_strategy(self, strategy: str, who: str) -> None:
        """Change how rounds rank and choose; see `discovery.hunts.strategies`."""
        self.change(who, strategy=strategy)

    def set_consensus(self, consensus: str, who: str) -> None:
        """Change what holds when several people label: ``latest``, ``majority`` or ``arbiter:NAME``."""
        self.change(who, consensus=consensus)

    # -- the state's parts

    def labels(self) -> dict[int, LabelState]:
        """Return the verdicts by row; examples, and objects that a move did not find, are not among them."""
        return dict(self.state().labels)

    def lost_labels(self) -> list[LabelState]:
        """Return the verdicts on objects that a move did not find in this release."""
        return list(self.state().lost_labels)

    def log(self) -> list[LabelEvent]:
        """Return the label log, the oldest event first."""
        return list(self.state().log)

    def history(self) -> list[LabelEvent]:
        """Return the label log as people read it, the newest event first."""
        return list(self.state().history)

    def disagreements(self) -> list[Disagreement]:
        """Return the objects that people judge differently, and what the hunt's consensus makes of each."""
        return list(self.state().disagreements)

    def notes(self, row: int | None = None) -> list[Note]:
        """Return the notes, the oldest first: all of them, or those on the object of a row."""
        notes = self.state().notes
        if row is None:
            return list(notes)
        name = self._places([row])[0]["object_id"]
        return [note for note in notes if note.object_id == name]

    def examples(self) -> list[Example]:
        """Return the examples that started the hunt."""
        return list(self.state().examples)

    def counts(self) -> Counts:
        """Return how many objects have each verdict, examples not included."""
        return self.state().counts

    def negative_classes(self) -> dict[str, int]:
        """Return how many negatives have each class that people gave, the most frequent first."""
        return dict(self.state().frequent_classes)

    def curve(self) -> tuple[np.ndarray, np.ndarray]:
        """Return labels given and positives found after each, both (n + 1,) int64 and from 0; see `HuntState.curve`."""
        return self.state().curve

    def rounds(self) -> list[Round]:
        """Return all rounds as recorded."""
        return list(self.state().rounds)

    def known_objects(self) -> list[dict[str, Any]]:
        """Return object_id, row, ra_deg, dec_deg and former_id of every object that the file names."""
        return self.store.objects()

    # -- what rests on them

    def replay(self, round_number: int) -> Round:
        """Return a round computed again from the log as it stood; see `discovery.hunts.replay.replayed_round`."""
        return replayed_round(self, round_number)

    def widget(
        self, who: str | None = None, *, known: KnownRows | None = None, new_only: bool = False
    ) -> HuntWidget:
        """Return the hunt's page for a notebook; ``who`` is your login by default."""
        from discovery.hunts.notebook.widget import HuntWidget

        return HuntWidget(self, getpass.getuser() if who is None else who, known=known, new_only=new_only)
