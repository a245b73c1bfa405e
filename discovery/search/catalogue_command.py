"""``discovery catalogue``: rows of a release's catalogue."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from discovery.command_output import print_json, print_table
from discovery.search.query_options import NO_FILTERS, FilterOptions
from discovery.search.search_command import Json, Output, print_left_out

SHOWN = 20
SHOWN_COLUMNS = ("row", "object_id", "ra", "dec", "mag_r", "crop_side_arcsec")


def catalogue(
    release: Path,
    *,
    options: Annotated[FilterOptions, Parameter(name="*")] = NO_FILTERS,
    output: Output = None,
    json: Json = False,
) -> None:
    """List objects of a release, each once, in order of row.

    Without -k all are written to a file, and 20 are shown elsewhere; without --columns all columns, on the terminal a few.

    Parameters
    ----------
    release
        Folder that ``discovery index`` made.
    output
        File to write: .csv, .fits, .vot or .parquet.
    json
        Print one JSON document.
    """
    from discovery.release.release import open_release
    from discovery.search.provenance import write_hits
    from discovery.search.similarity import list_objects
    from discovery.tables.writer import check_table_path, plain_rows

    if output is not None:
        check_table_path(output)
    query = options.to_query()
    opened = open_release(release)
    all_columns = query.columns is not None or output is not None or json
    listed = dataclasses.replace(
        query,
        k=SHOWN if query.k is None and output is None else query.k,
        columns=query.columns if all_columns else SHOWN_COLUMNS,
    )
    listing = list_objects(opened, listed)
    if output is not None:
        write_hits(listing.table, output, opened, query)
    if json:
        counts = {"matching": listing.passed, "flagged_left_out": listing.flagged_left_out}
        print_json({"release": str(release), **counts, "query": query.to_values(), "rows": plain_rows(listing.table)})
        return
    if output is None:
        print_table(listing.table)
    sys.stdout.write(f"{listing.table.num_rows} of {listing.passed} objects\n")
    if output is None and query.columns is None:
        sys.stdout.write("columns: " + ", ".join(name for name, _ in opened.catalogue.columns()) + "\n")
    print_left_out(listing.flagged_left_out)
