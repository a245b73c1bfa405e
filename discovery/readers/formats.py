"""From paths to a survey: recognise each path's format, say what was seen, join what belongs together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from discovery.errors import SurveyError
from discovery.files.containers import Folder
from discovery.readers.find_files import FoundFiles, LooseFiles, look
from discovery.readers.image_folder import SAMPLE, LooseSurvey
from discovery.readers.joined_survey import JoinedSurvey
from discovery.readers.stamp_tables import NO_TABLE, choose_table
from discovery.readers.unusable_files import UnusableFiles
from discovery.stamps.imaging_surveys import SURVEYS
from discovery.stamps.stamp import MAX_SIDE_PIXELS, MIN_SIDE_PIXELS, Damaged, Survey


@dataclass(frozen=True, kw_only=True)
class _Options:
    """The keywords of `open_survey`, checked."""

    table: str | None
    pixel_scale_arcsec: float | None
    survey: str
    key: str | None
    select: str
    max_mag: float
    side_pixels: int
    find_tables: bool
    ids: Mapping[str, str]


def open_survey(
    paths: Sequence[Path | str] | Path | str,
    *,
    table: Path | str | None = None,
    pixel_scale_arcsec: float | None = None,
    survey: str | None = None,
    key: str | None = None,
    select: str = "usual",
    max_mag: float = 20.0,
    side_pixels: int = 152,
    find_tables: bool = False,
    ids: Mapping[str, str] | None = None,
    follow_links: bool = False,
    links_into: Sequence[Path] | None = None,
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
        Key of `discovery.stamps.imaging_surveys.SURVEYS` that sets the rendering; ``legacy`` by default.
    key : str, optional
        Column that names the stamp files in the table, or the objects in HDF5 files.
    select : {"usual", "all"}
        For bricks: the usual galaxy selection, or every catalogue row.
    max_mag : float
        For bricks: faintest z magnitude (AB) of the usual selection.
    side_pixels : int
        For bricks: pixels a side of the stamps.
    find_tables : bool
        Look for tables although `table` is ``"none"``: so `Survey.options` says it where paths have several.
    ids : mapping, optional
        How names were made unique by an earlier opening (from `Survey.options`); spares the check.
    follow_links : bool
        Read symbolic links out of the given folders, and enter linked folders.
    links_into : sequence of Path, optional
        Links are read only where they lead into one of these folders.

    Raises
    ------
    SurveyError
        A path does not exist or holds no stamps, or an option does not fit.
    """
    paths = [paths] if isinstance(paths, (str, Path)) else list(paths)
    if not paths:
        raise SurveyError("no survey named: give at least one file or folder")
    options = _Options(
        table=None if table is None else str(table),
        pixel_scale_arcsec=pixel_scale_arcsec,
        survey=survey or "legacy",
        key=key,
        select=select,
        max_mag=max_mag,
        side_pixels=side_pixels,
        find_tables=find_tables,
        ids=dict(ids or {}),
    )
    _check(options)
    given = [Path(path).expanduser() for path in paths]
    named_table = options.table if options.table != NO_TABLE else None
    own_table = Path(named_table).expanduser().resolve() if named_table else None
    found = look(given, own_table, follow_links=follow_links, links_into=links_into)
    parts, tables_used = _open_parts(found, given, options)
    opened = parts[0] if len(parts) == 1 else JoinedSurvey(parts, ids=options.ids.get("joined"))
    opened.recognised = " ".join([opened.recognised, *found.notes])
    if len(opened) == 0:
        raise SurveyError(f"{_path_list(given)} holds no stamps: {opened.recognised}")
    opened.options.update(_as_json(options, tables_used))
    if follow_links:
        opened.options["follow_links"] = True
    return opened


def _check(options: _Options) -> None:
    scale = options.pixel_scale_arcsec
    if scale is not None and not 0 < scale < 3600:
        raise SurveyError(f"a pixel scale of {scale} arcsec is not possible")
    if options.survey not in SURVEYS:
        raise SurveyError(f"no survey style {options.survey}; there are {', '.join(SURVEYS)}")
    if options.select not in ("usual", "all"):
        raise SurveyError(f"no selection {options.select}; there are usual and all")
    if not MIN_SIDE_PIXELS <= options.side_pixels <= MAX_SIDE_PIXELS:
        raise SurveyError(
            f"stamps of {options.side_pixels} pixels: give {MIN_SIDE_PIXELS} to {MAX_SIDE_PIXELS}"
        )


def _as_json(options: _Options, tables_used: Sequence[Path | None]) -> dict[str, Any]:
    """Return the options, with the table that was found; where there are several, each is found again."""
    table = options.table
    if len(tables_used) == 1:
        table = NO_TABLE if tables_used[0] is None else str(tables_used[0])
    return {
        "table": table,
        "pixel_scale_arcsec": options.pixel_scale_arcsec,
        "survey": options.survey,
        "key": options.key,
        "select": options.select,
        "max_mag": options.max_mag,
        "side_pixels": options.side_pixels,
        "find_tables": len(set(tables_used)) > 1,
    }


def _open_parts(
    found: FoundFiles, given: Sequence[Path], options: _Options
) -> tuple[list[Survey], list[Path | None]]:
    """Return one survey for each kind of files, and the tables that are used."""
    parts: list[Survey] = []
    tables_used: list[Path | None] = []
    unusable = dict(found.unusable)
    if found.hdf5:
        surveys, unusable_hdf5 = _open_hdf5(found.hdf5, given, options)
        parts, unusable = [*parts, *surveys], {**unusable_hdf5, **unusable}
    problems = []
    for loose in found.loose:
        survey, table_used = _open_loose(loose, options)
        parts.append(survey)
        tables_used.append(table_used)
        problems += [problem] if (problem := _problem(survey)) else []
    if not found.loose and options.table not in (None, NO_TABLE):
        raise SurveyError(f"a table goes with FITS cutouts or pictures; {_path_list(given)} holds none")
    for number, (folder, names) in enumerate(found.brick_folders):
        parts.append(_open_bricks(folder, names, f"bricks {number}", options))
    if len(problems) == len(parts) and (problems or unusable):
        raise SurveyError([*problems, *unusable.values()][0])
    if unusable:
        parts.append(UnusableFiles(unusable, next((path.resolve() for path in given if path.is_dir()), None)))
    if not parts:
        raise SurveyError(
            f"{_path_list(given)} is no survey: it holds no HDF5 stamp file, zip archive, FITS cutout, JPEG, PNG "
            f"or Legacy Survey brick. {' '.join(found.notes)}".strip()
        )
    return parts, tables_used


def _open_bricks(folder: Folder, names: list[str], ids_of: str, options: _Options) -> Survey:
    from discovery.readers.bricks.survey import BrickSurvey

    survey = BrickSurvey(
        folder,
        names,
        survey=options.survey,
        select=options.select,
        max_mag=options.max_mag,
        side_pixels=options.side_pixels,
        ids=options.ids.get(ids_of),
    )
    survey.options["ids"] = {ids_of: survey.options["ids"]["bricks"]}
    return survey


def _open_hdf5(files: Sequence[Path], given: Sequence[Path], options: _Options) -> tuple[list[Survey], dict[Path, str]]:
    from discovery.readers.hdf5.layouts import open_hdf5_files

    return open_hdf5_files(
        list(dict.fromkeys(files)),
        given,
        pixel_scale_arcsec=options.pixel_scale_arcsec,
        survey=options.survey,
        key=options.key,
        ids=options.ids,
    )


def _open_loose(loose: LooseFiles, options: _Options) -> tuple[LooseSurvey, Path | None]:
    names = [name for part in loose.names for name in part]
    stamp_table, note = choose_table(names, loose.tables, given=options.table, key=options.key, find_tables=options.find_tables)
    survey = LooseSurvey(
        loose.containers,
        loose.names,
        stamp_table=stamp_table,
        pixel_scale_arcsec=options.pixel_scale_arcsec,
        survey=options.survey,
        notes=[text for text in (note, *loose.notes) if text],
    )
    survey.recognised = " ".join(filter(None, (survey.recognised, survey.positions_elsewhere())))
    return survey, stamp_table.path if stamp_table else None


def _problem(survey: LooseSurvey) -> str:
    """Return why none of a few stamps can be used; "" where one can, or where there are many."""
    looked_at = survey.read(0, SAMPLE) if len(survey) <= SAMPLE else []
    damaged = [stamp for stamp in looked_at if isinstance(stamp, Damaged)]
    if not damaged or len(damaged) < len(looked_at):
        return ""
    return f"no stamp can be read; the first, {damaged[0].source}: {damaged[0].reason}"


def _path_list(paths: Sequence[Path]) -> str:
    return ", ".join(str(path) for path in paths)
