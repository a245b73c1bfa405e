"""What the three HDF5 layouts share: safe opening, columns, unique names, contiguous reads.

A file may not lead elsewhere: soft and external links, external storage, virtual datasets and filters
that HDF5 would load from a plugin are refused. Files are only read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa

from discovery.errors import StampError, SurveyError
from discovery.readers.checking import check_pixels, check_side
from discovery.readers.columns import arrow_column, conform, kept_names, merged_types, required_columns
from discovery.readers.containers import OpenFiles, distinct_names
from discovery.stamps import Damaged, Stamp, StampKind

SUFFIXES = (".h5", ".hdf5", ".hdf")
MAX_CHUNK_BYTES = 1 << 30
CHUNK_CACHE_BYTES = 64 << 20
BUILT_IN_FILTERS = {
    1: "deflate",
    2: "shuffle",
    3: "fletcher32",
    4: "szip",
    5: "nbit",
    6: "scaleoffset",
    32000: "lzf",
}
"""Filters inside HDF5 and h5py; any other would be looked for in a plugin folder."""


@dataclass(frozen=True, kw_only=True)
class StampFile:
    """One HDF5 file as seen at opening.

    Attributes
    ----------
    path : Path
        The file.
    label : str
        Its name in ids.
    source : str
        Its name in reports: the path below the folder that was opened.
    rows : int
        Number of stamps; 1 for a file that cannot be used, which takes one position.
    side : tuple of int
        Height and width of the stamps.
    columns : dict
        Arrow type of each column.
    left_out : tuple of str
        Fields that are not kept, with the reason.
    problem : str or None
        Why the file cannot be used.
    """

    path: Path
    label: str
    source: str
    rows: int
    side: tuple[int, int] = (0, 0)
    columns: dict[str, pa.DataType]
    left_out: tuple[str, ...] = ()
    problem: str | None = None


class Hdf5Survey:
    """Stamps in HDF5 files of one layout; a subclass says which.

    Parameters
    ----------
    files : sequence of StampFile
        From `inspect_file`; at least one of them usable.
    paths : sequence of Path
        What was asked for.
    pixel_scale_arcsec : float or None
        Pixel scale, where the files do not tell it.
    survey : str
        Key of `discovery.surveys.SURVEYS`.
    key : str or None
        Column that names the objects; None takes the best there is.
    ids : {"plain", "file", "row"} or None
        How names are made unique, as an earlier opening found; None checks.
    """

    format: str
    images_name: str = "images"
    kind: StampKind = "nmgy"
    layout_scale_arcsec: float | None = 0.262

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
    def claims(cls, images: h5py.Dataset) -> bool:
        """Tell whether a dataset of the name `images_name` holds stamps of this layout."""
        raise NotImplementedError

    def planes(self, stored: np.ndarray) -> np.ndarray:
        """Return the stored pixels of one stamp as (3, H, W) float32, bluest channel first."""
        raise NotImplementedError

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
            columns = self._stamp_columns(handle, file, first, last)
            rows = self._rows(handle, first, last)
        found: list[Stamp | Damaged] = []
        for index, (name, pixels) in enumerate(zip(names, rows, strict=True)):
            told = {column: values[index] for column, values in columns.items()}
            found.append(self._stamp(pixels, name, f"{file.source}:{first + index}", told))
        return found

    def _stamp(
        self, pixels: np.ndarray | str, object_id: str, source: str, told: dict[str, Any]
    ) -> Stamp | Damaged:
        try:
            if isinstance(pixels, str):
                raise StampError(pixels)
            planes = self.planes(pixels)
            covered = check_pixels(planes, self.kind)
        except StampError as error:
            return Damaged(object_id=object_id, source=source, reason=str(error))
        return Stamp(
            object_id=object_id,
            pixels=planes,
            kind=self.kind,
            pixel_scale_arcsec=_finite(told.get("pxscale")) or self._scale,
            ra_deg=_finite(told.get("ra")),
            dec_deg=_finite(told.get("dec")),
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

    def _stamp_columns(
        self, handle: h5py.File, file: StampFile, first: int, last: int
    ) -> dict[str, np.ndarray]:
        return {name: handle[name][first:last] for name in ("ra", "dec", "pxscale") if name in file.columns}

    def _table_part(self, file: StampFile, first: int, last: int) -> pa.Table:
        if file.problem is not None:
            required = required_columns([file.label], None, None, [file.source])
            return conform(pa.table(required), self._schema())
        with self._open.lock:
            handle = self._handle(file)
            names = self._names(handle, file, first, last)
            arrays = {name: arrow_column(handle[name][first:last]) for name in file.columns}
        sources = [f"{file.source}:{row}" for row in range(first, last)]
        required = required_columns(names, arrays.get("ra"), arrays.get("dec"), sources)
        kept = {self._kept[name]: array for name, array in arrays.items() if name in self._kept}
        return conform(self.extended(pa.table({**required, **kept})), self._schema())

    def extended(self, table: pa.Table) -> pa.Table:
        """Return the table with columns that follow from others; a layout may add some."""
        return table

    def _empty_table(self) -> pa.Table:
        types = {name: pa.nulls(0, type_) for name, type_ in self._schema().items()}
        return pa.table(types)

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
        text = [f"{self.format}: {len(self)} stamps of {shape} pixels in {n_files} HDF5 files"]
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
        return f"bands g r z in nanomaggies, {scale}"


def open_file(path: Path) -> h5py.File:
    """Open an HDF5 file for reading; without a lock where the disk or another program grants none.

    Raises
    ------
    SurveyError
        It is no HDF5 file, or damaged.
    """
    try:
        try:
            return h5py.File(path, "r", rdcc_nbytes=CHUNK_CACHE_BYTES)
        except BlockingIOError:
            return h5py.File(path, "r", locking=False, rdcc_nbytes=CHUNK_CACHE_BYTES)
    except OSError as error:
        raise SurveyError(f"{path} cannot be opened as HDF5 (truncated or damaged?): {error}") from error


def inspect_file(path: Path, layouts: Sequence[type[Hdf5Survey]]) -> tuple[type[Hdf5Survey], StampFile]:
    """Return the layout of an HDF5 file and what it holds.

    Raises
    ------
    SurveyError
        It cannot be opened, or holds stamps of no known layout, or leads elsewhere.
    """
    with open_file(path) as handle:
        for layout in layouts:
            images = plain_dataset(handle, layout.images_name, path)
            if images is not None and layout.claims(images):
                return layout, _inspect(handle, images, path, layout)
        found = ", ".join(f"{name} {_shape(handle, name)}" for name in sorted(handle)[:20]) or "nothing"
    raise SurveyError(
        f"{path} holds no stamps of a known layout (images float (N, 3, H, W), image float (N, 3, H, W) or "
        f"images uint8 (N, H, W, 3)); it has {found}"
    )


def plain_dataset(handle: h5py.File, name: str, path: Path) -> h5py.Dataset | None:
    """Return a dataset stored in the file itself with built-in filters; None if there is none of that name.

    Raises
    ------
    SurveyError
        It leads elsewhere or needs a filter plugin.
    """
    link = handle.get(name, getlink=True)
    if link is None:
        return None
    if not isinstance(link, h5py.HardLink):
        raise SurveyError(
            f"{path}: {name} is a link to elsewhere ({type(link).__name__}), which is not followed"
        )
    if handle.get(name, getclass=True) is not h5py.Dataset:
        return None
    dataset = handle[name]
    if dataset.external or dataset.is_virtual:
        raise SurveyError(f"{path}: the data of {name} lie in other files, which are not opened")
    creation = dataset.id.get_create_plist()
    filters = [creation.get_filter(index)[0] for index in range(creation.get_nfilters())]
    if unknown := [number for number in filters if number not in BUILT_IN_FILTERS]:
        raise SurveyError(
            f"{path}: {name} needs HDF5 filter plugin {unknown[0]}, which is not loaded; repack it"
        )
    if dataset.chunks and int(np.prod(dataset.chunks)) * dataset.dtype.itemsize > MAX_CHUNK_BYTES:
        raise SurveyError(f"{path}: {name} has chunks of more than {MAX_CHUNK_BYTES} bytes; repack it")
    return dataset


def label_files(files: Sequence[StampFile], root: Path | None) -> list[StampFile]:
    """Return the files with distinct labels: the stem, or the path below `root` where stems repeat."""
    below = [file.path.is_relative_to(root) if root else False for file in files]
    names = [
        file.path.relative_to(root).as_posix() if root and inside else file.path.as_posix().lstrip("/")
        for file, inside in zip(files, below, strict=True)
    ]
    labels, _ = distinct_names(names)
    sources = [
        name if inside else file.path.name for file, name, inside in zip(files, names, below, strict=True)
    ]
    return [
        replace(file, label=label, source=source)
        for file, label, source in zip(files, labels, sources, strict=True)
    ]


def _inspect(handle: h5py.File, images: h5py.Dataset, path: Path, layout: type[Hdf5Survey]) -> StampFile:
    rows = int(images.shape[0])
    side = images.shape[1:3] if images.shape[-1] == 3 else images.shape[2:4]
    columns: dict[str, pa.DataType] = {}
    left_out: list[str] = []
    for name in sorted(handle):
        if name == layout.images_name:
            continue
        try:
            dataset = plain_dataset(handle, name, path)
        except SurveyError as error:
            left_out.append(str(error).removeprefix(f"{path}: "))
            continue
        if dataset is None or dataset.ndim == 0 or dataset.ndim > 2:
            left_out.append(f"{name} is no column and left out")
        elif dataset.shape[0] != rows:
            left_out.append(f"{name} has {dataset.shape[0]} values for {rows} stamps and is left out")
        else:
            try:
                columns[name] = arrow_column(np.empty((0, *dataset.shape[1:]), dataset.dtype)).type
            except TypeError as error:
                left_out.append(f"{name}: {error}")
    problem = None
    try:
        check_side(int(side[0]), int(side[1]))
    except StampError as error:
        problem = str(error)
    return StampFile(
        path=path,
        label=path.stem,
        source=path.name,
        rows=rows if problem is None else 1,
        side=(int(side[0]), int(side[1])),
        columns=columns,
        left_out=tuple(left_out),
        problem=problem,
    )


def _id_keys(fields: list[np.ndarray]) -> np.ndarray:
    """Return one value a row, equal for equal ids: the field, or three packed as in DESI's TARGETID."""
    if len(fields) == 1:
        return fields[0]
    release, brickid, objid = (np.asarray(field, np.int64) for field in fields)
    return (release << 44) ^ (brickid << 24) ^ objid


def _shape(handle: h5py.File, name: str) -> str:
    if not isinstance(handle.get(name, getlink=True), h5py.HardLink):
        return "(link)"
    return str(getattr(handle[name], "shape", "(group)"))


def _finite(value: Any) -> float | None:
    return float(value) if value is not None and np.isfinite(value) else None
