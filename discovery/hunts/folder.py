"""Hunt files as they lie in a folder: what each holds, read without its release."""

from __future__ import annotations

import logging
from pathlib import Path

from discovery.errors import HuntError
from discovery.hunts.log.info import HuntInfo
from discovery.hunts.log.store import HuntStore
from discovery.hunts.log.validation import looks_like_hunt
from discovery.hunts.state import read_state
from discovery.storage.atomic import BESIDE

LOGGER = logging.getLogger(__name__)


def peek_hunt(path: Path | str) -> HuntInfo:
    """Return what a hunt file holds, without its release.

    Raises
    ------
    HuntError
        The file is no hunt, or damaged.
    """
    path = Path(path)
    return read_state(HuntStore.open(path)).info(path)


def list_hunts(folder: Path | str) -> list[HuntInfo]:
    """Return the hunts in a folder by name; files that are no hunts, or damaged ones, are left out with a warning.

    Raises
    ------
    HuntError
        The folder cannot be read.
    """
    found = []
    try:
        paths = (path for path in Path(folder).iterdir() if path.suffix != BESIDE)
        files = sorted(path for path in paths if path.is_file() and looks_like_hunt(path))
    except OSError as error:
        raise HuntError(f"{folder} cannot be read: {error.strerror}") from None
    for path in files:
        try:
            found.append(peek_hunt(path))
        except HuntError as problem:
            LOGGER.warning("left out: %s", problem)
    return found


def remembered_release(info: HuntInfo) -> Path:
    """Return the release folder that a hunt file remembers: beside the hunt as it was, or where it was.

    Raises
    ------
    HuntError
        It is at neither place.
    """
    for path in (info.path.resolve().parent / info.relative_path, Path(info.release_path)):
        if (path / "manifest.json").is_file():
            return path
    raise HuntError(
        f"the release {info.release_name} of {info.path.name} is not where it was; name it with --release"
    )
