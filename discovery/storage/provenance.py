"""Which files something was made of: fingerprints of survey files, the state of this program."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from discovery.errors import SurveyError

BLOCK_BYTES = 4096
SURVEY_SUFFIXES = (".fits", ".fit", ".fz", ".gz", ".jpg", ".jpeg", ".png", ".h5", ".hdf5", ".hdf", ".zip")
"""Files in a folder that count; what else lies there (a table written by a search, say) does not."""


def contents_fingerprint(paths: Iterable[Path], *, follow_links: bool = False) -> str:
    """Return a quick SHA-256 of files, and of the survey files in folders: names, sizes, and three blocks of 4 KiB.

    It stays the same when the files are copied or moved together.

    Raises
    ------
    SurveyError
        If a path is missing or unreadable.
    """
    digest = hashlib.sha256()
    for name, path in _files(paths, follow_links):
        size = path.stat().st_size
        digest.update(f"{name}\0{size}\0".encode())
        with path.open("rb") as file:
            for offset in sorted({0, max(0, size // 2 - BLOCK_BYTES // 2), max(0, size - BLOCK_BYTES)}):
                file.seek(offset)
                digest.update(file.read(BLOCK_BYTES))
    return digest.hexdigest()


def times_fingerprint(paths: Iterable[Path], *, follow_links: bool = False) -> str:
    """Return a SHA-256 of names, sizes and times of change: tells whether files were touched since."""
    digest = hashlib.sha256()
    for name, path in _files(paths, follow_links):
        status = path.stat()
        digest.update(f"{name}\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
    return digest.hexdigest()


def git_commit() -> str | None:
    """Return the commit of this program's source, with ``+`` when it was changed since; None outside a repository."""
    here = Path(__file__).parents[1]
    try:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=True)
        dirty = subprocess.run(["git", "diff", "--quiet", "HEAD", "--", "."], cwd=here, capture_output=True).returncode
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit.stdout.strip() + ("+" if dirty else "")


def _files(paths: Iterable[Path], follow_links: bool) -> Iterator[tuple[str, Path]]:
    for path in paths:
        if path.is_dir():
            seen: set[str] = set()  # real folders: links may lead round in a circle
            for folder, folders, names in os.walk(path, followlinks=follow_links):
                folders.sort()
                if follow_links:
                    real = os.path.realpath(folder)
                    if real in seen:
                        folders.clear()
                        continue
                    seen.add(real)
                for name in sorted(names):
                    file = Path(folder) / name
                    if name.lower().endswith(SURVEY_SUFFIXES) and file.is_file() and (follow_links or not file.is_symlink()):
                        yield f"{path.name}/{file.relative_to(path).as_posix()}", file
        elif path.is_file():
            yield path.name, path
        else:
            raise SurveyError(f"{path.name} is missing or cannot be read.")
