"""What the notebook's widget shows of a hunt, as plain values that travel to the browser."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import numpy as np

from discovery.errors import DiscoveryError
from discovery.stamps.render import stamp_png, upright

if TYPE_CHECKING:
    from discovery.hunts.bound_hunt import BoundHunt
    from discovery.hunts.log.records import LabelEvent, Round
    from discovery.hunts.state import HuntState
    from discovery.search.known_objects import KnownRows

STAMP_PIXELS = 144
HISTORY_SHOWN = 100


def page_state(hunt: BoundHunt, played: Round | None, known: KnownRows | None) -> dict[str, Any]:
    """Return the page of a round: what was played, and one card a stamp with its picture as a data URL.

    An object that a move did not find has no card; a stamp that cannot be read has the reason in its place.
    """
    return {
        "hunt": hunt.path.stem,
        "release": hunt.release.name,
        "file": f"{hunt.path.stem}.csv",
        "round": 0 if played is None else played.number,
        "why": "The first round shows what looks most like the examples." if played is None else played.why,
        "cards": [] if played is None else _cards(hunt, played, known),
    }


def labels_state(state: HuntState, reported: list[str]) -> dict[str, Any]:
    """Return what changes with every label: verdicts, notes, counts, curve, negative classes, history, and the audit's words.

    Parameters
    ----------
    reported : list of str
        The lines of an audit's report that still holds; none otherwise.
    """
    counts, (given, found) = state.counts, state.curve
    return {
        "verdicts": {
            str(row): {"verdict": label.verdict, "negative_class": label.negative_class}
            for row, label in state.labels.items()
        },
        "notes": _notes(state),
        "counts": {
            name: getattr(counts, name) for name in ("positive", "negative", "unsure", "skipped")
        },
        "curve": {"given": given.tolist(), "found": found.tolist()},
        "negative_classes": list(state.frequent_classes),
        "audit": _audit(state, reported),
        "history": [_history(event) for event in state.history[:HISTORY_SHOWN]],
    }


def _audit(state: HuntState, reported: list[str]) -> list[str]:
    """The latest report, or how many stamps of the audits wait; nothing before the first audit."""
    if reported or not state.current_audits:
        return reported
    return [f"stamps of the audit that wait for a label: {len(state.waiting)}"]


def _notes(state: HuntState) -> dict[str, str]:
    """What people wrote on the objects of the release, by row, the latest last."""
    written: dict[str, list[str]] = {}
    for note in state.notes:
        if note.row is not None and note.row >= 0:
            written.setdefault(str(note.row), []).append(f"{note.text} ({note.who})")
    return {row: "; ".join(texts) for row, texts in written.items()}


def _cards(hunt: BoundHunt, played: Round, known: KnownRows | None) -> list[dict[str, Any]]:
    shown = zip(played.rows.tolist(), played.object_ids, played.scores.tolist(), played.reasons, strict=True)
    return [
        {
            "row": row,
            "object_id": object_id,
            "score": f"{score:.3f}" if np.isfinite(score) else "",
            "reason": reason,
            "known": "" if known is None else known.flag(row),
            **_picture(hunt, row),
        }
        for row, object_id, score, reason in shown
        if row >= 0
    ]


def _picture(hunt: BoundHunt, row: int) -> dict[str, str]:
    try:
        png = stamp_png(upright(hunt.release.stamp(row)), size_pixels=STAMP_PIXELS, scale_bar=True)
    except DiscoveryError as problem:
        return {"picture": "", "problem": str(problem)}
    return {"picture": f"data:image/png;base64,{base64.b64encode(png).decode()}", "problem": ""}


def _history(event: LabelEvent) -> dict[str, Any]:
    verdict = event.negative_class or event.verdict
    return {
        "event": event.event,
        "object_id": event.object_id,
        "what": f"undo: {verdict}" if event.is_undo else verdict,
        "who": event.who,
        "when": event.when[:19].replace("T", " "),
        "undone": event.undone_by is not None,
        "undoable": event.undone_by is None and not event.is_undo,
    }
