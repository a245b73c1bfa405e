"""What lies at the paths of a survey, sorted by kind: HDF5 files, loose stamps and their tables, bricks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from discovery.errors import StampError, SurveyError
from discovery.files.containers import Folder, ZipArchive
from discovery.files.paths import check_paths_exist
from discovery.readers.bricks.files import is_brick_file
from discovery.readers.stamp_files import is_fits, is_stamp_file
from discovery.tables.reader import TABLE_SUFFIXES, holds_fits_table, why_no_table

HDF5_SUFFIXES = (".h5", ".hdf5", ".hdf")
MAX_HEAD_BYTES = 1 << 16
MAX_LOOKED_INTO = 200
"""In a folder with more FITS files than this none is looked into for being a table."""


@dataclass(kw_only=True)
class LooseFiles:
    """Stamp files that share a table: their containers, names, and the tables that lie beside them."""

    containers: list[Folder | ZipArchive] = field(default_factory=list)
    names: list[list[str]] = field(default_factory=list)
    tables: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, container: Folder | ZipArchive, names: list[str]) -> None:
        """Add the stamp files of one more container."""
        self.containers.append(container)
        self.names.append(names)

    def merge(self, other: LooseFiles) -> None:
        """Add all that another one holds."""
        self.containers += other.containers
        self.names += other.names
        self.tables = list(dict.fromkeys(self.tables + other.tables))
        self.notes += other.notes


@dataclass(kw_only=True)
class FoundFiles:
    """What lies at the paths, by kind."""

    hdf5: list[Path] = field(default_factory=list)
    loose: list[LooseFiles] = field(default_factory=list)
    brick_folders: list[tuple[Folder, list[str]]] = field(default_factory=list)
    unusable: dict[Path, str] = field(default_factory=dict)
    """Archives that cannot be opened, and why."""
    notes: list[str] = field(default_factory=list)

    def add_loose(self, loose: LooseFiles) -> None:
        """Add stamp files, to those with the same tables beside them if there are any."""
        same = next((other for other in self.loose if other.tables == loose.tables), None)
        if same is None:
            self.loose.append(loose)
        else:
            same.merge(loose)


def look(
    paths: Sequence[Path],
    own_table: Path | None,
    *,
    follow_links: bool = False,
    links_into: Sequence[Path] | None = None,
) -> FoundFiles:
    """Sort all files at the paths by kind.

    Parameters
    ----------
    paths : sequence of Path
        Files and folders.
    own_table : Path or None
        The table that the caller named: it is no stamp, and all loose stamps share it.
    follow_links, links_into
        As in `discovery.readers.open_survey`.

    Raises
    ------
    SurveyError
        A path does not exist or can be no survey.
    """
    check_paths_exist(paths)
    found = FoundFiles()
    for path in paths:
        if path.is_dir():
            folder = Folder(path, follow_links=follow_links, links_into=links_into)
            _look_in_folder(folder, own_table, found)
        else:
            _look_at_file(path.resolve(), found)
    if own_table is not None and len(found.loose) > 1:
        for other in found.loose[1:]:
            found.loose[0].merge(other)
        del found.loose[1:]
    return found


def _look_at_file(path: Path, found: FoundFiles) -> None:
    name = path.name.lower()
    loose = _beside(path.parent)
    if name.endswith(HDF5_SUFFIXES):
        found.hdf5.append(path)
    elif name.endswith(".zip"):
        _add_archive(path, loose, found)
    elif is_stamp_file(name):
        loose.add(Folder(path.parent, [path.name]), [path.name])
    else:
        raise SurveyError(
            f"{path} is no survey: known are HDF5 stamp files, zip archives, FITS cutouts, JPEG and PNG, "
            "and folders of these or of Legacy Survey bricks"
        )
    _keep(loose, found)


def _look_in_folder(folder: Folder, own_table: Path | None, found: FoundFiles) -> None:
    bricks = [name for name in folder.names if is_brick_file(name)]
    if bricks:
        found.brick_folders.append((folder, bricks))
        others = [name for name in folder.names if not is_brick_file(name) and _may_hold_stamps(name)]
        if others:
            found.notes.append(
                f"{len(others)} other files beside the bricks were not read (such as {others[0]})."
            )
        return
    loose = _beside(folder.root, folder.follow_links)
    stamps: list[str] = []
    for name in folder.names:
        lower = name.lower()
        if own_table is not None and (folder.root / name).resolve() == own_table:
            continue
        if lower.endswith((*HDF5_SUFFIXES, ".zip")) and folder.leads_out(name):
            found.notes.append(f"{name} is a link out of the folder and was not followed (see --follow-links).")
        elif lower.endswith(HDF5_SUFFIXES):
            found.hdf5.append(_real_path(folder, name))
        elif lower.endswith(".zip"):
            _add_archive(_real_path(folder, name), loose, found)
        elif is_stamp_file(lower):
            stamps.append(name)
    tables = _fits_tables(folder, stamps)
    loose.tables += [folder.path(name) for name in tables]
    if len(stamps) > len(tables):
        loose.add(folder, [name for name in stamps if name not in tables])
    loose.tables = loose.tables or _beside(folder.root.parent).tables
    if folder.linked_folders:
        found.notes.append(f"Linked folders were not followed: {', '.join(folder.linked_folders[:3])} (see --follow-links).")
    _keep(loose, found)


def _fits_tables(folder: Folder, names: Sequence[str]) -> set[str]:
    """Return which FITS files directly in the folder are tables, where there are few enough to look into."""
    candidates = [name for name in names if is_fits(name) and "/" not in name]
    if len(candidates) > MAX_LOOKED_INTO:
        return set()
    return {name for name in candidates if _is_fits_table(folder, name)}


def _is_fits_table(folder: Folder, name: str) -> bool:
    try:
        return holds_fits_table(folder.read(name, MAX_HEAD_BYTES))
    except StampError:
        return False


def _keep(loose: LooseFiles, found: FoundFiles) -> None:
    """Add what was found at one path; mere notes go to the whole."""
    if loose.containers:
        found.add_loose(loose)
    else:
        found.notes += loose.notes


def _add_archive(path: Path, loose: LooseFiles, found: FoundFiles) -> None:
    try:
        archive = ZipArchive(path)
    except SurveyError as error:
        found.unusable[path] = str(error)
        return
    stamps = [name for name in archive.names if is_stamp_file(name)]
    if archive.repeated:
        n_repeated, first = len(archive.repeated), archive.repeated[0]
        loose.notes.append(f"{path.name} holds {n_repeated} members more than once, of which the last counts (such as {first}).")
    if tables := [name for name in archive.names if name.lower().endswith(TABLE_SUFFIXES) and not is_stamp_file(name)]:
        loose.notes.append(
            f"{path.name} holds the table {tables[0]}, which is not used: unpack it beside the archive, or name it with --table."
        )
    if stamps:
        loose.add(archive, stamps)
    else:
        loose.notes.append(f"{path.name} holds no FITS, JPEG or PNG.")


def _may_hold_stamps(name: str) -> bool:
    outside_bricks = not {"coadd", "tractor", "sweep", "metrics"} & set(name.split("/"))
    return outside_bricks and (is_stamp_file(name) or name.lower().endswith((*HDF5_SUFFIXES, ".zip")))


def _real_path(folder: Folder, name: str) -> Path:
    try:
        return folder.path(name)
    except StampError as error:
        raise SurveyError(f"{name} in {folder.root} cannot be read: {error}") from error


def _beside(folder: Path, follow_links: bool = False) -> LooseFiles:
    """Return the tables in a folder, and a note for each file that is called like one and is none."""
    loose = LooseFiles()
    try:
        inside = sorted(folder.iterdir())
    except OSError:
        return loose
    for path in inside:
        if path.name.startswith(".") or not path.name.lower().endswith(TABLE_SUFFIXES) or not path.is_file():
            continue
        if path.is_symlink() and not follow_links:
            continue
        reason = why_no_table(path)
        if reason is None:
            loose.tables.append(path)
        else:
            loose.notes.append(f"{path.name} is no table ({reason}) and was left.")
    return loose
