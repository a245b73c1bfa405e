"""Rendered pictures, kept in memory and in files within fixed bounds; each is rendered once, however many requests wait for it."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, urlencode

from anyio import CapacityLimiter
from cachetools import LRUCache

from web.stamps.picture_files import PictureFiles

View = Literal["crop", "context"]
Band = Literal["rgb", "g", "r", "z"]
Stretch = Literal["default", "deep"]

SMALL_SIZE = 96
GRID_SIZE = 192
LARGE_SIZE = 640
THREADS = 4
SIZES = (SMALL_SIZE, GRID_SIZE, LARGE_SIZE)


@dataclass(frozen=True, kw_only=True)
class StampPicture:
    """Which picture of a stamp is meant; the key of the cache."""

    release: str
    version: str
    row: int
    view: View
    size: int = GRID_SIZE
    band: Band = "rgb"
    stretch: Stretch = "default"
    bar: bool = False

    @property
    def key(self) -> str:
        """Hex digits that change with everything that the picture depends on."""
        return hashlib.sha256(repr(self).encode()).hexdigest()

    @property
    def etag(self) -> str:
        """The key as HTTP writes it."""
        return f'"{self.key[:24]}"'

    @property
    def address(self) -> str:
        """Where the app serves it."""
        options = {
            "size": self.size,
            "band": self.band,
            "stretch": self.stretch,
            "bar": int(self.bar),
            "v": self.version,
        }
        return f"/releases/{quote(self.release, safe='')}/stamps/{self.row}/{self.view}?{urlencode(options)}"


class PictureCache:
    """Rendered pictures, the least recently used dropped first; safe to share between threads.

    Parameters
    ----------
    max_bytes : int
        Memory for all pictures together.
    files : PictureFiles, optional
        Where they outlive this process.
    """

    def __init__(self, max_bytes: int, files: PictureFiles | None = None) -> None:
        self._files = files
        self._pictures: LRUCache[StampPicture, bytes] = LRUCache(max_bytes, getsizeof=len)
        self._coming: dict[StampPicture, Future[bytes]] = {}
        self._lock = threading.Lock()
        self.threads = CapacityLimiter(THREADS)
        """Limits the threads that read or render pictures which are not in memory."""

    def in_memory(self, picture: StampPicture) -> bytes | None:
        """Return a picture that is in memory, else None, at once."""
        with self._lock:
            return self._pictures.get(picture)

    def get(self, picture: StampPicture, render: Callable[[], bytes]) -> bytes:
        """Return a picture, rendered by ``render()`` when it is neither in memory nor in a file.

        A thread that needs a picture which another one is rendering waits for it.
        """
        with self._lock:
            kept = self._pictures.get(picture)
            if kept is not None:
                return kept
            coming = self._coming.get(picture)
            if coming is None:
                made = self._coming[picture] = Future[bytes]()
        if coming is not None:
            return coming.result()
        try:
            data = self._read_or_render(picture, render)
        except BaseException as problem:
            self._arrived(picture, None)
            made.set_exception(problem)
            raise
        self._arrived(picture, data)
        made.set_result(data)
        return data

    @property
    def bytes_in_memory(self) -> int:
        """Bytes of all pictures in memory."""
        return int(self._pictures.currsize)

    def _read_or_render(self, picture: StampPicture, render: Callable[[], bytes]) -> bytes:
        data = None if self._files is None else self._files.get(picture.key)
        if data is None:
            data = render()
            if self._files is not None:
                self._files.put(picture.key, data)
        return data

    def _arrived(self, picture: StampPicture, data: bytes | None) -> None:
        with self._lock:
            del self._coming[picture]
            if data is not None and len(data) <= self._pictures.maxsize:
                self._pictures[picture] = data
