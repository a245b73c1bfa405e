"""What the HDF5 layouts share: columns, unique names, contiguous reads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa

from discovery.errors import StampError, SurveyError
from discovery.files.containers import OpenFiles
from discovery.readers.hdf5.files import StampFile, open_file
from discovery.readers.pixel_checks import central_square, usable_pixels
from discovery.stamps.stamp import Damaged, Stamp, StampKind
from discovery.tables.columns import (
    arrow_column,
    conform,
    described,
    kept_names,
    merged_types,
    required_columns,
)
from discovery.tables.positions import PositionColumns, position_columns, positions_deg


class Hdf5Survey(ABC):
    """Stamps in HDF5 files of one layout; a subclass says which.

    Parameters
    ----------
    files : sequence of StampFile
        From `discovery.readers.hdf5.files.look_into`; at least one of them usable.
    paths : sequence of Path
        The given paths: the files, or folders that hold them.
    pixel_scale_arcsec : float or None
        Pixel scale, where the files do not tell it.
    survey : str
        Key of `discovery.stamps.imaging_surveys.SURVEYS`.
    key : str or None
        Column that names the objects; None takes the best there is.
    ids : {"plain", "file", "row"} or None
        How names are made unique, as an earlier opening found; None checks.
    """

    format: str
    images_name: str = "images"
    kind: StampKind = "nmgy"
    layout_scale_arcsec: float | None = None
    """Pixel scale of every file of this layout, where the layout fixes it."""

    def __init__(
        self,
        files: Sequence[StampFile],
        paths: Sequence[Path],
        *,
        pixel_scale_arcsec: float | None,
        survey: str,
        key: str | None = None,
        ids: str | None = None,
    ) -> None:
        self._files = tuple(files)
        self._usable = [file for file in files if file.problem is None]
        self._starts = np.cumsum([0, *(file.rows for file in files)])
        self._open = OpenFiles()
        self._stated_by_file: dict[Path, tuple[dict[str, str], PositionColumns | None]] = {}
        self._scale = pixel_scale_arcsec or self.layout_scale_arcsec
        self._survey = survey
        self._types = merged_types(file.columns for file in self._usable)
        self._kept = kept_names(self._types)
        self._id_fields = self._choose_id_fields(key)
        self._id_style = ids if ids is not None else self._unique_style()
        self.paths = tuple(paths)
        self.recognised = self._describe()
        self.options: dict[str, Any] = {"ids": {self.format: self._id_style}}

    @classmethod
    @abstractmethod
    def claims(cls, images: h5py.Dataset) -> bool:
        """Tell whether a dataset of the name `images_name` holds stamps of this layout."""

    @abstractmethod
    def planes(self, stored: np.ndarray) -> np.ndarray:
        """Return the stored pixels of one stamp as (3, H, W) float32, bluest channel first."""

    def __len__(self) -> int:
        return int(self._starts[-1])

    def table(self, start: int = 0, stop: int | None = None) -> pa.Table:
        """Return every column of the files (see `Survey.table`)."""
        start, stop, _ = slice(start, stop).indices(len(self))
        parts = [self._table_part(file, first, last) for file, first, last in self._spans(start, stop)]
        if not parts:
            parts = [self._empty_table()]
        return pa.concat_tables(parts)

    def read(self, start: int, stop: int) -> Sequence[Stamp | Damaged]:
        """Return the stamps at positions start..stop (see `Survey.read`)."""
        start, stop, _ = slice(start, stop).indices(len(self))
        found: list[Stamp | Damaged] = []
        for file, first, last in self._spans(start, stop):
            found += self._read_part(file, first, last)
        return found

    def _read_part(self, file: StampFile, first: int, last: int) -> list[Stamp | Damaged]:
        if file.problem is not None:
            return [Damaged(object_id=file.label, source=file.source, reason=file.problem)]
        with self._open.lock:
            try:
                handle = self._handle(file)
            except SurveyError as error:
                names = [f"{file.label}/{row}" for row in range(first, last)]
                return [Damaged(object_id=name, source=file.source, reason=str(error)) for name in names]
            names = self._names(handle, file, first, last)
            columns = {name: handle[name][first:last] for name in ("pxscale",) if name in file.columns}
            places = self._places(handle, file, first, last)
            rows = self._rows(handle, first, last)
        found: list[Stamp | Damaged] = []
        for index, (name, pixels) in enumerate(zip(names, rows, strict=True)):
            stamp_values = {column: values[index] for column, values in columns.items()}
            if places is not None:
                stamp_values |= {"ra": places[index, 0], "dec": places[index, 1]}
            found.append(self._stamp(pixels, name, f"{file.source}:{first + index}", stamp_values))
        return found

    def _stamp(
        self, pixels: np.ndarray | str, object_id: str, source: str, stamp_values: dict[str, Any]
    ) -> Stamp | Damaged:
        try:
            if isinstance(pixels, str):
                raise StampError(pixels)
            planes, covered = usable_pixels(central_square(self.planes(pixels)), self.kind)
        except StampError as error:
            return Damaged(object_id=object_id, source=source, reason=str(error))
        return Stamp(
            object_id=object_id,
            pixels=planes,
            kind=self.kind,
            pixel_scale_arcsec=_finite(stamp_values.get("pxscale")) or self._scale,
            ra_deg=_finite(stamp_values.get("ra")),
            dec_deg=_finite(stamp_values.get("dec")),
            survey=self._survey,
            covered_fraction=covered,
        )

    def _rows(self, handle: h5py.File, first: int, last: int) -> list[np.ndarray | str]:
        """Return the stored pixels of each row, or the reason why they cannot be read."""
        try:
            return list(handle[self.images_name][first:last])
        except (OSError, RuntimeError, ValueError) as error:
            if last - first > 1:  # one bad row spoils the slice: find out which
                return [self._rows(handle, row, row + 1)[0] for row in range(first, last)]
            return [f"the pixels cannot be read: {str(error).splitlines()[0][:200]}"]

    def _stated(self, handle: h5py.File, file: StampFile) -> tuple[dict[str, str], PositionColumns | None]:
        """Return the units that a file's attributes state, and its columns of positions; looked up once a file."""
        if file.path not in self._stated_by_file:
            units = {name: _unit(handle[name]) for name in file.columns}
            found = position_columns(described({name: pa.nulls(0, type_) for name, type_ in file.columns.items()}, units))
            if found is not None and not found.ra_unit:  # whether degrees or radians may hang on all values
                position_columns(described({name: arrow_column(handle[name][: file.rows]) for name in (found.ra, found.dec)}, units))
            self._stated_by_file[file.path] = units, found
        return self._stated_by_file[file.path]

    def _places(self, handle: h5py.File, file: StampFile, first: int, last: int) -> np.ndarray | None:
        """Return the positions of some rows in degrees, (n, 2) float64; None without columns for them."""
        _, found = self._stated(handle, file)
        if found is None:
            return None
        return positions_deg(pa.table({name: arrow_column(handle[name][first:last]) for name in (found.ra, found.dec)}), found)

    def _table_part(self, file: StampFile, first: int, last: int) -> pa.Table:
        if file.problem is not None:
            required = required_columns([file.label], None, None, [file.source])
            return conform(pa.table(required), self._schema())
        with self._open.lock:
            handle = self._handle(file)
            names = self._names(handle, file, first, last)
            arrays = {name: arrow_column(handle[name][first:last]) for name in file.columns}
            places, stated = self._places(handle, file, first, last), self._stated(handle, file)[0]
        sources = [f"{file.source}:{row}" for row in range(first, last)]
        ra, dec = (None, None) if places is None else (places[:, 0], places[:, 1])
        kept = {self._kept[name]: array for name, array in arrays.items() if name in self._kept}
        units = {self._kept[name]: unit for name, unit in stated.items() if name in self._kept}
        whole = described({**required_columns(names, ra, dec, sources), **kept}, units)
        return conform(self.extended(whole), self._schema())

    def extended(self, table: pa.Table) -> pa.Table:
        """Return the table with columns that follow from others; a layout may add some."""
        return table

    def _empty_table(self) -> pa.Table:
        with self._open.lock:
            stated = self._stated(self._handle(self._usable[0]), self._usable[0])[0]
        units = {self._kept[name]: unit for name, unit in stated.items() if name in self._kept}
        return described({name: pa.nulls(0, type_) for name, type_ in self._schema().items()}, units)

    def _schema(self) -> dict[str, pa.DataType]:
        required = required_columns([], None, None, [])
        types = {name: array.type for name, array in required.items()}
        types |= {self._kept[name]: type_ for name, type_ in self._types.items() if name in self._kept}
        empty = self.extended(pa.table({name: pa.nulls(0, type_) for name, type_ in types.items()}))
        return {field.name: field.type for field in empty.schema}

    def _spans(self, start: int, stop: int) -> Iterator[tuple[StampFile, int, int]]:
        for file, begin in zip(self._files, self._starts[:-1].tolist(), strict=True):
            first, last = max(start, begin), min(stop, begin + file.rows)
            if first < last:
                yield file, first - begin, last - begin

    def _handle(self, file: StampFile) -> h5py.File:
        return self._open.get(file.path, open_file)

    def _choose_id_fields(self, key: str | None) -> tuple[str, ...]:
        """Return the fields that name an object in every file; none means the row does."""
        if key is not None:
            if any(key not in file.columns for file in self._usable):
                raise SurveyError(
                    f"no column {key} in every file; there are {', '.join(sorted(self._types))}"
                )
            return (key,)
        for fields in (("release", "brickid", "objid"), ("inds",), ("object_id",)):
            if all(set(fields) <= set(file.columns) for file in self._usable):
                return fields
        return ()

    def _names(self, handle: h5py.File, file: StampFile, first: int, last: int) -> list[str]:
        if self._id_style == "row" or not self._id_fields:
            return [f"{file.label}/{row}" for row in range(first, last)]
        fields = [arrow_column(handle[name][first:last]).to_pylist() for name in self._id_fields]
        names = ["-".join(str(part) for part in parts) for parts in zip(*fields, strict=True)]
        return names if self._id_style == "plain" else [f"{file.label}/{name}" for name in names]

    def _unique_style(self) -> str:
        """Return how ids become unique: as they are, with the file before them, or by file and row."""
        if not self._id_fields:
            return "row"
        per_file = []
        with self._open.lock:
            for file in self._usable:
                handle = self._handle(file)
                per_file.append(_id_keys([handle[name][: file.rows] for name in self._id_fields]))
        if any(len(np.unique(keys)) < len(keys) for keys in per_file):
            return "row"
        together = np.concatenate(per_file)
        return "plain" if len(np.unique(together)) == len(together) else "file"

    def _describe(self) -> str:
        n_files, sides = len(self._files), sorted({file.side for file in self._usable})
        shape = " or ".join(f"{height} x {width}" for height, width in sides)
        cropped = " (not square: the central square of each is the stamp)" * any(height != width for height, width in sides)
        text = [f"{self.format}: {len(self)} stamps of {shape} pixels{cropped} in {n_files} HDF5 files"]
        text.append(self._describe_pixels())
        text.append(f"columns {', '.join(sorted(self._types)) or 'none'}")
        named = "-".join(self._id_fields)
        styles = {
            "plain": f"objects are named by {named}",
            "file": f"{named} repeats between files: objects are named by file and {named}",
            "row": f"{named} repeats within a file: objects are named by file and row"
            if named
            else "nothing names the objects: they are named by file and row",
        }
        text.append(styles[self._id_style])
        text += [f"{file.source}: {note}" for file in self._files for note in file.left_out]
        text += [f"{file.source} cannot be used: {file.problem}" for file in self._files if file.problem]
        return "; ".join(text) + "."

    def _describe_pixels(self) -> str:
        scale = f"{self._scale:g} arcsec a pixel" if self._scale else "pixel scale not known"
        pixels = "bands g r z in nanomaggies" if self.kind == "nmgy" else "display colours R G B"
        return f"{pixels}, {scale}"


def _unit(dataset: h5py.Dataset) -> str:
    """Return the unit that a dataset's attributes state; empty where they state none."""
    stated = next((dataset.attrs[name] for name in ("unit", "units", "UNIT", "UNITS") if name in dataset.attrs), "")
    return stated.decode("utf-8", "replace") if isinstance(stated, bytes) else str(stated) if isinstance(stated, str) else ""


def _id_keys(fields: list[np.ndarray]) -> np.ndarray:
    """Return one value a row, equal for equal ids: the field, or three packed as in DESI's TARGETID."""
    if len(fields) == 1:
        return fields[0]
    release, brickid, objid = (np.asarray(field, np.int64) for field in fields)
    return (release << 44) ^ (brickid << 24) ^ objid


def _finite(value: Any) -> float | None:
    return float(value) if value is not None and np.isfinite(value) else None
