"""Similarity search in a release."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pyarrow as pa

from discovery.errors import QueryError
from discovery.release.release import Release
from discovery.release.shards import unit
from discovery.search.prompts import Prompt, check_encoder

ALWAYS = ("row", "object_id", "ra", "dec")
MIN_LENGTH = 1e-4
Engine = Literal["index", "exact", "ray"]


@dataclass(frozen=True, kw_only=True)
class Hits:
    """What a search found, most similar first.

    Attributes
    ----------
    rows : numpy.ndarray
        (n,) int64.
    similarity : numpy.ndarray
        (n,) float32, cosines with the query vector.
    table : pyarrow.Table
        row, object_id, ra, dec, similarity and the columns asked for.
    """

    rows: np.ndarray
    similarity: np.ndarray
    table: pa.Table


def search(
    release: Release,
    *,
    like: Sequence[Prompt],
    unlike: Sequence[Prompt] = (),
    k: int = 20,
    where: str | None = None,
    cone: tuple[float, float, float] | None = None,
    min_similarity: float | None = None,
    flagged: bool = True,
    columns: Sequence[str] | None = None,
    engine: Engine = "index",
    address: str | None = None,
) -> Hits:
    """Find the objects most like some prompts (and unlike others).

    Filters apply before the search: k objects come back wherever k match. Each object counts once
    (duplicates stand behind their primary row), and the prompts themselves are not among the hits.

    Parameters
    ----------
    like, unlike : sequence of Prompt
        Examples; at least one in ``like``. See `query_vector`.
    k : int
        How many hits.
    where : str, optional
        A SQL condition on the catalogue.
    cone : tuple of float, optional
        (ra in degrees, dec in degrees, radius in arcsec).
    min_similarity : float, optional
        Smallest cosine, -1 to 1.
    flagged : bool
        Whether stars and masked, partial and artefact-like stamps may be found.
    columns : sequence of str, optional
        Catalogue columns beside row, object_id, ra and dec.
    engine : str
        ``index`` asks the release's index; ``exact`` compares with every allowed row; ``ray`` does so on a Ray cluster.
    address : str, optional
        Of the Ray cluster; one is started on this machine without.

    Raises
    ------
    QueryError, EncoderMismatch, ConfigError
        For a bad option, for a prompt from another encoder, and where Ray or its cluster is missing.
    """
    if k < 1:
        raise QueryError(f"k is {k}; ask for at least 1 object.")
    if min_similarity is not None and not -1 <= min_similarity <= 1:
        raise QueryError(f"A smallest similarity of {min_similarity} cannot be: a cosine lies between -1 and 1.")
    if engine not in get_args(Engine):
        raise QueryError(f"'{engine}' is no engine; give one of {', '.join(get_args(Engine))}.")
    if address is not None and engine != "ray":
        raise QueryError("An address of a cluster goes with the engine ray.")
    for prompt in (*like, *unlike):
        check_encoder(release, prompt)
    vector = query_vector(like, unlike)
    names = release.catalogue.check_columns([*ALWAYS, *(columns or ())])
    allowed = allowed_rows(release, where=where, cone=cone, flagged=flagged, without=(*like, *unlike))
    rows, similarity = _nearest(release, vector, k, allowed, engine, address)
    if min_similarity is not None:
        rows, similarity = rows[similarity >= min_similarity], similarity[similarity >= min_similarity]
    table = release.catalogue.rows(rows, names)
    return Hits(rows=rows, similarity=similarity, table=table.add_column(len(ALWAYS), "similarity", pa.array(similarity)))


def _nearest(
    release: Release, vector: np.ndarray, k: int, allowed: np.ndarray, engine: Engine, address: str | None
) -> tuple[np.ndarray, np.ndarray]:
    if engine != "ray":
        return release.nearest(vector, k, allowed, engine=engine)
    from discovery.release.neighbours.exact_on_ray import ClusterEngine

    with ClusterEngine(release.shards, address=address) as cluster:
        rows, similarity = cluster.nearest(vector[None], k, allowed)
    return rows[rows >= 0], similarity[rows >= 0]


def query_vector(like: Sequence[Prompt], unlike: Sequence[Prompt] = ()) -> np.ndarray:
    """Return the query of several prompts.

    ``q = unit(mean(like) - mean(unlike))`` over the prompts' unit vectors (Rocchio's formula with equal weights;
    Salton 1971); without ``unlike`` the direction of the mean, and of a single prompt its own vector.

    Returns
    -------
    numpy.ndarray
        (D,) float32 of unit length.

    Raises
    ------
    QueryError
        If ``like`` is empty, or the prompts cancel each other.
    """
    if not like:
        raise QueryError("A search needs at least one example to be like.")
    vector = np.mean([prompt.vector for prompt in like], axis=0)
    if unlike:
        vector = vector - np.mean([prompt.vector for prompt in unlike], axis=0)
    if np.linalg.norm(vector) < MIN_LENGTH:
        raise QueryError("The examples cancel each other: what is liked and what is not liked are the same. Use other ones.")
    return unit(vector)


def allowed_rows(
    release: Release,
    *,
    where: str | None = None,
    cone: tuple[float, float, float] | None = None,
    flagged: bool = True,
    without: Sequence[Prompt] = (),
) -> np.ndarray:
    """Return which rows pass the filters: (N,) bool. Duplicates never do, nor prompts or their duplicates."""
    allowed = release.primary.copy()
    if not flagged:
        allowed &= release.clean
    if where is not None:
        allowed &= release.catalogue.where(where)
    if cone is not None:
        allowed &= release.catalogue.cone(*cone)
    known = [prompt.row for prompt in without if prompt.row is not None]
    allowed[release.catalogue.primary_rows[known]] = False
    return allowed
