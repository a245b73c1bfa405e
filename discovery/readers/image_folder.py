"""Loose stamp files: a folder or zip of FITS cutouts or of JPEG and PNG pictures, with an optional table.

Every file is one stamp, named by its stem (or by the table's ``object_id``). Pictures have no position
or pixel scale of their own: these come from the table, the name or the options.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from discovery.errors import StampError, SurveyError
from discovery.files.containers import Folder, ZipArchive, distinct_names
from discovery.files.fits_images import MAGIC, image_shape, primary_header
from discovery.readers.fits_cutouts import (
    CutoutHeader,
    cutout_header,
    has_end,
    position_in_name,
    read_cutout_header,
)
from discovery.readers.pictures import PictureHeader, read_picture_header
from discovery.readers.stamp_files import decode_stamp, is_fits
from discovery.readers.stamp_tables import StampTable, contradicted_positions
from discovery.stamps.stamp import Damaged, Stamp
from discovery.tables.columns import degrees, described, find_name, kept_names, required_columns, unit_of

SCALE_NAMES = ("pixel_scale_arcsec", "pixscale", "pxscale", "pixel_scale")
HEAD_BYTES = 1 << 16
SAMPLE = 8
"""So many files are looked into at opening, to tell what the survey holds."""
PICTURE_SAMPLE = 64
"""So many pictures, spread over all, are looked into for grey and not square ones: there may be few."""


class LooseSurvey:
    """FITS cutouts or pictures in folders and zip archives.

    Parameters
    ----------
    containers : sequence of Folder or ZipArchive
        Where the files are.
    names : sequence of list of str
        The stamp files of each container, in order.
    stamp_table : StampTable or None
        The table with a line for the stamps.
    pixel_scale_arcsec : float or None
        Pixel scale of stamps whose file tells none.
    survey : str
        Key of `discovery.stamps.imaging_surveys.SURVEYS`.
    notes : sequence of str
        What the opening saw besides, for `recognised`.
    """

    def __init__(
        self,
        containers: Sequence[Folder | ZipArchive],
        names: Sequence[list[str]],
        *,
        stamp_table: StampTable | None,
        pixel_scale_arcsec: float | None,
        survey: str,
        notes: Sequence[str] = (),
    ) -> None:
        self._containers = tuple(containers)
        self._names = [name for part in names for name in part]
        self._starts = np.cumsum([0, *(len(part) for part in names)])
        self._scale = pixel_scale_arcsec
        self._survey = survey
        self._table = stamp_table
        self._ids, n_renamed = _object_ids(self._names, stamp_table)
        self.paths = tuple(c.root if isinstance(c, Folder) else c.path for c in containers)
        n_fits = sum(is_fits(name) for name in self._names)
        self.format = "fits-cutouts" if n_fits else "images"
        self.recognised = " ".join([self._describe(n_fits, n_renamed), *notes])
        self.options: dict[str, Any] = {}

    def __len__(self) -> int:
        return len(self._names)

    def table(self, start: int = 0, stop: int | None = None) -> pa.Table:
        """Return the columns of the table, and id, position and source of each stamp (see `Survey.table`)."""
        start, stop, _ = slice(start, stop).indices(len(self))
        sources = [self._label(position) for position in range(start, stop)]
        columns: dict[str, pa.Array | pa.ChunkedArray] = {}
        units: dict[str, str] = {}
        if self._table is None:
            ra_deg, dec_deg = self._own_positions(start, stop)
        else:
            lines = self._table.match.rows[start:stop]
            index = pa.array(lines, mask=lines < 0)
            came = self._table.columns
            ra_deg, dec_deg = self._table_positions(lines, start, stop)
            for name, kept in kept_names(came.column_names).items():
                columns[kept] = came.column(name).take(index)
                units[kept] = unit_of(came, name)
        return described({**required_columns(self._ids[start:stop], ra_deg, dec_deg, sources), **columns}, units)

    def read(self, start: int, stop: int) -> Sequence[Stamp | Damaged]:
        """Return the stamps at positions start..stop (see `Survey.read`)."""
        start, stop, _ = slice(start, stop).indices(len(self))
        return [self._read_one(position) for position in range(start, stop)]

    def _read_one(self, position: int) -> Stamp | Damaged:
        container, name = self._locate(position)
        object_id = self._ids[position]
        try:
            stamp = decode_stamp(
                container.read(name), name, object_id=object_id, scale=self._scale, survey=self._survey
            )
        except StampError as error:
            return Damaged(object_id=object_id, source=container.label(name), reason=str(error))
        return self._with_table(stamp, position)

    def _with_table(self, stamp: Stamp, position: int) -> Stamp:
        """Return the stamp with the position and scale of its line in the table, which come first."""
        if self._table is None or (line := int(self._table.match.rows[position])) < 0:
            return stamp
        came = self._table.columns.slice(line, 1)
        if self._table.places is not None and np.isfinite(self._table.places[line]).all():
            ra_deg, dec_deg = self._table.places[line].tolist()
            stamp = replace(stamp, ra_deg=ra_deg, dec_deg=dec_deg)
        scale = _first_number(came, SCALE_NAMES)
        if stamp.kind == "rgb" and scale is not None and scale > 0:
            stamp = replace(stamp, pixel_scale_arcsec=scale)
        return stamp

    def _own_positions(self, start: int, stop: int) -> tuple[pa.Array, pa.Array]:
        """Return right ascension and declination (degrees) that the files themselves tell."""
        pairs = [self._own_position(position) or (None, None) for position in range(start, stop)]
        ra_deg, dec_deg = ([pair[axis] for pair in pairs] for axis in (0, 1))
        return pa.array(ra_deg, pa.float64()), pa.array(dec_deg, pa.float64())

    def positions_elsewhere(self) -> str:
        """Return a warning if the first stamps of the table say themselves that they lie elsewhere than it says; else nothing."""
        if self._table is None or self._table.places is None:
            return ""
        first = np.flatnonzero(self._table.match.rows >= 0)[:SAMPLE].tolist()
        own = [self._own_position(position) or (np.nan, np.nan) for position in first]
        return contradicted_positions(self._table, first, np.array(own, float).reshape(-1, 2))

    def _own_position(self, position: int) -> tuple[float, float] | None:
        _, name = self._locate(position)
        if is_fits(name):
            try:
                seen = self._header(position)
            except StampError:
                return position_in_name(name)
            if seen.ra_deg is not None and seen.dec_deg is not None:
                return seen.ra_deg, seen.dec_deg
        return position_in_name(name)

    def _header(self, position: int) -> CutoutHeader:
        """Return the header of a cutout, from the beginning of the file where that will do."""
        container, name = self._locate(position)
        head = container.read(name, HEAD_BYTES)
        if head.startswith(MAGIC) and len(head) == HEAD_BYTES and not has_end(head):
            head = container.read(name)  # a header longer than that
        if head.startswith(MAGIC) and (header := primary_header(head))["NAXIS"] != 0:
            return read_cutout_header(header, image_shape(header))
        return cutout_header(container.read(name))

    def _table_positions(self, lines: np.ndarray, start: int, stop: int) -> tuple[pa.Array, pa.Array]:
        """Return right ascension and declination (degrees) of the table's lines, else those of the files themselves."""
        import pyarrow.compute as pc

        own_ra, own_dec = self._own_positions(start, stop)
        if self._table is None or self._table.places is None:
            return own_ra, own_dec
        places = np.where((lines >= 0)[:, None], self._table.places[lines], np.nan)
        known = pa.array(np.isfinite(places).all(axis=1))
        return pc.if_else(known, pa.array(places[:, 0]), own_ra), pc.if_else(known, pa.array(places[:, 1]), own_dec)

    def _locate(self, position: int) -> tuple[Folder | ZipArchive, str]:
        index = int(np.searchsorted(self._starts, position, side="right")) - 1
        return self._containers[index], self._names[position]

    def _label(self, position: int) -> str:
        container, name = self._locate(position)
        return container.label(name)

    def _describe(self, n_fits: int, n_renamed: int) -> str:
        n_pictures = len(self) - n_fits
        text = [
            " and ".join(
                part for part in (_count(n_fits, "FITS cutout"), _count(n_pictures, "picture")) if part
            )
        ]
        text[0] += " in " + ", ".join(str(path.name) for path in self.paths[:3])
        text += [self._describe_cutouts()] if n_fits else []
        if n_pictures:
            scale = f"{self._scale:g} arcsec a pixel as given" if self._scale else "pixel scale not known"
            text.append(f"pictures taken as display colours (blue plane first), {scale}")
            text += _describe_pictures(self._sample_pictures())
        if n_renamed:
            text.append(f"{n_renamed} files share their name with another and are named by their path")
        return "; ".join(text) + "."

    def _describe_cutouts(self) -> str:
        seen = list(self._sample_headers())
        if not seen:
            return "none of the first cutouts could be read"
        bands = sorted({"".join(header.bands) for header in seen})
        stated = (
            "by BANDS"
            if all(header.bands_stated for header in seen)
            else "no BANDS keyword: taken in this order"
        )
        scales = sorted({round(header.pixel_scale_arcsec, 3) for header in seen if header.pixel_scale_arcsec})
        scale = (
            " to ".join(f"{value:g}" for value in dict.fromkeys((scales[0], scales[-1]))) if scales else "no"
        )
        sides = sorted({header.side for header in seen})
        side = " to ".join(str(value) for value in dict.fromkeys((sides[0], sides[-1])))
        return (
            f"bands {' or '.join(bands)} ({stated}), {_units(seen)}, {side} pixels a side, "
            f"{scale} arcsec a pixel from the WCS (first {len(seen)} looked at)"
        )

    def _sample_pictures(self) -> list[PictureHeader]:
        positions = [position for position, name in enumerate(self._names) if not is_fits(name)]
        spread: list[int] = np.unique(np.linspace(0, len(positions) - 1, PICTURE_SAMPLE).astype(int)).tolist() if positions else []
        seen: list[PictureHeader] = []
        for place in spread:
            container, name = self._locate(positions[place])
            try:
                header = read_picture_header(container.read(name, HEAD_BYTES))
            except StampError:
                continue
            seen += [header] if header else []
        return seen

    def _sample_headers(self) -> Iterator[CutoutHeader]:
        looked_at = 0
        for position, name in enumerate(self._names):
            if looked_at == SAMPLE:
                return
            if is_fits(name):
                looked_at += 1
                try:
                    yield self._header(position)
                except StampError:
                    continue


def _object_ids(names: list[str], stamp_table: StampTable | None) -> tuple[list[str], int]:
    """Return a unique id a stamp: the table's object_id where there is one, else the distinct file name."""
    ids, n_renamed = distinct_names(names)
    id_column = find_name(stamp_table.columns.column_names, ("object_id",)) if stamp_table else None
    if stamp_table is None or id_column is None:
        return ids, n_renamed
    came = stamp_table.columns.column(id_column).to_pylist()
    lines = stamp_table.match.rows
    wanted = [
        str(came[line]) if line >= 0 and came[line] is not None else own
        for own, line in zip(ids, lines, strict=True)
    ]
    if len(set(wanted)) != len(wanted):
        raise SurveyError(
            f"object_id repeats in {stamp_table.path} for {len(wanted) - len(set(wanted))} stamps; "
            "make it unique or name another table"
        )
    return wanted, 0


def _describe_pictures(seen: Sequence[PictureHeader]) -> list[str]:
    """Return what is done with pictures that are not three colours in a square, where there are some."""
    n_grey, n_odd = sum(header.grey for header in seen), sum(header.height != header.width for header in seen)
    text = []
    if n_grey:
        text.append(f"{n_grey} of {len(seen)} looked at are grey: their one band is repeated for the encoder")
    if n_odd:
        text.append(f"{n_odd} of {len(seen)} looked at are not square: their central square is the stamp")
    return text


def _units(seen: list[CutoutHeader]) -> str:
    """Return in words what the numbers of cutouts are."""
    converted = sorted({header.unit for header in seen if header.nanomaggies != 1})
    return f"{' and '.join(converted)} converted to nanomaggies" if converted else "taken as nanomaggies"


def _first_number(line: pa.Table, names: Sequence[str]) -> float | None:
    name = find_name(line.column_names, names)
    return None if name is None else degrees(line.column(name))[0].as_py()


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}" if number else ""
