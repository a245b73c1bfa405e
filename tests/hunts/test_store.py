"""The hunt file: durable, append-only, safe between processes, and checked when it comes from a stranger."""

from __future__ import annotations

import pkgutil
import shutil
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from discovery.errors import HuntError
from discovery.hunts import Hunt, list_hunts, new_hunt, open_hunt, peek_hunt
from discovery.hunts.log.store import HuntStore
from discovery.hunts.state import read_state

KILLS = 30


@pytest.fixture
def hunt(tmp_path: Path, release: Any, prompts: Callable) -> Hunt:
    """A hunt with one round, nothing labelled."""
    made = new_hunt(tmp_path / "a.hunt", release, positives=prompts(0, 1, 2), who="ann")
    made.next_round("ann")
    return made


def sql(path: Path, *statements: str) -> None:
    """Change a file behind the program's back."""
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


LABELLER = """
    import os, signal, sys
    from pathlib import Path
    from discovery.hunts.log.store import HuntStore
    from discovery.hunts.state import read_state
    store = HuntStore(Path(sys.argv[1]))

    def label(number):
        line = {"object_id": f"x{number}", "row": None, "ra_deg": None, "dec_deg": None,
                "verdict": "positive", "negative_class": None, "reason": None}
        store.add_labels([line], "somebody")
"""
KILLER = """
    for turn in range(int(sys.argv[2])):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            for number in range(turn * 1000, turn * 1000 + 1000):
                label(number)
                os.write(writing, b"%d\\n" % number)  # the acknowledgement
        os.close(writing)
        with open(reading) as answers:
            acknowledged = [answers.readline() for _ in range(1 + turn % 3)]
            os.kill(child, signal.SIGKILL)
            acknowledged += answers.readlines()
        os.waitpid(child, 0)
        kept = {event.object_id for event in read_state(HuntStore.open(store.path)).log}
        for answer in acknowledged:
            print(answer.strip(), f"x{answer.strip()}" in kept, flush=True)
"""


def script(*parts: str) -> list[str]:
    """A command that runs these parts of a program."""
    return [sys.executable, "-c", "".join(map(textwrap.dedent, parts))]


@pytest.mark.slow
def test_a_label_survives_a_kill_right_after_its_acknowledgement(hunt: Hunt) -> None:
    command = [*script(LABELLER, KILLER), str(hunt.path), str(KILLS)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert len({int(line.split()[0]) // 1000 for line in lines}) == KILLS
    assert [line for line in lines if not line.endswith("True")] == []
    kept = {event.object_id for event in read_state(HuntStore.open(hunt.path)).log}
    assert {f"x{line.split()[0]}" for line in lines} <= kept


def test_a_write_cut_off_in_the_middle_is_rolled_back(hunt: Hunt, release: Any, tmp_path: Path) -> None:
    hunt.label(40, "positive", who="ann")
    cut_off = f"""
        import os, signal, sqlite3
        connection = sqlite3.connect({str(hunt.path)!r}, isolation_level=None)
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("BEGIN IMMEDIATE")
        for n in range(3000):
            connection.execute("INSERT INTO labels (object_id, verdict, who, \\"when\\") VALUES (?, 'positive', 'x', 'y')", (f"{{n}}" * 30,))
        os.kill(os.getpid(), signal.SIGKILL)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(cut_off)], check=False)
    assert hunt.path.with_name("a.hunt-journal").exists()
    assert [event.verdict for event in open_hunt(hunt.path, release).log()] == ["positive"]
    assert not hunt.path.with_name("a.hunt-journal").exists()


@pytest.mark.slow
def test_two_processes_label_at_once_and_nothing_is_lost(hunt: Hunt) -> None:
    command = script(
        LABELLER, "\nfor number in range(int(sys.argv[2]), int(sys.argv[2]) + 25):\n    label(number)"
    )
    processes = [subprocess.Popen([*command, str(hunt.path), str(start)]) for start in (0, 100)]
    assert [process.wait(timeout=60) for process in processes] == [0, 0]
    log = read_state(HuntStore.open(hunt.path)).log
    assert {event.object_id for event in log} == {
        f"x{n}" for start in (0, 100) for n in range(start, start + 25)
    }
    assert [event.event for event in log] == list(range(1, 51))


def test_threads_share_a_hunt_and_a_round_is_recorded_once(hunt: Hunt) -> None:
    results: list[Any] = []
    threads = [threading.Thread(target=lambda: results.append(hunt.next_round("ann"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rounds = hunt.rounds()
    assert [played.number for played in rounds] == list(range(1, len(rounds) + 1))
    assert all(result == rounds[result.number - 1] for result in results) and len(results) == 4


def test_the_file_keeps_a_rollback_journal_and_one_file(hunt: Hunt) -> None:
    hunt.label(40, "positive", who="ann")
    assert [path.name for path in hunt.path.parent.iterdir()] == ["a.hunt"]
    connection = sqlite3.connect(hunt.path)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    connection.close()


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE more (x)",
        "CREATE VIEW v AS SELECT * FROM labels",
        "CREATE TRIGGER t AFTER INSERT ON labels BEGIN DELETE FROM labels; END",
        "CREATE INDEX i ON labels (who)",
        "DROP TABLE shown",
        "ALTER TABLE labels ADD COLUMN note TEXT",
        "CREATE VIRTUAL TABLE f USING fts5(x)",
    ],
)
def test_a_file_with_other_tables_is_not_opened(hunt: Hunt, statement: str) -> None:
    sql(hunt.path, statement)
    with pytest.raises(HuntError, match="no hunt's"):
        peek_hunt(hunt.path)


@pytest.mark.parametrize(
    ("statements", "message"),
    [
        (["PRAGMA application_id = 1"], "no hunt file"),
        (["PRAGMA user_version = 99"], "newer"),
        (["PRAGMA user_version = 0"], "no complete hunt"),
        (["PRAGMA journal_mode = WAL"], "WAL"),
        (["DELETE FROM settings WHERE key = 'alpha'"], "not valid"),
        (["UPDATE settings SET value = '7' WHERE key = 'alpha'"], "not valid"),
        (["UPDATE settings SET value = '{' WHERE key = 'alpha'"], "cannot be read"),
        (["DELETE FROM releases"], "release is missing"),
        (["UPDATE shown SET row = 77 WHERE position = 0"], "contradicts"),
        (["UPDATE objects SET row = 9999 WHERE row = 0"], "rows that"),
        (["UPDATE objects SET object_id = 'evil' WHERE row = 0"], "knows it as"),
        (["UPDATE rounds SET number = 5"], "contradicts"),
        (["UPDATE examples SET vector = x'0011'"], "damaged"),
        (["UPDATE examples SET vector = x'00000000'"], "contradicts"),
        (["PRAGMA ignore_check_constraints = ON", "UPDATE examples SET verdict = 'maybe'"], "damaged"),
    ],
)
def test_a_file_that_was_tampered_with_is_one_clear_error(
    hunt: Hunt, release: Any, statements: list[str], message: str
) -> None:
    sql(hunt.path, *statements)
    with pytest.raises(HuntError, match=message):
        open_hunt(hunt.path, release)


def test_other_files_are_one_clear_error(tmp_path: Path, hunt: Hunt) -> None:
    (tmp_path / "empty.hunt").touch()
    (tmp_path / "text.hunt").write_text("no hunt at all" * 20)
    half = hunt.path.read_bytes()
    (tmp_path / "half.hunt").write_bytes(half[: len(half) // 2])
    noise = bytearray(half)
    noise[4096 : 4096 * 3] = bytes(range(256)) * 32
    (tmp_path / "noise.hunt").write_bytes(noise)
    for name in ("empty", "text", "half", "noise", "missing"):
        with pytest.raises(HuntError, match=f"{name}.hunt"):
            peek_hunt(tmp_path / f"{name}.hunt")
    with pytest.raises(HuntError):
        peek_hunt(tmp_path)


def test_a_folder_lists_its_hunts_only(hunt: Hunt, tmp_path: Path) -> None:
    shutil.copy(hunt.path, tmp_path / "copy")
    (tmp_path / "notes.txt").write_text("x")
    assert [info.path.name for info in list_hunts(tmp_path)] == ["a.hunt", "copy"]
    with pytest.raises(HuntError, match="cannot be read"):
        list_hunts(tmp_path / "nowhere")


def test_a_busy_file_is_one_clear_error(hunt: Hunt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("discovery.hunts.log.file.BUSY_TIMEOUT_S", 0.1)
    connection = sqlite3.connect(hunt.path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    with pytest.raises(HuntError, match="in use"):
        hunt.label(40, "positive", who="ann")
    connection.close()
    assert hunt.label(40, "positive", who="ann") == 1


def test_a_new_hunt_takes_nobodys_place(hunt: Hunt, release: Any, prompts: Callable, tmp_path: Path) -> None:
    with pytest.raises(HuntError, match="already there"):
        new_hunt(hunt.path, release, positives=prompts(5), who="bob")
    with pytest.raises(HuntError, match="cannot be written"):
        new_hunt(tmp_path / "no" / "folder.hunt", release, positives=prompts(5), who="bob")


STEPS = {
    "an empty file": ("discovery.hunts.log.file.HuntFile._fill", 1),
    "the tables": ("discovery.hunts.log.file.migrate", 1),
    "the first row": ("discovery.hunts.log.file.insert", 1),
    "the last rows": ("discovery.hunts.log.file.insert", 12),
    "the check of the schema": ("discovery.hunts.log.file.check_header", 1),
    "the check against the release": ("discovery.hunts.start.check_release", 1),
    "the sync": ("discovery.storage.atomic._sync_all", 1),
    "the name": ("discovery.storage.atomic._give_name", 1),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_hunt_whose_creation_fails_leaves_nothing_and_can_be_started_again(step, tmp_path, release, prompts, monkeypatch):
    target, fails_at = STEPS[step]
    calls = []

    def failing(*given: Any, **named: Any) -> Any:
        calls.append(given)
        if len(calls) == fails_at:
            raise OSError(28, "No space left on device")
        return original(*given, **named)

    module, name = target.rsplit(".", 1)
    original = pkgutil.resolve_name(target)
    with monkeypatch.context() as patch:
        patch.setattr(pkgutil.resolve_name(module), name, failing)
        with pytest.raises(HuntError, match="No space left"):
            new_hunt(tmp_path / "a.hunt", release, positives=prompts(0, 1, 2), who="ann")
    assert list(tmp_path.iterdir()) == []
    assert new_hunt(tmp_path / "a.hunt", release, positives=prompts(0, 1, 2), who="ann").next_round("ann").number == 1


def test_a_hunt_is_never_made_over_another_file(tmp_path, release, prompts, monkeypatch):
    taken = tmp_path / "a.hunt"
    taken.write_text("mine")
    with pytest.raises(HuntError, match="already there"):
        new_hunt(taken, release, positives=prompts(0), who="ann")
    assert taken.read_text() == "mine" and list(tmp_path.iterdir()) == [taken]


def test_a_hunt_is_made_where_there_are_no_hard_links(tmp_path, release, prompts, monkeypatch):
    def link(*given: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", link)
    made = new_hunt(tmp_path / "a.hunt", release, positives=prompts(0), who="ann")
    assert [path.name for path in tmp_path.iterdir()] == ["a.hunt"] and made.next_round("ann").number == 1
