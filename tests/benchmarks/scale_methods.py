"""The searches that ``scale.py`` compares: ours, and what a user would take instead.

Each builds from shards into a folder, opens what it built, and answers one query at a time with 100 rows; ``efforts`` are the
settings of a query, cheapest first, of which the first is taken that reaches the recall asked for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np

from discovery.release.shards import EmbeddingShards

K = 100
FLOAT32_LIMIT = 3_000_000
"""Rows of 768 dimensions up to which HNSW over float32 or float16 fits this kind of machine."""


class Method(Protocol):
    """One way to search."""

    name: ClassVar[str]
    most_rows: ClassVar[int | None]
    efforts: tuple[Any, ...]

    def build(self, shards: EmbeddingShards, folder: Path) -> None: ...

    def open(self, shards: EmbeddingShards, folder: Path) -> None: ...

    def query(self, vector: np.ndarray, effort: Any) -> np.ndarray: ...


class Ours:
    """``discovery index build``: the plan from rows, dimension and memory, candidates re-ranked from the shards."""

    name: ClassVar[str] = "discovery"
    most_rows: ClassVar[int | None] = None
    efforts: tuple[Any, ...] = (None,)

    def __init__(self, memory_gib: float, recall: float) -> None:
        self._memory, self._recall = int(memory_gib * 2**30), recall

    def build(self, shards: EmbeddingShards, folder: Path) -> None:
        """Plan, build, tune."""
        import msgspec

        from index.structure.structure import build_structure
        from index.structure.structure_plan import dimensions_kept, plan_structure
        from index.structure.tune import tune

        kept = dimensions_kept(shards)
        plan = plan_structure(shards.count, shards.dimension, self._memory, recall=self._recall, reduced=kept)
        structure = build_structure(shards, plan, folder / "index.faiss")
        record, measured = tune(structure, shards, plan)
        (folder / "record.json").write_bytes(msgspec.json.encode(record))
        (folder / "measured.json").write_bytes(msgspec.json.encode(measured))

    def open(self, shards: EmbeddingShards, folder: Path) -> None:
        """Open as a release does."""
        import msgspec

        from discovery.release.manifest import IndexRecord
        from discovery.release.neighbours.index import read_index

        record = msgspec.json.decode((folder / "record.json").read_bytes(), type=IndexRecord)
        self._index = read_index(folder / "index.faiss", shards, record)
        self._path, self._probes = folder / "index.faiss", record.probes

    def query(self, vector: np.ndarray, effort: Any) -> np.ndarray:
        """Ask as `Release.nearest` does."""
        return self._index.nearest(vector, K)[0]

    def raw(self, vector: np.ndarray) -> np.ndarray:
        """Ask FAISS alone: the same file and the same cells, nothing re-ranked."""
        import faiss

        if not hasattr(self, "_raw"):
            self._raw: Any = faiss.read_index(str(self._path), faiss.IO_FLAG_MMAP_IFC)
            if self._probes is not None:
                faiss.extract_index_ivf(self._raw).nprobe = self._probes
        return self._raw.search(vector[None], K)[1][0]


class FaissInverted:
    """Plain FAISS: IVF with 8 bits a number, all in memory, no re-ranking."""

    name: ClassVar[str] = "faiss IVF,SQ8"
    most_rows: ClassVar[int | None] = None
    efforts: tuple[Any, ...] = (4, 8, 16, 32, 64, 128, 256, 512)
    cells: ClassVar[int | None] = None

    def build(self, shards: EmbeddingShards, folder: Path) -> None:
        """Train on 64 rows a cell, add everything."""
        import faiss

        cells = 2 ** round(math.log2(2 * math.sqrt(shards.count)))
        index: Any = faiss.index_factory(shards.dimension, f"IVF{cells},SQ8", faiss.METRIC_INNER_PRODUCT)
        index.train(shards.take(spread(shards.count, 64 * cells)))
        for _, chunk in shards.chunks():
            index.add(chunk)
        faiss.write_index(index, str(folder / "index.faiss"))

    def open(self, shards: EmbeddingShards, folder: Path) -> None:
        """Read the index into memory."""
        import faiss

        self._index: Any = faiss.read_index(str(folder / "index.faiss"))

    def query(self, vector: np.ndarray, effort: Any) -> np.ndarray:
        """Visit so many cells."""
        import faiss

        return self._index.search(vector[None], K, params=faiss.SearchParametersIVF(nprobe=effort))[1][0]


class Usearch:
    """usearch: HNSW over float16."""

    name: ClassVar[str] = "usearch HNSW, float16"
    most_rows: ClassVar[int | None] = FLOAT32_LIMIT
    efforts: tuple[Any, ...] = (100, 200, 400, 800, 1600)

    def build(self, shards: EmbeddingShards, folder: Path) -> None:
        """Add with the library's own settings, on all cores."""
        from usearch.index import Index

        index: Any = Index(ndim=shards.dimension, metric="ip", dtype="f16")
        for start, chunk in shards.chunks():
            index.add(np.arange(start, start + len(chunk)), chunk)
        index.save(str(folder / "index.usearch"))

    def open(self, shards: EmbeddingShards, folder: Path) -> None:
        """Load the index into memory."""
        from usearch.index import Index

        self._index: Any = Index.restore(str(folder / "index.usearch"))

    def query(self, vector: np.ndarray, effort: Any) -> np.ndarray:
        """Look at so many neighbours."""
        self._index.expansion_search = effort
        return np.asarray(self._index.search(vector, K).keys, np.int64)


class Hnswlib:
    """hnswlib: HNSW over float32, M 16, construction 200."""

    name: ClassVar[str] = "hnswlib HNSW, float32"
    most_rows: ClassVar[int | None] = FLOAT32_LIMIT
    efforts: tuple[Any, ...] = (100, 200, 400, 800, 1600)

    def build(self, shards: EmbeddingShards, folder: Path) -> None:
        """Add on all cores."""
        import hnswlib

        index: Any = hnswlib.Index(space="ip", dim=shards.dimension)
        index.init_index(max_elements=shards.count, ef_construction=200, M=16)
        for start, chunk in shards.chunks():
            index.add_items(chunk, np.arange(start, start + len(chunk)))
        index.save_index(str(folder / "index.hnsw"))

    def open(self, shards: EmbeddingShards, folder: Path) -> None:
        """Load the index into memory."""
        import hnswlib

        self._index: Any = hnswlib.Index(space="ip", dim=shards.dimension)
        self._index.load_index(str(folder / "index.hnsw"))

    def query(self, vector: np.ndarray, effort: Any) -> np.ndarray:
        """Look at so many neighbours."""
        self._index.set_ef(effort)
        return self._index.knn_query(vector[None], K)[0][0].astype(np.int64)


class Lance:
    """LanceDB: a table of float32 vectors with its own IVF_PQ, candidates re-ranked ten to one."""

    name: ClassVar[str] = "LanceDB IVF_PQ"
    most_rows: ClassVar[int | None] = None
    efforts: tuple[Any, ...] = (4, 8, 16, 32, 64, 128, 256)

    def build(self, shards: EmbeddingShards, folder: Path) -> None:
        """Write the table, then the index with the library's own settings."""
        import lancedb
        import pyarrow as pa
        from lancedb.index import IvfPq

        kind = pa.list_(pa.float32(), shards.dimension)
        schema = pa.schema([("row", pa.int64()), ("vector", kind)])

        def batches() -> Iterator[pa.RecordBatch]:
            for start, chunk in shards.chunks(16384):
                flat = pa.array(chunk.reshape(-1))
                vectors = pa.FixedSizeListArray.from_arrays(flat, shards.dimension)
                yield pa.RecordBatch.from_arrays([pa.array(np.arange(start, start + len(chunk))), vectors], schema=schema)

        table = lancedb.connect(str(folder)).create_table("rows", pa.RecordBatchReader.from_batches(schema, batches()))
        table.create_index("vector", config=IvfPq(distance_type="cosine"))

    def open(self, shards: EmbeddingShards, folder: Path) -> None:
        """Open the table."""
        import lancedb

        self._table = lancedb.connect(str(folder)).open_table("rows")

    def query(self, vector: np.ndarray, effort: Any) -> np.ndarray:
        """Visit so many partitions."""
        asked = self._table.search(vector, query_type="vector", vector_column_name="vector")
        found = asked.metric("cosine").nprobes(effort).refine_factor(10).limit(K).select(["row"]).to_arrow()
        return found["row"].to_numpy()


METHODS = {"ours": Ours, "faiss": FaissInverted, "usearch": Usearch, "hnswlib": Hnswlib, "lancedb": Lance}


def spread(rows: int, count: int) -> np.ndarray:
    """Return so many rows, drawn with a seed and sorted."""
    rng = np.random.default_rng(3)
    return np.sort(rng.choice(rows, min(count, rows), replace=False, shuffle=False))
