"""``discovery catalogue``: lines of a release's catalogue."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from discovery.printing import print_json, print_table
from discovery.search.search_command import split_columns

SHOWN = 20
SHOWN_COLUMNS = ("row", "object_id", "ra", "dec", "mag_r", "crop_side_arcsec")


def catalogue(
    release: Path,
    *,
    where: str | None = None,
    columns: str | None = None,
    k: Annotated[int | None, Parameter(name=["-k", "--k"])] = None,
    clean: Annotated[bool, Parameter(negative="")] = False,
    output: Annotated[Path | None, Parameter(name=["-o", "--output"])] = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """List objects of a release, each once, in order of row.

    Parameters
    ----------
    release
        Folder that ``discovery index`` made.
    where
        SQL condition on the catalogue, such as "mag_r < 19 and ra between 150 and 160".
    columns
        Columns, separated by commas; all of them in a file or in JSON, a few on the terminal, unless told.
    k
        Most objects; all in a file, 20 elsewhere, unless told.
    clean
        Leave out stars and masked, partial and artefact-like stamps.
    output
        File to write: .csv, .fits, .vot or .parquet.
    json
        Print one JSON document.
    """
    from discovery.release.release import open_release
    from discovery.tables.writer import check_table_path, plain_rows, write_table

    if output is not None:
        check_table_path(output)
    listed = open_release(release).catalogue
    names = split_columns(columns)
    if names is None and output is None and not json:
        names = list(SHOWN_COLUMNS)
    limit = SHOWN if k is None and output is None else k
    table = listed.select(where, names, limit=limit, flagged=not clean)
    matching = listed.number(where, flagged=not clean)
    if output is not None:
        write_table(table, output)
    if json:
        print_json({"release": str(release), "matching": matching, "rows": plain_rows(table)})
    elif output is None:
        print_table(table)
        print_note(table.num_rows, matching, listed.columns() if columns is None else [])
    else:
        print_note(table.num_rows, matching, [])


def print_note(shown: int, matching: int, columns: list[tuple[str, str]]) -> None:
    """Print how much of it was listed."""
    import sys

    sys.stdout.write(f"{shown} of {matching} objects\n")
    if columns:
        sys.stdout.write("columns: " + ", ".join(name for name, _ in columns) + "\n")
