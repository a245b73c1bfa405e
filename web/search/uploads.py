"""Files that visitors send to search with, as prompts: stamps, and tables of ids or positions."""

from __future__ import annotations

import secrets
import tempfile
import threading
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from cachetools import LRUCache

from discovery.errors import QueryError
from discovery.release.release import Release
from discovery.search.prompts import Prompt, prompt_from_stamp, prompts_from_table, read_prompt_file
from discovery.stamps.render import stamp_png, upright
from discovery.stamps.stamp import Stamp
from web.stamps.pictures import GRID_SIZE

LONGEST_NAME = 60


@dataclass(frozen=True, kw_only=True)
class Upload:
    """A stamp or a table that a visitor sent, as prompts."""

    name: str
    release: str
    prompts: tuple[Prompt, ...]
    picture: bytes | None


class Uploads:
    """The uploads used latest, by an id that cannot be guessed; safe to share between threads."""

    def __init__(self, most: int = 256) -> None:
        self._kept: LRUCache[str, Upload] = LRUCache(most)
        self._lock = threading.Lock()

    def add(self, upload: Upload) -> str:
        """Keep an upload and return its id."""
        name = secrets.token_urlsafe(12)
        with self._lock:
            self._kept[name] = upload
        return name

    def get(self, name: str, release: str) -> Upload:
        """Return an upload made for a release.

        Raises
        ------
        QueryError
            If it is not (or no longer) kept.
        """
        with self._lock:
            upload = self._kept.get(name)
        if upload is None or upload.release != release:
            raise QueryError("The uploaded file is no longer kept by the server: upload it again.")
        return upload


def read_upload(
    release: Release, content: bytes, file_name: str, *, name: str, encoding: AbstractContextManager[object]
) -> Upload:
    """Return an uploaded file as prompts, and the picture of a stamp.

    Parameters
    ----------
    content : bytes
        Of the file.
    file_name : str
        What the visitor calls it; its suffix says what it is.
    name : str
        The release's name in addresses.
    encoding : context manager
        Entered while a stamp is embedded.

    Raises
    ------
    QueryError, StampError
        The file is empty, or cannot be read or used.
    """
    if not content:
        raise QueryError("The uploaded file is empty: choose another one.")
    file_name = safe_name(file_name)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / file_name
        path.write_bytes(content)
        given = read_prompt_file(path)
    if not isinstance(given, Stamp):
        return Upload(name=file_name, release=name, prompts=tuple(prompts_from_table(release, given, file_name)), picture=None)
    with encoding:
        prompt = prompt_from_stamp(release, given, label=file_name)
    picture = stamp_png(upright(given), size_pixels=GRID_SIZE, scale_bar=True)
    return Upload(name=file_name, release=name, prompts=(prompt,), picture=picture)


def safe_name(file_name: str) -> str:
    """Return the last part of a visitor's file name, short and without what a folder cannot hold."""
    last = file_name.replace("\\", "/").rsplit("/", 1)[-1]
    plain = "".join(character for character in last if character.isprintable())
    return plain[-LONGEST_NAME:].lstrip(".") or "upload"
