"""Training stamps: prepared once by the library's own path, kept as uint8, read by memory map."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from discovery.errors import ConfigError, StampError
from discovery.preprocess import CropConfig, prepare
from discovery.readers import open_survey
from discovery.stamps import Damaged, Survey

STORED_SIZE = 128
READ = 256
TRAIN_SHARE = 205
"""A stamp trains when the first two bytes of the SHA-1 of its object_id are both below this (0.8 x 0.8)."""
VALIDATION_FROM = 230
"""A training stamp validates when the third byte is at least this (0.1)."""


@dataclass(frozen=True, kw_only=True)
class Stamps:
    """Prepared stamps of one survey.

    Attributes
    ----------
    pixels : numpy.ndarray
        (N, 3, 128, 128) uint8, dr2_rgb colours times 255, channels g r z, memory-mapped.
    labels : numpy.ndarray or None
        (N,) int64 into ``classes``, -1 where there is no label.
    trains : numpy.ndarray
        (N,) bool: the training part of the split.
    validates : numpy.ndarray
        (N,) bool: the tenth of the training part that choices are made on; ``trains & ~validates`` leaves it out.
    """

    name: str
    pixels: np.ndarray
    object_ids: tuple[str, ...]
    labels: np.ndarray | None
    classes: tuple[str, ...]
    trains: np.ndarray
    validates: np.ndarray


def is_training(object_id: str) -> bool:
    """Tell whether an object belongs to the training part; the rule is the same for every set.

    The first byte is the split that everybody keeps; labelled sets are handed out without the part that it holds
    out, so the second byte holds out another fifth to measure on.
    """
    return max(hashlib.sha1(object_id.encode()).digest()[:2]) < TRAIN_SHARE


def is_validation(object_id: str) -> bool:
    """Tell whether a training object belongs to the tenth that choices are made on: third byte of the SHA-1."""
    return is_training(object_id) and hashlib.sha1(object_id.encode()).digest()[2] >= VALIDATION_FROM


def load_stamps(source: str, cache: Path) -> Stamps:
    """Prepare a survey's stamps, or open them where that has been done.

    Parameters
    ----------
    source
        A path that `open_survey` reads, with ``@COLUMN`` behind it where a column holds labels.
    cache
        Folder for the prepared stamps.
    """
    path, _, column = source.partition("@")
    resolved = Path(path).resolve()
    folder = cache / f"{resolved.name}-{hashlib.sha1(str(resolved).encode()).hexdigest()[:8]}"
    if not (folder / "stamps.json").exists():
        _prepare(open_survey([path]), folder)
    ids = tuple(json.loads((folder / "stamps.json").read_text()))
    labels, classes = _labels(path, column, ids) if column else (None, ())
    return Stamps(
        name=resolved.name,
        pixels=np.load(folder / "pixels.npy", mmap_mode="r"),
        object_ids=ids,
        labels=labels,
        classes=classes,
        trains=np.array([is_training(name) for name in ids]),
        validates=np.array([is_validation(name) for name in ids]),
    )


def batches(parts: Sequence[Stamps], batch: int, seed: int, first_step: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Give endless batches from the training parts, each stamp once an epoch, from any step on.

    Yields
    ------
    pixels : (B, 3, 128, 128) uint8
    part : (B,) int64, index into ``parts``
    label : (B,) int64, -1 where there is none
    """
    part = np.concatenate([np.full(s.trains.sum(), i) for i, s in enumerate(parts)])
    place = np.concatenate([np.flatnonzero(s.trains) for s in parts])
    steps_an_epoch = len(part) // batch
    if steps_an_epoch == 0:
        raise ConfigError(f"There are {len(part)} training stamps, fewer than a batch of {batch}; give more, or a smaller batch.")
    step, epoch, order = first_step, -1, np.empty(0, np.int64)
    while True:
        if step // steps_an_epoch != epoch:
            epoch = step // steps_an_epoch
            order = np.random.default_rng([seed, epoch]).permutation(len(part))
        chosen = order[step % steps_an_epoch * batch :][:batch]
        pixels = np.stack([parts[part[i]].pixels[place[i]] for i in chosen])
        labels = np.array([-1 if (known := parts[part[i]].labels) is None else known[place[i]] for i in chosen])
        yield pixels, part[chosen], labels
        step += 1


def _prepare(survey: Survey, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / "pixels.partial.npy"
    shape = (len(survey), 3, STORED_SIZE, STORED_SIZE)
    out = np.lib.format.open_memmap(partial, mode="w+", dtype=np.uint8, shape=shape)
    ids: list[str] = []
    for start in tqdm(range(0, len(survey), READ), desc=f"preparing {folder.name}", unit="batch", disable=None):
        for stamp in survey.read(start, min(start + READ, len(survey))):
            if isinstance(stamp, Damaged):
                continue
            try:
                done = prepare(stamp, convention="dr2_rgb", crop=CropConfig(), size=STORED_SIZE)
            except StampError:
                continue
            out[len(ids)] = np.rint(done.inputs[0] * 255)
            ids.append(stamp.object_id)
    out.flush()
    np.save(folder / "pixels.npy", out[: len(ids)]) if len(ids) < len(survey) else os.replace(partial, folder / "pixels.npy")
    partial.unlink(missing_ok=True)
    (folder / "stamps.json").write_text(json.dumps(ids))


def _labels(path: str, column: str, ids: tuple[str, ...]) -> tuple[np.ndarray, tuple[str, ...]]:
    table = open_survey([path]).table()
    if column not in table.column_names:
        raise ConfigError(f"{path} has no column {column!r}; it has {', '.join(table.column_names)}.")
    known = dict(zip(table["object_id"].to_pylist(), table[column].to_pylist(), strict=True))
    names = [known[name] for name in ids]
    names = [name.decode() if isinstance(name, bytes) else name for name in names]
    classes = tuple(sorted({str(name) for name in names if name is not None}))
    place = {name: i for i, name in enumerate(classes)}
    return np.array([-1 if name is None else place[str(name)] for name in names]), classes
