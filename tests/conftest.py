"""Fixtures that several test folders share."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)  # a clean clone gives the same verdict each time
settings.load_profile("ci" if os.environ.get("CI") else "here")

SHARED = Path(__file__).resolve().parents[2] / "shared"


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
def demo_folder(tmp_path_factory) -> Path:
    """The folder of a demo of 300 simulated galaxies, made by the real pipeline; read it, do not change it."""
    from discovery.demo import demo

    folder = tmp_path_factory.mktemp("demo") / "demo"
    demo(dir=folder, galaxies=300, serve=False)
    return folder


@pytest.fixture(scope="session")
def demo_release(demo_folder) -> Path:
    """The release in `demo_folder`."""
    return demo_folder / "releases" / "demo"
