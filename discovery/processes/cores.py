"""How many processor cores this process may use: the one place that counts them."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUPS = Path("/proc/self/cgroup")
SLURM_CORES = "SLURM_CPUS_PER_TASK"


@functools.cache
def usable_cores() -> int:
    """Return how many cores this process may use: its affinity, its cgroup's quota and Slurm's share a task, whichever is least."""
    return count_cores(os.environ)


def count_cores(environment: Mapping[str, str], *, own_cgroups: Path = OWN_CGROUPS, cgroups: Path = CGROUPS) -> int:
    """Return the cores that this process may use, at least 1.

    Parameters
    ----------
    environment : mapping
        Where Slurm's ``SLURM_CPUS_PER_TASK`` is looked up.
    own_cgroups, cgroups : Path
        File that lists the control groups of this process, and the folder where groups are mounted; without them
        (macOS, Windows) no quota counts.
    """
    limits = [_cores_of_machine(), *_quotas(own_cgroups, cgroups)]
    share = environment.get(SLURM_CORES, "")
    if share.isdecimal():
        limits.append(int(share))
    return max(1, int(min(limits)))


def default_workers(most: int = 8) -> int:
    """Return how many worker processes to start by default: two fewer than the usable cores, at most ``most``; 0 for none."""
    return max(0, min(most, usable_cores() - 2))


def _cores_of_machine() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quotas(own_cgroups: Path, cgroups: Path) -> Iterator[float]:
    """Yield the cores that each of the process's control groups, and the groups above it, grant."""
    try:
        lines = own_cgroups.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, group = line.split(":", 2)
        names = controllers.split(",")
        if controllers and "cpu" not in names:
            continue
        for folder in _folders(group):
            if not controllers:
                yield from _quota_2(cgroups / folder / "cpu.max")
            else:
                for mount in {"cpu", controllers}:
                    yield from _quota_1(cgroups / mount / folder)


def _folders(group: str) -> list[PurePosixPath]:
    """Return a group's folder and those above it, relative to the mount."""
    folder = PurePosixPath(group.lstrip("/"))
    return [folder, *folder.parents]


def _quota_2(file: Path) -> Iterator[float]:
    """Yield the quota of version 2's ``cpu.max``: "50000 100000" is half a core, "max 100000" is no limit."""
    try:
        quota, period = file.read_text().split()
    except (OSError, ValueError):
        return
    if quota != "max":
        yield int(quota) / int(period)


def _quota_1(folder: Path) -> Iterator[float]:
    """Yield the quota of version 1's ``cpu.cfs_quota_us``; -1 is no limit."""
    try:
        quota, period = (int((folder / f"cpu.cfs_{name}_us").read_text()) for name in ("quota", "period"))
    except (OSError, ValueError):
        return
    if quota > 0:
        yield quota / period
