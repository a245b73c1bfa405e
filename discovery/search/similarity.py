"""Search in a release: the objects most like some examples, or those that pass filters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from discovery.errors import QueryError
from discovery.release.catalogue import MOST_BY_ROW
from discovery.release.release import Release
from discovery.release.shards import unit
from discovery.search.filters import filtered_rows
from discovery.search.prompts import Prompt, check_encoder, resolve_prompts
from discovery.search.query import Engine, Query, query_of

ALWAYS = ("row", "object_id", "ra", "dec")
DEFAULT_K = 20
MIN_LENGTH = 1e-4


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
        row, object_id, ra, dec, similarity and the columns that the query names.
    passed : int
        Objects that pass the filters.
    flagged_left_out : int
        Stars and flagged objects that would pass too.
    """

    rows: np.ndarray
    similarity: np.ndarray
    table: pa.Table
    passed: int
    flagged_left_out: int


@dataclass(frozen=True, kw_only=True)
class Listing:
    """Objects that pass the filters of a query, in order of row.

    Attributes
    ----------
    table : pyarrow.Table
        The first of them: all columns, or those that the query names.
    passed : int
        How many there are.
    flagged_left_out : int
        Stars and flagged objects that would pass too.
    """

    table: pa.Table
    passed: int
    flagged_left_out: int


def search(
    release: Release,
    query: Query | None = None,
    *,
    like: Sequence[Prompt | str] = (),
    unlike: Sequence[Prompt | str] = (),
    address: str | None = None,
    **options: Any,
) -> Hits:
    """Find the objects most like some prompts (and unlike others).

    Filters apply before the search: k objects come back wherever k match. Each object counts once
    (duplicates stand behind their primary row), and the prompts themselves are not among the hits.
    Stars and flagged objects are left out unless the query includes them.

    Parameters
    ----------
    query : Query, optional
        What is searched for, its examples as texts; files among them are read.
    like, unlike : sequence of Prompt or str
        Examples, in place of a query or beside its own; at least one to be like. See `query_vector`.
    address : str, optional
        Of the Ray cluster for the engine ray; one is started on this machine without.
    **options
        Values of a query, in place of it, as `Query.parse` takes them: where, cone (text, or ra and dec in degrees and
        a radius in arcsec), include_flagged (formerly flagged), k, min_similarity, columns, engine.

    Raises
    ------
    QueryError, EncoderMismatch, ConfigError
        For a bad option, for a prompt from another encoder, and where Ray or its cluster is missing.
    """
    query = query_of(query, options)
    liked, unliked = (_prompts(release, texts, prompts) for texts, prompts in ((query.like, like), (query.unlike, unlike)))
    return find_hits(release, query, like=liked, unlike=unliked, address=address)


def find_hits(
    release: Release, query: Query, *, like: Sequence[Prompt], unlike: Sequence[Prompt] = (), address: str | None = None
) -> Hits:
    """Return the answer to a query whose examples are prompts already; see `search`."""
    if address is not None and query.engine != "ray":
        raise QueryError("An address of a cluster goes with the engine ray.")
    for prompt in (*like, *unlike):
        check_encoder(release, prompt)
    vector = query_vector(like, unlike)
    names = release.catalogue.check_columns([*ALWAYS, *(query.columns or ())])
    passed = filtered_rows(release, query, without=(*like, *unlike))
    rows, similarity = _nearest(release, vector, query.k or DEFAULT_K, passed.mask, query.engine, address)
    if query.min_similarity is not None:
        enough = similarity >= query.min_similarity
        rows, similarity = rows[enough], similarity[enough]
    table = release.catalogue.rows(rows, names)
    return Hits(
        rows=rows,
        similarity=similarity,
        table=with_measure(table, "similarity", similarity),
        passed=passed.count,
        flagged_left_out=passed.flagged_left_out,
    )


def with_measure(table: pa.Table, name: str, values: np.ndarray) -> pa.Table:
    """Return hits with a column of what was measured behind `ALWAYS`; the survey's own of that name becomes ``survey_NAME``."""
    taken, names = {column.lower() for column in table.column_names}, []
    for column in table.column_names:
        new = f"survey_{column}" if column.lower() == name else column
        while new != column and new.lower() in taken:
            new = f"survey_{new}"
        names.append(new)
    return table.rename_columns(names).add_column(len(ALWAYS), name, pa.array(values))


def list_objects(release: Release, query: Query) -> Listing:
    """Return the objects that pass a query's filters, each once, in order of row; its examples say nothing here.

    Raises
    ------
    QueryError
        For a condition or a column that cannot be understood.
    """
    columns = None if query.columns is None else release.catalogue.check_columns(query.columns)
    passed = filtered_rows(release, query)
    rows = np.flatnonzero(passed.mask)[: query.k]
    table = release.catalogue.rows(rows, columns) if len(rows) <= MOST_BY_ROW else _many_rows(release, rows, columns)
    return Listing(table=table, passed=passed.count, flagged_left_out=passed.flagged_left_out)


def _many_rows(release: Release, rows: np.ndarray, columns: Sequence[str] | None) -> pa.Table:
    """Return ascending rows, read in passes over the catalogue."""
    tables, start = [], 0
    for part in release.catalogue.parts(columns):
        inside = rows[slice(*np.searchsorted(rows, [start, start + part.num_rows]))]
        tables.append(part.take(inside - start))
        start += part.num_rows
    return pa.concat_tables(tables)


def _prompts(release: Release, texts: Sequence[str], given: Sequence[Prompt | str]) -> list[Prompt]:
    typed = resolve_prompts(release, [*texts, *(one for one in given if isinstance(one, str))])
    return [*typed, *(one for one in given if isinstance(one, Prompt))]


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
