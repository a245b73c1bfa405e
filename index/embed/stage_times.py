"""How fast each stage of embedding is, and which one the others wait for."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

READING, EMBEDDING = ("read", "prepare"), ("encode", "write")
"""Stages of a reading process, and of the process that has the encoder."""


class StageTimes(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What some stamps took.

    Attributes
    ----------
    stamps : int
        Good and damaged.
    seconds : dict
        Busy time by stage (read, prepare, encode, write), summed over the processes that did it.
    elapsed_seconds, reader_seconds : float
        Time that passed, summed over the encoders and over all reading processes (or threads).
    """

    stamps: int = 0
    seconds: dict[str, float] = msgspec.field(default_factory=lambda: dict.fromkeys((*READING, *EMBEDDING), 0.0))
    elapsed_seconds: float = 0.0
    reader_seconds: float = 0.0

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Count the time of the block for a stage."""
        start = time.perf_counter()
        yield
        self.seconds[stage] += time.perf_counter() - start

    def passed(self, seconds: float, readers: int) -> None:
        """Count time that passed for one encoder and some readers."""
        self.elapsed_seconds += seconds
        self.reader_seconds += seconds * readers

    def add(self, other: StageTimes) -> None:
        """Count other stamps too."""
        self.stamps += other.stamps
        for stage, seconds in other.seconds.items():
            self.seconds[stage] += seconds
        self.elapsed_seconds += other.elapsed_seconds
        self.reader_seconds += other.reader_seconds


def total(several: Iterable[StageTimes]) -> StageTimes:
    """Return the sum."""
    summed = StageTimes()
    for times in several:
        summed.add(times)
    return summed


def stage_rates(times: StageTimes) -> dict[str, Any]:
    """Return the rates for people and manifests; empty where nothing was done.

    Returns
    -------
    dict
        ``stages``: by stage, stamps_a_second of busy time of one process, and busy, the share of its processes' time;
        ``readers_waiting`` and ``encoder_waiting``: shares of their time; ``bottleneck``: who waits least.
    """
    if not times.stamps or not times.elapsed_seconds:
        return {}
    spans = {stage: times.reader_seconds if stage in READING else times.elapsed_seconds for stage in times.seconds}
    stages = {
        stage: {"stamps_a_second": round(times.stamps / max(seconds, 1e-9), 1), "busy": round(seconds / spans[stage], 3)}
        for stage, seconds in times.seconds.items()
    }
    readers, encoder = (max(0.0, round(1 - sum(stages[stage]["busy"] for stage in group), 3)) for group in (READING, EMBEDDING))
    return {
        "stages": stages,
        "readers_waiting": readers,
        "encoder_waiting": encoder,
        "bottleneck": "encoder" if encoder <= readers else "readers",
    }


def rates_text(times: StageTimes) -> str:
    """Return the rates in one line, for a progress bar."""
    rates = stage_rates(times)
    if not rates:
        return ""
    words = " ".join(f"{stage} {rates['stages'][stage]['stamps_a_second']:.0f}/s" for stage in rates["stages"])
    return f"{words} | waiting: readers {rates['readers_waiting']:.0%}, encoder {rates['encoder_waiting']:.0%}"
