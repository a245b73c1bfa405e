"""What candidates of a round were found by, the index of the release or an engine, then and in a replay.

A round records it beside its candidates (`discovery.hunts.candidates.pool.SEARCHED_BY`). A replay has what there is today, and must state when that is
another: after ``discovery index build`` a pool may hold other rows although nothing is wrong with the log.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from discovery.hunts.candidates.pool import SEARCHED_BY
from discovery.hunts.log.records import Round

CHANGED = "changed"
REBUILT = "the index was rebuilt since this round"
_CHANGES = {"index": REBUILT, "faiss": "FAISS is another version than in this round", "engine": "this round was scored by another engine"}


def with_changes(recorded: Round, played: Round) -> Round:
    """Return a replayed round with what the recorded one was searched by, and statements under ``changed`` of its source where today's is another.

    A round that was recorded without it, by an older version, is taken as it is.
    """
    then, now = _source(recorded), _source(played)
    if now is None:
        return played
    kept = {key: value for key, value in now.items() if key not in SEARCHED_BY}
    kept |= {key: value for key, value in (then or {}).items() if key in SEARCHED_BY}
    statements = _statements(then or {}, now)
    return _with_source(played, kept | ({CHANGED: statements} if statements else {}))


def without_changes(played: Round) -> tuple[Round, tuple[str, ...]]:
    """Return a round of `with_changes` without its statements, and them."""
    source = _source(played) or {}
    if CHANGED not in source:
        return played, ()
    return _with_source(played, {key: value for key, value in source.items() if key != CHANGED}), tuple(source[CHANGED])


def _statements(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    changes = []
    for name in SEARCHED_BY:
        if name in then and then[name] != now.get(name):
            changes.append(f"{_CHANGES[name]}: {_text(then[name])}, now {_text(now.get(name))}")
    return changes


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{name} {one}" for name, one in sorted(value.items()) if one is not None)
    return "not known" if value is None else str(value)


def _source(one: Round) -> dict[str, Any] | None:
    candidates = one.parts.get("candidates")
    source = candidates.get("source") if isinstance(candidates, dict) else None
    return source if isinstance(source, dict) else None


def _with_source(one: Round, source: dict[str, Any]) -> Round:
    return replace(one, parts={**one.parts, "candidates": {**one.parts["candidates"], "source": source}})
