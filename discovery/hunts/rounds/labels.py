"""What labels mean for a round: who teaches, who is out, and what the latest round decided. Pure functions."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from discovery.hunts.log.records import Example, LabelState, Verdict
from discovery.hunts.models.ranking import Embeddings, TrainingSet


def training_set(
    embeddings: Embeddings, examples: Sequence[Example], states: Sequence[LabelState]
) -> TrainingSet:
    """Gather the vectors that teach: labels, and examples that no label overrides.

    Ordered by row, stamps from elsewhere last, so that the order of labelling leaves no trace. The label of an object
    that the release does not hold teaches by the vector of the example of that name, where there is one.
    """
    started = [example for example in examples if not example.remembered]
    verdicts = {example.row: example.verdict for example in started if example.row is not None}
    verdicts |= {state.row: state.verdict for state in states if state.row is not None}
    classes = {state.row: state.negative_class for state in states if state.verdict == "negative"}
    lost = {state.object_id: state for state in states if state.row is None}

    def rows(verdict: Verdict) -> np.ndarray:
        return np.array(sorted(row for row, given in verdicts.items() if given == verdict), dtype=np.int64)

    def foreign(verdict: Verdict) -> list[Example]:
        strangers = [one for one in examples if one.row is None]
        return [one for one in strangers if _said(one, lost) == verdict]

    def vectors(verdict: Verdict) -> np.ndarray:
        return np.concatenate([embeddings.take(rows(verdict)), *(one.vector[None] for one in foreign(verdict))])

    elsewhere = [lost.get(one.object_id or "") for one in foreign("negative")]
    named = [classes.get(row) or "" for row in rows("negative").tolist()]
    named += ["" if state is None else state.negative_class or "" for state in elsewhere]
    return TrainingSet(
        positives=vectors("positive"),
        negatives=vectors("negative"),
        negative_classes=tuple(named) if any(named) else (),
    )


def labelled_rows(examples: Sequence[Example], states: Sequence[LabelState]) -> np.ndarray:
    """Return the rows that are not shown again, (n,) int64: examples, and objects with any verdict."""
    rows = {example.row for example in examples if example.row is not None and not example.remembered}
    rows |= {state.row for state in states if state.row is not None and state.verdict != "cleared"}
    return np.array(sorted(rows), dtype=np.int64)


def decided(states: Sequence[LabelState], shown: Collection[str]) -> tuple[int, int]:
    """Return P and N among the objects that a round showed; unsure and skipped do not count."""
    page = set(shown)
    verdicts = [state.verdict for state in states if state.object_id in page]
    return verdicts.count("positive"), verdicts.count("negative")


def _said(example: Example, lost: dict[str, LabelState]) -> Verdict:
    """The verdict on an example that the release does not hold: its label's, where it has one."""
    state = lost.get(example.object_id or "")
    if state is None:
        return "cleared" if example.remembered else example.verdict
    return state.verdict

