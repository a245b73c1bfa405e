"""Which rows of a release a query looks at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from discovery.search.query import Query

if TYPE_CHECKING:
    from discovery.release.release import Release
    from discovery.search.prompts import Prompt


@dataclass(frozen=True, kw_only=True, eq=False)
class FilteredRows:
    """The rows of a release that pass the filters of a query.

    Attributes
    ----------
    mask : numpy.ndarray
        (N,) bool. Each object counts once: duplicates never pass.
    flagged_left_out : int
        Stars and flagged objects that pass everything else, when the query leaves them out.
    """

    mask: np.ndarray
    flagged_left_out: int

    @property
    def count(self) -> int:
        """How many rows pass."""
        return int(np.count_nonzero(self.mask))


def filtered_rows(release: Release, query: Query, without: Sequence[Prompt] = ()) -> FilteredRows:
    """Return which rows pass a query's condition, cone and choice about flagged objects; ``without`` and its duplicates never do.

    Raises
    ------
    QueryError
        The condition cannot be understood.
    """
    mask = release.primary.copy()
    if query.where is not None:
        mask &= release.catalogue.where(query.where)
    if query.cone is not None:
        mask &= release.catalogue.cone(*query.cone)
    prompts = [prompt.row for prompt in without if prompt.row is not None]
    mask[release.catalogue.primary_rows[prompts]] = False
    if query.include_flagged:
        return FilteredRows(mask=mask, flagged_left_out=0)
    clean = mask & release.clean
    return FilteredRows(mask=clean, flagged_left_out=int(np.count_nonzero(mask)) - int(np.count_nonzero(clean)))
