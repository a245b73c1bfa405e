"""A run that is killed at any moment and started again gives the same release as an undisturbed one."""

import json
import multiprocessing
import os
import random
import signal
import time

import duckdb
import pytest

from discovery.encoder import load_encoder
from index.cli import index_survey

KILLS = 6


@pytest.fixture(scope="module")
def fork_server():
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["index.cli", "faiss", "duckdb"])
    return context


def make(survey, encoder, out):
    index_survey([survey], name="r", encoder=load_encoder(encoder, device="cpu"), out=out, workers=0, shard_positions=32)


def test_killed_runs_resume_to_the_same_bytes(tmp_path, write_survey, small_encoder, fork_server):
    survey = write_survey(tmp_path / "s.h5", count=200, damaged=(3, 100))
    small_encoder.save(tmp_path / "encoder")
    seconds = undisturbed = None
    for _ in range(2):  # the first run also starts the server
        undisturbed = tmp_path / f"undisturbed{time.monotonic_ns()}"
        start = time.monotonic()
        child = fork_server.Process(target=make, args=(survey, tmp_path / "encoder", undisturbed))
        child.start()
        child.join()
        seconds = time.monotonic() - start
        assert child.exitcode == 0
    kills, moments = 0, random.Random(1)
    while True:
        child = fork_server.Process(target=make, args=(survey, tmp_path / "encoder", tmp_path / "killed"))
        child.start()
        child.join(moments.uniform(0.2, 0.9) * seconds if kills < KILLS else None)
        if child.exitcode is not None:
            break
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        kills += 1
    assert child.exitcode == 0
    assert kills > 0
    same_release(undisturbed / "r", tmp_path / "killed" / "r")
    assert [path.name for path in (tmp_path / "killed").iterdir()] == ["r"]


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
