"""One run at a time in a folder: a lock that a killed run holds no longer."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from discovery.errors import ConfigError

LOCK_FILE = "run.lock"
log = logging.getLogger(__name__)


@contextmanager
def only_run(
    folder: Path,
    *,
    program: str = "discovery index",
    otherwise: str = "choose another --name",
    shared: bool = False,
    waits: bool = False,
    leaves_lock: bool = True,
) -> Iterator[None]:
    """Hold a folder against other runs of a program.

    The lock is on a file in the folder: NFS locks no folders, only files that are open for writing.

    Parameters
    ----------
    program : str
        Whose runs, for the message.
    otherwise : str
        What to do other than wait, for the message.
    shared : bool
        Hold it against a whole run alone: any number of those that each make a share of the shards may work in it.
    waits : bool
        Wait for the other run, with a warning, instead of an error.
    leaves_lock : bool
        Whether the lock's file stays behind, as in a folder that is renamed afterwards.

    Raises
    ------
    ConfigError
        If another run works in it.
    """
    path = folder / LOCK_FILE
    try:
        descriptor = _held(path, fcntl.LOCK_SH if shared else fcntl.LOCK_EX, program, waits)
    except BlockingIOError as problem:
        raise ConfigError(f"Another '{program}' is working in {folder}; wait for it, or {otherwise}.") from problem
    try:
        yield
    finally:
        if not leaves_lock:
            path.unlink(missing_ok=True)
        os.close(descriptor)


def _held(path: Path, how: int, program: str, waits: bool) -> int:
    """Return the open, locked file; a lock on a file that was removed meanwhile counts for nothing."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _lock(descriptor, how, path, program, waits)
            if path.exists() and os.fstat(descriptor).st_ino == path.stat().st_ino:
                return descriptor
            if not waits:
                raise BlockingIOError
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _lock(descriptor: int, how: int, path: Path, program: str, waits: bool) -> None:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        if not waits:
            raise
        log.warning("Another '%s' is working in %s; waiting for it.", program, path.parent)
        fcntl.flock(descriptor, how)
    except OSError as problem:  # a file system without locks
        log.warning("%s cannot be locked (%s): see to it that no second run works there.", path, problem.strerror)
