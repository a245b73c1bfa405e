"""A Ray cluster makes the release of a local run, also when workers are killed in the middle."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from discovery.errors import ConfigError
from index.cluster import ray_cluster, staffing
from index.engine import index_survey

COUNT, SHARD = 400, 16


@pytest.fixture(params=[0, 2], ids=["cpus", "gpus"])
def cluster(request):
    """A cluster of this machine for two workers; with two GPUs (in name: none is touched), stamps are read by tasks."""
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_raylet_start_wait_time_s": "180"}
    import ray

    cpus = 4 if request.param else 2
    ray.init("local", num_cpus=cpus, num_gpus=request.param, include_dashboard=False, log_to_driver=False, object_store_memory=2**28)
    yield ray
    ray.shutdown()


@pytest.fixture(scope="module")
def survey(tmp_path_factory, write_survey):
    return write_survey(tmp_path_factory.mktemp("survey") / "s.h5", count=COUNT, damaged=(3, 100))


@pytest.fixture(scope="module")
def local(tmp_path_factory, survey, small_encoder):
    return index_survey([survey], **options(small_encoder, tmp_path_factory.mktemp("local")))


def test_a_cluster_whose_worker_is_killed_makes_the_release_of_a_local_run(cluster, tmp_path, survey, small_encoder, local, same_release, caplog):
    killed = []
    killer = threading.Thread(target=kill_one, args=(tmp_path / ".r.building" / "parts", killed))
    killer.start()
    made = index_survey([survey], **options(small_encoder, tmp_path), engine="ray", workers=2)
    killer.join()
    assert len(killed) == 1
    assert "A worker of the Ray cluster was lost" in caplog.text
    assert cluster.is_initialized()
    same_release(local, made)
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


@pytest.mark.parametrize(
    ("cpus", "gpus", "workers", "wanted"),
    [
        (16, 0, None, (4, 4, 0, 0)),
        (2, 0, None, (1, 2, 0, 0)),
        (2, 0, 2, (2, 1, 0, 0)),
        (64, 4, None, (4, 1, 1, 8)),
        (8, 4, None, (4, 1, 1, 1)),
        (4, 4, None, (4, 1, 1, 0)),
        (2, 4, 1, (1, 1, 1, 1)),
    ],
)
def test_staffing(cpus, gpus, workers, wanted):
    found = staffing(cpus, gpus, workers)
    assert (found.workers, found.cpus, found.gpus, found.readers) == wanted


def test_a_cluster_that_is_not_there_is_one_error():
    with pytest.raises(ConfigError, match="cannot be reached"), ray_cluster("127.0.0.1:1"):
        pass


def options(encoder, out):
    return {"name": "r", "encoder": encoder, "out": out, "shard_positions": SHARD}


def kill_one(parts, killed):
    """Kill a process that makes shards once three are there."""
    while not parts.exists() or len(list(parts.iterdir())) < 3:
        time.sleep(0.01)
    killed.append(min(workers_here()))
    os.kill(killed[0], signal.SIGKILL)


def workers_here():
    """Return the processes of this machine's cluster that make shards: descendants of this one with their name."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if b"ray::ShardWorker" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found
