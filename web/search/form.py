"""What a visitor asked for: the search form as typed, and the query it means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from urllib.parse import parse_qs, urlencode

import pyarrow as pa
from litestar.params import FromQuery

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
class Asked:
    """The search form as it came, unchecked."""

    like: tuple[str, ...] = ()
    unlike: tuple[str, ...] = ()
    uploads: tuple[str, ...] = ()
    where: str = ""
    cone: str = ""
    k: str = ""
    min_similarity: str = ""
    flagged: bool = False
    truth: bool = False
    columns: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing was asked, so that the page shows the form alone."""
        return not (self.like or self.unlike or self.uploads or self.where or self.cone)

    def query_string(self, **changes: str) -> str:
        """Return the query string that asks the same, with some values changed."""
        asked: dict[str, str | Sequence[str]] = {
            "like": "\n".join(self.like),
            "unlike": "\n".join(self.unlike),
            "upload": self.uploads,
            "where": self.where,
            "cone": self.cone,
            "k": self.k,
            "min_similarity": self.min_similarity,
            "flagged": "1" if self.flagged else "",
            "truth": "1" if self.truth else "",
            "columns": self.columns,
        }
        return urlencode({name: value for name, value in (asked | changes).items() if value}, doseq=True)


@dataclass(frozen=True, kw_only=True)
class Found:
    """The answer to a search or to a filter alone."""

    like: tuple[Prompt, ...]
    unlike: tuple[Prompt, ...]
    table: pa.Table
    """row, object_id, ra, dec, similarity (with prompts only) and the columns asked for."""
    fitting: int
    """Objects that pass the filters."""


def provide_asked(
    like: FromQuery[list[str] | None] = None,
    unlike: FromQuery[list[str] | None] = None,
    upload: FromQuery[list[str] | None] = None,
    where: FromQuery[str] = "",
    cone: FromQuery[str] = "",
    k: FromQuery[str] = "",
    min_similarity: FromQuery[str] = "",
    flagged: FromQuery[str] = "",
    truth: FromQuery[str] = "",
    columns: FromQuery[list[str] | None] = None,
) -> Asked:
    """Collect the search form from the address; truth columns only count where truth is asked for."""
    show_truth = truth not in ("", "0", "false")
    return Asked(
        like=_lines(like),
        unlike=_lines(unlike),
        uploads=_lines(upload),
        where=where.strip(),
        cone=cone.strip(),
        k=k.strip(),
        min_similarity=min_similarity.strip(),
        flagged=flagged not in ("", "0", "false"),
        truth=show_truth,
        columns=tuple(name for name in _lines(columns) if show_truth or not is_truth(name)),
    )


def asked_from(query_string: str) -> Asked:
    """Return what a query string made by `Asked.query_string` asks."""
    given = parse_qs(query_string)
    one = {name: values[0] for name, values in given.items()}
    return provide_asked(
        like=given.get("like"),
        unlike=given.get("unlike"),
        upload=given.get("upload"),
        columns=given.get("columns"),
        **{
            name: one.get(name, "")
            for name in ("where", "cone", "k", "min_similarity", "flagged", "truth")
        },
    )


def find(release: Release, asked: Asked, uploads: Uploads, name: str) -> Found:
    """Answer a search: the nearest objects, or with a filter alone the first that fit.

    Parameters
    ----------
    release : Release
        Where to search.
    asked : Asked
        The form.
    uploads : Uploads
        Where the uploaded prompts are.
    name : str
        The release's name in addresses.

    Raises
    ------
    QueryError
        For anything in the form that cannot be understood or found.
    """
    like, unlike = prompts_of(release, asked, uploads, name)
    k = _whole_number("The number of hits", asked.k, DEFAULT_K, MAX_K)
    columns = shown_columns(release, asked)
    query = Query.parse(
        where=asked.where or None,
        cone=asked.cone or None,
        include_flagged=asked.flagged,
        k=k,
        min_similarity=asked.min_similarity,
    )
    if unlike and not like:
        raise QueryError("A search needs at least one example to be like, beside those to be unlike.")
    if like:
        found: Hits | Listing = find_hits(release, replace(query, columns=tuple(columns) or None), like=like, unlike=unlike)
    else:
        found = list_objects(release, replace(query, columns=tuple(dict.fromkeys((*ALWAYS, *columns)))))
    return Found(like=like, unlike=unlike, table=found.table, fitting=found.passed)



def prompts_of(
    release: Release, asked: Asked, uploads: Uploads, name: str
) -> tuple[tuple[Prompt, ...], tuple[Prompt, ...]]:
    """Return the prompts to be like and to be unlike."""
    if len(asked.like) + len(asked.unlike) > MAX_PROMPTS:
        raise QueryError(f"More than {MAX_PROMPTS} examples: give fewer.")
    like = resolve_prompts(release, asked.like, files=False)
    for upload in asked.uploads:
        like += uploads.get(upload, name).prompts
    return tuple(like), tuple(resolve_prompts(release, asked.unlike, files=False))


def shown_columns(release: Release, asked: Asked) -> list[str]:
    """Return the catalogue columns that the result shows: those ticked, else the usual ones that are there."""
    known = column_types(release, truth=asked.truth)
    if asked.columns:
        return [name for name in release.catalogue.check_columns(asked.columns) if name in known]
    return [name for name in known if name in USUAL_COLUMNS or is_truth(name)]


def is_truth(column: str) -> bool:
    """Say whether a column tells what a simulated object is."""
    return column.lower().startswith("truth_")


def column_types(release: Release, *, truth: bool) -> dict[str, str]:
    """Return the columns that may be shown and their types; ``truth_*`` only where asked for."""
    return {
        name: kind for name, kind in release.catalogue.columns() if truth or not is_truth(name)
    }


def _lines(values: Sequence[str] | None) -> tuple[str, ...]:
    lines = (line.strip() for value in values or () for line in value.splitlines())
    return tuple(dict.fromkeys(line for line in lines if line))


def _whole_number(what: str, text: str, default: int, most: int) -> int:
    if not text:
        return default
    if not text.isdecimal() or len(text) > 9 or not 1 <= int(text) <= most:
        raise QueryError(f"{what} is '{text}': give a whole number from 1 to {most}.")
    return int(text)
