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
FIRST = ("ray", "browser", "kill", "slow")
"""Markers of what `make quick` leaves out; a worker takes these tests first, so that both workers end together."""
ALONE = ("ray", "browser", "kill")
"""Markers of which one worker runs all tests: one cluster, one browser, no kills that wait for one another."""


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the browser's tests, give every file to one worker, and put the long files first."""
    groups: dict[str, list[pytest.Item]] = {}
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker("browser")
        marks = {mark.name for mark in item.iter_markers()}
        group = next((name for name in ALONE if name in marks), item.nodeid.partition("::")[0])
        item.add_marker(pytest.mark.xdist_group(group))
        groups.setdefault(group, []).append(item)
    first = [group for group, members in groups.items() if any(item.get_closest_marker(name) for item in members for name in FIRST)]
    order = sorted(groups, key=lambda group: (group not in ALONE, group not in first))
    items[:] = [item for group in order for item in groups[group]]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Take the group off a test's name again, so that a name that is printed can be given to pytest."""
    name, at, group = report.nodeid.rpartition("@")
    if at and "]" not in group:
        report.nodeid = name


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
