"""The most unusual objects of a release, by an isolation forest on the embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from discovery.errors import QueryError
from discovery.release.release import Release
from discovery.search.filters import filtered_rows
from discovery.search.query import Query, query_of
from discovery.search.similarity import ALWAYS, with_measure

DEFAULT_K = 100
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
        row, object_id, ra, dec, outlier_score and the columns that the query names.
    flagged_left_out : int
        Stars and flagged objects that would pass the filters too.
    """

    rows: np.ndarray
    score: np.ndarray
    table: pa.Table
    flagged_left_out: int


def find_outliers(release: Release, query: Query | None = None, *, seed: int = 0, **options: Any) -> Outliers:
    """Rank the objects that pass the filters by how easily random cuts set them apart from one another.

    The score is that of Liu, Ting and Zhou 2008 (Isolation Forest, ICDM), ``2 ** (-E[depth] / c(n))``. The filters choose
    both what is ranked and what it is compared with: an outlier among bright galaxies is unusual *for one of those*.
    Memory does not grow with the release beyond 13 bytes a row, and only embeddings of rows that pass are read.

    Parameters
    ----------
    query : Query, optional
        Its filters, k (100 by default) and columns; its examples say nothing here.
    seed : int
        Of the sample and the forest: the same seed gives the same ranking.
    **options
        Values of a query, in place of it, as `Query.parse` takes them; ``flagged`` is the former ``include_flagged``.

    Raises
    ------
    QueryError
        For a bad option, and if fewer than ten objects pass the filters.
    """
    query = query_of(query, options)
    if seed < 0:
        raise QueryError(f"The seed is {seed}; give 0 or more.")
    names = release.catalogue.check_columns([*ALWAYS, *(query.columns or ())])
    passed = filtered_rows(release, query)
    if passed.count < FEWEST:
        raise QueryError(f"{passed.count} objects pass the filters; with fewer than {FEWEST} none stands out.")
    score = outlier_scores(release, passed.mask, seed=seed)
    rows = np.flatnonzero(passed.mask)
    rows = rows[np.argsort(-score[rows], kind="stable")[: query.k or DEFAULT_K]]
    table = release.catalogue.rows(rows, names)
    table = with_measure(table, "outlier_score", score[rows])
    return Outliers(rows=rows, score=score[rows], table=table, flagged_left_out=passed.flagged_left_out)


def outlier_scores(release: Release, allowed: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Return the outlier score of each allowed row, (N,) float32; NaN for the others."""
    rng = np.random.default_rng(seed)
    rows = np.flatnonzero(allowed)
    fitted = np.sort(rng.choice(rows, min(len(rows), MOST_FITTED), replace=False))
    from sklearn.ensemble import IsolationForest

    forest = IsolationForest(
        n_estimators=TREES, max_samples=min(SAMPLE_A_TREE, len(fitted)), random_state=int(rng.integers(2**31))
    ).fit(release.take(fitted))
    score = np.full(release.count, np.nan, np.float32)
    for start in range(0, len(rows), ROWS_A_CHUNK):
        part = rows[start : start + ROWS_A_CHUNK]
        score[part] = -forest.score_samples(release.take(part))
    return score
