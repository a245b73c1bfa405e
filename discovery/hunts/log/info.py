"""What is known of a hunt file without its release."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from discovery.hunts.log.records import Counts


@dataclass(frozen=True, kw_only=True)
class HuntInfo:
    """Where a hunt belongs, its settings and its counts; readable without its release."""

    path: Path
    name: str
    created: str
    who: str
    release_name: str
    release_path: str
    relative_path: str
    encoder_checksum: str
    dimension: int
    count: int
    """Objects in the release."""
    alpha: float
    page_size: int
    seed: int
    where: str | None
    flagged: bool
    cone: str | None
    """Part of the sky that candidates lie in: RA,DEC,RADIUS in degrees, degrees and arcsec."""
    query: dict[str, Any] | None
    """What the hunt was started from, when it was a query."""
    strategy: str
    consensus: str
    stopper: str
    examples_positive: int
    examples_negative: int
    counts: Counts
    negative_classes: dict[str, int]
    """Negatives by the class that people gave, the most frequent first; those without one are not among them."""
    notes: int
    rounds: int
    last_label: str | None
    """Time of the latest label event (UTC, ISO 8601)."""
