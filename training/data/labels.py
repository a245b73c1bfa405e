"""Labelled stamps: ``PATH@COLUMN`` for classes, ``PATH@COLUMN>=0.5`` for a yes or no made of a number."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np

from discovery.errors import ConfigError
from discovery.tables.reader import match_key, read_table
from training.data.stamps import Stamps, load_stamps

CONDITION = re.compile(r"(?P<source>[^@]+@[^<>=]*[^<>= ]) *>= *(?P<threshold>[-+.\deE]+)")


def labelled_stamps(
    source: str, cache: Path, *, labels: Path | None = None, missing: float | None = None
) -> Stamps:
    """Return prepared stamps with their labels.

    Parameters
    ----------
    source
        ``PATH@COLUMN``, or ``PATH@COLUMN>=NUMBER`` for the classes no and yes.
    labels
        A table (csv, tsv, Parquet, FITS, VOTable) with the column, its lines matched to the stamps by object_id;
        the survey's own table when not given.
    missing
        With a condition, a value that means "not known": such stamps have no label.

    Raises
    ------
    ConfigError
        If there is no such column, its values are no numbers, or no line of the table matches a stamp.
    """
    condition = CONDITION.fullmatch(source)
    plain = condition["source"] if condition else source
    path, _, column = plain.partition("@")
    if not column:
        raise ConfigError(f"{source} names no labels; write PATH@COLUMN.")
    stamps = load_stamps(path, cache) if labels else load_stamps(plain, cache)
    if labels:
        stamps = _joined(stamps, labels, column)
    if condition is None:
        return stamps
    return _thresholded(stamps, column, _number(condition["threshold"], source), missing)


def labelled_parts(stamps: Stamps) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows with a label of the training part and of the held-out part."""
    known = labels_of(stamps) >= 0
    return np.flatnonzero(known & stamps.trains), np.flatnonzero(known & ~stamps.trains)


def labels_of(stamps: Stamps) -> np.ndarray:
    """Return the labels (N,) of stamps that have to have some."""
    if stamps.labels is None:
        raise ConfigError(
            f"{stamps.name} comes without labels; write PATH@COLUMN to name the column that holds them."
        )
    return stamps.labels


def _joined(stamps: Stamps, path: Path, column: str) -> Stamps:
    table = read_table(path)
    if column not in table.column_names:
        raise ConfigError(f"{path} has no column {column!r}; it has {', '.join(table.column_names)}.")
    match = match_key(table, list(stamps.object_ids))
    if not match.n_matched:
        raise ConfigError(
            f"No line of {path} names a stamp of {stamps.name}: its column object_id must hold ids such as {stamps.object_ids[0]!r}."
        )
    values = table[column].to_pylist()
    names: list[Any] = [values[line] if line >= 0 else None for line in match.rows]
    classes = tuple(sorted({str(name) for name in names if name is not None}))
    place = {name: at for at, name in enumerate(classes)}
    known = np.array([-1 if name is None else place[str(name)] for name in names])
    return dataclasses.replace(stamps, labels=known, classes=classes)


def _thresholded(stamps: Stamps, column: str, threshold: float, missing: float | None) -> Stamps:
    assert stamps.labels is not None
    values = np.array([_number(name, f"a value of column {column}") for name in stamps.classes])
    yes = np.where(values == missing, -1, (values >= threshold).astype(np.int64))
    labels = np.where(stamps.labels < 0, -1, yes[stamps.labels])
    return dataclasses.replace(stamps, labels=labels, classes=("no", "yes"))


def _number(text: str, what: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ConfigError(
            f"{text!r} in {what} is no number; a condition is PATH@COLUMN>=NUMBER on a column of numbers."
        ) from None
