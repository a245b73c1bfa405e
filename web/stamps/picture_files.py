"""Rendered pictures as files, within a fixed number of bytes; several processes may share the folder."""

from __future__ import annotations

import os
import re
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from discovery.errors import ConfigError
from discovery.storage.atomic import made_beside

PNG_START, PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"
OWN_FOLDER = "galaxy-discovery-stamps"
"""Below the folder that is given, which may hold other people's files too."""
FOLDER_NAME = re.compile(r"[0-9a-f]{2}")
PICTURE_NAME = re.compile(r"[0-9a-f]{64}\.png")
PART_NAME = re.compile(r"[0-9a-f]{64}\.png\.[^/]+\.part")
KEPT_SHARE = 0.9
"""The oldest go until so much of the limit is left in use: not each new picture is to look through the folder."""
COUNTED_SHARE = 0.02
"""The folder is looked through anew after so much of the limit was written: other processes write too."""
TOUCH_SECONDS = 600.0
ABANDONED_SECONDS = 3600.0
"""An unfinished file of that age is what a killed process left."""


class PictureFiles:
    """Pictures by key, the least recently used dropped first; safe to share between threads and processes.

    A picture is written beside and renamed: a killed write leaves none. What is no whole PNG is no picture. Only files
    of an own subfolder, and of names as they are given here, are ever deleted.

    Parameters
    ----------
    folder : Path
        Made when missing; the pictures go to `OWN_FOLDER` in it.
    max_bytes : int
        For all files together; several processes may go beyond it by a fiftieth each.

    Raises
    ------
    ConfigError
        If the folder cannot be written.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder / OWN_FOLDER
        self._max_bytes = max_bytes
        self._trimming = threading.Lock()
        self._unseen = self._max_bytes  # written since the folder was looked through: nobody has yet
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            tempfile.TemporaryFile(dir=self._folder).close()
        except OSError as problem:
            raise ConfigError(
                f"the folder of rendered stamps {folder} cannot be written ({problem.strerror}): name another by stamp_cache, "
                "or set stamp_cache_disk_megabytes to 0"
            ) from problem

    def get(self, key: str) -> bytes | None:
        """Return a picture by its key of 64 hex digits, None where there is none or a damaged one."""
        path = self._path(key)
        try:
            data = path.read_bytes()
            if not (data.startswith(PNG_START) and data.endswith(PNG_END)):
                path.unlink(missing_ok=True)
                return None
            if time.time() - path.stat().st_mtime > TOUCH_SECONDS:
                os.utime(path)
        except OSError:
            return None  # dropped by another process a moment ago, or never there
        return data

    def put(self, key: str, data: bytes) -> None:
        """Keep a picture; where the disk is full or gone it is not kept, and rendered again the next time."""
        if len(data) > COUNTED_SHARE * self._max_bytes:
            return
        path = self._path(key)
        try:
            path.parent.mkdir(exist_ok=True, mode=0o700)
            with made_beside(path) as beside:
                beside.write_bytes(data)
        except OSError:
            return
        self._unseen += len(data)
        if self._unseen > COUNTED_SHARE * self._max_bytes and self._trimming.acquire(blocking=False):
            try:
                self._unseen = 0
                with suppress(OSError):
                    self._trim()
            finally:
                self._trimming.release()

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / f"{key}.png"

    def _trim(self) -> None:
        """Drop the oldest pictures where they are too many, and what was never finished."""
        pictures, now = [], time.time()
        for entry in self._entries():
            status = _status(entry)
            if status is None:
                continue
            if PICTURE_NAME.fullmatch(entry.name):
                pictures.append((status.st_mtime, status.st_size, entry.path))
            elif PART_NAME.fullmatch(entry.name) and now - status.st_mtime > ABANDONED_SECONDS:
                _removed(Path(entry.path))
        total = sum(size for _, size, _ in pictures)
        if total <= (1 - COUNTED_SHARE) * self._max_bytes:
            return
        for _, size, path in sorted(pictures):
            total -= size if _removed(Path(path)) else 0
            if total <= KEPT_SHARE * self._max_bytes:
                return

    def _entries(self) -> Iterator[os.DirEntry[str]]:
        """What the folders of pictures hold; one that cannot be read is passed over."""
        with os.scandir(self._folder) as found:
            folders = [one.path for one in found if FOLDER_NAME.fullmatch(one.name) and one.is_dir(follow_symlinks=False)]
        for folder in folders:
            with suppress(OSError), os.scandir(folder) as entries:
                yield from [entry for entry in entries if entry.is_file(follow_symlinks=False)]


def _removed(path: Path) -> bool:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return False
    return True


def _status(entry: os.DirEntry[str]) -> os.stat_result | None:
    try:
        return entry.stat()
    except OSError:
        return None
