"""Which objects of a survey are new to an older release, from which a newer one grows.

Objects that the older release holds keep their rows and embeddings; only the others are embedded. Of the known objects a
seeded sample is embedded again from the new stamps, and compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from discovery.errors import ConfigError, SurveyError
from discovery.release.release import Release
from discovery.sky.crossmatch import BY_ID, Matches, match_objects, rows_named
from discovery.stamps.stamp import Stamp, Survey
from index.catalogue.columns import sky_positions
from index.catalogue.shared_positions import shared_rows
from index.drift.drift import SEED
from index.embed.selected_positions import SelectedSurvey

READ_AT_ONCE = 65_536


@dataclass(frozen=True, kw_only=True, eq=False)
class Newcomers:
    """Which objects of a survey an older release holds.

    Attributes
    ----------
    older : Release
        The older release.
    survey : Survey
        The new survey.
    matches : Matches
        Where the object at each of its positions is in the older release.
    """

    older: Release
    survey: Survey
    matches: Matches

    @cached_property
    def new(self) -> SelectedSurvey:
        """The objects that are not there."""
        return SelectedSurvey(self.survey, np.flatnonzero(self.matches.rows < 0))

    @property
    def renamed(self) -> np.ndarray:
        """Which of the new objects have an object_id that is another object's in the older release: (n,) bool."""
        return self.matches.taken[self.new.positions]

    def suffix(self, name: str) -> str:
        """Return what is put behind the object_ids of renamed objects in a release of that name; "" where there are none."""
        return suffix_of(name) if self.renamed.any() else ""

    @property
    def counts(self) -> dict[str, Any]:
        """How objects were found, for the report."""
        known = self.matches.rows >= 0
        by_id = int(np.count_nonzero(self.matches.by == BY_ID))
        return {
            "positions": len(self.survey),
            "known_by_object_id": by_id,
            "known_by_position": int(np.count_nonzero(known)) - by_id,
            "renamed": int(np.count_nonzero(self.renamed)),
        }

    def sample(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return at most ``count`` known objects, drawn: their positions in the survey, ascending, and rows of the older release."""
        known = np.flatnonzero(self.matches.rows >= 0)
        positions = np.sort(np.random.default_rng(SEED).permutation(known)[:count])
        return positions, self.matches.rows[positions]

    def check(self, name: str) -> None:
        """Check that there are new objects, and that the ids made for a release of that name are free.

        Raises
        ------
        ConfigError
            If nothing is new.
        SurveyError
            If a made id is in the older release already.
        """
        if len(self.new) == 0:
            raise ConfigError(
                f"Release {self.older.name} holds all {len(self.survey)} objects of these files: nothing is new. To compare the stamps, "
                "index the files on their own and run 'discovery index drift'."
            )
        renamed = SelectedSurvey(self.survey, self.new.positions[self.renamed])
        if not len(renamed):
            return
        made = pa.chunked_array(
            made_names(renamed.table(at, at + READ_AT_ONCE)["object_id"], suffix_of(name)).combine_chunks()
            for at in range(0, len(renamed), READ_AT_ONCE)
        )
        taken = np.flatnonzero(rows_named(self.older.catalogue, made) >= 0)
        if len(taken):
            raise SurveyError(f"Object id {made[int(taken[0])]} is in release {self.older.name} already: choose another --name.")


def find_newcomers(survey: Survey, older: Release) -> Newcomers:
    """Return where every object of the survey is in the older release; some 100 bytes an object."""
    names: list[pa.Array] = []
    places = [np.empty((2, 0))]
    for start in range(0, len(survey), READ_AT_ONCE):
        came = survey.table(start, min(start + READ_AT_ONCE, len(survey)))
        names += came["object_id"].cast(pa.large_string()).chunks
        places.append(np.stack(sky_positions(came)))
    ra, dec = np.concatenate(places, axis=1)
    shared = shared_rows(ra, dec, np.empty(0, bool), lambda position: _stamp_at(survey, position))
    ra[shared] = dec[shared] = np.nan
    matches = match_objects(older.catalogue, pa.chunked_array(names, pa.large_string()), ra, dec)
    return Newcomers(older=older, survey=survey, matches=matches)


def _stamp_at(survey: Survey, position: int) -> Stamp | None:
    found = survey.read(position, position + 1)[0]
    return found if isinstance(found, Stamp) else None


def suffix_of(name: str) -> str:
    """Return what a release of that name puts behind object_ids that are other objects'."""
    return f"@{name}"


def made_names(names: pa.ChunkedArray, suffix: str) -> pa.ChunkedArray:
    """Return the object_ids of new objects whose own ones are other objects'."""
    return pc.binary_join_element_wise(names, suffix, "")
