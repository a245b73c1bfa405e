"""Bitmaps of rows: the answers to conditions on a catalogue, kept while there is room."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

import numpy as np


class MaskCache:
    """Which rows fulfil a condition, a bit a row; the least recently used is dropped first; safe to share between threads.

    Parameters
    ----------
    count : int
        Number of rows N.
    max_bytes : int
        Memory for all bitmaps together; one of 10^7 rows takes 1.25 MB.
    """

    def __init__(self, count: int, max_bytes: int) -> None:
        self._count = count
        self._most = max_bytes // max(1, -(-count // 8))
        self._held: OrderedDict[Hashable, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], np.ndarray]) -> np.ndarray:
        """Return a condition's mask, (N,) bool and the caller's own; ``make()`` gives it when it is not held."""
        with self._lock:
            packed = self._held.get(key)
            if packed is not None:
                self._held.move_to_end(key)
        if packed is not None:
            return np.unpackbits(packed, count=self._count).view(bool)
        mask = make()
        packed = np.packbits(mask)
        with self._lock:
            self._held[key] = packed
            while len(self._held) > self._most:
                self._held.popitem(last=False)
        return mask

    def __len__(self) -> int:
        return len(self._held)
