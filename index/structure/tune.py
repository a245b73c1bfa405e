"""Choosing how much of its structure a query looks at, for the recall that is wanted, and measuring what came out."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from discovery.release.manifest import IndexRecord
from discovery.release.neighbours.exact import ExactEngine
from discovery.release.neighbours.index import PAGE, NeighbourIndex
from discovery.release.neighbours.inverted_file import Cells
from discovery.release.shards import EmbeddingShards
from index.structure.structure_plan import StructurePlan

QUERIES = 200
"""Rows to choose with, and as many others to measure with."""
CANDIDATES = (120, 150, 200, 300, 400, 600, 800, 1200, 1600, 2400, 3200)
SPARE = 0.2
"""The choice aims at the wanted recall and this share of what is missing to 1, for the other queries may be harder."""
SEED = 20240
log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Queries:
    """Rows to search with, each left out of its own answer.

    Attributes
    ----------
    rows : numpy.ndarray
        (q,) int64.
    vectors : numpy.ndarray
        (q, D) float32.
    truth : numpy.ndarray
        (q, n) the nearest other rows by comparing with all, n = min(100, N - 1).
    """

    rows: np.ndarray
    vectors: np.ndarray
    truth: np.ndarray


def tune(structure: Any, shards: EmbeddingShards, plan: StructurePlan) -> tuple[IndexRecord, dict[str, Any]]:
    """Return how many cells a query visits and how many candidates it compares, and what other queries measured with that.

    Returns
    -------
    record : IndexRecord
        With the fewest probes, and then the fewest candidates, that reach the wanted recall at 10 and at 100.
    measured : dict
        recall_asked, recall_at_10, recall_at_100 (None with fewer rows), milliseconds_a_query (median, 100 neighbours),
        milliseconds_p95, queries. A recall below the wanted one is logged as a warning, with the figure.
    """
    chosen_with, measured_with = _draw_queries(shards)
    if plan.cells is None:
        record = IndexRecord(kind=plan.kind)
        return record, _with_wanted(_measure(structure, shards, record, measured_with), plan)
    least = 1
    while True:
        probes, candidates = _choose(Cells(structure), chosen_with, plan.recall, least)
        record = IndexRecord(kind=plan.kind, probes=probes, candidates=candidates)
        measured = _measure(structure, shards, record, measured_with)
        if _reached(measured, plan.recall) or probes >= plan.cells:
            return record, _with_wanted(measured, plan)
        least = probes + 1


def _choose(cells: Cells, queries: Queries, recall: float, least: int) -> tuple[int, int]:
    """Return the fewest probes, at least ``least``, and candidates that reach a recall; the most there are if none do.

    What is among the candidates is found: similarities are computed exactly. So no embedding has to be read here.
    """
    aim = min(recall + SPARE * (1 - recall), 1.0)
    probes = min(least, cells.count)
    while True:
        places = _places(cells, queries, probes)
        for candidates in CANDIDATES:
            found = places < candidates
            if found[:, :10].mean() >= aim and found.mean() >= aim:
                return probes, candidates
        if probes >= cells.count:
            return probes, CANDIDATES[-1]
        probes = min(max(probes + 1, round(1.25 * probes)), cells.count)


def _places(cells: Cells, queries: Queries, probes: int) -> np.ndarray:
    """Return at which place among the candidates each true neighbour stands, (q, n): a large number where at none."""
    places = np.full(queries.truth.shape, np.iinfo(np.int64).max)
    for query, proposed in enumerate(cells.propose(queries.vectors, CANDIDATES[-1], probes)):
        others = proposed.rows[proposed.rows != queries.rows[query]]
        order = np.argsort(others)
        at = np.searchsorted(others[order], queries.truth[query])
        at = np.minimum(at, len(others) - 1)
        hit = others[order][at] == queries.truth[query] if len(others) else np.zeros(len(at), bool)
        places[query, hit] = order[at[hit]]
    return places


def _measure(structure: Any, shards: EmbeddingShards, record: IndexRecord, queries: Queries) -> dict[str, Any]:
    """Return recall and time of queries that come one after another, as people's do."""
    index = NeighbourIndex(structure, shards, record)
    found, seconds = np.full(queries.truth.shape, -1, np.int64), []
    for number, (row, vector) in enumerate(zip(queries.rows, queries.vectors, strict=True)):
        start = time.perf_counter()
        rows, _ = index.nearest(vector, queries.truth.shape[1] + 1)
        seconds.append(time.perf_counter() - start)
        others = rows[rows != row][: queries.truth.shape[1]]
        found[number, : len(others)] = others
    return {
        "recall_at_10": _recall(found, queries.truth, 10),
        "recall_at_100": _recall(found, queries.truth, 100),
        "milliseconds_a_query": round(1000 * float(np.median(seconds)), 3),
        "milliseconds_p95": round(1000 * float(np.percentile(seconds, 95)), 3),
        "queries": len(seconds),
    }


def _with_wanted(measured: dict[str, Any], plan: StructurePlan) -> dict[str, Any]:
    if not _reached(measured, plan.recall):
        log.warning(
            "The index %s reaches recall@10 %s and recall@100 %s, not the %s wanted: allow more with --memory, "
            "or name a finer --kind. Searches with the exact engine miss nothing.",
            plan.kind,
            measured["recall_at_10"],
            measured["recall_at_100"],
            plan.recall,
        )
    return {"recall_asked": plan.recall, **measured}


def _reached(measured: dict[str, Any], recall: float) -> bool:
    return all(measured[name] is None or measured[name] >= recall for name in ("recall_at_10", "recall_at_100"))


def _recall(found: np.ndarray, truth: np.ndarray, k: int) -> float | None:
    if truth.shape[1] < k:
        return None
    hits = [len(np.intersect1d(mine[:k], exact[:k])) for mine, exact in zip(found, truth, strict=True)]
    return round(float(np.mean(hits)) / k, 4)


def _draw_queries(shards: EmbeddingShards) -> tuple[Queries, Queries]:
    """Return two drawn sets of rows, one after another where there are too few; one pass over the embeddings finds their neighbours."""
    drawn = np.random.default_rng(SEED).permutation(shards.count)[: 2 * QUERIES]
    vectors = shards.take(drawn)
    nearest, _ = ExactEngine(shards).nearest(vectors, min(PAGE, shards.count - 1) + 1)
    truth = np.stack([_others(rows, own) for rows, own in zip(nearest, drawn, strict=True)])
    half = max(1, len(drawn) // 2)
    parts = (slice(0, half), slice(half if len(drawn) > 1 else 0, None))
    first, second = (Queries(rows=drawn[part], vectors=vectors[part], truth=truth[part]) for part in parts)
    return first, second


def _others(rows: np.ndarray, own: int) -> np.ndarray:
    """Return rows without a row's own number; identical embeddings may have pushed it out already."""
    return rows[rows != own][: len(rows) - 1]
