"""Folders and zip archives as flat lists of files that are read whole, within limits, and never left.

Symbolic links that lead out of the folder are refused when they are read, and folders behind links are not
entered, unless links are to be followed. Nothing is ever unpacked to disk.
"""

from __future__ import annotations

import os
import stat
import threading
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from discovery.errors import StampError, SurveyError

MAX_FILE_BYTES = 256 * 1024 * 1024
"""Largest stamp file that is read: three planes of 4096 x 4096 float32 and a header fit."""


class Folder:
    """The files below a folder, by their paths relative to it.

    Attributes
    ----------
    root : Path
        The folder, resolved.
    names : list of str
        Relative paths with forward slashes, sorted, hidden files left out.
    linked_folders : list of str
        Folders behind symbolic links, which were not entered.

    Parameters
    ----------
    follow_links : bool
        Whether links out of the folder are read, and linked folders entered.
    links_into : sequence of Path, optional
        Links are listed, but read only where they lead into one of these folders.
    """

    def __init__(
        self,
        root: Path,
        names: list[str] | None = None,
        *,
        follow_links: bool = False,
        links_into: Sequence[Path] | None = None,
    ) -> None:
        self.root = root.resolve()
        self.follow_links = follow_links
        self._links_into = None if links_into is None else tuple(path.resolve() for path in links_into)
        self.linked_folders: list[str] = []
        self.names = sorted(self._walk()) if names is None else names

    def label(self, name: str) -> str:
        """Return how reports call a file: its path relative to the folder."""
        return name

    def read(self, name: str, limit: int | None = None) -> bytes:
        """Return the content of one file, or its first `limit` bytes.

        Raises
        ------
        StampError
            It leads out of the folder, is no regular file, too large or cannot be read.
        """
        try:
            with self.path(name).open("rb") as file:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode):
                    raise StampError("no regular file")
                check_bytes(status.st_size)
                return file.read(MAX_FILE_BYTES if limit is None else limit)
        except OSError as error:
            raise StampError(f"cannot be read: {error.strerror or error}") from error

    def path(self, name: str) -> Path:
        """Return the real path of one file, refusing links out of the folder and what is no regular file."""
        path = (self.root / name).resolve()
        if not path.is_relative_to(self.root) and not self._may_follow(path):
            raise StampError("a symbolic link that leads out of the folder" + " (--follow-links reads it)" * (not self.follow_links))
        if path.exists() and not path.is_file():
            raise StampError("no regular file")
        return path

    def leads_out(self, name: str) -> bool:
        """Tell whether a file is behind a link out of the folder that is not to be followed."""
        return not self.follow_links and not (self.root / name).resolve().is_relative_to(self.root)

    def _may_follow(self, path: Path) -> bool:
        into = self._links_into
        return self.follow_links and (into is None or any(path.is_relative_to(folder) for folder in into))

    def _walk(self) -> list[str]:
        names: list[str] = []
        waiting: list[tuple[Path, tuple[Path, ...]]] = [(self.root, (self.root,))]  # a folder, and the real ones on the way to it
        while waiting:
            folder, way = waiting.pop()
            try:
                entries = list(os.scandir(folder))
            except OSError as error:
                raise SurveyError(f"{folder} cannot be listed: {error.strerror}") from error
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                relative = Path(entry.path).relative_to(self.root).as_posix()
                if not entry.is_dir():
                    names.append(relative)
                elif not entry.is_symlink():
                    waiting.append((Path(entry.path), (*way, Path(entry.path).resolve()) if self.follow_links else way))
                elif self.follow_links and not _turns_back(real := Path(entry.path).resolve(), way):
                    waiting.append((Path(entry.path), (*way, real)))
                else:
                    self.linked_folders.append(relative)
        return names


class ZipArchive:
    """The members of a zip archive, read in memory.

    Attributes
    ----------
    path : Path
        The archive, resolved.
    names : list of str
        Members with forward slashes (Windows PowerShell writes backslashes), sorted and each once; hidden ones and folders left out.
    repeated : list of str
        Members that are in the archive more than once: the last one counts, as it does for every program that unpacks.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self._files = OpenFiles()
        with self._files.lock:
            _, members = self._open()
        self.names = sorted(name for name in members if not name.endswith("/") and not _hidden_member(name))
        self.repeated = [name for name in self.names if members[name][1] > 1]

    def label(self, name: str) -> str:
        """Return how reports call a member: archive and member."""
        return f"{self.path.name}/{name}"

    def read(self, name: str, limit: int | None = None) -> bytes:
        """Return the content of one member, or its first `limit` bytes; never more than `MAX_FILE_BYTES`.

        Raises
        ------
        StampError
            Its path leads out of the archive, or it is too large, encrypted or damaged.
        """
        member = PurePosixPath(name)
        if member.is_absolute() or ".." in member.parts:
            raise StampError("a member whose path leads out of the archive")
        try:
            with self._files.lock:
                archive, members = self._open()
                if name not in members:
                    raise StampError("no longer in the archive")
                info = members[name][0]
                check_bytes(info.file_size)
                with archive.open(info) as file:
                    data = file.read(MAX_FILE_BYTES + 1 if limit is None else limit)
        except (
            OSError,
            zipfile.BadZipFile,
            zlib.error,
            RuntimeError,
            NotImplementedError,
            EOFError,
        ) as error:
            raise StampError(f"cannot be unpacked: {error}") from error
        check_bytes(len(data))
        return data

    def _open(self) -> tuple[zipfile.ZipFile, dict[str, tuple[zipfile.ZipInfo, int]]]:
        opened = self._files.get(self.path, _OpenZip)
        return opened.archive, opened.members


class OpenFiles:
    """A few open files of this process: reopened in each worker process, safe between threads.

    Hold `lock` while a file is in use, since opening another may close it.
    """

    def __init__(self, limit: int = 4) -> None:
        self.limit = limit
        self._reset()

    def get(self, path: Path, opener: Callable[[Path], Any]) -> Any:
        """Return what ``opener(path)`` gave, opening it at most once while it is among the latest few."""
        handle = self._handles.pop(path, None)
        if handle is None:
            handle = opener(path)
            while len(self._handles) >= self.limit:
                self._handles.pop(next(iter(self._handles))).close()
        self._handles[path] = handle
        return handle

    @property
    def lock(self) -> threading.RLock:
        """The lock of this process; a forked child gets a fresh one and forgets its parent's files."""
        if self._process != os.getpid():
            self._reset()
        return self._lock

    def _reset(self) -> None:
        self._process = os.getpid()
        self._lock = threading.RLock()
        self._handles: dict[Path, Any] = {}

    def __getstate__(self) -> dict[str, int]:
        return {"limit": self.limit}

    def __setstate__(self, state: dict[str, int]) -> None:
        self.__init__(state["limit"])  # type: ignore[misc]


def _turns_back(real: Path, way: Sequence[Path]) -> bool:
    """Tell whether a linked folder holds one of those on the way to it: entering it would never end."""
    return any(folder.is_relative_to(real) for folder in way)


def check_bytes(n_bytes: int) -> None:
    """Refuse a file that is empty or larger than any stamp.

    Raises
    ------
    StampError
        The size does not fit.
    """
    if n_bytes == 0:
        raise StampError("an empty file")
    if n_bytes > MAX_FILE_BYTES:
        raise StampError(f"{n_bytes} bytes; at most {MAX_FILE_BYTES} are read for one stamp")


def distinct_names(names: list[str]) -> tuple[list[str], int]:
    """Return one distinct name a file: its stem, or for stems that repeat its path without suffix.

    Where even that repeats (``a.jpg`` beside ``a.png``) the whole path is the name. Also returns how
    many files did not get their stem.
    """
    stems = [file_stem(name) for name in names]
    repeated = _repeated(stems)
    if not repeated:
        return stems, 0
    longer = [
        _without_suffix(name) if stem in repeated else stem for name, stem in zip(names, stems, strict=True)
    ]
    still = _repeated(longer)
    distinct = [name if long in still else long for name, long in zip(names, longer, strict=True)]
    if _repeated(distinct):
        distinct = list(names)
    return distinct, sum(stem in repeated for stem in stems)


def file_stem(name: str) -> str:
    """Return a file's name without folders and without its suffixes (``a_1.2.fits.gz`` gives ``a_1.2``)."""
    return _without_suffix(name.rsplit("/", 1)[-1])


def _without_suffix(name: str) -> str:
    for suffix in (".gz", ".fz", ".bz2"):
        name = name.removesuffix(suffix)
    head, _, tail = name.rpartition(".")
    known = tail.isalpha() or tail in ("h5", "hdf5")
    return head if known and head and not head.endswith("/") else name


def _repeated(items: list[str]) -> set[str]:
    seen: set[str] = set()
    return {item for item in items if item in seen or seen.add(item)}  # type: ignore[func-returns-value]


def _hidden_member(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) and part != ".." for part in PurePosixPath(name).parts)


class _OpenZip:
    """An open archive, and its members by their names with forward slashes: the last of each name, and how many there are."""

    def __init__(self, path: Path) -> None:
        try:
            self.archive = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile, ValueError) as error:
            raise SurveyError(f"{path} cannot be opened as a zip archive: {error}") from error
        self.members: dict[str, tuple[zipfile.ZipInfo, int]] = {}
        for info in self.archive.infolist():
            name = info.filename.replace("\\", "/")
            self.members[name] = (info, 1 + self.members.get(name, (info, 0))[1])

    def close(self) -> None:
        """Close the archive."""
        self.archive.close()
