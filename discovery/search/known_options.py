"""The options of verbs that flag known objects, and what they mean."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from discovery.errors import QueryError

if TYPE_CHECKING:
    from discovery.release.release import Release
    from discovery.search.known_objects import KnownRows

KnownFiles = Annotated[list[Path] | None, Parameter(name="--known", consume_multiple=True, negative="")]
"""``known: KnownFiles = None``: tables (csv, FITS, VOTable, Parquet) of known objects with ra and dec."""
KnownRadius = Annotated[float | None, Parameter(name="--known-radius")]
"""``known_radius: KnownRadius = None``: within how many arcsec an object is a known one; 2 by default."""
NewOnly = Annotated[bool, Parameter(name="--new-only", negative="")]
"""``new_only: NewOnly = False``: leave known objects out."""


def matched_known(
    release: Release, known: Sequence[Path] | None, known_radius: float | None, new_only: bool = False
) -> KnownRows | None:
    """Return the known rows of a release as the options ask for; None without ``--known``.

    Raises
    ------
    QueryError
        A table cannot be used, the radius makes no sense, or an option lacks ``--known``.
    """
    if not known:
        if known_radius is not None or new_only:
            option = "--new-only" if new_only else "--known-radius"
            raise QueryError(f"{option} needs a table of known objects: give --known FILE.")
        return None
    from discovery.search.known_files import read_known
    from discovery.search.known_objects import RADIUS_ARCSEC, find_known

    tables = [read_known(path) for path in known]
    for note in filter(None, (table.note for table in tables)):
        sys.stderr.write(note + "\n")
    return find_known(release, tables, RADIUS_ARCSEC if known_radius is None else known_radius)
