"""Indexes of every kind on made embeddings, against exact search."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from discovery.errors import QueryError, ReleaseError
from discovery.release.manifest import IndexRecord
from discovery.release.neighbours import index as neighbours
from discovery.release.neighbours import inverted_file as cells
from discovery.release.neighbours.index import exact_nearest, read_index
from index.structure.structure import build_structure
from index.structure.structure_plan import plan_kind
from index.structure.tune import tune

ROWS, DIMENSION, BLOBS = 3000, 16, 20


@pytest.fixture(scope="module")
def shards(write_shards):
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(ROWS, DIMENSION)) + 3 * rng.normal(size=(BLOBS, DIMENSION))[rng.integers(0, BLOBS, ROWS)]
    return write_shards(vectors, 0, 1000, 1000, ROWS)


@pytest.fixture(scope="module")
def whole(shards):
    return shards.take(np.arange(ROWS))


KINDS = ["Flat", "IVF16,Flat", "PCA12,IVF32,SQ8", pytest.param("OPQ8_16,IVF16,PQ8x6", marks=pytest.mark.slow), "IVF32_HNSW8,SQ8"]


@pytest.fixture(scope="module", params=KINDS)
def index(request, shards, tmp_path_factory):
    path = tmp_path_factory.mktemp("index") / "index.faiss"
    plan = plan_kind(request.param, ROWS, DIMENSION)
    record, measured = tune(build_structure(shards, plan, path), shards, plan)
    assert measured["recall_at_10"] >= 0.95
    assert measured["recall_at_100"] >= 0.95
    assert measured["milliseconds_p95"] >= measured["milliseconds_a_query"] > 0
    assert (record.probes is None) == (record.candidates is None) == (request.param == "Flat")
    return read_index(path, shards, record)


def brute_force(whole, vector, allowed, k):
    similarity = np.where(allowed, whole @ vector, -2)
    order = np.lexsort((np.arange(ROWS), -similarity))
    return order[: min(k, allowed.sum())], similarity


@pytest.fixture
def no_scan(monkeypatch):
    """Let the index itself answer, however few rows are allowed, and look at little more than it must."""
    monkeypatch.setattr(neighbours, "SCAN_LEAST", 0)
    monkeypatch.setattr(neighbours, "SCAN_SHARE", 0)
    monkeypatch.setattr(cells, "LEAST_REACH", 1000)
    monkeypatch.setattr(cells, "FAR_CANDIDATES", 400)
    monkeypatch.setattr(neighbours, "FIRST_COMPARED", 50)
    monkeypatch.setattr(cells, "ROWS_A_THREAD", 100)


@pytest.mark.parametrize("share", [1.0, 0.5, 0.1, 0.02, 0.001])
def test_k_allowed_rows_come_back_where_they_exist(index, shards, no_scan, share):
    allowed = np.random.default_rng(2).random(ROWS) < share
    allowed[:2] = True
    for row in (0, 1500, ROWS - 1):
        vector = shards.take([row])[0]
        rows, similarity = index.nearest(vector, 50, allowed)
        assert len(rows) == len(set(rows.tolist())) == min(50, allowed.sum())
        assert allowed[rows].all()
        assert np.allclose(similarity, shards.take(rows) @ vector, atol=1e-6)
        assert (np.diff(similarity) <= 0).all()


@pytest.mark.parametrize("direction", ["random", "towards", "away"])
@pytest.mark.parametrize("share", [0.9, 0.5, 0.1, 0.03])
def test_filters_keep_the_recall_wherever_they_point(index, whole, no_scan, direction, share):
    rng = np.random.default_rng(3)
    found = []
    for row in rng.integers(0, ROWS, 20):
        similarity = whole @ whole[row]
        score = {"random": rng.random(ROWS), "towards": -similarity, "away": similarity}[direction]
        allowed = score <= np.quantile(score, share)
        truth, _ = brute_force(whole, whole[row], allowed, 50)
        rows, _ = index.nearest(whole[row], 50, allowed)
        found.append(len(np.intersect1d(rows, truth)) / len(truth))
    assert np.mean(found) >= 0.95


def test_many_queries_are_as_many_single_ones(index, whole, no_scan):
    rng = np.random.default_rng(4)
    for allowed in (None, rng.random(ROWS) < 0.7, rng.random(ROWS) < 0.05, np.arange(ROWS) < 7):
        rows, similarity = index.nearest_many(3 * whole[:130], 20, allowed)
        assert rows.shape == similarity.shape == (130, 20)
        for line in range(0, 130, 13):
            mine, similar = index.nearest(whole[line], 20, allowed)
            assert rows[line, : len(mine)].tolist() == mine.tolist()
            assert np.allclose(similarity[line, : len(mine)], similar, atol=1e-6)
            assert (rows[line, len(mine) :] == -1).all()
            assert np.isneginf(similarity[line, len(mine) :]).all()


def test_all_rows_can_be_asked_for(index, whole):
    rows, similarity = index.nearest(whole[5], ROWS)
    assert sorted(rows.tolist()) == list(range(ROWS))
    assert np.allclose(similarity, np.sort(whole @ whole[5])[::-1], atol=1e-6)


@settings(deadline=None, max_examples=30)
@given(row=st.integers(0, ROWS - 1), k=st.integers(1, 40), seed=st.integers(0, 99), share=st.sampled_from([0.003, 0.3]))
def test_few_allowed_rows_are_compared_exactly(shards, row, k, seed, share):
    allowed = np.random.default_rng(seed).random(ROWS) < share
    vector = shards.take([row])[0]
    rows, similarity = exact_nearest(shards, vector, k, allowed)
    oracle = np.where(allowed, shards.take(np.arange(ROWS)) @ vector, -2)
    assert np.allclose(similarity, np.sort(oracle)[::-1][: min(k, allowed.sum())], atol=1e-6)
    assert np.allclose(oracle[rows], similarity, atol=1e-6)


def test_nothing_allowed_gives_nothing(index):
    rows, similarity = index.nearest(np.ones(DIMENSION, np.float32), 5, np.zeros(ROWS, bool))
    assert len(rows) == len(similarity) == 0


@pytest.mark.parametrize(
    ("vector", "k"),
    [(np.zeros(DIMENSION), 3), (np.full(DIMENSION, np.nan), 3), (np.ones(DIMENSION + 1), 3), (np.ones(DIMENSION), 0)],
)
def test_bad_queries(index, vector, k):
    with pytest.raises(QueryError):
        index.nearest(vector, k)
    with pytest.raises(QueryError):
        index.nearest_many(np.stack([np.ones_like(vector), vector]), k)


def test_many_queries_are_a_table(index):
    for vectors in (np.ones(DIMENSION), np.empty((0, DIMENSION))):
        with pytest.raises(QueryError, match="table"):
            index.nearest_many(vectors, 3)


def test_an_index_of_an_earlier_version_still_answers(shards, whole, tmp_path):
    """Before: inner product, and a record without candidates."""
    import faiss

    structure = faiss.index_factory(DIMENSION, "IVF16,SQ8", faiss.METRIC_INNER_PRODUCT)
    structure.train(whole)
    structure.add(whole)
    faiss.write_index(structure, str(tmp_path / "index.faiss"))
    index = read_index(tmp_path / "index.faiss", shards, IndexRecord(kind="IVF16,SQ8", probes=12))
    for share in (1.0, 0.3):
        allowed = np.random.default_rng(5).random(ROWS) < share
        truth, _ = brute_force(whole, whole[9], allowed, 20)
        assert len(np.intersect1d(index.nearest(whole[9], 20, allowed)[0], truth)) >= 19


def test_a_damaged_or_foreign_file_is_one_error(shards, whole, tmp_path):
    import faiss

    (tmp_path / "bad.faiss").write_bytes(b"nothing")
    with pytest.raises(ReleaseError, match="damaged"):
        read_index(tmp_path / "bad.faiss", shards, IndexRecord(kind="Flat"))
    structure = faiss.IndexFlatIP(DIMENSION)
    structure.add(whole[:10])
    faiss.write_index(structure, str(tmp_path / "other.faiss"))
    with pytest.raises(ReleaseError, match="belong"):
        read_index(tmp_path / "other.faiss", shards, IndexRecord(kind="Flat"))
