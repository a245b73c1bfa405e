"""`make demo` without the serving: what it leaves, and what a second start does."""

import json
import time

import pytest

from discovery.cli import main
from discovery.demo import DemoOptions, demo
from discovery.errors import ConfigError


def test_a_demo_is_a_release_that_is_used_again(demo_folder, capsys):
    release = demo_folder / "releases" / "demo"
    before = (release / "manifest.json").stat().st_mtime_ns
    began = time.monotonic()
    assert main(["demo", "--no-serve", "--galaxies", "300", "--dir", str(demo_folder)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(release)
    assert (release / "manifest.json").stat().st_mtime_ns == before
    assert time.monotonic() - began < 60
    assert json.loads((demo_folder / "demo.json").read_text()) == {"galaxies": 300, "seed": 0}


def test_a_demo_of_other_numbers_is_refused(demo_folder):
    with pytest.raises(ConfigError, match="300 galaxies"):
        demo(options=DemoOptions(dir=demo_folder, galaxies=400, serve=False))


def test_another_encoder_makes_the_release_anew(demo_folder, tmp_path, capsys):
    import shutil

    folder = tmp_path / "demo"
    shutil.copytree(demo_folder, folder)
    manifest = folder / "releases" / "demo" / "manifest.json"
    record = json.loads(manifest.read_text())
    record["spaces"][0]["encoder"]["checksum"] = "0" * 64
    manifest.write_text(json.dumps(record))
    demo(options=DemoOptions(dir=folder, galaxies=300, serve=False))
    assert "encoder has changed" in capsys.readouterr().err
    assert json.loads(manifest.read_text())["spaces"][0]["encoder"]["checksum"] != "0" * 64
