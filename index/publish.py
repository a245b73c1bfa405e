"""Putting files and folders in place so that a kill or power cut leaves the old one or the new one."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from discovery.errors import ConfigError


def put(path: Path, data: bytes) -> None:
    """Write a file durably: beside, synced, renamed."""
    put_made(path, lambda beside: beside.write_bytes(data))


def put_made(path: Path, make: Callable[[Path], object]) -> None:
    """Let ``make`` write a file or folder beside, sync it, rename it into place."""
    beside = path.with_name(f"{path.name}.part")
    remove(beside)
    path.parent.mkdir(parents=True, exist_ok=True)
    make(beside)
    for file in [beside, *beside.rglob("*")] if beside.is_dir() else [beside]:
        _sync(file)
    if beside.is_dir():
        remove(path)  # a folder is not renamed over another one
    beside.rename(path)
    _sync(path.parent)


def remove(path: Path) -> None:
    """Remove a file or folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def only_run(folder: Path) -> Iterator[None]:
    """Hold a folder against a second run of this program; a killed run holds it no longer.

    Raises
    ------
    ConfigError
        If another run works in it.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as problem:
        raise ConfigError(f"Another 'discovery index' is working in {folder}; wait for it, or choose another --name.") from problem
    finally:
        os.close(descriptor)


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


def _replaced(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.replaced")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
