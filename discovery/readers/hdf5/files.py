"""HDF5 files of stamps: opened safely, and looked into.

A file may not lead elsewhere: soft and external links, external storage, virtual datasets and filters
that HDF5 would load from a plugin are refused. Files are only read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa

from discovery.errors import StampError, SurveyError
from discovery.files.containers import distinct_names
from discovery.readers.pixel_checks import check_sides
from discovery.tables.columns import arrow_column

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


def look_into(handle: h5py.File, images: h5py.Dataset, path: Path) -> StampFile:
    """Return what a file holds beside its dataset of stamps.

    Parameters
    ----------
    handle : h5py.File
        The open file.
    images : h5py.Dataset
        The stamps in it, (N, 3, H, W) or (N, H, W, 3).
    path : Path
        Where it is.
    """
    rows = int(images.shape[0])
    side = images.shape[1:3] if images.shape[-1] == 3 else images.shape[2:4]
    columns: dict[str, pa.DataType] = {}
    left_out: list[str] = []
    for name in sorted(set(handle) - {images.name.lstrip("/")}):
        column = _column_type(handle, name, rows, path)
        if isinstance(column, str):
            left_out.append(column)
        else:
            columns[name] = column
    problem = None
    try:
        check_sides(int(side[0]), int(side[1]))
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


def describe_datasets(handle: h5py.File) -> str:
    """Return names and shapes of what is in a file, for the message that it is no survey."""
    return ", ".join(f"{name} {_shape(handle, name)}" for name in sorted(handle)[:20]) or "nothing"


def _column_type(handle: h5py.File, name: str, rows: int, path: Path) -> pa.DataType | str:
    """Return the type of a column, or why it is left out."""
    try:
        dataset = plain_dataset(handle, name, path)
    except SurveyError as error:
        return str(error).removeprefix(f"{path}: ")
    if dataset is None or dataset.ndim not in (1, 2):
        return f"{name} is no column and left out"
    if dataset.shape[0] != rows:
        return f"{name} has {dataset.shape[0]} values for {rows} stamps and is left out"
    try:
        return arrow_column(np.empty((0, *dataset.shape[1:]), dataset.dtype)).type
    except TypeError as error:
        return f"{name} is left out: {error}"


def _shape(handle: h5py.File, name: str) -> str:
    if not isinstance(handle.get(name, getlink=True), h5py.HardLink):
        return "(link)"
    return str(getattr(handle[name], "shape", "(group)"))
