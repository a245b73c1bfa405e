"""``discovery search``: objects like some examples."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from discovery.errors import QueryError
from discovery.printing import print_json, print_table

ARCSEC = {"deg": 3600.0, "arcmin": 60.0, "arcsec": 1.0, "d": 3600.0, "'": 60.0, '"': 1.0}


def search(
    release: Path,
    *,
    like: Annotated[list[str] | None, Parameter(allow_leading_hyphen=True, negative="")] = None,
    like_table: Path | None = None,
    unlike: Annotated[list[str] | None, Parameter(allow_leading_hyphen=True, negative="")] = None,
    unlike_table: Path | None = None,
    k: Annotated[int, Parameter(name=["-k", "--k"])] = 20,
    where: str | None = None,
    cone: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    min_similarity: float | None = None,
    clean: Annotated[bool, Parameter(negative="")] = False,
    columns: str | None = None,
    output: Annotated[Path | None, Parameter(name=["-o", "--output"])] = None,
    stamps: Path | None = None,
    engine: Literal["index", "exact", "ray"] = "index",
    address: str | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Find the objects of a release most like some examples.

    The examples themselves are not among the hits, and each object stands there once.

    Parameters
    ----------
    release
        Folder that ``discovery index`` made.
    like
        An object id, a position RA,DEC (degrees or sexagesimal; the nearest object within 3 arcsec), or a stamp file
        (FITS, JPEG, PNG). Can be given many times.
    like_table
        Table of ids or positions (csv, tsv, FITS, VOTable, Parquet).
    unlike
        What the hits should not be like, in the same forms.
    unlike_table
        Table of what the hits should not be like.
    k
        Number of hits.
    where
        SQL condition on the catalogue, such as "mag_r < 19 and ra between 150 and 160".
    cone
        RA,DEC,RADIUS: only objects within the radius, in arcsec unless it says arcmin or deg (150.1,2.2,10arcmin).
    min_similarity
        Smallest cosine of a hit, -1 to 1.
    clean
        Leave out stars and masked, partial and artefact-like stamps.
    columns
        Catalogue columns to show beside row, object_id, ra, dec and similarity, separated by commas.
    output
        File to write: .csv, .fits, .vot or .parquet.
    stamps
        Folder to write the hits' stamps and a contact sheet to.
    engine
        ``index`` asks the release's index; ``exact`` compares with every object, on a GPU where there is one; ``ray`` does so on
        a Ray cluster, each machine a range of the objects.
    address
        Ray cluster of ``--engine ray``, such as auto or 10.0.0.1:6379; without, one is started on this machine.
    json
        Print one JSON document.
    """
    from discovery.release.release import open_release
    from discovery.release.stamp_folder import write_stamp_folder
    from discovery.search.prompts import read_prompt_table, resolve_prompt
    from discovery.search.similarity import search as find
    from discovery.tables.writer import check_table_path, plain_rows, write_table

    if output is not None:
        check_table_path(output)
    shown, circle = split_columns(columns), None if cone is None else parse_cone(cone)
    opened = open_release(release)
    liked = [resolve_prompt(opened, text) for text in like or ()]
    unliked = [resolve_prompt(opened, text) for text in unlike or ()]
    if like_table is not None:
        liked += read_prompt_table(opened, like_table)
    if unlike_table is not None:
        unliked += read_prompt_table(opened, unlike_table)
    hits = find(
        opened,
        like=liked,
        unlike=unliked,
        k=k,
        where=where,
        cone=circle,
        min_similarity=min_similarity,
        flagged=not clean,
        columns=shown,
        engine=engine,
        address=address,
    )
    if output is not None:
        write_table(hits.table, output)
    if stamps is not None:
        titles = [f"{similarity:.3f}  {name}" for similarity, name in zip(hits.similarity, hits.table["object_id"].to_pylist(), strict=True)]
        write_stamp_folder(opened, hits.rows, titles, stamps)
    if json:
        print_json({"release": opened.name, "k": k, "hits": plain_rows(hits.table)})
    else:
        print_table(hits.table)


def parse_cone(text: str) -> tuple[float, float, float]:
    """Parse ``RA,DEC,RADIUS`` into degrees, degrees and arcsec.

    Raises
    ------
    QueryError
        If it is not of that form.
    """
    from discovery.search.prompts import parse_position

    place, _, size = text.rpartition(",")
    position = parse_position(place) if place else None
    size = size.strip()
    unit = next((unit for unit in ARCSEC if size.endswith(unit)), "")
    try:
        radius_arcsec = float(size.removesuffix(unit)) * ARCSEC.get(unit, 1.0)
    except ValueError:
        position = None
    if position is None:
        raise QueryError(f"'{text}' is no cone: give RA,DEC,RADIUS such as 150.1,2.2,60 (arcsec) or 150.1,2.2,0.5deg.")
    return *position, radius_arcsec


def split_columns(text: str | None) -> list[str] | None:
    """Split names at commas; QueryError for an empty list."""
    if text is None:
        return None
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise QueryError("--columns names no column; give names separated by commas.")
    return names
