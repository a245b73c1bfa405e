"""What a file of hits states of itself: the release, its encoder and the query."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from discovery import __version__
from discovery.tables.writer import Fact, write_table

if TYPE_CHECKING:
    from discovery.release.release import Release
    from discovery.search.query import Query


def search_provenance(release: Release, query: Query) -> list[Fact]:
    """Return the provenance of the hits of a query: what wrote them, of which release and encoder, by which query."""
    return [
        Fact(name="creator", keyword="CREATOR", value=f"discovery {__version__}", description="program that wrote this"),
        Fact(name="release", keyword="RELEASE", value=release.name, description="release that was searched"),
        Fact(name="encoder_checksum", keyword="ENCODER", value=release.encoder_checksum, description="of the embeddings"),
        Fact(name="query", keyword="QUERY", value=query.to_values(), description="that was answered"),
    ]


def write_hits(table: pa.Table, path: Path, release: Release, query: Query) -> None:
    """Write the answer to a query as a table; FITS, VOTable and Parquet state the query, which a csv has no place for."""
    about = [] if path.suffix.lower() == ".csv" else search_provenance(release, query)
    write_table(table, path, about)
