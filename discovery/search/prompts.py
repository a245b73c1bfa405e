"""Prompts: what one searches with, as vectors of a release's encoder."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from discovery.errors import EncoderMismatch, ObjectNotFound, QueryError, StampError, SurveyError
from discovery.release.release import Release
from discovery.sky.crossmatch import separations_arcsec
from discovery.sky.places import parse_position
from discovery.stamps.stamp import Stamp
from discovery.tables.columns import ID_NAMES, find_name
from discovery.tables.positions import position_columns, positions_deg
from discovery.tables.reader import FITS_TABLE_SUFFIXES, TABLE_SUFFIXES, read_table

RADIUS_ARCSEC = 3.0
ELSEWHERE_ARCSEC = 60.0
"""An id whose object lies farther than this from the position beside it names another object."""
TRIED_IDS = 20
"""Values of a column that are looked up to see whether it names objects of the release."""


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """One example to search with.

    Attributes
    ----------
    label : str
        What the user gave: an id, a position, a file name.
    row : int or None
        The row of the release that it is; None for a stamp from elsewhere.
    vector : numpy.ndarray
        (D,) float32 of unit length.
    encoder_checksum : str
        Of the encoder that made the vector.
    """

    label: str
    row: int | None
    vector: np.ndarray
    encoder_checksum: str


def resolve_prompt(release: Release, text: str) -> Prompt:
    """Return the one prompt that a text names; see `resolve_prompts`.

    Raises
    ------
    QueryError
        If it names none, or more than one (a table).
    """
    found = resolve_prompts(release, [text])
    if len(found) != 1:
        raise QueryError(f"'{text}' holds {len(found)} examples where one is needed; give its rows one by one.")
    return found[0]


def resolve_prompts(release: Release, texts: Iterable[str], *, files: bool = True) -> list[Prompt]:
    """Return the prompts that texts name: object ids, positions (``RA,DEC``), stamp files, or tables of ids or positions.

    Parameters
    ----------
    texts : iterable of str
        Each is taken for an id if the release has one, else for a position, else for the path of a file.
    files : bool
        Whether paths of files are read; never so for what comes over the network.

    Raises
    ------
    ObjectNotFound
        If a text is none of these, or no object lies within 3 arcsec of the position.
    QueryError
        If a file cannot be read, a table has a row that is no object, or the catalogue does not answer.
    """
    return [prompt for text in texts for prompt in _resolved(release, text.strip(), files)]


def _resolved(release: Release, text: str, files: bool) -> list[Prompt]:
    row = _row_of_id(release, text) if text else None
    if row is not None:
        return [prompt_from_row(release, row, label=text)]
    position = parse_position(text)
    if position is not None:
        row, _ = release.catalogue.nearest_position(*position, radius_arcsec=RADIUS_ARCSEC)
        return [prompt_from_row(release, row, label=text)]
    if files and text and Path(text).is_file():
        return prompts_in_file(release, Path(text))
    known = f"'{text}' is no object of release {release.name}, no position such as '150.1,2.2' or '10:00:24,+02:12:00'"
    raise ObjectNotFound(f"{known}, and no file of a stamp or table." if files else f"{known}; upload a file of yours to search with it.")


def prompts_in_file(release: Release, path: Path) -> list[Prompt]:
    """Return the prompts in a file: a stamp (FITS, JPEG, PNG), or a table of ids or positions.

    Raises
    ------
    QueryError, StampError
        If it cannot be read or used.
    """
    content = read_prompt_file(path)
    if isinstance(content, Stamp):
        return [prompt_from_stamp(release, content, label=str(path))]
    return prompts_from_table(release, content, path.name)


def read_prompt_file(path: Path) -> Stamp | pa.Table:
    """Return the stamp or the table in a file."""
    from discovery.readers import read_stamp_file

    suffix = path.suffix.lower()
    if suffix in (*TABLE_SUFFIXES, ".txt"):
        return _read_table(path)
    try:
        return read_stamp_file(path)
    except StampError:
        if suffix not in FITS_TABLE_SUFFIXES:
            raise
    return _read_table(path)


def prompt_from_row(release: Release, row: int, label: str | None = None) -> Prompt:
    """Return a row of the release as a prompt."""
    vector = release.take(np.array([row]))[0]
    label = label or str(release.catalogue.rows([row], ["object_id"])["object_id"][0])
    return Prompt(label=label, row=int(row), vector=vector, encoder_checksum=release.encoder_checksum)


def prompt_from_stamp(release: Release, stamp: Stamp, label: str | None = None) -> Prompt:
    """Embed a stamp from elsewhere with the release's own encoder.

    Raises
    ------
    QueryError
        If the encoder cannot use the stamp.
    """
    encoder = release.encoder()
    try:
        vector = encoder.embed([stamp])[0]
    except StampError as problem:
        raise QueryError(f"The stamp {label or stamp.object_id} {problem}.") from problem
    return Prompt(label=label or stamp.object_id, row=None, vector=vector, encoder_checksum=encoder.checksum)


def read_prompt_table(release: Release, path: Path | str) -> list[Prompt]:
    """Return the prompts in a table of ids or positions (csv, tsv, FITS, VOTable or Parquet; fifty known lenses, say).

    Ids are taken from the column of a usual name (object_id, objid, id, name ...) whose values are objects of this
    release, positions from ra and dec (in the unit that the table states, degrees or sexagesimal; the nearest object
    within 3 arcsec). Where both are there they must agree.

    Raises
    ------
    QueryError
        If the table cannot be read, is empty, an id names an object elsewhere than its position, or a row of it is no object of the release.
    """
    return prompts_from_table(release, _read_table(Path(path)), Path(path).name)


def prompts_from_table(release: Release, table: pa.Table, name: str) -> list[Prompt]:
    """Return the prompts in a table that was read from a file of a name; see `read_prompt_table`."""
    texts = {column: _texts(table[column]) for column in table.column_names}
    if table.num_rows == 0:
        raise QueryError(f"{name} has no rows; give a table of object ids or of ra and dec.")
    places = _places(table, name)
    ids = _id_column(release, texts, places)
    if ids is None and places is None:
        raise QueryError(f"{name} has neither a column object_id nor ra and dec; its columns are {', '.join(texts)}.")
    prompts = []
    for line in range(table.num_rows):
        what = f"Line {line + 1} of {name}"
        place = None if places is None or np.isnan(places[line, 0]) else (float(places[line, 0]), float(places[line, 1]))
        row = None if ids is None else _row_of_id(release, texts[ids][line])
        if row is not None and place is not None and _elsewhere(release, row, place):
            raise QueryError(
                f"{what}: {ids} {texts[ids or ''][line]} is an object of release {release.name} elsewhere than ra {place[0]:.5f}, "
                f"dec {place[1]:.5f}. If the column {ids} does not hold ids of this release, rename it or leave it out."
            )
        if row is None and place is not None:
            row = _row_at(release, what, place)
        if row is None:
            raise _no_object(release, what, "" if ids is None else texts[ids][line], placed=places is not None)
        prompts.append(prompt_from_row(release, row))
    return prompts


def _places(table: pa.Table, name: str) -> np.ndarray | None:
    try:
        found = position_columns(table)
    except SurveyError as problem:
        raise QueryError(f"{name}: {problem}.") from problem
    return None if found is None else positions_deg(table, found)


def _no_object(release: Release, what: str, object_id: str, *, placed: bool) -> QueryError:
    named = f" ('{object_id}')" if object_id else ""
    if placed and not named:
        return QueryError(f"{what} is no position: give degrees, or hours and degrees as 10:00:24 and +02:12:00.")
    return ObjectNotFound(f"{what}{named} is no object of release {release.name}{' and has no position' * placed}.")


def _elsewhere(release: Release, row: int, place: tuple[float, float]) -> bool:
    """Tell whether a row lies elsewhere than a position: farther than `ELSEWHERE_ARCSEC`, or where another object is nearer."""
    line = release.catalogue.rows([row], ["ra", "dec"]).to_pylist()[0]
    if line["ra"] is None or line["dec"] is None:
        return False
    apart = float(separations_arcsec(np.array([line["ra"]]), np.array([line["dec"]]), np.array([place[0]]), np.array([place[1]]))[0])
    if RADIUS_ARCSEC < apart <= ELSEWHERE_ARCSEC:
        try:
            release.catalogue.nearest_position(*place, radius_arcsec=RADIUS_ARCSEC)
        except ObjectNotFound:
            return False
    return apart > RADIUS_ARCSEC


def _id_column(release: Release, texts: dict[str, list[str]], places: np.ndarray | None) -> str | None:
    """Return the column that names objects: of the usual names the one whose first values name most objects of the
    release, those first that lie where the table says."""
    usual = [column for name in ID_NAMES if (column := find_name(texts, (name,))) is not None]

    def named(column: str) -> tuple[int, int]:
        rows = [_row_of_id(release, text) for text in texts[column][:TRIED_IDS]]
        agreeing = sum(
            row is not None and not (places is not None and np.isfinite(places[line, 0]) and _elsewhere(release, row, tuple(places[line].tolist())))
            for line, row in enumerate(rows)
        )
        return agreeing, sum(row is not None for row in rows)

    return max(usual, key=named) if len(usual) > 1 else next(iter(usual), None)


def check_encoder(release: Release, prompt: Prompt) -> None:
    """Raise EncoderMismatch unless the prompt was made by the release's encoder."""
    if prompt.encoder_checksum != release.encoder_checksum:
        raise EncoderMismatch(
            f"The prompt {prompt.label} was made by another encoder than release {release.name}: make it again with this release."
        )


def _row_of_id(release: Release, object_id: str) -> int | None:
    try:
        return release.catalogue.find_id(object_id)
    except ObjectNotFound:
        return None


def _row_at(release: Release, what: str, place: tuple[float, float]) -> int:
    try:
        return release.catalogue.nearest_position(*place, radius_arcsec=RADIUS_ARCSEC)[0]
    except ObjectNotFound as problem:
        raise ObjectNotFound(f"{what}: {problem}") from problem


def _read_table(path: Path) -> pa.Table:
    try:
        return read_table(path)
    except (SurveyError, OSError) as problem:
        text = str(problem).replace(str(path), path.name)
        raise QueryError(f"{text[:1].upper()}{text[1:]}; give csv, tsv, FITS, VOTable or Parquet.") from problem


def _texts(column: pa.ChunkedArray) -> list[str]:
    return ["" if value is None else str(value).strip() for value in column.to_pylist()]
