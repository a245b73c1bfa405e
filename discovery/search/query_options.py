"""The options of verbs that make a query."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from discovery.errors import QueryError
from discovery.search.query import Query, includes_flagged

Texts = Annotated[list[str] | None, Parameter(allow_leading_hyphen=True, negative="")]
Cone = Annotated[str | None, Parameter(allow_leading_hyphen=True)]
IncludeFlagged = Annotated[bool, Parameter(negative="")]
"""``include_flagged: IncludeFlagged = False``: search stars and flagged objects too."""
FormerFlagged = Annotated[bool | None, Parameter(show=False)]
"""``flagged: FormerFlagged = None``: the former name of ``include_flagged``, still understood."""


@dataclass(frozen=True, kw_only=True)
class FilterOptions:
    """Options that choose among the objects of a release.

    Parameters
    ----------
    query
        File of a saved query (JSON); options given beside it count in place of what it says.
    where
        SQL condition on the catalogue, such as "mag_r < 19 and ra between 150 and 160".
    cone
        RA,DEC,RADIUS: only objects within the radius, in arcsec or with a unit (150.1,2.2,30arcsec, 150.1,2.2,10arcmin,
        10:00:24,+02:12:00,0.5deg).
    include_flagged
        Take stars and masked, partial and artefact-like stamps too, which are left out otherwise.
    k
        Most objects.
    columns
        Catalogue columns to show, separated by commas.
    """

    query: Path | None = None
    where: str | None = None
    cone: Cone = None
    include_flagged: IncludeFlagged = False
    flagged: FormerFlagged = None
    clean: FormerFlagged = None
    k: Annotated[int | None, Parameter(name=["-k", "--k"])] = None
    columns: str | None = None

    def to_query(self) -> Query:
        """Return the query: the saved one, if any, with the options that are given in place of its own.

        Raises
        ------
        QueryError
            The file cannot be read, or an option cannot be understood.
        """
        saved = Query() if self.query is None else read_query(self.query)
        given = Query.parse(**self._values())
        values = {field.name: getattr(given, field.name) for field in dataclasses.fields(given)}
        return dataclasses.replace(saved, **{name: values[name] for name in self._given()})

    def _values(self) -> dict[str, Any]:
        """The values of the query's fields, as `Query.parse` takes them."""
        included = includes_flagged(self.include_flagged, flagged=self.flagged, clean=self.clean)
        return {"where": self.where, "cone": self.cone, "include_flagged": included, "k": self.k, "columns": self.columns}

    def _given(self) -> list[str]:
        """The names of the query's fields that options set."""
        flagged = self.include_flagged or self.flagged is not None or self.clean is not None
        return [name for name, value in self._values().items() if (flagged if name == "include_flagged" else value is not None)]


@dataclass(frozen=True, kw_only=True)
class SearchOptions(FilterOptions):
    """Options that say what is searched for.

    Parameters
    ----------
    like
        An object id, a position RA,DEC (degrees or sexagesimal; the nearest object within 3 arcsec), a stamp file
        (FITS, JPEG, PNG), or a table of ids or positions. Can be given many times.
    like_table
        Table of ids or positions (csv, tsv, FITS, VOTable, Parquet).
    unlike
        What the hits should not be like, in the same forms.
    unlike_table
        Table of what the hits should not be like.
    min_similarity
        Smallest cosine of a hit, -1 to 1.
    engine
        ``index`` looks into the release's index; ``exact`` compares with every object, on a GPU where there is one; ``ray`` does so
        on a Ray cluster, each machine a range of the objects.
    """

    like: Texts = None
    like_table: Path | None = None
    unlike: Texts = None
    unlike_table: Path | None = None
    min_similarity: float | None = None
    engine: Literal["index", "exact", "ray"] | None = None

    def _values(self) -> dict[str, Any]:
        like, unlike = _with_table(self.like, self.like_table), _with_table(self.unlike, self.unlike_table)
        found = {"like": like, "unlike": unlike, "min_similarity": self.min_similarity}
        return {**super()._values(), **found, **({} if self.engine is None else {"engine": self.engine})}


NO_FILTERS = FilterOptions()
NO_OPTIONS = SearchOptions()


def read_query(path: Path) -> Query:
    """Return the query saved in a file.

    Raises
    ------
    QueryError
        The file cannot be read, or holds no query.
    """
    try:
        content = path.read_bytes()
    except OSError as problem:
        raise QueryError(f"The saved query {path} cannot be read: {problem.strerror}.") from problem
    try:
        return Query.from_json(content)
    except QueryError as problem:
        raise QueryError(f"{path}: {problem}") from problem


def _with_table(texts: list[str] | None, table: Path | None) -> list[str] | None:
    given = [*(texts or ()), *(() if table is None else (str(table),))]
    return given or None
