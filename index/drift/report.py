"""What a comparison of two releases found: the report, and the embeddings that it looked at."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import msgspec
import numpy as np

from index.drift.measures import PairMeasures, Shift
from index.drift.observing_conditions import ChangeDependence, Dependence

Verdict = Literal["move", "check", "retrain", "unknown"]


@dataclass(frozen=True, kw_only=True)
class ConditionDrift:
    """A column of PSF or depth: how the old and the new embeddings depend on it, and the changes of the same objects."""

    name: str
    old: Dependence | None
    new: Dependence | None
    pairs: ChangeDependence | None


@dataclass(frozen=True, kw_only=True)
class DriftReport:
    """What `index.drift.drift.compare` found.

    Attributes
    ----------
    old, new : str
        Names of the releases.
    sample : int
        Most embeddings and pairs that were looked at.
    all_objects : Shift or None
        Old embeddings against new ones, of whatever objects each has.
    same_objects : Shift or None
        The same of the pairs.
    pairs : PairMeasures or None
        The same objects seen twice.
    conditions : tuple of ConditionDrift
        One a column of PSF or depth.
    missing : tuple of str
        Which measures are missing, and why.
    verdict : {"move", "check", "retrain", "unknown"}
        See `index.drift.advice.advice_on`.
    advice : str
        The same in words.
    """

    old: str
    new: str
    sample: int
    all_objects: Shift | None
    same_objects: Shift | None
    pairs: PairMeasures | None
    conditions: tuple[ConditionDrift, ...]
    missing: tuple[str, ...]
    verdict: Verdict
    advice: str


@dataclass(frozen=True, kw_only=True, eq=False)
class SampledEmbeddings:
    """Embeddings with their conditions, (n, D) and by name (n,)."""

    vectors: np.ndarray
    conditions: dict[str, np.ndarray] = field(default_factory=dict)


def report_json(report: DriftReport) -> bytes:
    """Return a report as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"
