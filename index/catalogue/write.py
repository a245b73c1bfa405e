"""Writing the catalogue of a release: the rows of an older release, if it grows from one, and those of the new shards."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from discovery.errors import SurveyError
from discovery.release.catalogue import FLAGS, Catalogue, write_catalogue
from discovery.release.catalogue_tables import stored_schema
from discovery.stamps.stamp import Stamp, Survey
from discovery.storage.atomic import put_made
from index.catalogue.columns import catalogue_part
from index.catalogue.duplicates import primary_rows
from index.catalogue.shared_positions import shared_rows
from index.embed.finished_shards import FinishedShards
from index.embed.selected_positions import SelectedSurvey

ROWS_AT_ONCE = 65_536


@dataclass(frozen=True, kw_only=True, eq=False)
class NewRows:
    """The rows that a run adds.

    Attributes
    ----------
    survey : Survey
        What was embedded; where only some objects of a survey were, their positions are written as those in the whole.
    shards : FinishedShards
        Which of its stamps became rows.
    first_row : int
        Row of the first one.
    renamed : numpy.ndarray or None
        (n,) bool over positions of ``survey``: objects that ``suffix`` is put behind the object_id of.
    """

    survey: Survey
    shards: FinishedShards
    first_row: int = 0
    renamed: np.ndarray | None = None
    suffix: str = ""

    def tables(self) -> Iterator[pa.Table]:
        """Yield the catalogue's rows, all but ``primary_row``, one shard at a time."""
        first_row = self.first_row
        for finished in self.shards:
            if finished.shard.rows:
                positions = finished.measures["survey_position"].to_numpy()
                came = self.survey.table(finished.shard.start, finished.shard.stop).take(pa.array(positions - finished.shard.start))
                yield self._named(catalogue_part(came, finished.measures, first_row), positions)
            first_row += finished.shard.rows

    def read_row(self, row: int) -> Stamp | None:
        """Return the stamp of a row; None for a row that this run did not add, and for one that can be read no longer."""
        begins = np.cumsum([self.first_row, *(shard.rows for shard in self.shards.shards)])
        number = int(np.searchsorted(begins, row, side="right")) - 1
        if number < 0 or number == len(self.shards.shards):
            return None
        position = self.shards[number].measures["survey_position"][row - int(begins[number])].as_py()
        found = self.survey.read(position, position + 1)[0]
        return found if isinstance(found, Stamp) else None

    def _named(self, table: pa.Table, positions: np.ndarray) -> pa.Table:
        """Return rows with the positions of the whole survey, and with ids that no other object of the release has."""
        if isinstance(self.survey, SelectedSurvey):
            table = _with(table, "survey_position", pa.array(self.survey.positions[positions]))
        if self.suffix and self.renamed is not None:
            made = pc.binary_join_element_wise(table["object_id"], self.suffix, "")
            table = _with(table, "object_id", pc.if_else(pa.array(self.renamed[positions]), made, table["object_id"]))
        return table


def build_catalogue(path: Path, new: NewRows, older: Catalogue | None = None) -> dict[str, int]:
    """Write a catalogue; return how many rows carry each flag, are duplicates, and have a position that cannot be theirs.

    In memory are 28 bytes a row (position, flags, primary row) and the rows of one shard.

    Raises
    ------
    SurveyError
        If columns of the new rows do not fit the older ones.
    """
    count = new.first_row + new.shards.rows
    places, flags, counts = np.full((2, count), np.nan), np.zeros(count, np.uint8), dict.fromkeys(FLAGS, 0)
    apart = np.zeros(new.first_row, bool)
    before = iter(()) if older is None else older.parts(["row", "ra", "dec", "primary_row", *FLAGS])
    for table in itertools.chain(before, new.tables()):
        _gather(table, places, flags, counts)
        if "primary_row" in table.column_names:
            apart[table["row"].to_numpy()] = table["primary_row"].to_numpy() == table["row"].to_numpy()
    shared = shared_rows(places[0], places[1], apart, new.read_row)
    places[:, shared] = np.nan
    primary = primary_rows(places[0], places[1], flags)
    tables = new.tables() if older is None else _together(older, new)
    put_made(path, lambda beside: write_catalogue(beside, (_with_primary(table, primary) for table in tables)))
    return {**counts, "duplicates": int(np.count_nonzero(primary != np.arange(count))), "shared_positions": len(shared)}


def _gather(table: pa.Table, places: np.ndarray, flags: np.ndarray, counts: dict[str, int]) -> None:
    """Note where some rows are, and which flags they carry."""
    rows = table["row"].to_numpy()
    places[:, rows] = table["ra"].to_numpy(), table["dec"].to_numpy()
    for name in FLAGS:
        raised = table[name].to_numpy()
        flags[rows] += raised
        counts[name] += int(np.count_nonzero(raised))


def _with_primary(table: pa.Table, primary: np.ndarray) -> pa.Table:
    values = pa.array(primary[table["row"].to_numpy()])
    if "primary_row" in table.column_names:
        return _with(table, "primary_row", values)
    return table.add_column(table.column_names.index("survey_position"), "primary_row", values)


def _with(table: pa.Table, name: str, values: pa.Array | pa.ChunkedArray) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, values)


def _together(older: Catalogue, new: NewRows) -> Iterator[pa.Table]:
    """Yield the older rows and the new ones in the columns of both: what one has not is NULL there."""
    before = next(older.parts(None, 1)).schema
    schema = _common_schema(before, _spelled(next(new.tables()), before))
    for table in older.parts(None, ROWS_AT_ONCE):
        yield _fitted(table, schema)
    for table in new.tables():
        yield _fitted(_spelled(table, before), schema)


def _spelled(table: pa.Table, before: pa.Schema) -> pa.Table:
    """Return new rows with their columns named as the older catalogue spells them: case does not matter to DuckDB."""
    known = {name.lower(): name for name in before.names}
    return table.rename_columns([known.get(name.lower(), name) for name in table.column_names])


def _fitted(table: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = []
    for field in schema:
        if field.name not in table.column_names:
            columns.append(pa.nulls(table.num_rows, field.type))
            continue
        try:
            columns.append(table[field.name].cast(field.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as problem:
            raise SurveyError(f"Column {field.name} of the two releases does not fit into one: {problem}.") from problem
    return pa.table(columns, schema=schema)


def _common_schema(before: pa.Schema, new: pa.Table) -> pa.Schema:
    """Return the columns of both, the older ones first.

    Raises
    ------
    SurveyError
        If a column is of types that have nothing in common.
    """
    after = stored_schema(new)
    try:
        return pa.unify_schemas([before, after], promote_options="permissive")
    except (pa.ArrowTypeError, pa.ArrowInvalid) as problem:
        words = [
            f"{name} ({before.field(name).type} in the older release, {after.field(name).type} in the new files)"
            for name in before.names
            if name in after.names and not _unites(before.field(name), after.field(name))
        ]
        raise SurveyError(
            f"Columns of the two releases do not fit together: {', '.join(words)}. Rename or convert them in the new files."
        ) from problem


def _unites(one: pa.Field, other: pa.Field) -> bool:
    try:
        pa.unify_schemas([pa.schema([one]), pa.schema([other])], promote_options="permissive")
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        return False
    return True
