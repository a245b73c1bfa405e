"""A Ray cluster makes the release of a local run, also when workers are killed in the middle."""

import copy
import json
import os
import signal
import threading
import time
from pathlib import Path

import h5py
import pytest
import torch

from discovery.readers import open_survey
from index.embed.cluster import ShardWorker, staffing
from index.embed.finished_shards import Computed, precisions_of, shard_file
from index.plan import make_plan
from index.run.engine import index_survey

pytestmark = pytest.mark.ray

COUNT, SHARD = 400, 16


@pytest.fixture(scope="module")
def cluster():
    """A cluster of this machine for two workers with two GPUs (in name: none is touched): stamps are read by tasks."""
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_raylet_start_wait_time_s": "180"}
    import ray

    try:
        ray.init("local", num_cpus=4, num_gpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=2**28)
    except (Exception, SystemExit) as problem:  # Ray raises plain ones too
        pytest.skip(f"Ray does not start on this machine: {problem}")
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
    driver = copy.copy(small_encoder)
    driver.precision = "bfloat16"  # as where this process has a GPU and the workers have none, and nobody said a precision
    made = index_survey([survey], **options(driver, tmp_path), engine="ray", workers=2)
    killer.join()
    assert len(killed) == 1
    assert "A worker of the Ray cluster was lost" in caplog.text
    assert cluster.is_initialized()
    same_release(local, made)
    assert json.loads((made / "manifest.json").read_text())["measured"]["precision"] == "float32"
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


def test_a_release_grows_on_a_cluster_as_it_does_here(cluster, tmp_path, small_encoder, local, write_survey, same_release):
    newer = write_survey(tmp_path / "b.h5", count=60, seed=1)
    with h5py.File(newer, "r+") as file:
        file["inds"][:] += 1000
    here, there = (tmp_path / folder for folder in ("here", "there"))
    grown = {"add": local, "name": "grown", "shard_positions": SHARD, "drift_sample": 0}
    whole = index_survey([newer], **grown, out=here)
    same_release(whole, index_survey([newer], **grown, out=there, engine="ray", workers=1))


@pytest.mark.parametrize(("asked", "wanted"), [(None, "float32"), ("bfloat16", "bfloat16")])
def test_a_worker_computes_in_what_suits_its_device_unless_told(tmp_path, survey, small_encoder, local, asked, wanted):
    """Without readers, as where there are no GPUs; the worker is a plain object here."""
    building = tmp_path / "building"
    small_encoder.save(building / "encoder")
    opened = open_survey([survey])
    plan = make_plan(opened, [survey], name="r", encoder=small_encoder, memory_bytes=2**32, shard_positions=SHARD)
    worker = ShardWorker(building, plan, opened, asked, False, staffing(1, 0), [])
    assert worker.ready() == Computed(device="cpu", precision=wanted, runtime=f"torch {torch.__version__}")
    rows, _ = worker.make(0)
    assert rows == SHARD - 1
    assert precisions_of(building, plan, [0]) == {wanted: [0]}
    same = (building / shard_file(0)).read_bytes() == (local / shard_file(0)).read_bytes()
    assert same == (wanted == "float32")


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
