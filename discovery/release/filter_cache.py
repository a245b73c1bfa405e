"""Bitmaps of rows: the answers to conditions on a catalogue, kept while there is room."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Hashable

import numpy as np
from cachetools import LRUCache

MOST_ENTRIES, LONG_KEY, ENTRY_BYTES = 1000, 500, 2000
"""Bitmaps at most, characters from which a key is kept as its checksum, and what an entry takes beside its bitmap at most."""


class MaskCache:
    """Which rows fulfil a condition, a bit a row; the least recently used is dropped first; safe to share between threads.

    Parameters
    ----------
    count : int
        Number of rows N.
    max_bytes : int
        Memory for all entries together; a bitmap of 10^7 rows takes 1.25 MB, its key up to 2 kB. More than `MOST_ENTRIES` are never kept.
    """

    def __init__(self, count: int, max_bytes: int) -> None:
        self._count = count
        most = min(MOST_ENTRIES, max_bytes // (-(-count // 8) + ENTRY_BYTES))
        self._packed: LRUCache[Hashable, np.ndarray] = LRUCache(most)
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], np.ndarray]) -> np.ndarray:
        """Return a condition's mask, (N,) bool and the caller's own; ``make()`` gives it when it is not kept."""
        key = _short(key)
        with self._lock:
            packed = self._packed.get(key)
        if packed is not None:
            return np.unpackbits(packed, count=self._count).view(bool)
        mask = make()
        if self._packed.maxsize:
            packed = np.packbits(mask)
            with self._lock:
                self._packed[key] = packed
        return mask

    def __len__(self) -> int:
        return len(self._packed)


def _short(key: Hashable) -> Hashable:
    """Return a key, a long text as its checksum."""
    if not isinstance(key, str) or len(key) < LONG_KEY:
        return key
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
