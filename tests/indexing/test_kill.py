"""A run that is killed at any moment and started again gives the same release as an undisturbed one."""

import json
import multiprocessing
import os
import random
import signal
import time

import duckdb
import pytest

from index.cli import index_survey

KILLS, SEED = 12, 1


@pytest.fixture(scope="module")
def fork_server():
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pytest", "index.cli", "astropy_healpix", "discovery.readers.ssl_legacysurvey", "scipy.spatial"])
    return context


def test_killed_runs_resume_to_the_same_bytes(tmp_path, write_survey, small_encoder, fork_server):
    survey = write_survey(tmp_path / "s.h5", count=200, damaged=(3, 100))
    options = {"name": "r", "encoder": small_encoder, "workers": 0, "shard_positions": 32}

    def start(out):
        child = fork_server.Process(target=index_survey, args=([survey],), kwargs={**options, "out": tmp_path / out})
        child.start()
        return child

    undisturbed = start("undisturbed")
    undisturbed.join()
    kills, chance = 0, random.Random(SEED)
    building = tmp_path / "killed" / ".r.building"
    while True:
        child, enough = start("killed"), files(building) + chance.randint(0, 3)
        while child.is_alive() and files(building) < enough:
            time.sleep(0.004)
        child.join(chance.uniform(0, 0.02))
        if kills < KILLS and child.is_alive():
            os.kill(child.pid, signal.SIGKILL)
            child.join()
            kills += 1
        else:
            child.join()
            break
    assert undisturbed.exitcode == child.exitcode == 0
    assert kills > 2
    same_release(tmp_path / "undisturbed" / "r", tmp_path / "killed" / "r")
    assert [path.name for path in (tmp_path / "killed").iterdir()] == ["r"]


def files(folder):
    return sum(len(names) for _, _, names in os.walk(folder))


def same_release(one, other):
    names = sorted(path.relative_to(one).as_posix() for path in one.rglob("*"))
    assert names == sorted(path.relative_to(other).as_posix() for path in other.rglob("*"))
    for name in names:
        if name.endswith((".f16", ".faiss", "report.json", ".safetensors", "encoder.json")):
            assert (one / name).read_bytes() == (other / name).read_bytes(), name
    assert lines(one) == lines(other)
    manifests = [json.loads((folder / "manifest.json").read_text()) for folder in (one, other)]
    for manifest in manifests:
        del manifest["measured"]
    assert manifests[0] == manifests[1]


def lines(folder):
    with duckdb.connect(str(folder / "catalogue.duckdb"), read_only=True) as connection:
        return connection.execute("SELECT * FROM objects ORDER BY row").fetchall()
