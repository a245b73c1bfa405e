"""In which order stamps are learned: a pure function of (seed, position), so that a run goes on anywhere.

The order is one endless stream: epoch 0, then epoch 1, and so on, each holding every stamp once; batch b of B
stamps is the positions b B .. (b + 1) B of it, so that no remainder is dropped and a batch may span two epochs.

Disks want consecutive reads, training wants a shuffle. An epoch therefore

1. cuts the stamps into *chunks* of consecutive ones (the last may be short) and permutes the chunks,
2. takes them by *windows* of several chunks and shuffles the stamps within each window.

Reading a window reads whole chunks; a set that fits into one window is shuffled whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from discovery.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Order:
    """The order of ``count`` stamps.

    Attributes
    ----------
    count : int
        Stamps an epoch.
    seed : int
        The same seed gives the same order.
    chunk : int
        Consecutive stamps that stay in one window: 12.6 MB at 128 pixels of uint8.
    window : int
        Stamps that are shuffled together, a multiple of ``chunk``.
    """

    count: int
    seed: int
    chunk: int = 256
    window: int = 65_536

    def __post_init__(self) -> None:
        if self.count < 1 or self.chunk < 1 or self.window < self.chunk or self.window % self.chunk:
            raise ConfigError(
                f"{self.count} stamps in chunks of {self.chunk} and windows of {self.window}: "
                "there must be a stamp, and a window must be a multiple of a chunk."
            )

    def take(self, start: int, stop: int) -> np.ndarray:
        """Return the stamps (n,) int64 at positions start..stop (exclusive) of the stream."""
        taken = [np.empty(0, np.int64)]
        while start < stop:
            first, end = self.window_at(start)
            taken.append(_shuffled(self, first)[start - first : min(stop, end) - first])
            start = min(stop, end)
        return np.concatenate(taken)

    def window_at(self, position: int) -> tuple[int, int]:
        """Return the positions start, stop of the window that holds a position of the stream."""
        epoch, within = divmod(position, self.count)
        ends = _window_ends(self, epoch)
        number = int(np.searchsorted(ends, within, side="right"))
        first = int(ends[number - 1]) if number else 0
        return epoch * self.count + first, epoch * self.count + int(ends[number])

    def chunks(self, position: int) -> list[tuple[int, int]]:
        """Return the chunks of the window that starts at a position, each as first and last (exclusive) stamp."""
        epoch, within = divmod(position, self.count)
        number = int(np.searchsorted(_window_ends(self, epoch), within, side="right"))
        several = self.window // self.chunk
        numbers = _chunk_order(self, epoch)[number * several :][:several].tolist()
        return [(c * self.chunk, min(self.count, (c + 1) * self.chunk)) for c in numbers]


@lru_cache(maxsize=4)
def _chunk_order(order: Order, epoch: int) -> np.ndarray:
    number = -(-order.count // order.chunk)
    return np.random.default_rng([order.seed, epoch]).permutation(number)


@lru_cache(maxsize=4)
def _window_ends(order: Order, epoch: int) -> np.ndarray:
    """Return where in the epoch each window ends; the one with the short chunk is shorter."""
    sizes = np.minimum(order.chunk, order.count - _chunk_order(order, epoch) * order.chunk)
    several = order.window // order.chunk
    return np.cumsum(np.add.reduceat(sizes, np.arange(0, len(sizes), several)))


@lru_cache(maxsize=3)
def _shuffled(order: Order, first: int) -> np.ndarray:
    stamps = np.concatenate([np.arange(*chunk) for chunk in order.chunks(first)])
    return np.random.default_rng([order.seed, *divmod(first, order.count)]).permutation(stamps)
