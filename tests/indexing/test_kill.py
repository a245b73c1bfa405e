"""A run that is killed at any moment and started again gives the same release as an undisturbed one."""

import os
import random
import signal
import time

import pytest

from index.run.engine import index_survey

pytestmark = pytest.mark.kill

KILLS, SEED = 12, 1


def test_killed_runs_resume_to_the_same_bytes(tmp_path, write_survey, small_encoder, fork_server, same_release):
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
