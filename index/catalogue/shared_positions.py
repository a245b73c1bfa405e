"""Positions that several different stamps share exactly: placeholders, and headers that cutouts kept from their parent."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator

import numpy as np

from discovery.stamps.stamp import Stamp

MANY = 4
"""So many different stamps at exactly one position are no duplicates; one object in two or three surveys may be."""
PLACES_LOOKED_AT = 256
STAMPS_LOOKED_AT = 16
"""Stamps that are read of one place, spread over its rows."""
NAMED = 3

ReadRow = Callable[[int], Stamp | None]
log = logging.getLogger(__name__)


def shared_rows(ra_deg: np.ndarray, dec_deg: np.ndarray, apart: np.ndarray, read_row: ReadRow) -> np.ndarray:
    """Return the rows whose position says nothing, ascending: many rows have exactly this one, and different pixels.

    Of the places with the most rows the stamps are compared; with more places than are looked at, the others are as most of those.

    Parameters
    ----------
    ra_deg, dec_deg : numpy.ndarray
        (N,) degrees, NaN where there is no position.
    apart : numpy.ndarray
        (n,) bool, of the first n rows those that stood for themselves in the release that this one grows from. Where two of
        them are at one place, they were kept apart then, and are now.
    read_row : callable
        Gives the stamp of a row; None where it cannot be read.
    """
    places = sorted(_places(ra_deg, dec_deg), key=len, reverse=True)
    verdicts = [_kept_apart(rows, apart) or _differ(rows, read_row) for rows in places[:PLACES_LOOKED_AT]]
    rest = 2 * sum(verdicts) > len(verdicts)
    verdicts += [_kept_apart(rows, apart) or rest for rows in places[PLACES_LOOKED_AT:]]
    shared = [rows for rows, differ in zip(places, verdicts, strict=True) if differ]
    if not shared:
        return np.empty(0, np.int64)
    rows = np.sort(np.concatenate(shared))
    named = ", ".join(f"{ra_deg[at[0]]:g},{dec_deg[at[0]]:g} ({len(at)} objects)" for at in shared[:NAMED])
    log.warning(
        "%d objects with different stamps have exactly the position of others (at %d places: %s): these positions cannot be theirs. "
        "They are not merged, and a search by position finds the wrong ones there.",
        len(rows), len(shared), named,
    )  # fmt: skip
    return rows


def _places(ra_deg: np.ndarray, dec_deg: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the rows of each position that many rows have exactly."""
    placed = np.flatnonzero(np.isfinite(ra_deg) & np.isfinite(dec_deg))
    placed = placed[np.lexsort((placed, ra_deg[placed], dec_deg[placed]))]
    begins = np.ones(len(placed), bool)
    begins[1:] = (np.diff(dec_deg[placed]) != 0) | (np.diff(ra_deg[placed]) != 0)
    bounds = np.append(np.flatnonzero(begins), len(placed))
    for place in np.flatnonzero(np.diff(bounds) >= MANY).tolist():
        yield placed[bounds[place] : bounds[place + 1]]


def _kept_apart(rows: np.ndarray, apart: np.ndarray) -> bool:
    older = rows[rows < len(apart)]
    return int(np.count_nonzero(apart[older])) > 1


def _differ(rows: np.ndarray, read_row: ReadRow) -> bool:
    """Return whether there are many different stamps among the rows of a place."""
    seen: set[bytes] = set()
    for at in np.unique(np.linspace(0, len(rows) - 1, STAMPS_LOOKED_AT).astype(np.int64)).tolist():
        stamp = read_row(int(rows[at]))
        if stamp is not None:
            seen.add(hashlib.sha256(stamp.pixels.tobytes()).digest())
        if len(seen) >= MANY:
            return True
    return False
