"""Putting files and folders in place so that a kill or power cut leaves the old one or the new one."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

BESIDE = ".part"
"""Ending of what is being written; what a killed run left of it is removed by `clear_unfinished`."""


class DigestedFile:
    """A file that is being written, and the SHA-256 of what went into it.

    Parameters
    ----------
    file : BinaryIO
        Open for writing.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._digest = file, hashlib.sha256()

    def write(self, data: Any) -> None:
        """Write some bytes, or an array's memory."""
        self._file.write(data)
        self._digest.update(data)

    def sync(self) -> None:
        """Wait until everything is on the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    @property
    def sha256(self) -> str:
        """SHA-256 of everything so far, in hex."""
        return self._digest.hexdigest()


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def put(path: Path, data: bytes) -> None:
    """Write a file durably: beside, synced, renamed."""
    with written(path) as file:
        file.write(data)


@contextmanager
def written(path: Path) -> Iterator[DigestedFile]:
    """Open a file to be written piece by piece, that takes its place once the block ends well.

    It stands beside under a name of this process, so that two processes, on two machines even, may write the same
    file: the last one stays, whole.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = _beside(path)
    try:
        with beside.open("wb") as file:
            digested = DigestedFile(file)
            yield digested
            digested.sync()
        beside.rename(path)
    finally:
        beside.unlink(missing_ok=True)
    _sync(path.parent)


@contextmanager
def made_beside(path: Path) -> Iterator[Path]:
    """Give a name beside a file; what the block wrote there takes the file's place once the block ends well.

    Nothing is synced: for what can be made again after a power cut, such as tables, pictures and caches.
    """
    beside = _beside(path)
    try:
        yield beside
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def put_made(path: Path, make: Callable[[Path], object]) -> None:
    """Let ``make`` write a file or folder beside, sync it, rename it into place; one process at a time.

    What an earlier, killed call left beside is removed.
    """
    beside = path.with_name(f"{path.name}{BESIDE}")
    remove(beside)
    path.parent.mkdir(parents=True, exist_ok=True)
    make(beside)
    _sync_all(beside)
    if beside.is_dir():
        remove(path)  # a folder is not renamed over another one
    beside.rename(path)
    _sync(path.parent)


def put_first(path: Path, make: Callable[[Path], object]) -> None:
    """As `put_made`, but of several processes the first one wins: what is there already stays."""
    if path.exists():
        return
    try:
        put_new(path, make)
    except OSError:
        if not path.exists():
            raise


def put_new(path: Path, make: Callable[[Path], object]) -> None:
    """Let ``make`` write a file or folder beside, sync it and give it its name; nothing is left of what fails on the way.

    Raises
    ------
    FileExistsError
        The name is taken; what is there stays.
    """
    if path.exists():
        raise FileExistsError(f"{path} is already there")
    beside = _beside(path)
    try:
        make(beside)
        _sync_all(beside)
        if beside.is_dir():
            beside.rename(path)
        else:
            _give_name(beside, path)
    finally:
        remove(beside)
    _sync(path.parent)


def put_linked(path: Path, source: Path) -> None:
    """Give a file a second name (a hard link), or copy it where the file system does not have that."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    try:
        os.link(source, path)
    except OSError:  # another file system, or one without links
        put_made(path, lambda beside: shutil.copyfile(source, beside))


def remove(path: Path) -> None:
    """Remove a file or folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def clear_unfinished(folder: Path) -> None:
    """Remove what killed runs left half written below a folder; nobody else may be writing there."""
    for left in sorted(folder.rglob(f"*{BESIDE}")):
        remove(left)


def replace_folder(building: Path, folder: Path) -> None:
    """Rename a finished folder into place; an older one of that name goes once the new one is complete."""
    clear_replaced(folder)
    if folder.exists():
        folder.rename(_replaced(folder))
    building.rename(folder)
    _sync(folder.parent)
    clear_replaced(folder)


def clear_replaced(folder: Path) -> None:
    """Remove the older folder that a killed run had put aside."""
    remove(_replaced(folder))


def _give_name(beside: Path, path: Path) -> None:
    """Give a file its name unless that is taken; where the file system has no hard links, an empty file takes it first."""
    try:
        os.link(beside, path)
    except FileExistsError:
        raise
    except OSError:
        path.open("xb").close()
        try:
            beside.rename(path)
        except OSError:
            path.unlink()
            raise


def _replaced(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.replaced")


def _beside(path: Path) -> Path:
    """Return a name beside a file that no other process or thread takes."""
    return path.with_name(f"{path.name}.{socket.gethostname()}-{os.getpid()}-{threading.get_native_id()}{BESIDE}")


def _sync_all(path: Path) -> None:
    for file in [path, *path.rglob("*")] if path.is_dir() else [path]:
        _sync(file)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
