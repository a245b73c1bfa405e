"""From paths to a survey: recognise each path's format, say what was seen, join what belongs together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from discovery.errors import SurveyError
from discovery.readers.containers import Folder, ZipArchive
from discovery.readers.joined import JoinedSurvey
from discovery.readers.loose import LooseSurvey, StampTable, is_stamp_file
from discovery.readers.tables import TABLE_SUFFIXES, match_key, read_table
from discovery.stamps import Survey
from discovery.surveys import SURVEYS

HDF5_SUFFIXES = (".h5", ".hdf5", ".hdf")
NO_TABLE = "none"
MIN_MATCHED = 0.5
"""A table that merely lies beside the stamps is used when it names at least this fraction of them."""


@dataclass(kw_only=True)
class _Found:
    """What lies at the paths, by kind."""

    hdf5: list[Path] = field(default_factory=list)
    containers: list[Folder | ZipArchive] = field(default_factory=list)
    names: list[list[str]] = field(default_factory=list)
    brick_folders: list[tuple[Folder, list[str]]] = field(default_factory=list)
    tables: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class _Options:
    """The keywords of `open_survey`."""

    table: str | None
    pixel_scale_arcsec: float | None
    survey: str
    key: str | None
    select: str
    ids: Mapping[str, str]


def open_survey(
    paths: Sequence[Path | str] | Path | str,
    *,
    table: Path | str | None = None,
    pixel_scale_arcsec: float | None = None,
    survey: str | None = None,
    key: str | None = None,
    select: str = "usual",
    ids: Mapping[str, str] | None = None,
) -> Survey:
    """Open survey files or folders of any known format as one survey.

    Parameters
    ----------
    paths : path or sequence of paths
        HDF5 files, zip archives, stamp files, or folders of these, or Legacy Survey brick folders.
    table : path or "none", optional
        Table with one line a stamp for FITS cutouts and pictures. Without it the one table that lies
        beside them is used if it names at least half of the stamps; ``"none"`` uses none.
    pixel_scale_arcsec : float, optional
        Pixel scale where the files tell none (a WCS always comes first).
    survey : str, optional
        Key of `discovery.surveys.SURVEYS` that sets the rendering; ``legacy`` unless told.
    key : str, optional
        Column of the table that names the stamp files; of HDF5 files and brick catalogues, the one that names the objects.
    select : {"usual", "all"}
        For bricks: the usual galaxy selection, or every catalogue line.
    ids : mapping, optional
        How names were made unique by an earlier opening (from `Survey.options`); spares the check.

    Raises
    ------
    SurveyError
        A path does not exist or holds no stamps, or an option does not fit.
    """
    paths = [paths] if isinstance(paths, (str, Path)) else list(paths)
    if not paths:
        raise SurveyError("no survey named: give at least one file or folder")
    options = _checked(table, pixel_scale_arcsec, survey, key, select, ids)
    given = [Path(path).expanduser() for path in paths]
    parts, table_used = _open_parts(_look(given, options), given, options)
    opened = parts[0] if len(parts) == 1 else JoinedSurvey(parts, ids=options.ids.get("joined"))
    if len(opened) == 0:
        raise SurveyError(f"{_said(given)} holds no stamps: {opened.recognised}")
    opened.options.update(_as_json(options, table_used))
    return opened


def _checked(
    table: Path | str | None, scale: float | None, survey: str | None, key: str | None, select: str, ids: Mapping[str, str] | None
) -> _Options:
    if scale is not None and not 0 < scale < 3600:
        raise SurveyError(f"a pixel scale of {scale} arcsec is not possible")
    if survey is not None and survey not in SURVEYS:
        raise SurveyError(f"no survey style {survey}; there are {', '.join(SURVEYS)}")
    if select not in ("usual", "all"):
        raise SurveyError(f"no selection {select}; there are usual and all")
    return _Options(
        table=None if table is None else str(table),
        pixel_scale_arcsec=scale,
        survey=survey or "legacy",
        key=key,
        select=select,
        ids=dict(ids or {}),
    )


def _as_json(options: _Options, table_used: Path | None) -> dict[str, Any]:
    return {
        "table": NO_TABLE if table_used is None else str(table_used),
        "pixel_scale_arcsec": options.pixel_scale_arcsec,
        "survey": options.survey,
        "key": options.key,
        "select": options.select,
    }


def _look(paths: Sequence[Path], options: _Options) -> _Found:
    """Sort all files at the paths by kind."""
    found = _Found()
    own_table = Path(options.table).resolve() if options.table and options.table != NO_TABLE else None
    for path in paths:
        if not path.exists():
            raise SurveyError(f"{path} does not exist")
        if path.is_dir():
            _look_in_folder(Folder(path), own_table, found)
        else:
            _look_at_file(path.resolve(), found)
    return found


def _look_at_file(path: Path, found: _Found) -> None:
    name = path.name.lower()
    if name.endswith(HDF5_SUFFIXES):
        found.hdf5.append(path)
    elif name.endswith(".zip"):
        _add_archive(path, found)
    elif is_stamp_file(name):
        found.containers.append(Folder(path.parent, [path.name]))
        found.names.append([path.name])
    else:
        raise SurveyError(
            f"{path} is no survey: known are HDF5 stamp files, zip archives, FITS cutouts, JPEG and PNG, "
            "and folders of these or of Legacy Survey bricks"
        )
    found.tables += _tables_in(path.parent)


def _look_in_folder(folder: Folder, own_table: Path | None, found: _Found) -> None:
    from discovery.readers.brick_files import is_brick_file

    bricks = [name for name in folder.names if is_brick_file(name)]
    if bricks:
        found.brick_folders.append((folder, bricks))
        return
    stamps: list[str] = []
    for name in folder.names:
        lower = name.lower()
        if own_table is not None and (folder.root / name).resolve() == own_table:
            continue
        if lower.endswith(HDF5_SUFFIXES):
            found.hdf5.append(folder.path(name))
        elif lower.endswith(".zip"):
            _add_archive(folder.path(name), found)
        elif is_stamp_file(lower):
            stamps.append(name)
    if stamps:
        found.containers.append(folder)
        found.names.append(stamps)
    if folder.linked_folders:
        found.notes.append(f"Linked folders were not followed: {', '.join(folder.linked_folders[:3])}.")
    found.tables += _tables_in(folder.root) or _tables_in(folder.root.parent)


def _add_archive(path: Path, found: _Found) -> None:
    archive = ZipArchive(path)
    stamps = [name for name in archive.names if is_stamp_file(name)]
    if stamps:
        found.containers.append(archive)
        found.names.append(stamps)
    else:
        found.notes.append(f"{path.name} holds no FITS, JPEG or PNG.")


def _tables_in(folder: Path) -> list[Path]:
    try:
        inside = sorted(folder.iterdir())
    except OSError:
        return []
    return [
        path
        for path in inside
        if path.name.lower().endswith(TABLE_SUFFIXES) and not path.is_symlink() and path.is_file()
    ]


def _open_parts(found: _Found, given: Sequence[Path], options: _Options) -> tuple[list[Survey], Path | None]:
    parts: list[Survey] = []
    table_used = None
    if found.hdf5:
        parts += _open_hdf5(found.hdf5, given, options)
    if found.containers:
        loose, table_used = _open_loose(found, options)
        parts.append(loose)
    elif options.table not in (None, NO_TABLE):
        raise SurveyError(f"a table goes with FITS cutouts or pictures; {_said(given)} holds none")
    if found.brick_folders:
        from discovery.readers.bricks import BrickSurvey

        parts += [
            BrickSurvey(folder, names, survey=options.survey, select=options.select, ids=options.ids.get("bricks"))
            for folder, names in found.brick_folders
        ]
    if not parts:
        raise SurveyError(
            f"{_said(given)} is no survey: it holds no HDF5 stamp file, zip archive, FITS cutout, JPEG, PNG "
            f"or Legacy Survey brick. {' '.join(found.notes)}".strip()
        )
    return parts, table_used


def _open_hdf5(files: Sequence[Path], given: Sequence[Path], options: _Options) -> list[Survey]:
    from discovery.readers.formats_hdf5 import open_hdf5_files

    return open_hdf5_files(
        list(dict.fromkeys(files)),
        given,
        pixel_scale_arcsec=options.pixel_scale_arcsec,
        survey=options.survey,
        key=options.key,
        ids=options.ids,
    )


def _open_loose(found: _Found, options: _Options) -> tuple[LooseSurvey, Path | None]:
    names = [name for part in found.names for name in part]
    stamp_table, note = _choose_table(names, list(dict.fromkeys(found.tables)), options)
    loose = LooseSurvey(
        found.containers,
        found.names,
        stamp_table=stamp_table,
        pixel_scale_arcsec=options.pixel_scale_arcsec,
        survey=options.survey,
        notes=[note, *found.notes] if note else found.notes,
    )
    return loose, stamp_table.path if stamp_table else None


def _choose_table(names: list[str], beside: list[Path], options: _Options) -> tuple[StampTable | None, str]:
    """Return the table to use, and a sentence that says why it is or is not used."""
    if options.table == NO_TABLE:
        return None, ""
    if options.table is not None:
        path = Path(options.table).expanduser().resolve()
        columns = read_table(path)
        match = match_key(columns, names, options.key)
        if match.n_matched == 0:
            raise SurveyError(f"no line of {path} names any of the {len(names)} stamps; name the column with key")
        return _with_note(StampTable(path=path, columns=columns, match=match), len(names), "as told")
    if len(beside) > 1:
        return None, f"{len(beside)} tables lie beside the stamps and none is used: name one."
    if not beside:
        return None, ""
    columns = read_table(beside[0])
    match = match_key(columns, names, options.key)
    if match.n_matched < MIN_MATCHED * len(names):
        return None, f"{beside[0].name} beside the stamps names {match.n_matched} of {len(names)}: not used."
    return _with_note(StampTable(path=beside[0], columns=columns, match=match), len(names), "the one beside the stamps")


def _with_note(stamp_table: StampTable, n_stamps: int, why: str) -> tuple[StampTable, str]:
    match, columns = stamp_table.match, stamp_table.columns
    unused = columns.num_rows - len(set(match.lines[match.lines >= 0].tolist()))
    note = (
        f"Table {stamp_table.path.name} ({why}), key {match.column}: lines for {match.n_matched} of {n_stamps} "
        f"stamps, columns {', '.join(columns.column_names)}"
    )
    note += f"; {unused} lines without a stamp" * (unused > 0)
    note += f"; {match.n_repeated} repeated keys, of which the first line counts" * (match.n_repeated > 0)
    return stamp_table, note + "."


def _said(paths: Sequence[Path]) -> str:
    return ", ".join(str(path) for path in paths)
