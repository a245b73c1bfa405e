"""What leaves a hunt: a table of the labelled objects and the ranked rest, with cutouts on request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from discovery.errors import HuntError
from discovery.hunts.models.ranking import Ranking
from discovery.hunts.provenance import provenance
from discovery.tables.writer import check_table_path, write_table

if TYPE_CHECKING:
    from discovery.hunts.bound_hunt import BoundHunt
    from discovery.hunts.log.records import Round
    from discovery.hunts.state import HuntState
    from discovery.search.known_objects import KnownRows

MAX_STAMPS = 2000


def export_hunt(
    hunt: BoundHunt,
    path: Path | None,
    *,
    top: int | None = None,
    min_score: float | None = None,
    columns: Sequence[str] | None = None,
    stamps: Path | str | None = None,
    unfiltered: bool = False,
    known: KnownRows | None = None,
    new_only: bool = False,
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
    known : KnownRows, optional
        Known objects (`discovery.search.known_objects.find_known`) to flag, in the columns known_as, known_sep_arcsec and known_file
        and on the contact sheet.
    new_only : bool
        Leave known objects out, labelled ones too.

    Returns
    -------
    pyarrow.Table
        rank (from 1, over all ranked objects, labelled ones included), row, object_id, ra, dec, label,
        negative_class, probability (NULL while nothing is trained), score, round (NULL when no round showed it), seen
        (shown, labelled or an example), example, who, when, reason (what the person gave), notes, shown_as (why the
        round showed it), the known columns, then the catalogue's. Labelled objects first, then the rest, each by rank.
        A written file states where it comes from (`discovery.hunts.provenance`); for a csv that stands beside it.

    Raises
    ------
    HuntError
        ``top`` or ``min_score`` makes no sense, there are more stamps than can be written, or ``new_only`` without
        known objects.
    """
    if new_only and known is None:
        raise HuntError("new objects only: give the known ones")
    if top is not None and top < 0:
        raise HuntError(f"top is {top}; give 0 or more objects")
    if min_score is not None and not np.isfinite(min_score):
        raise HuntError(f"the least score is {min_score}; give a finite number")
    if path is not None:
        check_table_path(path)
    with hunt.ranking_lock:
        selection = {"top": top, "min_score": min_score, "unfiltered": unfiltered, "new_only": new_only}
        return _exported(hunt, hunt.state(), path, selection, columns, stamps, known)


def _exported(
    hunt: BoundHunt,
    state: HuntState,
    path: Path | None,
    selection: dict[str, Any],
    columns: Sequence[str] | None,
    stamps: Path | str | None,
    known: KnownRows | None,
) -> pa.Table:
    """The table of a state's objects, written with what goes along."""
    top, min_score, left_out = selection["top"], selection["min_score"], known if selection["new_only"] else None
    pool = (hunt.release.primary if selection["unfiltered"] else hunt.allowed).copy()
    marked = _marked(hunt, state)
    given = np.array(sorted(marked), dtype=np.int64)
    if stamps is not None:
        _check_stamps(pool, given, top if min_score is None else None, left_out)
    pool[given] = True
    ranking = hunt.ranking(state)
    order = _order(ranking.order_scores, pool)
    ranks = np.zeros(len(pool), dtype=np.int64)
    ranks[order] = np.arange(1, len(order) + 1)
    labelled = given[np.argsort(ranks[given])]
    pool[given] = False
    if left_out is not None:
        labelled, pool = labelled[~left_out.mask[labelled]], pool & ~left_out.mask
    rows = np.concatenate([labelled, _rest(ranking, order[pool[order]], top, min_score)])
    if stamps is not None:
        _check_number(len(rows))
    table = _table(hunt, state, rows, marked, ranking, ranks, columns, known)
    if path is not None:
        write_table(table, path, provenance(hunt, ranking, selection=selection, known=known, state=state))
    if stamps is not None:
        from discovery.release.stamp_folder import write_stamp_folder

        names = table["object_id"].to_pylist()
        titles = [f"{rank}  {name}" for rank, name in zip(ranks[rows].tolist(), names, strict=False)]
        flags = [] if known is None else [known.flag(row) for row in rows.tolist()]
        write_stamp_folder(hunt.release, rows, titles, stamps, flags=flags)
    return table


def _marked(hunt: BoundHunt, state: HuntState) -> dict[int, dict[str, Any]]:
    """What people gave each row: labels, and examples that no label overrides."""
    marked: dict[int, dict[str, Any]] = {
        one.row: {"label": one.verdict, "example": True}
        for one in hunt.usable_examples
        if one.row is not None and not one.remembered
    }
    for row, label in state.labels.items():
        marked[row] = {
            "label": label.verdict,
            "negative_class": label.negative_class,
            "who": label.who,
            "when": label.when,
            "reason": label.reason,
            "example": row in marked,
        }
    return marked


def _check_stamps(pool: np.ndarray, given: np.ndarray, top: int | None, left_out: KnownRows | None) -> None:
    """Refuse more stamps than can be written before the release is ranked, as far as their number does not depend on it."""
    rest = pool.copy()
    rest[given] = False
    if left_out is not None:
        given, rest = given[~left_out.mask[given]], rest & ~left_out.mask
    _check_number(len(given) + min(top or 0, int(rest.sum())))


def _check_number(stamps: int) -> None:
    if stamps > MAX_STAMPS:
        raise HuntError(f"{stamps} stamps are too many for one folder; at most {MAX_STAMPS}: lower --top")


def _order(scores: np.ndarray, pool: np.ndarray) -> np.ndarray:
    """The rows of a pool (N,) bool, best first and equal ones by row, (n,) int64."""
    rows = np.flatnonzero(pool)
    return rows[np.argsort(-scores[rows], kind="stable")]


def _rest(ranking: Ranking, rows: np.ndarray, top: int | None, min_score: float | None) -> np.ndarray:
    """Those of the unlabelled rows, best first, that go along."""
    if top is None and min_score is None:
        return np.empty(0, dtype=np.int64)
    if min_score is not None:
        rows = rows[ranking.shown(rows) >= min_score]
    return rows[:top]


def _table(
    hunt: BoundHunt,
    state: HuntState,
    rows: np.ndarray,
    marked: dict[int, dict[str, Any]],
    ranking: Ranking,
    ranks: np.ndarray,
    columns: Sequence[str] | None,
    known: KnownRows | None,
) -> pa.Table:
    shown = {row: (played.number, why) for played in state.rounds for row, why in _reasons(played)}
    marks = [marked.get(row, {}) for row in rows.tolist()]
    scores = ranking.shown(rows).astype(np.float64)
    catalogue = hunt.release.catalogue.rows(rows, _columns(hunt, columns))
    notes = _notes(state)
    names = catalogue["object_id"].to_pylist()
    ours: dict[str, pa.Array] = {
        "rank": pa.array(ranks[rows]),
        "row": pa.array(rows),
        **{name: catalogue[name].combine_chunks() for name in ("object_id", "ra", "dec")},
        "label": _texts(one.get("label") for one in marks),
        "negative_class": _texts(one.get("negative_class") for one in marks),
        "probability": pa.array(scores if ranking.trained else [None] * len(rows), pa.float64()),
        "score": pa.array(scores),
        "round": pa.array([shown.get(row, (None, ""))[0] for row in rows.tolist()], pa.int64()),
        "seen": pa.array([row in shown or row in marked for row in rows.tolist()], pa.bool_()),
        "example": pa.array([bool(one.get("example")) for one in marks], pa.bool_()),
        "who": _texts(one.get("who") for one in marks),
        "when": _texts(one.get("when") for one in marks),
        "reason": _texts(one.get("reason") for one in marks),
        "notes": _texts(notes.get(name) for name in names),
        "shown_as": _texts(shown.get(row, (None, ""))[1] or None for row in rows.tolist()),
        **({} if known is None else _known_columns(known, rows)),
    }
    for name in catalogue.column_names:
        if name not in ("row", "object_id", "ra", "dec"):
            ours[f"catalogue_{name}" if name in ours else name] = catalogue[name].combine_chunks()
    return pa.concat_tables([pa.table(ours), _lost(hunt, state, notes)], promote_options="default")


def _reasons(played: Round) -> Iterator[tuple[int, str]]:
    return zip(played.rows.tolist(), played.reasons, strict=True)


def _notes(state: HuntState) -> dict[str, str]:
    """What people wrote about each object, by object_id: one text, who and when with each note."""
    texts: dict[str, list[str]] = {}
    for note in state.notes:
        texts.setdefault(note.object_id, []).append(f"{note.who} {note.when[:10]}: {note.text}")
    return {name: " | ".join(written) for name, written in texts.items()}


def _known_columns(known: KnownRows, rows: np.ndarray) -> dict[str, pa.Array]:
    found = [known.by_row.get(row) for row in rows.tolist()]
    separations = [None if one is None else one.separation_arcsec for one in found]
    return {
        "known_as": _texts(None if one is None else one.name for one in found),
        "known_sep_arcsec": pa.array(separations, pa.float64()),
        "known_file": _texts(None if one is None else one.file for one in found),
    }


def _texts(values: Iterable[str | None]) -> pa.Array:
    return pa.array(list(values), pa.string())


def _columns(hunt: BoundHunt, columns: Sequence[str] | None) -> list[str] | None:
    if columns is None:
        return None
    chosen = hunt.release.catalogue.check_columns(columns)
    return list(dict.fromkeys(["object_id", "ra", "dec", *chosen]))


def _lost(hunt: BoundHunt, state: HuntState, notes: dict[str, str]) -> pa.Table:
    """The labels on objects that a move did not find: named, placed, but neither ranked nor in the catalogue."""
    places = {place["object_id"]: place for place in hunt.store.objects()}
    lost = state.lost_labels
    return pa.table(
        {
            "object_id": pa.array([label.object_id for label in lost], pa.string()),
            "ra": pa.array([places[label.object_id]["ra_deg"] for label in lost], pa.float64()),
            "dec": pa.array([places[label.object_id]["dec_deg"] for label in lost], pa.float64()),
            "label": pa.array([label.verdict for label in lost], pa.string()),
            "negative_class": pa.array([label.negative_class for label in lost], pa.string()),
            "seen": pa.array([True] * len(lost), pa.bool_()),
            "who": pa.array([label.who for label in lost], pa.string()),
            "when": pa.array([label.when for label in lost], pa.string()),
            "reason": _texts(label.reason for label in lost),
            "notes": _texts(notes.get(label.object_id) for label in lost),
        }
    )
