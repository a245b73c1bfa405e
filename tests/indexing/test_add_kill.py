"""A growing release that is killed and started again becomes the one of an undisturbed run."""

import os
import signal
import time

import h5py
import numpy as np
import pytest

from discovery.release.release import open_release
from index.cli import index_survey

pytestmark = pytest.mark.kill


def test_killed_runs_resume_to_the_same_bytes(tmp_path, write_survey, small_encoder, fork_server):
    old = write_survey(tmp_path / "a.h5", count=70, damaged=(7,))
    new = write_survey(tmp_path / "b.h5", count=130, damaged=(80, 100))  # of the same ids and positions as far as there are any
    with h5py.File(old) as before, h5py.File(new, "r+") as after:
        for name in ("ra", "dec"):
            after[name][:70] = before[name][:]
    older = index_survey([old], name="old", encoder=small_encoder, out=tmp_path / "releases", workers=0)
    whole = index_survey([new], add=older, name="whole", out=tmp_path / "releases", workers=0, shard_positions=16)
    options = {"add": older, "name": "killed", "out": tmp_path / "releases", "workers": 0, "shard_positions": 16}
    building = tmp_path / "releases" / ".killed.building"

    def files():
        return sum(len(names) for _, _, names in os.walk(building))

    kills = 0
    for stop_at in (3, 7, 12, 16, 10**6):
        child = fork_server.Process(target=index_survey, args=([new],), kwargs=options)
        child.start()
        while child.is_alive() and files() < stop_at:
            time.sleep(0.003)
        if child.is_alive():
            os.kill(child.pid, signal.SIGKILL)
            kills += 1
        child.join()
    assert child.exitcode == 0 and kills > 2
    one, other = open_release(whole), open_release(tmp_path / "releases" / "killed")
    assert [shard.sha256 for shard in one.manifest.image.shards] == [shard.sha256 for shard in other.manifest.image.shards]
    assert (whole / "drift-sample.safetensors").read_bytes() == (other.path / "drift-sample.safetensors").read_bytes()
    rows = np.arange(one.count)
    assert one.catalogue.rows(rows).drop(["object_id"]).equals(other.catalogue.rows(rows).drop(["object_id"]))
