"""A survey embedded by several jobs and merged is the release of one run; what is missing, damaged or double is named."""

import json
import shlex
from concurrent.futures import ThreadPoolExecutor

import pytest

from discovery.cli import main
from discovery.errors import ConfigError, ReleaseError
from index.engine import Share, embed_share, index_survey
from index.merge import merge_shares
from index.parts import part_path

COUNT, JOBS = 150, 3


@pytest.fixture
def survey(tmp_path, write_survey):
    return write_survey(tmp_path / "s.h5", count=COUNT, damaged=(3, 100))


@pytest.fixture
def job(tmp_path, survey, small_encoder):
    """Return a function that runs one job."""

    def run(share, **changes):
        options = {"name": "r", "encoder": small_encoder, "out": tmp_path / "jobs", "workers": 0, "shard_positions": 16}
        return embed_share([survey], Share.parse(share), **{**options, **changes})

    return run


@pytest.fixture
def whole(tmp_path, survey, small_encoder):
    options = {"name": "r", "encoder": small_encoder, "out": tmp_path / "whole", "workers": 0, "shard_positions": 16}
    return index_survey([survey], **options)


def test_merged_jobs_are_one_run(tmp_path, job, whole, same_release):
    with ThreadPoolExecutor(JOBS) as pool:  # all at once: who is first writes the plan
        found = list(pool.map(job, [f"{number}/{JOBS}" for number in range(JOBS)]))
    assert [shards for shards, _ in found] == [4, 3, 3]
    assert sum(embedded for _, embedded in found) == COUNT - 2
    assert job("0/1") == (10, 0)
    merged = merge_shares("r", tmp_path / "jobs")
    assert merged == tmp_path / "jobs" / "r"
    same_release(whole, merged)
    assert [path.name for path in (tmp_path / "jobs").iterdir()] == ["r"]
    assert merge_shares("r", tmp_path / "jobs") == merged
    stages = json.loads((merged / "manifest.json").read_text())["measured"]["stages"]
    assert all(found["stamps_a_second"] > 0 for found in stages.values())


def test_a_missing_and_a_damaged_shard_are_named_with_the_command_that_makes_them(tmp_path, job, whole, same_release):
    job("0/1")
    building = tmp_path / "jobs" / ".r.building"
    part_path(building, 4).unlink()
    file = building / "embeddings" / "image-00007.f16"
    data = bytearray(file.read_bytes())
    data[10] ^= 1
    file.write_bytes(data)
    with pytest.raises(ReleaseError, match=r"2 of 10 shards.*Shard 4 is missing.*Shard 7 is damaged.*image-00007") as problem:
        merge_shares("r", tmp_path / "jobs")
    for command in str(problem.value).split("Make it with: ")[1:]:
        words = shlex.split(command)
        assert main([*words[1 : words.index("--shard") + 2], "--workers", "0"]) == 0
    same_release(whole, merge_shares("r", tmp_path / "jobs"))


def test_a_survey_that_changed_is_not_merged(tmp_path, job, write_survey):
    job("0/1")
    write_survey(tmp_path / "s.h5", count=COUNT, seed=5)
    with pytest.raises(ConfigError, match="survey files"):
        merge_shares("r", tmp_path / "jobs")


def test_jobs_of_other_inputs_are_refused(job):
    job("0/2")
    with pytest.raises(ConfigError, match="--memory"):
        job("1/2", memory_gib=2.0)


def test_nothing_to_merge_is_one_error(tmp_path):
    with pytest.raises(ConfigError, match="--shard"):
        merge_shares("r", tmp_path)


@pytest.mark.parametrize("text", ["3/3", "1", "a/b", "-1/3", "1/0"])
def test_shares_that_are_none_are_refused(text):
    with pytest.raises(ConfigError, match="0 to N - 1"):
        Share.parse(text)


@pytest.mark.parametrize("flags", [["--rebuild"], ["--engine", "ray"]])
def test_a_share_goes_with_neither_rebuild_nor_ray(tmp_path, survey, flags, capsys):
    assert main(["index", str(survey), "--name", "r", "--out", str(tmp_path), "--shard", "0/2", *flags]) == 1
    assert "--shard" in capsys.readouterr().err
