"""How far two sets of embeddings lie apart: in their mean, in their covariance, and object by object."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

MOST_DIRECTIONS, FEWEST_DIRECTIONS, ROWS_A_DIRECTION = 64, 4, 15
"""Covariances are compared along the first principal directions of both sets together: one for every 15 embeddings, 4 to 64."""
SPLITS = 39
"""Random divisions behind a null: the smallest share that can be found is 1 / 40."""
NAMED_DIRECTIONS = 5
GALLERY_CHUNK = 16_384
TOLERANCE = 1e-6
"""Cosines in float32 that differ by less are equal."""


@dataclass(frozen=True, kw_only=True)
class Direction:
    """A direction along which the variance changed.

    Attributes
    ----------
    variance_ratio : float
        Variance of the new embeddings over that of the old ones.
    share_of_variance : float
        Part of the old embeddings' variance that lies along it.
    mean_shift_sigma : float
        Difference of the means along it, in standard deviations of the old embeddings.
    """

    variance_ratio: float
    share_of_variance: float
    mean_shift_sigma: float


@dataclass(frozen=True, kw_only=True)
class Shift:
    """Difference of two sets of embeddings, in units of the old ones' spread (the root mean square distance from their mean).

    Attributes
    ----------
    count : int
        Embeddings in each set.
    mean, covariance : float
        Distance of the means; the covariances' part of the Frechet distance.
    frechet : float
        Frechet distance of the two Gaussians, the root of the sum of both parts' squares.
    mean_null, covariance_null : float
        The same between two random divisions of what is alike: 95 of 100 lie below.
    mean_chance, covariance_chance : float
        Share of such divisions, the measured one counted in, that differ as much; small: a real shift.
    ratio_null : float
        Largest ratio of variances along any direction, up or down, between divisions of what is alike: 95 of 100 lie below.
    directions : tuple of Direction
        Those whose variance changed most, and by more than that.
    variance_compared : float
        Part of the variance that lies along the directions that covariances were compared in.
    """

    count: int
    mean: float
    covariance: float
    frechet: float
    mean_null: float
    covariance_null: float
    mean_chance: float
    covariance_chance: float
    ratio_null: float
    directions: tuple[Direction, ...]
    variance_compared: float


@dataclass(frozen=True, kw_only=True)
class PairMeasures:
    """The same objects seen twice.

    Attributes
    ----------
    count : int
        Objects.
    cosine_median, cosine_low : float
        Of the old and the new embedding of an object: the median, and the value that 5 of 100 lie below.
    cosine_of_others : float
        Median cosine of two different objects, to compare with.
    recall_at_1, recall_at_10 : float
        Share of the new embeddings that have the old one of the same object as their nearest, or among their ten nearest.
    gallery : int
        Old embeddings among which it was looked for.
    common_part : float
        Part of the mean squared change of an embedding that is the same for all objects, 0..1.
    """

    count: int
    cosine_median: float
    cosine_low: float
    cosine_of_others: float
    recall_at_1: float
    recall_at_10: float
    gallery: int
    common_part: float


def halves_shift(old: np.ndarray, new: np.ndarray, rng: np.random.Generator) -> Shift:
    """Return how a random half of the old embeddings compares with as many new ones; the null divides the old ones in two.

    Parameters
    ----------
    old : numpy.ndarray
        (2 n, D).
    new : numpy.ndarray
        (n, D).
    """
    count = len(new)
    basis = _basis(np.concatenate([old[:count], new]))

    def divided() -> Iterable[tuple[np.ndarray, np.ndarray]]:
        for _ in range(SPLITS):
            order = rng.permutation(len(old))
            yield old[order[:count]], old[order[count:]]

    return _shift(old[:count], new, basis, divided())


def pairs_shift(old: np.ndarray, new: np.ndarray, rng: np.random.Generator) -> Shift:
    """Return how old and new embeddings (m, D) of the same objects compare; the null exchanges them for random objects."""
    basis = _basis(np.concatenate([old, new]))

    def exchanged() -> Iterable[tuple[np.ndarray, np.ndarray]]:
        for _ in range(SPLITS):
            swap = rng.random(len(old)) < 0.5
            yield np.where(swap[:, None], new, old), np.where(swap[:, None], old, new)

    return _shift(old, new, basis, exchanged())


def measure_pairs(
    old: np.ndarray, new: np.ndarray, ranks: np.ndarray, gallery: int, rng: np.random.Generator
) -> PairMeasures:
    """Return the measures of (m, D) unit vectors of the same objects; ``ranks`` as from `found_ranks`."""
    cosine = np.einsum("ij,ij->i", old, new)
    others = np.einsum("ij,ij->i", old, new[rng.permutation(len(new))])
    change = (new - old).astype(np.float64)
    total = float(np.mean(np.sum(change**2, axis=1)))
    return PairMeasures(
        count=len(old),
        cosine_median=float(np.median(cosine)),
        cosine_low=float(np.quantile(cosine, 0.05)),
        cosine_of_others=float(np.median(others)),
        recall_at_1=float(np.mean(ranks < 1)),
        recall_at_10=float(np.mean(ranks < 10)),
        gallery=gallery,
        common_part=float(np.sum(change.mean(axis=0) ** 2)) / total if total > TOLERANCE**2 else 0.0,
    )


def found_ranks(
    new: np.ndarray,
    own: np.ndarray,
    own_objects: np.ndarray,
    gallery: np.ndarray,
    gallery_objects: np.ndarray,
    take: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """Return for each new embedding how many old ones of other objects are more similar than that of its own: (m,) int64.

    Exact, in chunks; 0 means that its own is the nearest.

    Parameters
    ----------
    new, own : numpy.ndarray
        (m, D) unit vectors: new and old embeddings of the same objects.
    own_objects : numpy.ndarray
        (m,) int64, numbers of those objects.
    gallery, gallery_objects : numpy.ndarray
        (g,) rows to be compared with, and the numbers of their objects.
    take : callable
        Gives (n, D) old embeddings of rows.
    """
    least = np.einsum("ij,ij->i", own, new) + TOLERANCE
    ranks = np.zeros(len(new), np.int64)
    for start in range(0, len(gallery), GALLERY_CHUNK):
        part = slice(start, start + GALLERY_CHUNK)
        nearer = new @ take(gallery[part]).T > least[:, None]  # (m, n)
        nearer &= own_objects[:, None] != gallery_objects[part][None]
        ranks += nearer.sum(axis=1)
    return ranks


def _shift(
    old: np.ndarray, new: np.ndarray, basis: np.ndarray, alike: Iterable[tuple[np.ndarray, np.ndarray]]
) -> Shift:
    spread = float(np.sqrt(np.var(old, axis=0, dtype=np.float64).sum()))
    mean, covariance, _ = _distances(old, new, basis)
    null = np.array([_distances(one, other, basis) for one, other in alike])
    ratio_null = float(np.exp(np.quantile(null[:, 2], 0.95)))
    return Shift(
        count=len(new),
        mean=mean / spread,
        covariance=covariance / spread,
        frechet=float(np.hypot(mean, covariance)) / spread,
        mean_null=float(np.quantile(null[:, 0], 0.95)) / spread,
        covariance_null=float(np.quantile(null[:, 1], 0.95)) / spread,
        mean_chance=_chance(mean, null[:, 0]),
        covariance_chance=_chance(covariance, null[:, 1]),
        ratio_null=ratio_null,
        directions=_directions(old, new, basis, spread, ratio_null),
        variance_compared=float(np.var(old @ basis, axis=0, dtype=np.float64).sum()) / spread**2,
    )


def _chance(value: float, null: np.ndarray) -> float:
    return float(1 + np.count_nonzero(null >= value - TOLERANCE)) / (1 + len(null))


def _distances(old: np.ndarray, new: np.ndarray, basis: np.ndarray) -> tuple[float, float, float]:
    """Distance of the means, ``sqrt(tr(A + B - 2 sqrt(sqrt(A) B sqrt(A))))`` of the covariances A, B along the basis, and the
    largest logarithm of a ratio of variances.

    The root of the sum of the first two's squares is the Frechet distance of two Gaussians (Dowson and Landau 1982, J. Multivariate
    Analysis 12, 450; known from Heusel et al. 2017, arXiv:1706.08500).
    """
    mean = np.linalg.norm(new.mean(axis=0, dtype=np.float64) - old.mean(axis=0, dtype=np.float64))
    first, second = _covariance(old @ basis), _covariance(new @ basis)
    root = _root(first)
    overlap = np.sqrt(np.clip(np.linalg.eigvalsh(root @ second @ root), 0, None)).sum()
    covariance = float(np.sqrt(max(0.0, np.trace(first) + np.trace(second) - 2 * overlap)))
    return float(mean), covariance, float(np.abs(np.log(_variance_ratios(first, second)[0])).max())


def _variance_ratios(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ratios of variances, and the directions (P, R) that have them: eigenvectors of the second covariance where the first is the unit matrix."""
    values, vectors = np.linalg.eigh(first)
    kept = values > 1e-6 * values[-1]
    white = vectors[:, kept] / np.sqrt(values[kept])
    ratios, turned = np.linalg.eigh(white.T @ second @ white)
    return np.maximum(ratios, 1e-12), white @ turned


def _directions(
    old: np.ndarray, new: np.ndarray, basis: np.ndarray, spread: float, ratio_null: float
) -> tuple[Direction, ...]:
    """Directions of the most unequal variance."""
    first, second = _covariance(old @ basis), _covariance(new @ basis)
    ratios, lines = _variance_ratios(first, second)
    changes = np.abs(np.log(ratios))
    order = [at for at in np.argsort(-changes)[:NAMED_DIRECTIONS] if changes[at] > np.log(ratio_null)]
    difference = (new.mean(axis=0, dtype=np.float64) - old.mean(axis=0, dtype=np.float64)) @ basis
    found = []
    for at in order:
        line = lines[:, at]  # of unit variance among the old embeddings
        along = first @ line / np.linalg.norm(first @ line)
        found.append(
            Direction(
                variance_ratio=float(ratios[at]),
                share_of_variance=float(along @ first @ along) / spread**2,
                mean_shift_sigma=float(difference @ line),
            )
        )
    return tuple(found)


def _basis(vectors: np.ndarray) -> np.ndarray:
    """Return the principal directions of the largest variance of two sets of n embeddings: (D, P) float64."""
    count = min(MOST_DIRECTIONS, max(FEWEST_DIRECTIONS, len(vectors) // 2 // ROWS_A_DIRECTION))
    _, directions = np.linalg.eigh(_covariance(vectors))
    return directions[:, ::-1][:, :count]


def _covariance(vectors: np.ndarray) -> np.ndarray:
    centred = vectors - vectors.mean(axis=0, dtype=np.float64)
    return centred.T @ centred / max(1, len(vectors) - 1)


def _root(matrix: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
