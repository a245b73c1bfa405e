"""The exact engine over two Ray actors, against one machine."""

import numpy as np
import pytest
import torch

from discovery.errors import ConfigError, QueryError
from discovery.hunts.models.rescorer import RescorerConfig, train_rescorer
from discovery.release.neighbours import exact_on_ray as cluster_scan
from discovery.release.neighbours.exact import ExactEngine
from discovery.release.neighbours.exact_on_ray import ClusterEngine, _Worker, actor_device, row_ranges

pytestmark = pytest.mark.ray
ray = pytest.importorskip("ray")
ROWS, DIMENSION = 4000, 16


@pytest.fixture(scope="module")
def shards(write_shards):
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(ROWS, DIMENSION))
    vectors[3001] = vectors[3]  # a tie across the actors
    return write_shards(vectors, 0, 1500, 3000, ROWS)


@pytest.fixture(scope="module")
def cluster(shards):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cluster_scan, "ROWS_PER_CHUNK", 500)
        try:
            made = ClusterEngine(shards, actors=2)
        except ConfigError as problem:  # this machine's own cluster: only a machine too busy to start it fails
            pytest.skip(str(problem))
        with made as engine:
            assert len(engine._actors) == engine.facts["actors"] == 2
            yield engine
        assert not ray.is_initialized()  # it started the cluster itself


@pytest.fixture(scope="module")
def machine(shards):
    return ExactEngine(shards, "cpu")


def test_no_actors_are_refused_before_anything_is_started(shards):
    with pytest.raises(ConfigError, match="actors"):
        ClusterEngine(shards, actors=0, address="127.0.0.1:1")
    assert not ray.is_initialized()


@pytest.mark.parametrize(("gpus", "actors", "device"), [(0, 1, "cpu"), (2, 2, None), (3, 2, None), (1, 2, "cpu")])
def test_actors_without_a_gpu_of_their_own_use_none(gpus, actors, device):
    assert actor_device(gpus, actors) == device


def test_a_worker_computes_where_it_is_told_to(shards):
    given = (shards.folder, shards.shards, DIMENSION, range(ROWS))
    assert _Worker(*given, "cpu", None, torch.get_num_threads())._engine.device.type == "cpu"
    with pytest.raises(ConfigError, match="no device"):
        _Worker(*given, "toaster", None, torch.get_num_threads())


@pytest.mark.parametrize("share", [None, 0.5, 0.01, 0.0])
@pytest.mark.parametrize("k", [1, 30, 3000])
def test_two_actors_answer_as_one_machine(cluster, machine, shards, share, k):
    rng = np.random.default_rng(2)
    allowed = None if share is None else rng.random(ROWS) < share
    vectors = shards.take([3, 100, 2900])
    rows, similarity = cluster.nearest(vectors, k, allowed)
    alone, similar = machine.nearest(vectors, k, allowed)
    assert rows.tolist() == alone.tolist()
    assert np.allclose(similarity[rows >= 0], similar[rows >= 0], atol=1e-6)
    if share is None and k > 1:
        assert rows[0, :2].tolist() == [3, 3001]


def test_the_rescorer_over_two_actors(cluster, machine, shards):
    vectors = shards.take(np.arange(400))
    rescorer = train_rescorer(vectors[:20], vectors[20:60], vectors, 3, RescorerConfig(hidden=64, steps=10))
    candidates = np.random.default_rng(4).random(ROWS) < 0.02
    for allowed in (None, candidates):
        rows, scores = cluster.top(rescorer, 25, allowed)
        alone, single = machine.top(rescorer, 25, allowed)
        assert rows.tolist() == alone.tolist()
        assert np.allclose(scores, single, atol=1e-5)
        assert np.allclose(scores, rescorer.scores(shards.take(rows)), atol=1e-4)


def test_every_row_is_in_one_range():
    for count, parts in ((1, 3), (65_536, 2), (65_537, 2), (10_000_000, 7), (200_000, 50)):
        ranges = row_ranges(count, parts)
        assert [row for part in ranges for row in (part.start, part.stop)][1:-1:2] == [part.start for part in ranges[1:]]
        assert ranges[0].start == 0
        assert ranges[-1].stop == count
        assert 1 <= len(ranges) <= parts
        assert all(part.start % cluster_scan.ROWS_PER_CHUNK == 0 and len(part) for part in ranges)


def test_a_lost_machine_is_said(cluster, shards):
    broken = ClusterEngine(shards, actors=1)
    ray.kill(broken._actors[0])
    with pytest.raises(ConfigError, match="lost"):
        broken.nearest(shards.take([0]), 3)
    broken.close()


def test_bad_questions_are_one_clear_error(cluster, shards):
    with pytest.raises(QueryError, match="mask"):
        cluster.nearest(shards.take([0]), 3, np.ones(5, bool))
    with pytest.raises(QueryError, match="at least 1"):
        cluster.nearest(shards.take([0]), 0)


def test_a_search_over_ray_finds_what_the_index_finds(cluster, release):
    from discovery.search.prompts import prompt_from_row
    from discovery.search.similarity import search

    prompts = [prompt_from_row(release, 5)]
    found = {engine: search(release, like=prompts, k=12, where="mag_r < 22", engine=engine) for engine in ("index", "exact", "ray")}
    assert found["ray"].rows.tolist() == found["exact"].rows.tolist() == found["index"].rows.tolist()
    assert np.allclose(found["ray"].similarity, found["index"].similarity, atol=1e-6)
    with pytest.raises(QueryError, match="address"):
        search(release, like=prompts, address="auto")
    with pytest.raises(QueryError, match="engine"):
        search(release, like=prompts, engine="magic")


def test_a_cluster_that_is_not_there_is_one_clear_error(release_folder, release, capsys):
    from discovery.cli import main

    like = release.catalogue.rows([5], ["object_id"])["object_id"][0].as_py()
    assert main(["search", str(release_folder), "--like", like, "--engine", "ray", "--address", "127.0.0.1:1"]) == 1
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and "127.0.0.1:1 cannot be reached" in said.err
