"""Fixtures that several test folders share, and how the tests are sorted: into `make quick` and into two workers."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)  # a clean clone gives the same verdict each time
settings.load_profile("ci" if os.environ.get("CI") else "here")

SHARED = Path(__file__).resolve().parents[2] / "shared"
NOT_QUICK = ("ray", "browser", "kill", "slow")
"""Markers of what `make quick` leaves out; a worker takes files with such tests first, so that both workers end together."""
TOGETHER = {
    "ray": ("tests/indexing/test_cluster", "tests/release/test_cluster_scan"),
    "web": ("tests/web/",),
    "kill": ("tests/indexing/test_kill", "tests/indexing/test_add_kill", "tests/indexing/test_shards"),
}
"""Files that one worker runs, one after another: they share a cluster, a server with a browser, or a fork server."""


def group_of(nodeid: str) -> str:
    """Return the name of the tests that stay with one worker: those of a file, or of the files of `TOGETHER`."""
    path = nodeid.partition("::")[0]
    return next((group for group, starts in TOGETHER.items() if path.startswith(starts)), path)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Return what hands the tests out, group by group; the groups of xdist itself do nothing with this pytest."""
    from xdist.scheduler import LoadFileScheduling

    class GroupScheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    return GroupScheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the browser's tests, and put the files that take long first."""
    groups: dict[str, list[pytest.Item]] = {}
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker("browser")
        groups.setdefault(group_of(item.nodeid), []).append(item)
    long = {group for group, members in groups.items() if any(item.get_closest_marker(name) for item in members for name in NOT_QUICK)}
    order = sorted(groups, key=lambda group: (group not in TOGETHER, group not in long))
    items[:] = [item for group in order for item in groups[group]]


@pytest.fixture(scope="session")
def once_a_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """A function that makes a folder once a run, whichever worker asks first, and returns its path."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def once(name: str, make: Callable[[Path], object]) -> Path:
        folder = shared / f"once-{name}"
        with (shared / f"once-{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (folder / "made").exists():
                folder.mkdir()
                make(folder)
                (folder / "made").touch()
        return folder

    return once


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real stamps, or a skip that says so."""
    return _shared("data")


@pytest.fixture(scope="session")
def shared_reference() -> Path:
    """The folder of golden numbers, or a skip that says so."""
    return _shared("reference")


def _shared(name: str) -> Path:
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip(f"the folder ../shared/{name} beside the checkout is absent")
    return folder


@pytest.fixture(scope="session")
def demo_folder(once_a_run) -> Path:
    """The folder of a demo of 300 simulated galaxies, made by the real pipeline; read it, do not change it."""
    from discovery.demo import DemoOptions, demo

    return once_a_run("demo", lambda folder: demo(options=DemoOptions(dir=folder / "demo", galaxies=300, serve=False))) / "demo"


@pytest.fixture(scope="session")
def demo_release(demo_folder) -> Path:
    """The release in `demo_folder`."""
    return demo_folder / "releases" / "demo"


@pytest.fixture(scope="session")
def small_encoder():
    """An untrained LVM of a few thousand parameters."""
    import torch

    from discovery.encoders.encoder import make_encoder
    from discovery.encoders.lvm import LVM, LVMConfig
    from discovery.stamps.preprocess import CropConfig

    torch.manual_seed(7)
    config = {"embed_dim": 4, "depths": (1, 1), "heads": (2, 2), "window": 4, "image_size": 32, "attention_scale": None}
    network = LVM(LVMConfig(**config))
    about = {"name": "small", "architecture": "lvm", "config": config, "convention": "dr2_rgb", "input_size": 32}
    return make_encoder(network, **about, crop=CropConfig(), device="cpu")
