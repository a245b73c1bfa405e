"""What labels mean for a round: who teaches, who is out, and what the latest round decided. Pure functions."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from discovery.hunts.ranking import Embeddings, TrainingSet
from discovery.hunts.records import LabelState, Verdict


@dataclass(frozen=True, kw_only=True)
class LabelRequest:
    """A verdict that a person gives."""

    row: int
    verdict: Verdict
    negative_class: str | None = None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Example:
    """A prompt that started the hunt.

    Attributes
    ----------
    label : str
        What the person gave: an id, a position, a file's name.
    object_id, row : str, int or None
        The object of the release; None for a stamp from elsewhere.
    vector : numpy.ndarray
        (D,) float32 unit vector by the encoder of ``encoder_checksum``.
    """

    label: str
    object_id: str | None
    row: int | None
    verdict: Verdict
    vector: np.ndarray
    encoder_checksum: str


def training_set(
    embeddings: Embeddings, examples: Sequence[Example], states: Sequence[LabelState]
) -> TrainingSet:
    """Gather the vectors that teach: labels, and examples that no label overrides.

    Ordered by row, stamps from elsewhere last, so that the order of labelling leaves no trace.
    """
    verdicts = {example.row: example.verdict for example in examples if example.row is not None}
    verdicts |= {state.row: state.verdict for state in states if state.row is not None}

    def vectors(verdict: Verdict) -> np.ndarray:
        rows = np.array(sorted(row for row, given in verdicts.items() if given == verdict), dtype=np.int64)
        foreign = [one.vector for one in examples if one.row is None and one.verdict == verdict]
        return np.concatenate([embeddings.take(rows), *(vector[None] for vector in foreign)])

    return TrainingSet(positives=vectors("positive"), negatives=vectors("negative"))


def labelled_rows(examples: Sequence[Example], states: Sequence[LabelState]) -> np.ndarray:
    """Return the rows that are not shown again, (n,) int64: examples, and objects with any verdict."""
    rows = {example.row for example in examples if example.row is not None}
    rows |= {state.row for state in states if state.row is not None and state.verdict != "cleared"}
    return np.array(sorted(rows), dtype=np.int64)


def decided(states: Sequence[LabelState], shown: Collection[str]) -> tuple[int, int]:
    """Return P and N among the objects that a round showed; unsure and skipped do not count."""
    page = set(shown)
    verdicts = [state.verdict for state in states if state.object_id in page]
    return verdicts.count("positive"), verdicts.count("negative")
