"""The exact engine in every precision, against products of whole matrices."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from discovery.errors import ConfigError, QueryError
from discovery.hunts.models.rescorer import RescorerConfig, train_rescorer
from discovery.release.neighbours import exact as scan
from discovery.release.neighbours.exact import ExactEngine
from discovery.release.neighbours.low_precision import HalfBlocks, Int8Blocks, float32_sums, quantised

ROWS, DIMENSION = 2500, 24


@pytest.fixture(scope="module")
def shards(write_shards):
    """Clusters, with every 100th row the same vector: ties."""
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(ROWS, DIMENSION)) + 2 * rng.normal(size=(10, DIMENSION))[rng.integers(0, 10, ROWS)]
    vectors[::100] = vectors[0]
    return write_shards(vectors, 0, 700, 700, ROWS)


@pytest.fixture(scope="module")
def whole(shards):
    return shards.take(np.arange(ROWS))


@pytest.fixture(scope="module", params=["float16", "int8", "half on any device"])
def engine(request, shards):
    if request.param != "half on any device":
        return ExactEngine(shards, "cpu", request.param, rows_per_chunk=256)
    made = ExactEngine(shards, "cpu", rows_per_chunk=256)  # what a GPU does with float16, on the CPU
    made._blocks = HalfBlocks(made._pieces(None), made.device)
    return made


@pytest.fixture(scope="module")
def rescorer(whole):
    return train_rescorer(whole[:20], whole[300:340], whole[::7], 3, RescorerConfig(hidden=64, steps=10))


def oracle(scores, allowed, k):
    order = np.lexsort((np.arange(ROWS), -np.where(allowed, scores, -np.inf)))
    return order[: min(k, np.count_nonzero(allowed))]


@settings(max_examples=25)
@given(seed=st.integers(0, 999), k=st.integers(1, 60), share=st.sampled_from([None, 1.0, 0.6, 0.05, 0.001, 0.0]))
def test_nearest_is_the_product_of_all(engine, whole, seed, k, share):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(3, DIMENSION)).astype(np.float32)
    mask = None if share is None else rng.random(ROWS) < share
    rows, similarity = engine.nearest(5 * vectors, k, mask)
    assert rows.shape == similarity.shape == (3, k)
    allowed = np.ones(ROWS, bool) if mask is None else mask
    for vector, mine, similar in zip(vectors, rows, similarity, strict=True):
        products = whole @ (vector / np.linalg.norm(vector))
        truth = oracle(products, allowed, k)
        assert np.allclose(similar[: len(truth)], products[truth], atol=1e-6)
        assert np.allclose(products[mine[: len(truth)]], products[truth], atol=1e-6)
        assert allowed[mine[: len(truth)]].all()
        assert (mine[len(truth) :] == -1).all()
        assert np.isneginf(similar[len(truth) :]).all()


def test_of_equal_rows_the_lower_comes_first(engine, whole):
    rows, _ = engine.nearest(whole[:1], 30)
    assert rows[0, :25].tolist() == list(range(0, ROWS, 100))


def test_the_rescorer_ranks_as_numpy_does(engine, whole, rescorer):
    for allowed in (np.ones(ROWS, bool), np.arange(ROWS) % 3 == 1, np.arange(ROWS) % 50 == 0):
        rows, scores = engine.top(rescorer, 40, allowed)
        expected = rescorer.scores(whole)
        truth = oracle(expected, allowed, 40)
        assert len(rows) == len(truth)
        assert allowed[rows].all()
        assert np.allclose(scores, expected[truth], atol=1e-4)
        assert np.allclose(expected[rows], expected[truth], atol=1e-4)


def test_a_module_and_a_plain_scorer_are_scored_alike(engine, whole):
    class Plain:
        def scores(self, vectors):
            return vectors[:, 0] - vectors[:, 1]

    class Module(torch.nn.Module):
        def forward(self, vectors):
            return vectors[:, 0] - vectors[:, 1]

    truth = oracle(whole[:, 0] - whole[:, 1], np.ones(ROWS, bool), 10)
    for scorer in (Plain(), Module()):
        rows, scores = engine.top(scorer, 10)
        assert rows.tolist() == truth.tolist()
        assert np.allclose(scores, (whole[:, 0] - whole[:, 1])[truth], atol=1e-6)


@pytest.mark.parametrize("lost", [np.nan, -np.inf, np.inf])
def test_what_low_precision_cannot_hold_is_decided_in_float32(shards, whole, lost):
    class Overflowing(torch.nn.Module):
        """Loses the 30 best rows in float16, and some of the worst."""

        def forward(self, vectors):
            scores = vectors[:, 0].float()
            return torch.where(scores.abs() >= limit, lost, scores) if vectors.dtype == torch.float16 else scores

    limit = float(np.sort(whole[:, 0])[-30]) - 1e-3
    engine = ExactEngine(shards, "cpu", rows_per_chunk=256)
    engine._blocks = HalfBlocks(engine._pieces(None), engine.device)
    engine._exactly = None  # proposals are enough
    for allowed in (np.ones(ROWS, bool), np.arange(ROWS) % 2 == 1):
        rows, scores = engine.top(Overflowing(), 12, allowed)
        truth = oracle(whole[:, 0], allowed, 12)
        assert rows.tolist() == truth.tolist()
        assert np.allclose(scores, whole[truth, 0], atol=1e-6)


def test_half_products_on_a_gpu_add_up_in_float32():
    before = torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction
    try:
        torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = True
        float32_sums(torch.device("cpu"))
        assert torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction
        float32_sums(torch.device("cuda"))
        assert not torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction
    finally:
        torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = before


def test_where_low_precision_cannot_tell_everything_is_computed(shards, whole, monkeypatch):
    monkeypatch.setattr(scan, "SPARE_CANDIDATES", 0)
    monkeypatch.setattr(scan, "MOST_CANDIDATES", 50)
    engine = ExactEngine(shards, "cpu", "int8", rows_per_chunk=256)
    for row in (0, 1200, 2499):
        rows, _ = engine.nearest(whole[row : row + 1], 12)
        assert np.allclose((whole @ whole[row])[rows[0]], np.sort(whole @ whole[row])[::-1][:12], atol=1e-6)


def test_the_error_of_the_codes_bounds_every_difference(shards, whole):
    engine = ExactEngine(shards, "cpu", "int8", rows_per_chunk=256)
    queries = torch.from_numpy(whole[::50].copy())
    for blocks in (engine._blocks, HalfBlocks(engine._pieces(None), engine.device)):
        proposals = blocks.similarities(queries)
        for rows, scores in proposals.pieces(None):
            assert np.abs(scores.numpy() - whole[rows] @ whole[::50].T).max() <= proposals.error
    assert 0 < engine._blocks.error < 0.05


def test_codes_are_the_nearest_of_their_scale():
    vectors = torch.randn(50, 7, generator=torch.Generator().manual_seed(1))
    vectors[3] = 0
    codes, scales = quantised(vectors)
    assert codes.dtype == torch.int8
    assert (codes.abs().amax(dim=1) == 127).sum() == 49
    assert ((codes * scales[:, None] - vectors).abs() <= scales[:, None] * 0.5001).all()


def test_a_range_of_rows_answers_for_itself(shards, whole):
    engine = ExactEngine(shards, "cpu", rows=range(650, 1900), rows_per_chunk=300)
    allowed = np.arange(1250) % 2 == 0
    rows, _ = engine.nearest(whole[:1], 20, allowed)
    mask = np.zeros(ROWS, bool)
    mask[650:1900] = allowed
    assert rows[0].tolist() == oracle(whole @ whole[0], mask, 20).tolist()
    assert isinstance(ExactEngine(shards, "cpu", "int8", rows=range(650, 1900))._blocks, Int8Blocks)


def test_a_release_answers_by_both_engines(release):
    vectors = release.take([3, 77])
    rows, similarity = release.nearest_many(vectors, 9)
    for line, vector in enumerate(vectors):
        exact, similar = release.nearest(vector, 9, engine="exact")
        assert exact.tolist() == rows[line].tolist() == release.nearest(vector, 9)[0].tolist()
        assert np.allclose(similar, similarity[line], atol=1e-6)
    assert release.engine is release.engine


def test_bad_questions_are_one_clear_error(engine, shards):
    with pytest.raises(QueryError, match="at least 1"):
        engine.nearest(np.ones((1, DIMENSION)), 0)
    with pytest.raises(QueryError, match="mask"):
        engine.nearest(np.ones((1, DIMENSION)), 3, np.ones(7, bool))
    with pytest.raises(QueryError, match="dimension"):
        engine.nearest(np.ones((1, DIMENSION + 1)), 3)
    with pytest.raises(ConfigError, match="float16 or int8"):
        ExactEngine(shards, "cpu", "int4")
    with pytest.raises(ConfigError, match="no device"):
        ExactEngine(shards, "toaster")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_said(shards):
    with pytest.raises(ConfigError, match="no GPU"):
        ExactEngine(shards, "cuda")
