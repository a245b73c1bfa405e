"""Questions: what many surveys' columns teach, each with gaps.

A TOML file lists what is learned::

    [[question]]
    name = "smooth or featured"
    kind = "votes"                      # fractions of volunteers, a column an answer
    columns = ["smooth", "featured", "star_or_artefact"]
    surveys = { gz_votes = "gz_votes/labels.csv", gz2 = "gz_votes/votes.csv" }

    [[question]]
    name = "efigi"
    kind = "attributes"                 # numbers from 0 to 1, each a question of its own; tags are attributes of 0 and 1
    columns = ["Bar_Length", "Inner_Ring"]
    missing = -1
    surveys = { efigi = "efigi/labels.csv" }

``kind`` is ``votes``, ``classes`` (one column of names), ``attributes`` or ``numbers`` (any scale; standardised).
``surveys`` names surveys as they are given for training (the last part of their path) and for each the table that
holds the columns, relative to the TOML file; its lines are matched to the stamps by object_id.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from discovery.errors import ConfigError
from discovery.tables.reader import match_key, read_table

Kind = Literal["votes", "classes", "attributes", "numbers"]


class Question(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One question, or several of one kind.

    Attributes
    ----------
    columns
        An answer each (votes), a number each (attributes, numbers), or the one column of class names.
    surveys
        Table file of each survey that answers.
    missing
        A value that means "not assessed"; empty cells and NaN always do.
    weight
        Factor on its part of the loss.
    classes
        The class names in order; those of the tables, sorted, when not given.
    """

    name: str
    kind: Kind
    columns: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    surveys: dict[str, str]
    missing: float | None = None
    weight: Annotated[float, msgspec.Meta(gt=0)] = 1.0
    classes: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """Numbers that a stamp's answer takes."""
        return len(self.classes) if self.kind == "classes" else len(self.columns)


class QuestionFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The TOML file; ``repeats`` is how many times an epoch holds the stamps of a survey (once when not named)."""

    question: Annotated[tuple[Question, ...], msgspec.Meta(min_length=1)]
    repeats: dict[str, Annotated[int, msgspec.Meta(ge=1)]] = {}


def read_questions(path: Path) -> QuestionFile:
    """Return the questions of a TOML file, tables as full paths and classes with their names.

    Raises
    ------
    ConfigError
        If there is no such file, it is not valid, or two questions have one name.
    """
    try:
        given = msgspec.convert(tomllib.loads(path.read_text()), QuestionFile)
    except OSError:
        raise ConfigError(f"There is no file of questions {path}.") from None
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as problem:
        raise ConfigError(f"The questions in {path} are not valid: {problem}.") from None
    names = [question.name for question in given.question]
    if repeated := [name for name in names if names.count(name) > 1]:
        raise ConfigError(f"{path} has two questions named {repeated[0]!r}; give each its own name.")
    return msgspec.structs.replace(given, question=tuple(_complete(question, path.parent) for question in given.question))


def answers(questions: Sequence[Question], survey: str, object_ids: Sequence[str]) -> np.ndarray:
    """Return what a survey answers: (N, sum of widths) float32, NaN where there is no answer.

    Votes are the fractions as they stand, so that of a question further down a tree only the share counts that was
    answered it; a class is 1 in its place and 0 in the others.
    """
    ids = list(object_ids)
    found = [_answers(question, survey, ids) for question in questions]
    return np.concatenate([np.full((len(ids), 0), np.nan, np.float32), *found], axis=1)


def _complete(question: Question, folder: Path) -> Question:
    if question.kind == "classes" and len(question.columns) != 1:
        raise ConfigError(f"Question {question.name!r} of classes has {len(question.columns)} columns; name the one that holds them.")
    surveys = {survey: str((folder / table).resolve()) for survey, table in question.surveys.items()}
    classes = question.classes
    if question.kind == "classes" and not classes:
        values = {value for table in surveys.values() for value in _texts(_column(Path(table), question.columns[0])) if value is not None}
        classes = tuple(sorted(values))
    return msgspec.structs.replace(question, surveys=surveys, classes=classes)


def _answers(question: Question, survey: str, ids: list[str]) -> np.ndarray:
    out = np.full((len(ids), question.width), np.nan, np.float32)
    if survey not in question.surveys:
        return out
    path = Path(question.surveys[survey])
    match = match_key(read_table(path), ids)
    if not match.n_matched:
        raise ConfigError(f"No line of {path} names a stamp of {survey}; question {question.name!r} has no answers there.")
    known = match.rows >= 0
    lines = match.rows[known]
    if question.kind == "classes":
        place = {name: at for at, name in enumerate(question.classes)}
        values = _texts(_column(path, question.columns[0]))
        classes = np.array([place.get(values[line] or "", -1) for line in lines])
        rows = np.flatnonzero(known)[classes >= 0]
        out[rows] = 0
        out[rows, classes[classes >= 0]] = 1
        return out
    columns = [_numbers(_column(path, name), path, name) for name in question.columns]
    out[known] = np.stack(columns, axis=1)[lines]
    if question.missing is not None:
        out[out == np.float32(question.missing)] = np.nan
    if question.kind == "votes":
        out[np.isnan(out).any(1) | (np.nansum(out, 1) <= 0)] = np.nan
    _check_range(question, out, path)
    return out


def _check_range(question: Question, values: np.ndarray, path: Path) -> None:
    known = values[np.isfinite(values)]
    if question.kind in ("votes", "attributes") and len(known) and not (known.min() >= 0 and known.max() <= 1):
        raise ConfigError(
            f"Question {question.name!r} in {path} has values from {known.min():g} to {known.max():g}; {question.kind} go from 0 to 1"
            " (missing = NUMBER leaves a value out)."
        )


def _column(path: Path, name: str) -> pa.ChunkedArray:
    table = read_table(path)
    if name not in table.column_names:
        raise ConfigError(f"{path} has no column {name!r}; it has {', '.join(table.column_names)}.")
    return table[name]


def _texts(column: pa.ChunkedArray) -> list[str | None]:
    return [None if value is None else str(value) for value in column.to_pylist()]


def _numbers(column: pa.ChunkedArray, path: Path, name: str) -> np.ndarray:
    try:
        return pc.cast(column, pa.float32()).to_numpy().astype(np.float32)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise ConfigError(f"Column {name!r} of {path} holds no numbers.") from None
