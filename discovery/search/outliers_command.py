"""``discovery outliers``: the most unusual objects of a release."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from discovery.printing import print_json, print_table
from discovery.search.search_command import parse_cone, split_columns


def outliers(
    release: Path,
    *,
    k: Annotated[int, Parameter(name=["-k", "--k"])] = 100,
    where: str | None = None,
    cone: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    flagged: bool = True,
    columns: str | None = None,
    seed: int = 0,
    out: Annotated[Path | None, Parameter(name=["-o", "--out", "--output"])] = None,
    stamps: Path | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Rank the objects of a release by how unusual they are (isolation forest on the embeddings).

    Each object stands there once. The filters also choose what an object is compared with.

    Parameters
    ----------
    release
        Folder that ``discovery index`` made.
    k
        Number of objects.
    where
        SQL condition on the catalogue, such as "mag_r < 19 and ra between 150 and 160".
    cone
        RA,DEC,RADIUS: only objects within the radius, in arcsec unless it says arcmin or deg (150.1,2.2,10arcmin).
    flagged
        Whether stars and masked, partial and artefact-like stamps take part.
    columns
        Catalogue columns to show beside row, object_id, ra, dec and outlier_score, separated by commas.
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
    from discovery.search.outliers import find_outliers
    from discovery.tables.writer import check_table_path, plain_rows, write_table

    if out is not None:
        check_table_path(out)
    shown, circle = split_columns(columns), None if cone is None else parse_cone(cone)
    opened = open_release(release)
    found = find_outliers(opened, k=k, where=where, cone=circle, flagged=flagged, columns=shown, seed=seed)
    if out is not None:
        write_table(found.table, out)
    if stamps is not None:
        titles = [f"{score:.3f}  {name}" for score, name in zip(found.score, found.table["object_id"].to_pylist(), strict=True)]
        write_stamp_folder(opened, found.rows, titles, stamps)
    if json:
        print_json({"release": opened.name, "k": k, "outliers": plain_rows(found.table)})
    else:
        print_table(found.table)
