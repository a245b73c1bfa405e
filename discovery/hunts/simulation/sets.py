"""What simulated hunts are played on: embeddings with the truth, of a release or from an npz file."""

from __future__ import annotations

import re
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from discovery.errors import HuntError, QueryError

if TYPE_CHECKING:
    from discovery.release.catalogue import Catalogue
    from discovery.release.release import Release

_BARE = re.compile(r"\s*([A-Za-z_]\w*)\s*=\s*([A-Za-z_][\w-]*)\s*")
_SQL_WORDS = {"true", "false", "null"}


@dataclass(frozen=True, kw_only=True, eq=False)
class HuntSet:
    """Objects to hunt in.

    Attributes
    ----------
    name : str
        For people.
    source : str
        Where it comes from and what counts as a target.
    object_ids : numpy.ndarray
        (N,) str.
    vectors : numpy.ndarray
        (N, D) float32 unit vectors.
    truth : numpy.ndarray
        (N,) bool, True for targets; both classes are there.
    kinds : numpy.ndarray or None
        (N,) str, the sub-kind of each target; ``""`` for none.
    lookalikes : numpy.ndarray or None
        (N,) bool: others that resemble targets.
    """

    name: str
    source: str
    object_ids: np.ndarray
    vectors: np.ndarray
    truth: np.ndarray
    kinds: np.ndarray | None = None
    lookalikes: np.ndarray | None = None

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit together, and a truth without targets or without others."""
        count = len(self.vectors)
        if self.vectors.ndim != 2 or not np.isfinite(self.vectors).all():
            raise HuntError(f"{self.name}: vectors are no finite (N, D) numbers")
        for what in ("object_ids", "truth", "kinds", "lookalikes"):
            array = getattr(self, what)
            if array is not None and array.shape != (count,):
                raise HuntError(f"{self.name}: {what} has the shape {array.shape}, not ({count},)")
        if not self.truth.any():
            raise HuntError(f"{self.name}: {self.source} holds for none of {count} objects; there is nothing to find")
        if self.truth.all():
            raise HuntError(f"{self.name}: {self.source} holds for all {count} objects; there is nothing to separate")

    @property
    def targets(self) -> int:
        """How many targets there are."""
        return int(self.truth.sum())

    @property
    def prevalence(self) -> float:
        """Share of targets."""
        return float(self.truth.mean())

    def take(self, rows: np.ndarray) -> HuntSet:
        """Return a part of it."""
        return replace(
            self,
            object_ids=self.object_ids[rows],
            vectors=self.vectors[rows],
            truth=self.truth[rows],
            kinds=None if self.kinds is None else self.kinds[rows],
            lookalikes=None if self.lookalikes is None else self.lookalikes[rows],
        )


def set_of_release(
    release: Release,
    truth: str,
    *,
    where: str | None = None,
    kind: str | None = None,
    lookalikes: str | None = None,
    name: str | None = None,
) -> HuntSet:
    """Gather the objects of a release, each once (duplicates left out), with the truth by a condition.

    Parameters
    ----------
    truth : str
        SQL condition on the catalogue that targets fulfil, or NAME=WORD; see `truth_condition`.
    where : str, optional
        Condition that every object must fulfil.
    kind : str, optional
        Column with the sub-kind.
    lookalikes : str, optional
        Condition that look-alikes fulfil; targets among them are none.

    Raises
    ------
    QueryError
        A condition or column that the catalogue does not understand.
    HuntError
        The truth holds for nothing or for everything.
    """
    catalogue = release.catalogue

    def mask(condition: str) -> np.ndarray:
        return catalogue.where(truth_condition(catalogue, condition))

    allowed = release.primary if where is None else release.primary & mask(where)
    rows = np.flatnonzero(allowed)
    if not len(rows):
        raise HuntError(f"{release.name}: {where} holds for none of its {release.count} objects")
    true = mask(truth)
    kinds = None if kind is None else _texts(catalogue, rows, kind)
    return HuntSet(
        name=name or release.name,
        source=truth if where is None else f"{truth} within {where}",
        object_ids=_texts(catalogue, rows, "object_id"),
        vectors=release.take(rows).astype(np.float32, copy=False),
        truth=true[rows],
        kinds=kinds,
        lookalikes=None if lookalikes is None else (mask(lookalikes) & ~true)[rows],
    )


def truth_condition(catalogue: Catalogue, text: str) -> str:
    """Return a condition as SQL: ``NAME=WORD`` becomes ``NAME = 'WORD'``, anything else stays as it is.

    WORD is letters, digits, ``_`` and ``-``, begins with no digit, and names no column, as it would mean that column
    then; true, false and null stay what they are in SQL.
    """
    bare = _BARE.fullmatch(text)
    if bare is None:
        return text
    name, word = bare.groups()
    columns = {column.lower() for column, _ in catalogue.columns()}
    if word.lower() in _SQL_WORDS or any(part.lower() in columns for part in (word, *word.split("-"))):
        return text
    if name.lower() not in columns:
        raise QueryError(f"There is no column '{name}'. The columns are: {', '.join(sorted(columns))}.")
    return f"{name} = '{word}'"


def write_set(path: Path, hunt_set: HuntSet) -> None:
    """Keep a set as npz: embeddings (float16), object_id, truth, kind, lookalike, source."""
    arrays: dict[str, Any] = {
        "embeddings": hunt_set.vectors.astype(np.float16),
        "object_id": hunt_set.object_ids,
        "truth": hunt_set.truth,
        "source": np.array(hunt_set.source),
        "kind": hunt_set.kinds,
        "lookalike": hunt_set.lookalikes,
    }
    np.savez(path, **{key: array for key, array in arrays.items() if array is not None})


def read_set(path: Path, name: str | None = None) -> HuntSet:
    """Read what `write_set` wrote, or such arrays of another's making; ``kind``, ``lookalike`` and ``source`` may lack.

    Raises
    ------
    HuntError
        The file is missing, no npz, or lacks an array or has one of the wrong type or shape.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except (OSError, ValueError, zipfile.BadZipFile, AttributeError) as problem:
        raise HuntError(f"{path} cannot be read as npz: {' '.join(str(problem).split())}") from None
    for key, kinds in (("embeddings", "f"), ("object_id", "U"), ("truth", "b"), ("kind", "U"), ("lookalike", "b")):
        if key not in arrays and key not in ("kind", "lookalike"):
            raise HuntError(f"{path} lacks the array {key}; it has {', '.join(sorted(arrays))}")
        if key in arrays and arrays[key].dtype.kind not in kinds:
            raise HuntError(f"{path}: the array {key} is {arrays[key].dtype}")
    vectors = arrays["embeddings"].astype(np.float32)
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    if not (lengths > 0).all():
        raise HuntError(f"{path}: an embedding is zero or no number")
    return HuntSet(
        name=name or path.stem,
        source=str(arrays.get("source", f"truth of {path.name}")),
        object_ids=arrays["object_id"],
        vectors=vectors / lengths,
        truth=arrays["truth"],
        kinds=arrays.get("kind"),
        lookalikes=arrays.get("lookalike"),
    )


def resampled(hunt_set: HuntSet, prevalence: float, *, objects: int | None = None, seed: int = 0) -> HuntSet:
    """Draw targets and others without replacement so that targets are a stated share.

    Parameters
    ----------
    prevalence : float
        Wanted share of targets, above 0 and below 1; the nearest whole number of targets is drawn.
    objects : int, optional
        How many to draw; by default as many as there are for this share.

    Raises
    ------
    HuntError
        The share is out of range, gives no target, or needs more of a class than there is.
    """
    if not 0 < prevalence < 1:
        raise HuntError(f"{hunt_set.name}: prevalence is {prevalence}; it must lie between 0 and 1")
    targets, others = hunt_set.targets, len(hunt_set.truth) - hunt_set.targets
    size = objects or int(min(targets / prevalence, others / (1 - prevalence)) + 1e-9)
    wanted = round(size * prevalence)
    if not 1 <= wanted <= targets or not 1 <= size - wanted <= others:
        raise HuntError(
            f"{hunt_set.name}: {size} objects at a prevalence of {prevalence:g} take {wanted} targets and"
            f" {size - wanted} others; there are {targets} and {others}"
        )
    rng = np.random.default_rng(seed)
    rows = np.concatenate(
        [
            rng.choice(np.flatnonzero(hunt_set.truth), wanted, replace=False),
            rng.choice(np.flatnonzero(~hunt_set.truth), size - wanted, replace=False),
        ]
    )
    return hunt_set.take(np.sort(rows))


def _texts(catalogue: Catalogue, rows: np.ndarray, column: str) -> np.ndarray:
    (spelled,) = catalogue.check_columns([column])
    values = catalogue.rows(rows, [spelled])[spelled].to_pylist()
    return np.array(["" if value is None else str(value) for value in values], dtype=np.str_)
