"""``discovery search``: objects like some examples."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from discovery.command_output import print_json, print_table
from discovery.search.query import left_out_note
from discovery.search.query_options import NO_OPTIONS, SearchOptions

Output = Annotated[Path | None, Parameter(name=["-o", "--output"])]
Json = Annotated[bool, Parameter(negative="")]


def search(
    release: Path,
    *,
    options: Annotated[SearchOptions, Parameter(name="*")] = NO_OPTIONS,
    output: Output = None,
    stamps: Path | None = None,
    address: str | None = None,
    json: Json = False,
) -> None:
    """Find the objects of a release most like some examples; 20 unless -k says otherwise.

    The examples themselves are not among the hits, and each object stands there once.

    Parameters
    ----------
    release
        Folder that ``discovery index`` made.
    output
        File to write: .csv, .fits, .vot or .parquet.
    stamps
        Folder to write the hits' stamps and a contact sheet to.
    address
        Ray cluster of ``--engine ray``, such as auto or 10.0.0.1:6379; without, one is started on this machine.
    json
        Print one JSON document.
    """
    from discovery.release.release import open_release
    from discovery.release.stamp_folder import write_stamp_folder
    from discovery.search.provenance import write_hits
    from discovery.search.similarity import DEFAULT_K
    from discovery.search.similarity import search as find
    from discovery.tables.writer import check_table_path, plain_rows

    if output is not None:
        check_table_path(output)
    query = options.to_query()
    opened = open_release(release)
    hits = find(opened, query, address=address)
    if output is not None:
        write_hits(hits.table, output, opened, query)
    if stamps is not None:
        titles = [f"{similarity:.3f}  {name}" for similarity, name in zip(hits.similarity, hits.table["object_id"].to_pylist(), strict=True)]
        write_stamp_folder(opened, hits.rows, titles, stamps)
    if json:
        counts = {"passed": hits.passed, "flagged_left_out": hits.flagged_left_out}
        print_json({"release": opened.name, "k": query.k or DEFAULT_K, **counts, "query": query.to_values(), "hits": plain_rows(hits.table)})
    else:
        print_table(hits.table)
        print_left_out(hits.flagged_left_out)


def print_left_out(flagged: int) -> None:
    """Print on standard error how many flagged objects were left out, where some were."""
    if flagged:
        sys.stderr.write(left_out_note(flagged) + "\n")
