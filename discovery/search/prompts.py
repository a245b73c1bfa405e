"""Prompts: what one searches with, as vectors of a release's encoder."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from discovery.errors import EncoderMismatch, QueryError, StampError
from discovery.release.release import Release
from discovery.stamps.stamp import Stamp

RADIUS_ARCSEC = 3.0
ID_COLUMNS = ("object_id", "objid", "objectid", "id", "name")
RA_COLUMNS = ("ra", "ra_deg", "raj2000", "_raj2000", "ra_icrs", "right_ascension")
DEC_COLUMNS = ("dec", "dec_deg", "dej2000", "_dej2000", "decj2000", "de_icrs", "declination", "de")
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_SEXAGESIMAL = r"[+-]?\d+(?:[:hd°\s]\s*\d+(?:[:m'′\s]\s*\d+(?:\.\d*)?\s*[s\"″]?)?\s*m?)\s*"


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
    """Turn what a user typed into a prompt: an object id, a position (``RA,DEC``), or the path of a stamp file.

    Raises
    ------
    QueryError
        If it is none of these, or no object lies within 3 arcsec of the position.
    """
    text = text.strip()
    row = _row_of_id(release, text)
    if row is not None:
        return prompt_from_row(release, row, label=text)
    position = parse_position(text)
    if position is not None:
        row, _ = release.catalogue.nearest_position(*position, radius_arcsec=RADIUS_ARCSEC)
        return prompt_from_row(release, row, label=text)
    if text and Path(text).is_file():
        from discovery.readers import read_stamp_file

        return prompt_from_stamp(release, read_stamp_file(Path(text)), label=text)
    raise QueryError(
        f"'{text}' is no object of release {release.name}, no position such as '150.1,2.2' or '10:00:24,+02:12:00', and no stamp file."
    )


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
    """Read prompts from a table of ids or positions (csv, tsv, FITS, VOTable or Parquet; fifty known lenses, say).

    Ids are taken from the first column named object_id, objid, id or name of which the values are objects of this
    release, else positions from ra and dec (degrees or sexagesimal; the nearest object within 3 arcsec).

    Raises
    ------
    QueryError
        If the table cannot be read, is empty, or a line of it is no object of the release.
    """
    path = Path(path)
    columns = _read_columns(path)
    names = {name.strip().lower(): name for name in columns}
    ids = next((columns[names[name]] for name in ID_COLUMNS if name in names), None)
    ra = next((columns[names[name]] for name in RA_COLUMNS if name in names), None)
    dec = next((columns[names[name]] for name in DEC_COLUMNS if name in names), None)
    number = len(next(iter(columns.values()), []))
    if number == 0:
        raise QueryError(f"{path.name} has no lines; give a table of object ids or of ra and dec.")
    if ids is None and (ra is None or dec is None):
        raise QueryError(f"{path.name} has neither a column object_id nor ra and dec; its columns are {', '.join(columns)}.")
    prompts = []
    for line in range(number):
        row = None if ids is None else _row_of_id(release, _text(ids[line]))
        if row is None and ra is not None and dec is not None:
            row = _row_at(release, path, line, f"{_text(ra[line])},{_text(dec[line])}")
        if row is None:
            named = "" if ids is None else f" ('{_text(ids[line])}')"
            raise QueryError(f"Line {line + 1} of {path.name}{named} is no object of release {release.name}.")
        prompts.append(prompt_from_row(release, row))
    return prompts


def check_encoder(release: Release, prompt: Prompt) -> None:
    """Raise EncoderMismatch unless the prompt was made by the release's encoder."""
    if prompt.encoder_checksum != release.encoder_checksum:
        raise EncoderMismatch(
            f"The prompt {prompt.label} was made by another encoder than release {release.name}: make it again with this release."
        )


def parse_position(text: str) -> tuple[float, float] | None:
    """Parse ``RA,DEC`` (or separated by a space): degrees, or sexagesimal hours and degrees.

    Returns
    -------
    tuple of float or None
        (ra, dec) in degrees; None if the text does not look like a position.

    Raises
    ------
    QueryError
        If it looks like one but its numbers are out of range.
    """
    degrees = re.fullmatch(rf"\s*({_NUMBER})\s*(?:,|\s)\s*({_NUMBER})\s*", text)
    if degrees:
        ra, dec = float(degrees[1]), float(degrees[2])
    else:
        parts = text.split(",") if "," in text else text.split(maxsplit=1) if ":" in text or "h" in text else []
        if len(parts) != 2 or not all(re.fullmatch(rf"\s*{_SEXAGESIMAL}", part) for part in parts):
            return None
        ra, dec = _sexagesimal(text, *parts)
    if not (-360 <= ra <= 360 and -90 <= dec <= 90):
        raise QueryError(f"'{text}' is no position: ra goes from 0 to 360 degrees and dec from -90 to 90.")
    return ra % 360, dec


def _sexagesimal(text: str, ra: str, dec: str) -> tuple[float, float]:
    from astropy.coordinates import Angle

    try:
        return float(Angle(ra.strip(), unit="hourangle").degree), float(Angle(dec.strip(), unit="deg").degree)
    except ValueError as problem:
        raise QueryError(f"'{text}' is no position: {problem}") from problem


def _row_of_id(release: Release, object_id: str) -> int | None:
    try:
        return release.catalogue.find_id(object_id)
    except QueryError:
        return None


def _row_at(release: Release, path: Path, line: int, text: str) -> int:
    position = parse_position(text)
    if position is None:
        raise QueryError(f"Line {line + 1} of {path.name}: '{text}' is no position.")
    try:
        return release.catalogue.nearest_position(*position, radius_arcsec=RADIUS_ARCSEC)[0]
    except QueryError as problem:
        raise QueryError(f"Line {line + 1} of {path.name}: {problem}") from problem


def _read_columns(path: Path) -> dict[str, list[Any]]:
    """Return a table's columns by name; texts of csv and tsv stay texts."""
    suffix = path.suffix.lower()
    try:
        if suffix in (".csv", ".tsv", ".txt"):
            with path.open(newline="", encoding="utf-8-sig") as file:
                lines = list(csv.reader(file, delimiter="\t" if suffix == ".tsv" else ","))
            head, body = (lines[0], [line for line in lines[1:] if any(line)]) if lines else ([], [])
            return {name: [line[at] if at < len(line) else "" for line in body] for at, name in enumerate(head)}
        if suffix == ".parquet":
            import pyarrow.parquet

            return pyarrow.parquet.read_table(path).to_pydict()
        from astropy.table import Table

        table = Table.read(path, format="votable" if suffix in (".vot", ".xml", ".votable") else "fits")
        return {name: table[name].tolist() for name in table.colnames}
    except (OSError, ValueError, UnicodeDecodeError, csv.Error, pa.ArrowException) as problem:
        raise QueryError(f"{path.name} cannot be read as a table of prompts ({problem}); give csv, tsv, FITS, VOTable or Parquet.") from problem


def _text(value: Any) -> str:
    return value.decode().strip() if isinstance(value, bytes) else str(value).strip()
