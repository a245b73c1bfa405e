"""Indexes of every kind on made embeddings, against exact search."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from discovery import neighbours
from discovery.errors import ConfigError, QueryError
from discovery.manifest import Shard
from discovery.neighbours import exact_nearest, read_index
from discovery.shards import EmbeddingShards
from index.structure import build_structure, choose_kind, tune, write_structure

ROWS, DIMENSION = 3000, 16


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(ROWS, DIMENSION)) + 3 * rng.normal(size=(20, DIMENSION))[rng.integers(0, 20, ROWS)]
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype("<f2")
    made = []
    for number, (start, stop) in enumerate(((0, 1000), (1000, 1000), (1000, ROWS))):
        data = vectors[start:stop].tobytes()
        (folder / f"{number}.f16").write_bytes(data)
        made.append(Shard(file=f"{number}.f16", start=start, stop=stop, rows=stop - start, sha256=hashlib.sha256(data).hexdigest()))
    return EmbeddingShards(folder, made, DIMENSION)


@pytest.fixture(scope="module", params=["Flat", "IVF16,Flat", "IVF16,SQfp16", "IVF16,SQ8"])
def index(request, shards, tmp_path_factory):
    structure = build_structure(shards, request.param)
    record, measured = tune(structure, shards, request.param)
    assert measured["recall_at_10"] >= 0.95
    assert measured["milliseconds_a_query"] > 0
    path = tmp_path_factory.mktemp("index") / "index.faiss"
    write_structure(structure, path)
    return read_index(path, shards, record)


@pytest.mark.parametrize("share", [1.0, 0.5, 0.02, 0.001])
def test_k_allowed_rows_come_back_where_they_exist(index, shards, monkeypatch, share):
    monkeypatch.setattr(neighbours, "SCAN_ROWS", 0)
    allowed = np.random.default_rng(2).random(ROWS) < share
    allowed[:2] = True
    for row in (0, 1500, ROWS - 1):
        vector = shards.take([row])[0]
        rows, similarity = index.nearest(vector, 50, allowed)
        assert len(rows) == min(50, allowed.sum())
        assert allowed[rows].all()
        assert np.allclose(similarity, shards.take(rows) @ vector, atol=1e-6)
        assert (np.diff(similarity) <= 0).all()


@settings(deadline=None, max_examples=30)
@given(row=st.integers(0, ROWS - 1), k=st.integers(1, 40), seed=st.integers(0, 99), share=st.sampled_from([0.003, 0.3]))
def test_few_allowed_rows_are_compared_exactly(shards, row, k, seed, share):
    allowed = np.random.default_rng(seed).random(ROWS) < share
    vector = shards.take([row])[0]
    rows, similarity = exact_nearest(shards, vector, k, allowed)
    oracle = np.where(allowed, shards.take(np.arange(ROWS)) @ vector, -2)
    assert np.allclose(similarity, np.sort(oracle)[::-1][: min(k, allowed.sum())], atol=1e-6)
    assert np.allclose(oracle[rows], similarity, atol=1e-6)


def test_nothing_allowed_gives_nothing(index, shards):
    rows, similarity = index.nearest(np.ones(DIMENSION, np.float32), 5, np.zeros(ROWS, bool))
    assert len(rows) == len(similarity) == 0


@pytest.mark.parametrize(
    ("vector", "k"),
    [(np.zeros(DIMENSION), 3), (np.full(DIMENSION, np.nan), 3), (np.ones(DIMENSION + 1), 3), (np.ones(DIMENSION), 0)],
)
def test_bad_queries(index, vector, k):
    with pytest.raises(QueryError):
        index.nearest(vector, k)


def test_the_kind_follows_from_rows_and_memory():
    gib = 2**30
    assert choose_kind(4000, 384, 4 * gib) == "Flat"
    assert choose_kind(1, 1, 4 * gib) == "Flat"
    kinds = [choose_kind(76_000_000, 768, memory * gib) for memory in (400, 160, 80, 40)]
    assert [kind.split(",")[1] for kind in kinds] == ["Flat", "SQfp16", "SQ8", "PQ192"]
    assert kinds[0].startswith("IVF32768,")
    with pytest.raises(ConfigError, match="--memory"):
        choose_kind(76_000_000, 768, gib)
