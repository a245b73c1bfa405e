"""Checking that no two objects of a survey have the same id."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from discovery.errors import SurveyError
from discovery.stamps.stamp import Survey

HashOf = Callable[[str], int]
CHECKED_AT_A_TIME = 65536
HASHES_AT_ONCE = 2**27
"""1 GiB (2 GiB while they are put together); a survey with more objects is gone through more than once."""


def check_ids(survey: Survey, hashes_at_once: int = HASHES_AT_ONCE, hash_of: HashOf = hash) -> None:
    """Check that every object_id stands in a survey once.

    In memory are a 64-bit hash of each id, sorted: 16 bytes an object at the most, ``16 * hashes_at_once`` in all. Ids
    with equal hashes are compared themselves.

    Raises
    ------
    SurveyError
        If an id stands there twice.
    """
    turns = max(1, -(-len(survey) // hashes_at_once))
    for turn in range(turns):
        repeated = _repeated_hashes(survey, turn, turns, hash_of)
        if len(repeated):
            _compare(survey, repeated, hash_of)


def _repeated_hashes(survey: Survey, turn: int, turns: int, hash_of: HashOf) -> np.ndarray:
    """Return the hashes that occur more than once among those that leave ``turn`` when divided by ``turns``."""
    kept = [mine[mine % turns == turn] if turns > 1 else mine for _, _, mine in _hashed(survey, hash_of)]
    hashes = np.concatenate(kept) if kept else np.empty(0, np.int64)
    del kept
    hashes.sort()
    return np.unique(hashes[1:][hashes[1:] == hashes[:-1]])


def _compare(survey: Survey, repeated: np.ndarray, hash_of: HashOf) -> None:
    seen: dict[str, int] = {}
    for start, names, hashes in _hashed(survey, hash_of):
        for place in np.flatnonzero(np.isin(hashes, repeated)).tolist():
            if seen.setdefault(names[place], start + place) != start + place:
                first, second = seen[names[place]], start + place
                raise SurveyError(f"Object id {names[place]} stands at positions {first} and {second}: ids must be unique.")


def _hashed(survey: Survey, hash_of: HashOf) -> Iterator[tuple[int, list[str], np.ndarray]]:
    for start in range(0, len(survey), CHECKED_AT_A_TIME):
        names = survey.table(start, start + CHECKED_AT_A_TIME)["object_id"].to_pylist()
        yield start, names, np.fromiter(map(hash_of, names), np.int64, len(names))
