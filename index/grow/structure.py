"""The search structure of a grown release."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import faiss
import msgspec
import numpy as np

from discovery.release.manifest import IndexRecord
from discovery.release.release import Release
from discovery.release.shards import EmbeddingShards
from discovery.storage.atomic import put_made
from index.structure.structure import index_shards
from index.structure.structure_plan import ROWS_PER_CHUNK, plan_kind
from index.structure.tune import tune

MOST_GROWTH = 4.0
"""A structure whose cells were made for so many times fewer rows is built anew."""
RECALL_MARGIN = 0.01
log = logging.getLogger(__name__)


def grow_structure(
    shards: EmbeddingShards, path: Path, old: Release, memory_bytes: int, recall: float
) -> tuple[IndexRecord, dict[str, Any]]:
    """Return how the structure of a grown release is used: the older one's with the new rows added, or one built anew where that does not do.

    Anew where comparing with every row is quick or was what the older release did, where the rows became more than four
    times as many, where memory does not hold it, and where the recall is missed by more than 0.01.

    Returns
    -------
    record, measured
        As of `index.structure.structure.index_shards`; ``structure`` tells whether it is ``grown`` or ``new``.
    """
    kind = old.manifest.image.index.kind
    plan = plan_kind(kind, shards.count, shards.dimension, recall)
    fits = plan.cells is not None and shards.count <= MOST_GROWTH * old.count and plan.building_bytes <= memory_bytes
    if fits:
        put_made(path, lambda beside: _add_rows(old, shards, beside))
        record, measured = tune(faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC), shards, plan)
        reached = [value for name, value in measured.items() if name in ("recall_at_10", "recall_at_100") and value is not None]
        if min(reached, default=1.0) >= recall - RECALL_MARGIN:
            return msgspec.structs.replace(record, file=path.name), {**measured, "structure": "grown"}
        log.warning("The older release's structure reaches a recall of %s with the new rows; a new one is built.", min(reached))
    record, measured = index_shards(shards, path, memory_bytes=memory_bytes, recall=recall)
    return record, {**measured, "structure": "new"}


def _add_rows(old: Release, shards: EmbeddingShards, path: Path) -> None:
    structure = faiss.read_index(str(old.path / old.manifest.image.index.file))
    for start in range(old.count, shards.count, ROWS_PER_CHUNK):
        structure.add(shards.take(np.arange(start, min(start + ROWS_PER_CHUNK, shards.count))))
    faiss.write_index(structure, str(path))
