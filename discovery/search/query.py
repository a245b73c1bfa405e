"""Queries: what a release is searched for and how, the same at every door, and as JSON to keep and to send on."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

import msgspec

from discovery.errors import QueryError
from discovery.sky.places import Cone, checked_cone, parse_cone

VERSION = 1
Engine = Literal["index", "exact", "ray"]
Texts = str | Iterable[str]


@dataclass(frozen=True, kw_only=True)
class Query:
    """What a release is searched for: by examples, by filters, or by both.

    The command line, the search page, the JSON API, Python and hunts all understand it. `Query.parse` takes values as people
    type them, `Query.from_json` a saved query.

    Attributes
    ----------
    like, unlike : tuple of str
        What the hits should (not) be like: ids, positions ``RA,DEC``, files of a stamp or a table.
    where : str or None
        SQL condition on the catalogue.
    cone : Cone or None
        Part of the sky.
    include_flagged : bool
        Whether stars and masked, partial and artefact-like stamps are searched too.
    k : int or None
        Most objects; None for the default of the command or the page.
    min_similarity : float or None
        Smallest cosine of a hit, -1 to 1.
    columns : tuple of str or None
        Catalogue columns to show; None for the default of the command or the page.
    engine : str
        ``index``, ``exact`` (every allowed object is compared) or ``ray`` (likewise on a Ray cluster).
    """

    like: tuple[str, ...] = ()
    unlike: tuple[str, ...] = ()
    where: str | None = None
    cone: Cone | None = None
    include_flagged: bool = False
    k: int | None = None
    min_similarity: float | None = None
    columns: tuple[str, ...] | None = None
    engine: Engine = "index"

    def __post_init__(self) -> None:
        """Refuse what cannot be searched for."""
        if self.cone is not None:
            checked_cone(*self.cone)
        if self.k is not None and self.k < 1:
            raise QueryError(f"k is {self.k}; give at least 1.")
        if self.min_similarity is not None and not -1 <= self.min_similarity <= 1:
            raise QueryError(f"A smallest similarity of {self.min_similarity} cannot be: a cosine lies between -1 and 1.")
        if self.columns is not None and not self.columns:
            raise QueryError("The list of columns names no column; give names separated by commas.")
        if self.engine not in get_args(Engine):
            raise QueryError(f"'{self.engine}' is no engine; give one of {', '.join(get_args(Engine))}.")

    @classmethod
    def parse(
        cls,
        *,
        like: Texts | None = None,
        unlike: Texts | None = None,
        where: str | None = None,
        cone: str | Sequence[float] | None = None,
        include_flagged: bool = False,
        k: int | str | None = None,
        min_similarity: float | str | None = None,
        columns: Texts | None = None,
        engine: str = "index",
    ) -> Query:
        """Return the query that typed values mean: one text or several, numbers as text, a cone as ``RA,DEC,RADIUS``.

        Raises
        ------
        QueryError
            A value cannot be understood.
        """
        return cls(
            like=_texts(like),
            unlike=_texts(unlike),
            where=where,
            cone=_cone(cone),
            include_flagged=include_flagged,
            k=_number("The number of objects", int, k),
            min_similarity=_number("The smallest similarity", float, min_similarity),
            columns=None if columns is None else _columns(columns),
            engine=engine,  # type: ignore[arg-type]
        )

    @classmethod
    def from_json(cls, text: str | bytes) -> Query:
        """Return a saved query.

        Raises
        ------
        QueryError
            It is no JSON, of a newer version, has a key that queries do not have, or a value that makes no sense.
        """
        try:
            values = msgspec.json.decode(text)
        except msgspec.DecodeError as problem:
            raise QueryError(f"A saved query is one JSON document, and this is none: {problem}.") from problem
        return cls.from_values(values)

    @classmethod
    def from_values(cls, values: Any) -> Query:
        """Return the query in a decoded JSON document; QueryError as `from_json`."""
        if isinstance(values, dict) and values.get("version") not in (None, VERSION):
            raise QueryError(
                f"The saved query has version {values['version']}, and this program knows version {VERSION}: upgrade it."
            )
        try:
            saved = msgspec.convert(values, _Saved)
        except msgspec.ValidationError as problem:
            raise QueryError(f"The saved query is not valid: {problem}.") from problem
        given = {name: getattr(saved, name) for name in saved.__struct_fields__ if name != "version"}
        return cls.parse(**given)

    def to_values(self) -> dict[str, Any]:
        """Return the query as plain values, without those that it leaves open."""
        plain = {field.name: getattr(self, field.name) for field in fields(self) if getattr(self, field.name) != field.default}
        lists = {name: list(value) for name, value in plain.items() if isinstance(value, tuple) and name != "cone"}
        cone = {} if self.cone is None else {"cone": str(self.cone)}
        return {"version": VERSION, **plain, **lists, **cone}

    def to_json(self) -> str:
        """Return the query as one JSON document, which `from_json` and every door read."""
        return msgspec.json.format(msgspec.json.encode(self.to_values())).decode()


class _Saved(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The document of a saved query."""

    version: Literal[1] = 1
    like: tuple[str, ...] = ()
    unlike: tuple[str, ...] = ()
    where: str | None = None
    cone: str | None = None
    include_flagged: bool = False
    k: int | None = None
    min_similarity: float | None = None
    columns: tuple[str, ...] | None = None
    engine: Engine = "index"


def includes_flagged(
    include_flagged: bool = False, *, flagged: bool | None = None, clean: bool | None = None
) -> bool:
    """Return whether flagged objects are included, by the option and the names that it had before.

    Raises
    ------
    QueryError
        They contradict each other.
    """
    given = {*([True] if include_flagged else ()), *(() if flagged is None else (flagged,)), *(() if clean is None else (not clean,))}
    if len(given) > 1:
        raise QueryError("Flagged objects are both included and left out; give --include-flagged or nothing.")
    return given == {True}


def query_of(query: Query | None, options: Mapping[str, Any]) -> Query:
    """Return the query that is given, or the one that keywords mean; ``flagged`` is the former name of ``include_flagged``.

    Raises
    ------
    QueryError
        Both are given, or a value cannot be understood.
    """
    if query is not None and options:
        raise QueryError(f"A query says all of it: put {', '.join(options)} into the query.")
    if query is not None:
        return query
    named = {key: value for key, value in options.items() if key not in ("flagged", "include_flagged")}
    included = includes_flagged(options.get("include_flagged", False), flagged=options.get("flagged"))
    return Query.parse(**named, include_flagged=included)


def left_out_note(flagged: int) -> str:
    """Return how many flagged objects were left out, in words; nothing where none were."""
    if not flagged:
        return ""
    return f"{flagged} flagged object{'s' * (flagged != 1)} left out; include them with --include-flagged"


def _texts(given: Texts | None) -> tuple[str, ...]:
    texts = () if given is None else (given,) if isinstance(given, str) else tuple(given)
    stripped = (text.strip() for text in texts)
    return tuple(dict.fromkeys(text for text in stripped if text))


def _columns(given: Texts) -> tuple[str, ...]:
    return _texts(given.split(",") if isinstance(given, str) else given)


def _cone(given: str | Sequence[float] | None) -> Cone | None:
    if given is None or isinstance(given, str):
        return None if given is None else parse_cone(given)
    if len(given) != 3:
        raise QueryError(f"{given} is no cone: give ra and dec in degrees and a radius in arcsec.")
    return checked_cone(*given)


def _number(what: str, kind: type[Any], given: float | str | None) -> Any:
    if given is None or (isinstance(given, str) and not given.strip()):
        return None
    try:
        number = kind(given)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) and isinstance(given, str):
        raise QueryError(f"{what} is '{given}': give a {'whole ' * (kind is int)}number.")
    return number
