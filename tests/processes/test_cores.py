"""Cores that a process may use: affinity, control groups of both versions, Slurm."""

import os
from pathlib import Path

import pytest

from discovery.processes.cores import count_cores, default_workers, usable_cores


def counted(folder: Path, own: str, files: dict[str, str], **environment: str) -> int:
    own_file = folder / "cgroup"
    own_file.write_text(own)
    for name, text in files.items():
        (folder / "mount" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "mount" / name).write_text(text)
    return count_cores(environment, own_cgroups=own_file, cgroups=folder / "mount")


@pytest.fixture
def many_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(64)), raising=False)


@pytest.mark.usefixtures("many_cores")
@pytest.mark.parametrize(
    ("own", "files", "cores"),
    [
        ("0::/\n", {"cpu.max": "400000 100000\n"}, 4),
        ("0::/\n", {"cpu.max": "max 100000\n"}, 64),
        ("0::/\n", {"cpu.max": "50000 100000\n"}, 1),
        ("0::/job/step\n", {"job/cpu.max": "300000 100000", "job/step/cpu.max": "max 100000"}, 3),
        ("0::/job\n", {}, 64),
        ("4:memory:/x\n3:cpu,cpuacct:/x\n", {"cpu,cpuacct/x/cpu.cfs_quota_us": "600000", "cpu,cpuacct/x/cpu.cfs_period_us": "100000"}, 6),
        ("3:cpu,cpuacct:/x\n", {"cpu/x/cpu.cfs_quota_us": "-1", "cpu/x/cpu.cfs_period_us": "100000"}, 64),
        ("3:cpuset:/x\n", {"cpuset/x/cpu.cfs_quota_us": "100000", "cpuset/x/cpu.cfs_period_us": "100000"}, 64),
    ],
)
def test_a_control_group_limits_the_cores(tmp_path, own, files, cores):
    assert counted(tmp_path, own, files) == cores


@pytest.mark.usefixtures("many_cores")
def test_slurm_gives_a_task_its_share(tmp_path):
    files = {"cpu.max": "800000 100000"}
    assert counted(tmp_path, "0::/", files, SLURM_CPUS_PER_TASK="2") == 2
    assert counted(tmp_path, "0::/", files, SLURM_CPUS_PER_TASK="16") == 8
    assert counted(tmp_path, "0::/", files, SLURM_CPUS_PER_TASK="all") == 8


def test_a_system_without_affinity_or_control_groups(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 10)
    assert count_cores({}, own_cgroups=tmp_path / "none", cgroups=tmp_path) == 10


def test_workers_leave_two_cores_and_are_capped(monkeypatch):
    for cores, workers in ((1, 0), (4, 2), (256, 8)):
        monkeypatch.setattr("discovery.processes.cores.usable_cores", lambda cores=cores: cores)
        assert default_workers() == workers


def test_this_process_has_a_core():
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)
