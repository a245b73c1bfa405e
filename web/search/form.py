"""The search form as a visitor filled it in, its address, and the query that it means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any
from urllib.parse import parse_qs, urlencode

import pyarrow as pa
from litestar.params import FromQuery, QueryParameter

from discovery.errors import QueryError
from discovery.release.release import Release
from discovery.search.prompts import Prompt, resolve_prompts
from discovery.search.query import Query
from discovery.search.similarity import ALWAYS, Hits, Listing, find_hits, list_objects
from web.search.uploads import Uploads

DEFAULT_K = 48
MAX_K = 1000
MAX_PROMPTS = 1000
USUAL_COLUMNS = ("mag_r", "z_phot_mean", "redshift", "crop_side_arcsec")


@dataclass(frozen=True, kw_only=True)
class SearchForm:
    """The search form as it came, unchecked: the texts of a query, and what only the page has."""

    like: tuple[str, ...] = ()
    unlike: tuple[str, ...] = ()
    uploads: tuple[str, ...] = ()
    where: str = ""
    cone: str = ""
    k: str = ""
    min_similarity: str = ""
    include_flagged: bool = False
    truth: bool = False
    columns: tuple[str, ...] = ()
    engine: str = ""

    @property
    def empty(self) -> bool:
        """Whether nothing is searched for, so that the page shows the form alone."""
        return not (self.like or self.unlike or self.uploads or self.where or self.cone)

    def query_string(self, **changes: str) -> str:
        """Return the query string that gives this form, with some values changed."""
        values: dict[str, str | Sequence[str]] = {
            "like": "\n".join(self.like),
            "unlike": "\n".join(self.unlike),
            "upload": self.uploads,
            "where": self.where,
            "cone": self.cone,
            "k": self.k,
            "min_similarity": self.min_similarity,
            "include_flagged": "1" if self.include_flagged else "",
            "truth": "1" if self.truth else "",
            "columns": self.columns,
            "engine": self.engine,
        }
        return urlencode({name: value for name, value in (values | changes).items() if value}, doseq=True)

    def query(self) -> Query:
        """Return the query of the form's texts; what was uploaded is not among its examples.

        Raises
        ------
        QueryError
            A text cannot be understood, or is more than a server does for a visitor.
        """
        if len(self.like) + len(self.unlike) > MAX_PROMPTS:
            raise QueryError(f"More than {MAX_PROMPTS} examples: give fewer.")
        query = Query.parse(
            like=self.like,
            unlike=self.unlike,
            where=self.where or None,
            cone=self.cone or None,
            include_flagged=self.include_flagged,
            k=self.k,
            min_similarity=self.min_similarity,
            columns=self.columns or None,
            engine=self.engine or "index",
        )
        if query.k is not None and query.k > MAX_K:
            raise QueryError(f"The number of hits is {query.k}: give a whole number from 1 to {MAX_K}.")
        if query.engine == "ray":
            raise QueryError("This server starts no Ray cluster: search with the engine index or exact.")
        return query

    @classmethod
    def of(cls, query: Query) -> SearchForm:
        """Return the form that a query fills in."""
        return cls(
            like=query.like,
            unlike=query.unlike,
            where=query.where or "",
            cone="" if query.cone is None else str(query.cone),
            k="" if query.k is None else str(query.k),
            min_similarity="" if query.min_similarity is None else repr(query.min_similarity),
            include_flagged=query.include_flagged,
            columns=query.columns or (),
            engine="" if query.engine == "index" else query.engine,
        )


@dataclass(frozen=True, kw_only=True)
class FormPrompts:
    """The examples of a search form, those that were uploaded among them."""

    like: tuple[Prompt, ...]
    unlike: tuple[Prompt, ...]
    upload_of: tuple[str, ...]
    """For each of ``like`` the upload that it came in, "" for one that was typed."""


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """The answer to a search or to a filter alone."""

    prompts: FormPrompts
    table: pa.Table
    """row, object_id, ra, dec, similarity (with prompts only) and the columns that are shown."""
    passed: int
    """Objects that pass the filters."""
    flagged_left_out: int
    """Stars and flagged objects that would pass them too."""


def provide_search_form(
    saved_query: Annotated[str, QueryParameter(name="query")] = "",
    like: FromQuery[list[str] | None] = None,
    unlike: FromQuery[list[str] | None] = None,
    upload: FromQuery[list[str] | None] = None,
    where: FromQuery[str] = "",
    cone: FromQuery[str] = "",
    k: FromQuery[str] = "",
    min_similarity: FromQuery[str] = "",
    include_flagged: FromQuery[str] = "",
    flagged: FromQuery[str] = "",
    truth: FromQuery[str] = "",
    columns: FromQuery[list[str] | None] = None,
    engine: FromQuery[str] = "",
) -> SearchForm:
    """Collect the search form from the address: a saved query (JSON), if any, and values that count in place of its own.

    Truth columns only count where truth is shown. ``flagged`` is the former name of ``include_flagged``.
    """
    saved = SearchForm.of(Query.from_json(saved_query)) if saved_query.strip() else SearchForm()
    show_truth = _ticked(truth)
    names = _lines(columns) or saved.columns
    return SearchForm(
        like=_lines(like) or saved.like,
        unlike=_lines(unlike) or saved.unlike,
        uploads=_lines(upload),
        where=where.strip() or saved.where,
        cone=cone.strip() or saved.cone,
        k=k.strip() or saved.k,
        min_similarity=min_similarity.strip() or saved.min_similarity,
        include_flagged=_ticked(include_flagged) or _ticked(flagged) or saved.include_flagged,
        truth=show_truth,
        columns=tuple(name for name in names if show_truth or not is_truth(name)),
        engine=engine.strip() or saved.engine,
    )


def form_from_address(query_string: str) -> SearchForm:
    """Return the form in a query string as `SearchForm.query_string` makes it."""
    given = parse_qs(query_string)
    values: dict[str, Any] = {name: given.get(name) for name in ("like", "unlike", "upload", "columns")}
    texts = ("where", "cone", "k", "min_similarity", "include_flagged", "flagged", "truth", "engine")
    values |= {name: given.get(name, [""])[0] for name in texts}
    return provide_search_form(**values, saved_query=given.get("query", [""])[0])


def find(release: Release, form: SearchForm, uploads: Uploads, name: str) -> SearchResult:
    """Answer a search: the nearest objects, or with filters alone the first that pass them.

    Parameters
    ----------
    release : Release
        Where to search.
    uploads : Uploads
        Where the uploaded prompts are.
    name : str
        The release's name in addresses.

    Raises
    ------
    QueryError
        For anything in the form that cannot be understood or found.
    """
    query, prompts = form.query(), prompts_of(release, form, uploads, name)
    columns = shown_columns(release, form)
    query = replace(query, k=query.k or DEFAULT_K)
    if prompts.unlike and not prompts.like:
        raise QueryError("A search needs at least one example to be like, beside those to be unlike.")
    if prompts.like:
        query = replace(query, columns=tuple(columns) or None)
        found: Hits | Listing = find_hits(release, query, like=prompts.like, unlike=prompts.unlike)
    else:
        found = list_objects(release, replace(query, columns=tuple(dict.fromkeys((*ALWAYS, *columns)))))
    return SearchResult(prompts=prompts, table=found.table, passed=found.passed, flagged_left_out=found.flagged_left_out)


def prompts_of(release: Release, form: SearchForm, uploads: Uploads, name: str) -> FormPrompts:
    """Return the examples of a form; texts that are files of the server are none."""
    typed = resolve_prompts(release, form.like, files=False)
    sent = [(prompt, upload) for upload in form.uploads for prompt in uploads.get(upload, name).prompts]
    return FormPrompts(
        like=(*typed, *(prompt for prompt, _ in sent)),
        unlike=tuple(resolve_prompts(release, form.unlike, files=False)),
        upload_of=(*("" for _ in typed), *(upload for _, upload in sent)),
    )


def whole_query(form: SearchForm, uploads: Uploads, name: str) -> Query:
    """Return the query of a form with its uploads: objects by their ids, a stamp by the name of its file."""
    query = form.query()
    sent = (prompt.label for upload in form.uploads for prompt in uploads.get(upload, name).prompts)
    return replace(query, like=tuple(dict.fromkeys((*query.like, *sent))))


def shown_columns(release: Release, form: SearchForm) -> list[str]:
    """Return the catalogue columns that the result shows: those ticked, else the usual ones that are there."""
    known = column_types(release, truth=form.truth)
    if form.columns:
        return [name for name in release.catalogue.check_columns(form.columns) if name in known]
    return [name for name in known if name in USUAL_COLUMNS or is_truth(name)]


def is_truth(column: str) -> bool:
    """Say whether a column tells what a simulated object is."""
    return column.lower().startswith("truth_")


def column_types(release: Release, *, truth: bool) -> dict[str, str]:
    """Return the columns that may be shown and their types; ``truth_*`` only where they are wanted."""
    return {
        name: kind for name, kind in release.catalogue.columns() if truth or not is_truth(name)
    }


def _ticked(value: str) -> bool:
    return value not in ("", "0", "false")


def _lines(values: Sequence[str] | None) -> tuple[str, ...]:
    lines = (line.strip() for value in values or () for line in value.splitlines())
    return tuple(dict.fromkeys(line for line in lines if line))
