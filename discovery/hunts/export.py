"""What leaves a hunt: a table of the labelled objects and the ranked rest, with cutouts on request."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from discovery.errors import HuntError
from discovery.hunts.ranking import Ranking

if TYPE_CHECKING:
    from discovery.hunts.hunt import Hunt

MAX_STAMPS = 2000


def export_hunt(
    hunt: Hunt,
    path: Path | None,
    *,
    top: int | None = None,
    min_score: float | None = None,
    columns: Sequence[str] | None = None,
    stamps: Path | str | None = None,
    unfiltered: bool = False,
) -> pa.Table:
    """Return, and write, the labelled objects and the ranked rest of the whole release.

    Parameters
    ----------
    path : Path or None
        Where to write, by suffix csv, fits, vot or parquet; None only returns the table.
    top : int, optional
        That many of the best unlabelled objects go along.
    min_score : float, optional
        Unlabelled objects from this score up go along (probability; similarity while nothing is trained).
    columns : sequence of str, optional
        Catalogue columns; all by default. A column whose name is also one of ours becomes ``catalogue_<name>``.
    stamps : Path, optional
        Folder for a picture of each object and one contact sheet.
    unfiltered : bool
        Rank objects that the hunt's own filter leaves out as well.

    Returns
    -------
    pyarrow.Table
        rank (from 1, over all ranked objects, labelled ones included), row, object_id, ra, dec, label,
        negative_class, probability (NULL while nothing is trained), score, round (NULL when no round showed it), seen
        (shown, labelled or an example), example, who, when, then the catalogue's columns. Labelled objects
        first, then the rest, each by rank.

    Raises
    ------
    HuntError
        ``top`` or ``min_score`` makes no sense, or more stamps are asked for than can be written.
    """
    if top is not None and top < 0:
        raise HuntError(f"top is {top}; ask for 0 or more objects")
    if min_score is not None and not np.isfinite(min_score):
        raise HuntError(f"the least score is {min_score}; give a finite number")
    if path is not None:
        from discovery.tables import check_table_path

        check_table_path(path)
    ranking = hunt.ranking()
    pool = (hunt.release.primary if unfiltered else hunt.allowed).copy()
    marked = _marked(hunt)
    known = np.array(sorted(marked), dtype=np.int64)
    pool[known] = True
    ranks = _ranks(ranking.order_scores, pool)
    labelled = known[np.argsort(ranks[known])]
    pool[known] = False
    rows = np.concatenate([labelled, _rest(ranking, pool, top, min_score)])
    if stamps is not None and len(rows) > MAX_STAMPS:
        raise HuntError(f"{len(rows)} stamps are too many for one folder; at most {MAX_STAMPS}: lower --top")
    table = _table(hunt, rows, marked, ranking, ranks, columns)
    if path is not None:
        from discovery.tables import write_table

        write_table(table, path)
    if stamps is not None:
        from discovery.stamp_folder import write_stamp_folder

        titles = [
            f"{rank}  {name}"
            for rank, name in zip(ranks[rows].tolist(), table["object_id"].to_pylist(), strict=False)
        ]
        write_stamp_folder(hunt.release, rows, titles, stamps)
    return table


def _marked(hunt: Hunt) -> dict[int, dict[str, Any]]:
    """What people said of each row: labels, and examples that no label overrides."""
    marked: dict[int, dict[str, Any]] = {
        one.row: {"label": one.verdict, "example": True}
        for one in hunt.usable_examples
        if one.row is not None
    }
    for row, state in hunt.labels().items():
        marked[row] = {
            "label": state.verdict,
            "negative_class": state.negative_class,
            "who": state.who,
            "when": state.when,
            "example": row in marked,
        }
    return marked


def _ranks(scores: np.ndarray, pool: np.ndarray) -> np.ndarray:
    """Rank from 1 of every row of the pool, (N,) int64; 0 outside it."""
    rows = np.flatnonzero(pool)
    ranks = np.zeros(len(scores), dtype=np.int64)
    ranks[rows[np.lexsort((rows, -scores[rows]))]] = np.arange(1, len(rows) + 1)
    return ranks


def _rest(ranking: Ranking, pool: np.ndarray, top: int | None, min_score: float | None) -> np.ndarray:
    """The unlabelled rows asked for, best first."""
    if top is None and min_score is None:
        return np.empty(0, dtype=np.int64)
    rows = np.flatnonzero(pool)
    rows = rows[np.lexsort((rows, -ranking.order_scores[rows]))]
    if min_score is not None:
        rows = rows[ranking.shown(rows) >= min_score]
    return rows[:top]


def _table(
    hunt: Hunt,
    rows: np.ndarray,
    marked: dict[int, dict[str, Any]],
    ranking: Ranking,
    ranks: np.ndarray,
    columns: Sequence[str] | None,
) -> pa.Table:
    rounds = {row: played.number for played in hunt.rounds() for row in played.rows.tolist()}
    notes = [marked.get(row, {}) for row in rows.tolist()]
    scores = ranking.shown(rows).astype(np.float64)
    catalogue = hunt.release.catalogue.rows(rows, _wanted(hunt, columns))
    ours: dict[str, pa.Array] = {
        "rank": pa.array(ranks[rows]),
        "row": pa.array(rows),
        **{name: catalogue[name].combine_chunks() for name in ("object_id", "ra", "dec")},
        "label": pa.array([note.get("label") for note in notes], pa.string()),
        "negative_class": pa.array([note.get("negative_class") for note in notes], pa.string()),
        "probability": pa.array(scores if ranking.trained else [None] * len(rows), pa.float64()),
        "score": pa.array(scores),
        "round": pa.array([rounds.get(row) for row in rows.tolist()], pa.int64()),
        "seen": pa.array([row in rounds or row in marked for row in rows.tolist()], pa.bool_()),
        "example": pa.array([bool(note.get("example")) for note in notes], pa.bool_()),
        "who": pa.array([note.get("who") for note in notes], pa.string()),
        "when": pa.array([note.get("when") for note in notes], pa.string()),
    }
    for name in catalogue.column_names:
        if name not in ("row", "object_id", "ra", "dec"):
            ours[f"catalogue_{name}" if name in ours else name] = catalogue[name].combine_chunks()
    return pa.concat_tables([pa.table(ours), _lost(hunt)], promote_options="default")


def _wanted(hunt: Hunt, columns: Sequence[str] | None) -> list[str] | None:
    if columns is None:
        return None
    chosen = hunt.release.catalogue.check_columns(columns)
    return list(dict.fromkeys(["object_id", "ra", "dec", *chosen]))


def _lost(hunt: Hunt) -> pa.Table:
    """The labels on objects that a move did not find: named, placed, but neither ranked nor in the catalogue."""
    places = {line["object_id"]: line for line in hunt.known_objects()}
    states = hunt.lost_labels()
    return pa.table(
        {
            "object_id": pa.array([state.object_id for state in states], pa.string()),
            "ra": pa.array([places[state.object_id]["ra_deg"] for state in states], pa.float64()),
            "dec": pa.array([places[state.object_id]["dec_deg"] for state in states], pa.float64()),
            "label": pa.array([state.verdict for state in states], pa.string()),
            "negative_class": pa.array([state.negative_class for state in states], pa.string()),
            "seen": pa.array([True] * len(states), pa.bool_()),
            "who": pa.array([state.who for state in states], pa.string()),
            "when": pa.array([state.when for state in states], pa.string()),
        }
    )
