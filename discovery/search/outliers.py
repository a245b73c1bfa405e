"""The most unusual objects of a release, by an isolation forest on the embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from sklearn.ensemble import IsolationForest

from discovery.errors import QueryError
from discovery.release.release import Release
from discovery.search.similarity import ALWAYS, allowed_rows

TREES = 300
SAMPLE_A_TREE = 256
MOST_FITTED = 20_000
"""The forest is grown on at most this many rows, drawn at random: each tree sees 256 of them anyway."""
FEWEST = 10
ROWS_A_CHUNK = 16_384


@dataclass(frozen=True, kw_only=True)
class Outliers:
    """Objects of a release, the most unusual first.

    Attributes
    ----------
    rows : numpy.ndarray
        (n,) int64.
    score : numpy.ndarray
        (n,) float32 in 0..1; about 0.5 and below is ordinary.
    table : pyarrow.Table
        row, object_id, ra, dec, outlier_score and the columns asked for.
    """

    rows: np.ndarray
    score: np.ndarray
    table: pa.Table


def find_outliers(
    release: Release,
    *,
    k: int = 100,
    where: str | None = None,
    cone: tuple[float, float, float] | None = None,
    flagged: bool = True,
    columns: Sequence[str] | None = None,
    seed: int = 0,
) -> Outliers:
    """Rank the objects that pass the filters by how easily random cuts set them apart from one another.

    The score is that of Liu, Ting and Zhou 2008 (Isolation Forest, ICDM), ``2 ** (-E[depth] / c(n))``. The filters choose
    both what is ranked and what it is compared with: an outlier among bright galaxies is unusual *for one of those*.
    Memory does not grow with the release beyond 13 bytes a row, and only embeddings of rows that pass are read.

    Parameters
    ----------
    k : int
        How many objects.
    where : str, optional
        A SQL condition on the catalogue.
    cone : tuple of float, optional
        (ra in degrees, dec in degrees, radius in arcsec).
    flagged : bool
        Whether stars and masked, partial and artefact-like stamps take part.
    columns : sequence of str, optional
        Catalogue columns beside row, object_id, ra and dec.
    seed : int
        Of the sample and the forest: the same seed gives the same ranking.

    Raises
    ------
    QueryError
        For a bad option, and if fewer than ten objects pass the filters.
    """
    if k < 1:
        raise QueryError(f"k is {k}; ask for at least 1 object.")
    if seed < 0:
        raise QueryError(f"The seed is {seed}; give 0 or more.")
    names = release.catalogue.check_columns([*ALWAYS, *(columns or ())])
    allowed = allowed_rows(release, where=where, cone=cone, flagged=flagged)
    if allowed.sum() < FEWEST:
        raise QueryError(f"{int(allowed.sum())} objects pass the filters; with fewer than {FEWEST} none stands out.")
    score = outlier_scores(release, allowed, seed=seed)
    rows = np.flatnonzero(allowed)
    rows = rows[np.argsort(-score[rows], kind="stable")[:k]]
    table = release.catalogue.rows(rows, names)
    table = table.add_column(len(ALWAYS), "outlier_score", pa.array(score[rows]))
    return Outliers(rows=rows, score=score[rows], table=table)


def outlier_scores(release: Release, allowed: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Return the outlier score of each allowed row, (N,) float32; NaN for the others."""
    rng = np.random.default_rng(seed)
    rows = np.flatnonzero(allowed)
    fitted = np.sort(rng.choice(rows, min(len(rows), MOST_FITTED), replace=False))
    forest = IsolationForest(
        n_estimators=TREES, max_samples=min(SAMPLE_A_TREE, len(fitted)), random_state=int(rng.integers(2**31))
    ).fit(release.take(fitted))
    score = np.full(release.count, np.nan, np.float32)
    for start in range(0, len(rows), ROWS_A_CHUNK):
        part = rows[start : start + ROWS_A_CHUNK]
        score[part] = -forest.score_samples(release.take(part))
    return score
