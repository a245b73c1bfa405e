"""PSF and depth in a catalogue, and how much embeddings depend on them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

PSF_COLUMN = re.compile(r"(psf_?(size|fwhm)|seeing)(_[a-z0-9]{1,4})?", re.IGNORECASE)
DEPTH_COLUMN = re.compile(r"((psf|gal)_?depth|depth|maglim)(_[a-z0-9]{1,4})?", re.IGNORECASE)
INVERSE_VARIANCE = re.compile(r"(psf|gal)_?depth", re.IGNORECASE)
"""The Legacy Surveys give these depths as inverse variances: their logarithm is taken."""
RECOGNISED = "psfsize, psf_size, psf_fwhm, seeing; psfdepth, galdepth, depth, maglim; with or without a band behind (psfsize_r), or a list of bands"
FEWEST = 30
FOLDS = 5
RIDGE = 1e-3
DIRECTIONS = 32


@dataclass(frozen=True, kw_only=True)
class Dependence:
    """How much a set of embeddings depends on a condition.

    Attributes
    ----------
    median : float
        Of the condition.
    explained : float
        Part of the embeddings' variance that a straight line in the condition explains, by chance 1 / n.
    readable : float
        Correlation of the condition with what a ridge regression reads of it from embeddings that it was not fitted on.
    """

    median: float
    explained: float
    readable: float


@dataclass(frozen=True, kw_only=True)
class ChangeDependence:
    """How much the change of an object's embedding depends on the change of a condition.

    Attributes
    ----------
    median_change : float
        New minus old.
    rank_correlation : float
        Spearman's, of the size of the change of the condition with 1 - cosine.
    explained : float
        Part of the variance of the changes that a straight line in the condition's change explains, by chance 1 / n.
    """

    median_change: float
    rank_correlation: float
    explained: float


def condition_columns(names: Iterable[str]) -> list[str]:
    """Return the columns that tell PSF or depth."""
    return [name for name in names if PSF_COLUMN.fullmatch(name) or DEPTH_COLUMN.fullmatch(name)]


def conditions_of(table: pa.Table) -> dict[str, np.ndarray]:
    """Return conditions by name, each (n,) float64, NaN where unknown; inverse variances as log10; a list gives ``NAME[1]`` and so on."""
    found: dict[str, np.ndarray] = {}
    for column in condition_columns(table.column_names):
        for name, values in _split(column, table[column]).items():
            if INVERSE_VARIANCE.match(column):
                values = np.log10(np.where(values > 0, values, np.nan))
            found[name] = values
    return found


def dependence(vectors: np.ndarray, values: np.ndarray, rng: np.random.Generator) -> Dependence | None:
    """Return how (n, D) embeddings depend on (n,) values of a condition; None where fewer than 30 differ or are known."""
    known = np.isfinite(values)
    if np.count_nonzero(known) < FEWEST or np.ptp(values[known]) <= 1e-9 * np.abs(values[known]).max():
        return None
    vectors, values = vectors[known].astype(np.float64), values[known]
    return Dependence(
        median=float(np.median(values)), explained=_explained(vectors, values), readable=_readable(vectors, values, rng)
    )


def change_dependence(old: np.ndarray, new: np.ndarray, before: np.ndarray, after: np.ndarray) -> ChangeDependence | None:
    """Return how changes of (m, D) embeddings depend on changes of a condition; None where too few are known or it stayed."""
    from scipy.stats import spearmanr

    known = np.isfinite(before) & np.isfinite(after)
    change = after[known] - before[known]
    if len(change) < FEWEST or np.ptp(change) <= 1e-9 * max(1e-30, np.abs(before[known]).max()):
        return None
    apart = 1 - np.einsum("ij,ij->i", old[known], new[known])
    moved = (new[known] - old[known]).astype(np.float64)
    same = np.ptp(apart) < 1e-7
    return ChangeDependence(
        median_change=float(np.median(change)),
        rank_correlation=0.0 if same else float(spearmanr(np.abs(change), apart).statistic),
        explained=0.0 if same else _explained(moved, change),
    )


def _split(name: str, column: pa.ChunkedArray) -> dict[str, np.ndarray]:
    kind = column.type
    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind) or pa.types.is_large_list(kind):
        lengths = pc.list_value_length(column)
        length = pc.min(lengths).as_py() or 0
        return {f"{name}[{at + 1}]": _floats(pc.list_element(column, at)) for at in range(length)}
    return {name: _floats(column)} if pa.types.is_floating(kind) or pa.types.is_integer(kind) else {}


def _floats(column: pa.ChunkedArray) -> np.ndarray:
    return column.cast(pa.float64()).to_numpy()


def _explained(vectors: np.ndarray, values: np.ndarray) -> float:
    """Return the part of the total variance of the columns of (n, D) vectors that is linear in the values."""
    centred, line = vectors - vectors.mean(axis=0), values - values.mean()
    total = float(np.sum(centred**2))
    return float(np.sum((line @ centred) ** 2) / np.sum(line**2) / total) if total > 0 else 0.0


def _readable(vectors: np.ndarray, values: np.ndarray, rng: np.random.Generator) -> float:
    """Return the cross-validated correlation of a ridge regression on the principal coordinates, 0 where it reads nothing."""
    centred = vectors - vectors.mean(axis=0)
    _, directions = np.linalg.eigh(centred.T @ centred)
    coordinates = centred @ directions[:, ::-1][:, : min(DIRECTIONS, len(values) // 4)]
    fold, read = rng.permutation(len(values)) % FOLDS, np.empty(len(values))
    for number in range(FOLDS):
        fit = fold != number
        design, mean = coordinates[fit], values[fit].mean()
        gram = design.T @ design
        gram += RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))
        read[~fit] = mean + coordinates[~fit] @ np.linalg.solve(gram, design.T @ (values[fit] - mean))
    return max(0.0, float(np.corrcoef(read, values)[0, 1])) if np.ptp(read) > 0 else 0.0
