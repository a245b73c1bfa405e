"""A survey embedded by several jobs and merged is the release of one run; what is missing, damaged or double is named."""

import json
import shlex
import shutil
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import pytest

from discovery.cli import main
from discovery.errors import ConfigError, ReleaseError
from discovery.release.manifest_file import read_manifest
from index.embed.finished_shards import record_path
from index.run.engine import embed_share, index_survey
from index.run.merge import merge_shares
from index.run.settings import RunSettings, Share

pytestmark = pytest.mark.slow

COUNT, JOBS = 150, 3


@pytest.fixture
def survey(tmp_path, write_survey):
    return write_survey(tmp_path / "s.h5", count=COUNT, damaged=(3, 100))


@pytest.fixture
def job(tmp_path, survey, small_encoder):
    """Return a function that runs one job."""
    options = {"name": "r", "out": tmp_path / "jobs", "workers": 0, "shard_positions": 16}
    return partial(run_job, survey, small_encoder, options)


@pytest.fixture
def whole(tmp_path, survey, small_encoder):
    options = {"name": "r", "encoder": small_encoder, "out": tmp_path / "whole", "workers": 0, "shard_positions": 16}
    return index_survey([survey], **options)


@pytest.mark.kill
def test_merged_jobs_are_one_run(tmp_path, job, whole, same_release, fork_server):
    with ProcessPoolExecutor(JOBS, fork_server) as pool:  # all at once: who is first writes the plan
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
    record_path(building, 4).unlink()
    file = building / "embeddings" / "image-00007.f16"
    data = bytearray(file.read_bytes())
    data[10] ^= 1
    file.write_bytes(data)
    with pytest.raises(ReleaseError, match=r"2 of 10 shards.*Shard 4 is missing.*Shard 7 is damaged.*image-00007") as problem:
        merge_shares("r", tmp_path / "jobs")
    for command in commands_in(problem.value):
        assert main([*command[1:], "--workers", "0"]) == 0
    same_release(whole, merge_shares("r", tmp_path / "jobs"))


def test_a_merge_that_was_killed_while_it_put_the_release_in_place_goes_on(tmp_path, job, whole, same_release):
    """All is built then, and the parts and the plan are gone, or some of them."""
    job("0/1")
    jobs = tmp_path / "jobs"
    merge_shares("r", jobs).rename(jobs / ".r.building")
    assert job("0/3") == (4, 0)
    assert job("1/3", precision="bfloat16") == (3, 0)
    with pytest.raises(ConfigError, match="all but in place"):
        job("0/3", memory_gib=2.0)
    assert not (jobs / ".r.building" / "plan.json").exists()
    same_release(whole, merge_shares("r", jobs))
    assert [path.name for path in jobs.iterdir()] == ["r"]


def test_shards_of_two_precisions_are_not_merged(tmp_path, job, whole, same_release):
    job("0/3")
    job("1/3", precision="bfloat16")
    job("2/3")
    with pytest.raises(ReleaseError, match=r"3 of 10 shards.*Shard 1 was computed in bfloat16, not in float32.*Shard 4.*Shard 7") as problem:
        merge_shares("r", tmp_path / "jobs")
    with pytest.raises(ConfigError, match=r"in bfloat16: shards 1, 4, 7; in float32: shards 0, 2, 3, 5, 6 and 2 more"):
        job("0/1")
    for command in commands_in(problem.value):
        assert command[command.index("--precision") + 1] == "float32"
        assert main([*command[1:], "--workers", "0"]) == 0
    job("0/3")
    merged = merge_shares("r", tmp_path / "jobs")
    same_release(whole, merged)
    measured = read_manifest(merged).measured
    assert (measured["device"], measured["precision"]) == ("cpu", "float32")


def test_a_run_goes_on_in_the_precision_of_its_shards_or_is_told_another(tmp_path, job, survey, small_encoder):
    job("0/3", precision="bfloat16")
    options = {"name": "r", "encoder": small_encoder, "out": tmp_path / "jobs", "workers": 0}
    with pytest.raises(ConfigError, match=r"in bfloat16: shards 0, 3, 6, 9; in float32: those that this run makes.*--precision bfloat16 or --precision float32"):
        index_survey([survey], **options)
    shutil.copytree(tmp_path / "jobs", tmp_path / "again")
    measured = read_manifest(index_survey([survey], **options, precision="bfloat16")).measured
    assert (measured["precision"], measured["embedded_in_last_run"]) == ("bfloat16", 96)
    measured = read_manifest(index_survey([survey], **{**options, "out": tmp_path / "again"}, precision="float32")).measured
    assert (measured["precision"], measured["embedded_in_last_run"]) == ("float32", COUNT - 2)
    assert small_encoder.precision == "float32"


def test_the_command_of_a_missing_shard_repeats_numbers_to_the_last_digit(tmp_path, job):
    job("0/1", memory_gib=3.123456789, recall=0.9512345678)
    record_path(tmp_path / "jobs" / ".r.building", 2).unlink()
    with pytest.raises(ReleaseError) as problem:
        merge_shares("r", tmp_path / "jobs")
    (command,) = commands_in(problem.value)
    assert main([*command[1:], "--workers", "0"]) == 0
    merge_shares("r", tmp_path / "jobs")


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


def run_job(survey, encoder, options, share, **changes):
    return embed_share([survey], Share.parse(share), RunSettings(**{**options, **changes}), encoder)


def commands_in(problem):
    """Return the words of each command that an error names."""
    commands = [shlex.split(command) for command in str(problem).split("Make it with: ")[1:]]
    return [words[: words.index("--shard") + 2] for words in commands]
