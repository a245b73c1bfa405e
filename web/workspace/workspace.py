"""The releases and hunts that the server shows, opened when first needed and shared by all visitors."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from litestar.exceptions import NotFoundException

from discovery.errors import ConfigError, DiscoveryError, HuntError
from web.workspace.known_tables import KnownTables
from web.workspace.open_hunt import OpenHunt

if TYPE_CHECKING:
    from discovery.hunts import HuntInfo
    from discovery.release.release import Release

HUNT_SUFFIX = ".hunt"
HUNT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
MANIFEST = "manifest.json"


class Workspace:
    """The releases, hunts and known objects of one server.

    Parameters
    ----------
    releases : sequence of Path
        Release folders, or folders that hold some.
    hunts : Path
        Folder of the hunt files.
    survey_roots : sequence of Path
        Survey files are read only below these.
    known : KnownTables
        Tables of known objects.

    Raises
    ------
    ConfigError
        If a folder does not exist or holds no release, or two releases have one name.
    """

    def __init__(
        self, *, releases: Sequence[Path], hunts: Path, survey_roots: Sequence[Path], known: KnownTables
    ) -> None:
        self.known = known
        self._folders = _release_folders(releases)
        self._hunts_folder = hunts
        self._survey_roots = tuple(survey_roots)
        self._lock = threading.Lock()
        self._open: dict[str, Release] = {}
        self._open_hunts: dict[str, OpenHunt] = {}
        self.encoding = threading.Lock()
        """Locked while an encoder computes: one at a time keeps the machine responsive."""

    @property
    def release_names(self) -> tuple[str, ...]:
        """Names of all releases, as in their addresses."""
        return tuple(self._folders)

    def release(self, name: str) -> Release:
        """Return a release, opened once.

        Raises
        ------
        NotFoundException
            If none of that name is served.
        ReleaseError
            If it cannot be opened.
        """
        from discovery.release.release import open_release

        if name not in self._folders:
            raise NotFoundException()
        with self._lock:
            if name not in self._open:
                self._open[name] = open_release(self._folders[name], survey_roots=self._survey_roots)
            return self._open[name]

    def opened(self, name: str) -> Release | None:
        """Return a release that is open already, at once."""
        return self._open.get(name)

    def hunt_names(self) -> tuple[str, ...]:
        """Names of the hunt files in the folder, the latest changed first."""
        if not self._hunts_folder.is_dir():
            return ()
        files = [path for path in self._hunts_folder.glob("*" + HUNT_SUFFIX) if _is_hunt_file(path)]
        return tuple(path.stem for path in sorted(files, key=lambda path: path.stat().st_mtime, reverse=True))

    def hunt_info(self, name: str) -> HuntInfo:
        """Return settings and counts of a hunt, without opening its release."""
        from discovery.hunts import peek_hunt

        return peek_hunt(self._hunt_path(name))

    def hunt(self, name: str) -> OpenHunt:
        """Return a hunt, opened with its release.

        Raises
        ------
        NotFoundException
            If there is no such hunt.
        HuntError
            If its release is not served here or does not fit.
        """
        from discovery.hunts import open_hunt

        path = self._hunt_path(name)
        file = (path.stat().st_dev, path.stat().st_ino)
        with self._lock:
            known = self._open_hunts.get(name)
        if known is not None and known.file == file:
            return known
        release = self._release_of(self.hunt_info(name))
        hunt = open_hunt(path, self.release(release))
        opened = OpenHunt(name=name, hunt=hunt, release=release, file=file, known=self.known)
        with self._lock:
            return self._open_hunts.setdefault(name, opened) if known is None else self._replaced(opened)

    def new_hunt_path(self, name: str) -> Path:
        """Return where a new hunt of that name goes; its folder is made when missing.

        Raises
        ------
        HuntError
            If the name is not allowed or taken.
        """
        if not HUNT_NAME.fullmatch(name):
            raise HuntError(
                f"'{name}' cannot name a hunt: use at most 64 letters, digits, dots, hyphens and underscores, "
                "a letter or digit first"
            )
        path = self._hunts_folder / (name + HUNT_SUFFIX)
        if path.exists():
            raise HuntError(f"there is a hunt '{name}' already: choose another name")
        self._hunts_folder.mkdir(parents=True, exist_ok=True)
        return path

    def release_name_of(self, info: HuntInfo) -> str | None:
        """Return the served release that a hunt belongs to, None when it is not served here."""
        try:
            return self._release_of(info)
        except HuntError:
            return None

    def _replaced(self, opened: OpenHunt) -> OpenHunt:
        self._open_hunts[opened.name] = opened
        return opened

    def _release_of(self, info: HuntInfo) -> str:
        for name in self._folders:
            try:
                release = self.release(name)
            except DiscoveryError:
                continue
            if release.name == info.release_name and release.encoder_checksum == info.encoder_checksum:
                return name
        raise HuntError(
            f"hunt '{info.name}' belongs to release '{info.release_name}', which this server does not show with the same "
            "encoder: serve it too, or carry the hunt over with 'discovery hunt move'"
        )

    def _hunt_path(self, name: str) -> Path:
        path = self._hunts_folder / (name + HUNT_SUFFIX)
        if not HUNT_NAME.fullmatch(name) or not _is_hunt_file(path):
            raise NotFoundException()
        return path


def _is_hunt_file(path: Path) -> bool:
    return bool(HUNT_NAME.fullmatch(path.stem)) and path.is_file() and not path.is_symlink()


def _release_folders(given: Sequence[Path]) -> dict[str, Path]:
    """Return release folders by name, in the order given."""
    folders: dict[str, Path] = {}
    for path in given:
        if not path.is_dir():
            raise ConfigError(f"release folder {path} does not exist: check the path")
        found = [path] if (path / MANIFEST).is_file() else sorted(p.parent for p in path.glob(f"*/{MANIFEST}"))
        if not found:
            raise ConfigError(f"{path} holds no release: make one with 'discovery index'")
        for folder in found:
            name = folder.resolve().name
            if folders.setdefault(name, folder).resolve() != folder.resolve():
                raise ConfigError(f"two releases are named '{name}' ({folders[name]}, {folder}): rename one folder")
    return folders


def survey_problem(release: Release) -> str:
    """Return why a release's stamps cannot be read, empty when they can."""
    try:
        release.stamp(0)
    except DiscoveryError as error:
        return str(error)
    return ""
