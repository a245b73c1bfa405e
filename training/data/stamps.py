"""Training stamps: prepared once by the library's own path, read from disk when wanted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from discovery.errors import ConfigError
from discovery.files.paths import check_paths_exist
from discovery.readers import open_survey
from training.data.shard_packer import pack
from training.data.shards import is_shards, open_shards
from training.data.split import is_training, is_validation

__all__ = ["STORED_SIZE", "PixelArray", "Stamps", "is_training", "is_validation", "load_stamps"]

STORED_SIZE = 128


class PixelArray(Protocol):
    """What is read like an array of stamps: a memory map, or `training.data.shards.ShardedPixels`."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, 3, S, S)."""
        ...

    @property
    def dtype(self) -> np.dtype:
        """Type of one number: uint8 or float16."""
        ...

    def __len__(self) -> int: ...
    def __getitem__(self, key: Any, /) -> Any: ...


@dataclass(frozen=True, kw_only=True)
class Stamps:
    """Prepared stamps of one survey.

    Attributes
    ----------
    pixels : PixelArray
        (N, 3, S, S) uint8 (or float16), dr2_rgb colours times 255, channels g r z, on disk; rows are read when they are
        used, by number, slice, numbers or mask. S is 128 unless shards were packed with another size.
    labels : numpy.ndarray or None
        (N,) int64 into ``classes``, -1 where there is no label.
    trains : numpy.ndarray
        (N,) bool: the training part of the split.
    validates : numpy.ndarray
        (N,) bool: the fifth of the training part that choices are made on; ``trains & ~validates`` leaves it out.
    answers : numpy.ndarray or None
        (N, C) float32 answers to the questions of a run (`training.pretraining.questions.answers`), NaN where there is none.
    """

    name: str
    pixels: PixelArray
    object_ids: Sequence[str]
    labels: np.ndarray | None
    classes: tuple[str, ...]
    trains: np.ndarray
    validates: np.ndarray
    answers: np.ndarray | None = None


def check_sources(sources: Sequence[str], cache: Path) -> None:
    """Return when every survey is there, or has been prepared.

    Raises
    ------
    SurveyError
        Names the first that is not.
    """
    for path in (source.partition("@")[0] for source in sources):
        if not prepared_folder(path, cache).exists():
            check_paths_exist([path])


def prepared_folder(path: str, cache: Path) -> Path:
    """Return the folder that a survey's prepared stamps have, or will have."""
    resolved = Path(path).resolve()
    return cache / f"{resolved.name}-{hashlib.sha1(str(resolved).encode()).hexdigest()[:8]}"


def load_stamps(source: str, cache: Path) -> Stamps:
    """Return the stamps of training shards, or of a survey, prepared now or before.

    Parameters
    ----------
    source
        A folder of shards or a path that `open_survey` reads, with ``@COLUMN`` behind it where a column holds labels.
    cache
        Folder for the prepared stamps of surveys.

    Raises
    ------
    ConfigError
        If shards are not packed to the end, or there is no such column.
    SurveyError
        If the path is no survey.
    """
    path, _, column = source.partition("@")
    resolved, folder = Path(path).resolve(), prepared_folder(path, cache)
    if is_shards(resolved):
        return _from_shards(resolved, resolved.name, column)
    if (folder / "stamps.json").exists():
        return _from_first_form(folder, path, column)
    pack([path], folder)
    stamps = _from_shards(folder, resolved.name, "")
    return stamps if not column else _labelled(stamps, path, column)


def _from_shards(folder: Path, name: str, column: str) -> Stamps:
    shards = open_shards(folder)
    labels, classes = shards.labels(column) if column else (None, ())
    return Stamps(
        name=name,
        pixels=shards.pixels,
        object_ids=shards.object_ids,
        labels=labels,
        classes=classes,
        trains=shards.trains,
        validates=shards.validates,
    )


def _from_first_form(folder: Path, path: str, column: str) -> Stamps:
    """Return stamps that were prepared before there were shards: one array and a list of names."""
    ids = tuple(json.loads((folder / "stamps.json").read_text()))
    stamps = Stamps(
        name=Path(path).resolve().name,
        pixels=np.load(folder / "pixels.npy", mmap_mode="r"),
        object_ids=ids,
        labels=None,
        classes=(),
        trains=np.array([is_training(name) for name in ids]),
        validates=np.array([is_validation(name) for name in ids]),
    )
    return stamps if not column else _labelled(stamps, path, column)


def _labelled(stamps: Stamps, path: str, column: str) -> Stamps:
    """Return the stamps with labels from the survey's table."""
    table = open_survey([path]).table()
    if column not in table.column_names:
        raise ConfigError(f"{path} has no column {column!r}; it has {', '.join(table.column_names)}.")
    known = dict(zip(table["object_id"].to_pylist(), table[column].to_pylist(), strict=True))
    names = [known[name] for name in stamps.object_ids]
    names = [name.decode() if isinstance(name, bytes) else name for name in names]
    classes = tuple(sorted({str(name) for name in names if name is not None}))
    place = {name: i for i, name in enumerate(classes)}
    labels = np.array([-1 if name is None else place[str(name)] for name in names])
    return replace(stamps, labels=labels, classes=classes)
