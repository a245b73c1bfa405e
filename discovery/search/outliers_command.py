"""``discovery outliers``: the most unusual objects of a release."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from discovery.command_output import print_json, print_table
from discovery.search.query_options import NO_FILTERS, FilterOptions
from discovery.search.search_command import Json, print_left_out


def outliers(
    release: Path,
    *,
    options: Annotated[FilterOptions, Parameter(name="*")] = NO_FILTERS,
    seed: int = 0,
    out: Annotated[Path | None, Parameter(name=["-o", "--out", "--output"])] = None,
    stamps: Path | None = None,
    json: Json = False,
) -> None:
    """Rank the objects of a release by how unusual they are (isolation forest on the embeddings); 100 unless -k says otherwise.

    Each object stands there once. The filters also choose what an object is compared with.

    Parameters
    ----------
    release
        Folder that ``discovery index`` made.
    seed
        The same seed gives the same ranking.
    out
        File to write: .csv, .fits, .vot or .parquet.
    stamps
        Folder to write the objects' stamps and a contact sheet to.
    json
        Print one JSON document.
    """
    from discovery.release.release import open_release
    from discovery.release.stamp_folder import write_stamp_folder
    from discovery.search.outliers import DEFAULT_K, find_outliers
    from discovery.search.provenance import write_hits
    from discovery.tables.writer import check_table_path, plain_rows

    if out is not None:
        check_table_path(out)
    query = options.to_query()
    opened = open_release(release)
    found = find_outliers(opened, query, seed=seed)
    if out is not None:
        write_hits(found.table, out, opened, query)
    if stamps is not None:
        titles = [f"{score:.3f}  {name}" for score, name in zip(found.score, found.table["object_id"].to_pylist(), strict=True)]
        write_stamp_folder(opened, found.rows, titles, stamps)
    if json:
        counts = {"k": query.k or DEFAULT_K, "flagged_left_out": found.flagged_left_out}
        print_json({"release": opened.name, **counts, "query": query.to_values(), "outliers": plain_rows(found.table)})
    else:
        print_table(found.table)
        print_left_out(found.flagged_left_out)
