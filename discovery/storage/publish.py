"""Putting files and folders in place so that a kill or power cut leaves the old one or the new one."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from discovery.errors import ConfigError

LOCK_FILE = "run.lock"
BESIDE = ".part"
"""Ending of what is being written; what a killed run left of it is removed by `clear_unfinished`."""
log = logging.getLogger(__name__)


def put(path: Path, data: bytes) -> None:
    """Write a file durably: beside, synced, renamed."""
    with written(path) as file:
        file.write(data)


@contextmanager
def written(path: Path) -> Iterator[BinaryIO]:
    """Open a file to be written piece by piece, that takes its place once the block ends well.

    It stands beside under a name of this process, so that two processes, on two machines even, may write the same
    file: the last one stays, whole.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.{_this_process()}{BESIDE}")
    try:
        with beside.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.rename(path)
    finally:
        beside.unlink(missing_ok=True)
    _sync(path.parent)


def clear_unfinished(folder: Path) -> None:
    """Remove what killed runs left half written below a folder; nobody else may be writing there."""
    for left in sorted(folder.rglob(f"*{BESIDE}")):
        remove(left)


def put_made(path: Path, make: Callable[[Path], object]) -> None:
    """Let ``make`` write a file or folder beside, sync it, rename it into place."""
    beside = path.with_name(f"{path.name}{BESIDE}")
    remove(beside)
    path.parent.mkdir(parents=True, exist_ok=True)
    make(beside)
    for file in [beside, *beside.rglob("*")] if beside.is_dir() else [beside]:
        _sync(file)
    if beside.is_dir():
        remove(path)  # a folder is not renamed over another one
    beside.rename(path)
    _sync(path.parent)


def put_first(path: Path, make: Callable[[Path], object]) -> None:
    """As `put_made`, but of several processes the first one wins: what is there already stays."""
    if path.exists():
        return
    beside = path.with_name(f"{path.name}.{_this_process()}{BESIDE}")
    try:
        make(beside)
        for file in [beside, *beside.rglob("*")] if beside.is_dir() else [beside]:
            _sync(file)
        if beside.is_dir():
            beside.rename(path)
        else:
            os.link(beside, path)
    except OSError:
        if not path.exists():
            raise
    finally:
        remove(beside)
    _sync(path.parent)


def remove(path: Path) -> None:
    """Remove a file or folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def only_run(folder: Path, *, shared: bool = False) -> Iterator[None]:
    """Hold a folder against other runs of this program; a killed run holds it no longer.

    Parameters
    ----------
    shared : bool
        Hold it against a whole run alone: any number of those that each make a share of the shards may work in it.

    Raises
    ------
    ConfigError
        If another run works in it.
    """
    with _locked(folder / LOCK_FILE, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB):
        yield


@contextmanager
def _locked(path: Path, how: int) -> Iterator[None]:
    """Hold a lock file: NFS locks no folders, only files that are open for writing."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        _lock(descriptor, how, path)
        if not path.exists() or os.fstat(descriptor).st_ino != path.stat().st_ino:
            raise BlockingIOError
        yield
    except BlockingIOError as problem:
        raise ConfigError(
            f"Another 'discovery index' is working in {path.parent}; wait for it, or choose another --name."
        ) from problem
    finally:
        os.close(descriptor)


def _lock(descriptor: int, how: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, how)
    except BlockingIOError:
        raise
    except OSError as problem:  # a file system without locks
        log.warning("%s cannot be locked (%s): see to it that no second run of that name starts.", path, problem.strerror)


def publish(building: Path, folder: Path) -> None:
    """Rename a finished release into place; an older one of that name goes once the new one is complete."""
    clear_replaced(folder)
    if folder.exists():
        folder.rename(_replaced(folder))
    building.rename(folder)
    _sync(folder.parent)
    clear_replaced(folder)


def clear_replaced(folder: Path) -> None:
    """Remove the older release that a killed run had put aside."""
    remove(_replaced(folder))


def _this_process() -> str:
    return f"{socket.gethostname()}-{os.getpid()}"


def _replaced(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.replaced")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
