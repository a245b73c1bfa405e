"""``discovery serve`` as a process: where it listens, what it prints, and what a kill leaves."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from discovery.cli import main
from discovery.hunts import new_hunt, open_hunt
from discovery.release.release import open_release
from discovery.search.prompts import prompt_from_row

pytestmark = pytest.mark.kill


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "discovery.cli", "serve", *map(str, arguments)]


@contextmanager
def serving(*arguments: object, folder: Path) -> Iterator[tuple[subprocess.Popen, str]]:
    """Run the verb on a free port; yield the process and its address."""
    process = subprocess.Popen(command(*arguments, "--port", 0), cwd=folder, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        printed = process.stdout.readline()
        yield process, re.search(r"http://127\.0\.0\.1:\d+", printed)[0]
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--host", "0.0.0.0"], "--token"),
        (["--config", "typo.toml"], "relase"),
        (["--port", "99999"], "port 99999"),
        (["--hunst", "x"], "hunst"),
    ],
)
def test_a_wrong_option_is_one_line(tmp_path, monkeypatch, capsys, demo_release, arguments, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "typo.toml").write_text('[serve]\nrelase = "x"\n')
    assert main(["serve", str(demo_release), *arguments]) == 1
    out, err = capsys.readouterr()
    assert out == "" and said in err and len(err.strip().splitlines()) == 1


def test_no_release_is_one_line(tmp_path):
    ended = subprocess.run(command(tmp_path), cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 1 and "holds no release" in ended.stderr


def test_a_kill_after_an_answer_loses_no_label(tmp_path, demo_release):
    release = open_release(demo_release)
    path = tmp_path / "hunts" / "killed.hunt"
    path.parent.mkdir()
    new_hunt(path, release, positives=[prompt_from_row(release, 0)], who="vera")
    acknowledged: list[int] = []
    for start in (1, 41):
        rows = iter(range(start, start + 40))
        with (
            serving(demo_release, "--hunts", path.parent, folder=tmp_path) as (process, address),
            httpx.Client(base_url=address, timeout=60) as client,
        ):
            token = client.get("/api/session").json()["csrf"]
            killer = threading.Timer(1.5, os.kill, (process.pid, signal.SIGKILL))
            killer.start()
            acknowledged += label_until_killed(client, token, rows)
            killer.join()
    kept = {event.row for event in open_hunt(path, release).log()}
    assert acknowledged
    assert set(acknowledged) <= kept
    assert len(kept) <= len(acknowledged) + 2


def label_until_killed(client: httpx.Client, token: str, rows: Iterator[int]) -> list[int]:
    """Return the rows of which the label was acknowledged."""
    acknowledged = []
    for row in rows:
        try:
            answer = client.post(
                "/api/hunts/killed/labels", json={"row": row, "verdict": "positive"}, headers={"X-CSRF-Token": token}
            )
        except httpx.HTTPError:
            break
        assert answer.status_code == 201
        acknowledged.append(row)
    return acknowledged
