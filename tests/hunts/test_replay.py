"""Replays: every round comes out again, and what was tampered with is found."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from discovery.cli import main
from discovery.hunts import Hunt, LabelRequest, new_hunt, open_hunt
from discovery.hunts.replay import replay_hunt
from discovery.search.known_files import read_known
from discovery.search.known_objects import find_known

STRATEGIES = ("linear", "auto", "alpha")


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory, release: Any, prompts: Callable) -> Path:
    """Three rounds by three strategies, one of them without known objects, with labels of two people and an undo."""
    folder = tmp_path_factory.mktemp("replayed")
    (folder / "known.csv").write_text("ra,dec\n150.02,-4.94987\n150.03,-4.92481\n")
    made = new_hunt(folder / "a.hunt", release, positives=prompts(0, 1), negatives=prompts(90), page_size=8, who="ann")
    known = find_known(release, [read_known(folder / "known.csv")], 5.0)
    assert len(known.by_row) == 2
    for strategy, without in zip(STRATEGIES, (None, known, None), strict=True):
        made.set_strategy(strategy, "ann")
        rows = made.next_round("ann", without=without).rows.tolist()
        verdicts = ["positive" if row < 40 else "negative" for row in rows]
        made.label_many([LabelRequest(row=row, verdict=said) for row, said in zip(rows, verdicts, strict=True)], who="ann")  # type: ignore[arg-type]
        made.label(rows[0], "unsure", who="bob")
        made.undo("bob")
    return folder / "a.hunt"


@pytest.fixture
def hunt(played: Path, release: Any, tmp_path: Path) -> Hunt:
    """A copy of the played hunt."""
    return open_hunt(shutil.copy(played, tmp_path / "a.hunt"), release)


def tampered(hunt: Hunt, statement: str, *values: Any) -> Hunt:
    """The hunt with one line of its file changed behind its back."""
    with closing(sqlite3.connect(hunt.path)) as connection:
        connection.execute(statement, values)
        connection.commit()
    return open_hunt(hunt.path, hunt.release)


def test_every_round_comes_out_again(hunt: Hunt) -> None:
    before = hunt.path.read_bytes()
    report = replay_hunt(hunt)
    assert report.confirmed and [one.outcome for one in report.rounds] == ["same"] * 3
    assert [one.candidates for one in report.rounds] == [8, 8, 8]
    assert [one.digest for one in report.rounds] == [one.digest for one in hunt.rounds()]
    assert all(one.differences == () and one.changed == {} for one in report.rounds)
    assert len(report.rounds[2].model["weights"]) == 64
    assert {"numpy", "blas", "machine"} <= set(report.versions)
    assert hunt.path.read_bytes() == before


def test_another_candidate_another_digest_and_other_weights_are_named(hunt: Hunt) -> None:
    name = hunt.rounds()[1].object_ids[3]
    other = hunt.rounds()[2].parts
    other["ranker"]["weights"] = "0" * 64
    other["versions"]["numpy"] = "1.0"
    stranger = next(line["object_id"] for line in hunt.known_objects() if line["object_id"] not in hunt.rounds()[1].object_ids)
    row = hunt.release.catalogue.find_id(stranger)
    changed = tampered(hunt, "UPDATE shown SET object_id = ?, row = ? WHERE round = 2 AND object_id = ?", stranger, row, name)
    changed = tampered(changed, "UPDATE rounds SET parts = ? WHERE number = 3", json.dumps(other))
    changed = tampered(changed, "UPDATE rounds SET digest = ? WHERE number = 1", "f" * 64)
    report = replay_hunt(changed)
    assert not report.confirmed and report.number("differs") == 3
    first, second, third = report.rounds
    assert first.differences[0].startswith("scores: digest ffffffffffff is now") and len(first.differences) == 1
    assert second.differences[0] == f"candidates: 1 of 8 are others (first {stranger})"
    assert third.differences[0].startswith("model: weights 0000") and third.changed["numpy"][0] == "1.0"
    assert "numpy" not in second.changed


def test_a_label_changed_in_the_log_is_noticed(hunt: Hunt) -> None:
    changed = tampered(hunt, "UPDATE labels SET verdict = 'negative' WHERE event = 1")
    outcomes = [one.outcome for one in replay_hunt(changed).rounds]
    assert outcomes[0] == "same" and "differs" in outcomes[1:]


def test_parts_that_are_not_known_are_said(hunt: Hunt) -> None:
    parts = {**hunt.rounds()[1].parts, "strategy": "crystal-ball"}
    report = replay_hunt(tampered(hunt, "UPDATE rounds SET parts = ? WHERE number = 2", json.dumps(parts)))
    assert [one.outcome for one in report.rounds] == ["same", "cannot be played", "same"] and not report.confirmed
    assert "crystal-ball" in report.rounds[1].differences[0]


def test_the_command_says_it_line_by_line(
    hunt: Hunt, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    (hunt.release.path / "manifest.json").write_text("{}")
    monkeypatch.setattr("discovery.release.release.open_release", lambda path: hunt.release)
    assert main(["hunt", "replay", str(hunt.path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and lines[3] == "3 of 3 rounds come out as recorded"
    assert lines[0].startswith("round   1  same") and hunt.rounds()[0].digest[:12] in lines[0]
    tampered(hunt, "UPDATE rounds SET digest = ? WHERE number = 2", "f" * 64)
    assert main(["hunt", "replay", str(hunt.path), "--json"]) == 1
    said = capsys.readouterr()
    document = json.loads(said.out)
    assert not document["confirmed"] and [one["outcome"] for one in document["rounds"]] == ["same", "differs", "same"]
    assert said.err == "discovery: error: 1 of 3 rounds of a.hunt do not come out as recorded\n"


def indexed(release: Any, kind: str, worse: bool = False) -> Any:
    """The release as one whose index says what it is; a worse one misses every other row."""

    class Indexed(type(release)):  # type: ignore[misc]
        index_facts: ClassVar = {"index": {"kind": kind, "file": "index.faiss", "bytes": len(kind)}, "faiss": "1.2"}

        def nearest_many(self, vectors: Any, k: int, allowed: Any = None) -> Any:
            if not worse:
                return super().nearest_many(vectors, k, allowed)
            found = np.arange(self.count) % 2 == 0
            return super().nearest_many(vectors, k, found if allowed is None else allowed & found)

    return Indexed(**{field.name: getattr(release, field.name) for field in dataclasses.fields(release)})


@pytest.fixture
def pooled(release: Any, prompts: Callable, tmp_path: Path) -> Hunt:
    """A hunt with a round through a candidate pool."""
    made = new_hunt(
        tmp_path / "p.hunt", indexed(release, "IVF8"), positives=prompts(0, 1), page_size=8, who="ann", strategy="auto@pool:40"
    )
    made.next_round("ann")
    return made


def test_a_rebuilt_index_is_said(
    pooled: Hunt, release: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    recorded = pooled.rounds()[0]
    assert recorded.parts["candidates"]["source"]["index"] == {"kind": "IVF8", "file": "index.faiss", "bytes": 4}
    assert pooled.replay(1) == recorded and replay_hunt(pooled).rounds[0].notes == ()
    equal, worse = (open_hunt(pooled.path, indexed(release, "IVF16", worse)) for worse in (False, True))
    statement = "the index was rebuilt since this round: bytes 4 file index.faiss kind IVF8, now bytes 5 file index.faiss kind IVF16"
    assert equal.replay(1).parts["candidates"]["source"]["changed"] == [statement]
    (same,), (other,) = replay_hunt(equal).rounds, replay_hunt(worse).rounds
    assert (same.outcome, same.notes, same.differences) == ("same", (statement,), ())
    assert (other.outcome, other.notes) == ("differs", (statement,)) and other.differences[0].startswith("candidates: ")
    (release.path / "manifest.json").write_text("{}")
    monkeypatch.setattr("discovery.release.release.open_release", lambda path: worse.release)
    assert main(["hunt", "replay", str(pooled.path)]) == 1
    assert statement in capsys.readouterr().out


def test_a_round_that_was_recorded_without_its_index_replays(pooled: Hunt, release: Any) -> None:
    parts = pooled.rounds()[0].parts
    for name in ("index", "faiss"):
        del parts["candidates"]["source"][name]
    old = tampered(pooled, "UPDATE rounds SET parts = ?", json.dumps(parts))
    (played,) = replay_hunt(old).rounds
    assert (played.outcome, played.notes) == ("same", ()) and old.replay(1) == old.rounds()[0]
    assert replay_hunt(open_hunt(pooled.path, indexed(release, "IVF16", worse=True))).rounds[0].outcome == "differs"
