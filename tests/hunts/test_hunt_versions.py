"""Hunt files of versions 1 and 2, written by the programs of then, open, replay and go on as before."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discovery.errors import HuntError
from discovery.hunts import Counts, list_hunts, new_hunt, open_hunt, peek_hunt
from discovery.hunts.alpha_rule import alpha_rule
from discovery.hunts.models.ranking import TrainingSet, rank, round_seed
from discovery.hunts.replay import replay_hunt

STORED = Path(__file__).parent / "stored"

VERSION_1 = """
CREATE TABLE settings (
            event INTEGER PRIMARY KEY, key TEXT NOT NULL, value TEXT NOT NULL,
            who TEXT NOT NULL, "when" TEXT NOT NULL) STRICT;
CREATE TABLE releases (
            id INTEGER PRIMARY KEY, name TEXT NOT NULL, path TEXT NOT NULL, relative_path TEXT NOT NULL,
            encoder_checksum TEXT NOT NULL, dimension INTEGER NOT NULL, count INTEGER NOT NULL,
            who TEXT NOT NULL, "when" TEXT NOT NULL) STRICT;
CREATE TABLE objects (
            object_id TEXT PRIMARY KEY, row INTEGER UNIQUE, ra_deg REAL, dec_deg REAL, former_id TEXT) STRICT;
CREATE TABLE examples (
            id INTEGER PRIMARY KEY, label TEXT NOT NULL, object_id TEXT,
            verdict TEXT NOT NULL CHECK (verdict IN ('positive', 'negative')),
            vector BLOB NOT NULL, encoder_checksum TEXT NOT NULL, who TEXT NOT NULL, "when" TEXT NOT NULL) STRICT;
CREATE TABLE labels (
            event INTEGER PRIMARY KEY AUTOINCREMENT, object_id TEXT NOT NULL, row INTEGER,
            verdict TEXT NOT NULL CHECK (verdict IN ('positive', 'negative', 'unsure', 'skipped', 'cleared')),
            negative_class TEXT, who TEXT NOT NULL, "when" TEXT NOT NULL, round INTEGER, reason TEXT,
            undoes INTEGER) STRICT;
CREATE INDEX labels_by_object ON labels (object_id, event);
CREATE UNIQUE INDEX labels_by_undoes ON labels (undoes);
CREATE TABLE rounds (
            number INTEGER PRIMARY KEY, release_id INTEGER NOT NULL, strategy TEXT NOT NULL, parts TEXT NOT NULL,
            seed INTEGER NOT NULL, alpha REAL NOT NULL, digest TEXT NOT NULL, positives INTEGER NOT NULL,
            negatives INTEGER NOT NULL, why TEXT NOT NULL, last_event INTEGER NOT NULL,
            who TEXT NOT NULL, "when" TEXT NOT NULL) STRICT;
CREATE TABLE shown (
            round INTEGER NOT NULL, position INTEGER NOT NULL, object_id TEXT NOT NULL, row INTEGER,
            score REAL NOT NULL, PRIMARY KEY (round, position)) STRICT, WITHOUT ROWID;
CREATE INDEX shown_by_object ON shown (object_id, round);
PRAGMA application_id = 1195657300;
PRAGMA user_version = 1;
"""
EXAMPLES, ALPHA, PAGE, SEED = {0: "positive", 1: "positive", 90: "negative"}, 0.123456789, 8, 3


class OldHunt:
    """A hunt played and written down as version 1 did."""

    def __init__(self, path: Path, release: Any) -> None:
        self.path, self.release = path, release
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.verdicts: dict[int, str] = dict(EXAMPLES)
        self.events, self.rounds, self.page = 0, 0, np.empty(0, dtype=np.int64)
        self.connection.executescript(VERSION_1)
        values = {"name": "old", "alpha": ALPHA, "page_size": PAGE, "seed": SEED, "where": None, "flagged": True}
        for key, value in values.items():
            self.add("settings", key=key, value=json.dumps(value))
        place = {"path": str(release.path), "relative_path": "small", "encoder_checksum": release.encoder_checksum}
        self.add("releases", name="small", dimension=release.dimension, count=release.count, **place)
        for row, verdict in EXAMPLES.items():
            vector = release.vectors[row].astype("<f4").tobytes()
            self.name_object(row)
            self.add(
                "examples", label="x", object_id=f"obj-{row:04d}", verdict=verdict, vector=vector,
                encoder_checksum=release.encoder_checksum,
            )  # fmt: skip

    def add(self, table: str, stamped: bool = True, **line: Any) -> None:
        """Insert a line."""
        line |= {"who": "ann", "when": "2026-01-01T00:00:00.000000+00:00"} if stamped else {}
        names = ", ".join(f'"{name}"' for name in line)
        marks = ", ".join("?" * len(line))
        self.connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(line.values()))

    def name_object(self, row: int) -> None:
        """Name an object once."""
        if not self.connection.execute("SELECT 1 FROM objects WHERE row = ?", (row,)).fetchone():
            self.add("objects", stamped=False, object_id=f"obj-{row:04d}", row=row, ra_deg=None, dec_deg=None)

    def label(self, row: int, verdict: str) -> None:
        """Label a row."""
        self.events += 1
        self.name_object(row)
        self.add("labels", object_id=f"obj-{row:04d}", row=row, verdict=verdict, round=self.rounds or None)
        self.verdicts[row] = verdict

    def next_round(self) -> np.ndarray:
        """Play by the published rule: rank, compare P/N with alpha, show the highest or the lowest."""
        self.rounds += 1
        seed = round_seed(SEED, self.rounds)
        rows = {kind: sorted(r for r, v in self.verdicts.items() if v == kind) for kind in ("positive", "negative")}
        taught = TrainingSet(**{f"{kind}s": self.release.vectors[rows[kind]] for kind in rows})
        ranking = rank(self.release, taught, seed=seed)
        said = [self.verdicts.get(row) for row in self.page.tolist()]
        positives, negatives = said.count("positive"), said.count("negative")
        direction = alpha_rule(positives, negatives, ALPHA)
        left = np.setdiff1d(np.arange(399), list(self.verdicts))
        keys = ranking.order_scores[left] * (-1 if direction == "highest" else 1)
        self.page = left[np.argsort(keys, kind="stable")][:PAGE]
        self.add(
            "rounds", number=self.rounds, release_id=1, strategy=f"rescorer-{direction}",
            parts=json.dumps(self.parts(), sort_keys=True), seed=seed, alpha=ALPHA, digest=ranking.digest,
            positives=positives, negatives=negatives, why=self.why(positives, negatives, direction), last_event=self.events,
        )  # fmt: skip
        for position, (row, score) in enumerate(zip(self.page.tolist(), ranking.shown(self.page).tolist(), strict=True)):
            self.name_object(row)
            place = {"object_id": f"obj-{row:04d}", "row": row, "score": score}
            self.add("shown", stamped=False, round=self.rounds, position=position, **place)
        return self.page

    def parts(self) -> dict[str, Any]:
        """The parts as version 1 wrote them."""
        mlp = {"name": "mlp", "hidden": 2048, "steps": 30, "batch": 128, "learning_rate": 1e-3, "weight_decay": 1e-2}
        weak = {"background": 2048, "unlabelled": 128, "unlabelled_share": 0.8}
        return {
            "candidates": {"name": "unlabelled", "where": None, "flagged": True},
            "ranker": mlp | weak,
            "chooser": {"name": "alpha-rule", "page_size": PAGE},
        }

    @staticmethod
    def why(positives: int, negatives: int, direction: str) -> str:
        """The sentence of version 1."""
        if not positives and not negatives:
            return "highest scores: nothing was decided in the latest round"
        ratio = f"{positives / negatives:.3g}" if negatives else "infinite"
        compared = "no positives" if not positives else (
            f"{'not above' if direction == 'highest' else 'above'} alpha = {ALPHA:g}"
        )  # fmt: skip
        return f"{direction} scores: P/N = {positives}/{negatives} = {ratio} in the latest round, {compared}"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, release: Any) -> OldHunt:
    """Three rounds, labelled with the truth."""
    hunt = OldHunt(tmp_path_factory.mktemp("old") / "old.hunt", release)
    for _ in range(3):
        for row in hunt.next_round().tolist():
            hunt.label(row, "positive" if row < 40 else "negative")
    hunt.connection.close()
    return hunt


@pytest.fixture
def old(written: OldHunt, tmp_path: Path) -> Path:
    """A copy of the old file."""
    return Path(shutil.copy(written.path, tmp_path / "old.hunt"))


def version_of(path: Path) -> int:
    """The version in a file's header."""
    return int.from_bytes(path.read_bytes()[60:64], "big")


def test_an_old_file_opens_and_every_round_replays(old: Path, written: OldHunt, release: Any) -> None:
    assert version_of(old) == 1
    hunt = open_hunt(old, release)
    assert version_of(old) == 2 and (hunt.strategy, hunt.consensus, hunt.alpha) == ("alpha", "latest", ALPHA)
    rounds = hunt.rounds()
    assert len(rounds) == 3 and {played.strategy for played in rounds} == {"rescorer-highest", "rescorer-lowest"}
    for played in rounds:
        assert played.reasons == ("",) * PAGE and hunt.replay(played.number) == played
    assert rounds[-1].rows.tolist() == written.page.tolist() and hunt.counts().total == 24


def test_an_old_hunt_plays_on_by_the_published_rule(
    old: Path, written: OldHunt, release: Any, tmp_path: Path
) -> None:
    hunt = open_hunt(old, release)
    played = hunt.next_round("bob")
    on = OldHunt(tmp_path / "scratch", release)
    on.verdicts, on.events, on.rounds, on.page = written.verdicts, written.events, written.rounds, written.page
    assert played.rows.tolist() == on.next_round().tolist()
    (line,) = on.connection.execute("SELECT digest, why, strategy, positives, negatives FROM rounds")
    on.connection.close()
    assert line == (played.digest, played.why, played.strategy, played.positives, played.negatives)
    assert set(played.reasons) == {"likely" if played.strategy == "rescorer-highest" else "unlikely"}
    assert hunt.replay(4) == played and hunt.replay(1) == hunt.rounds()[0]


def test_an_old_file_takes_all_that_is_new(old: Path, release: Any) -> None:
    hunt = open_hunt(old, release)
    hunt.set_strategy("linear", "bob")
    hunt.note(50, "a faint arc", "bob")
    hunt.undo("bob", event=3)
    played = hunt.next_round("bob")
    again = open_hunt(old, release)
    assert played.strategy == "linear-highest" and again.replay(4) == played
    assert [note.text for note in again.notes()] == ["a faint arc"] and peek_hunt(old).notes == 1


def test_a_new_file_has_the_tables_of_an_old_one_brought_up(
    old: Path, release: Any, prompts: Callable
) -> None:
    peek_hunt(old)
    made = new_hunt(old.with_name("new.hunt"), release, positives=prompts(0), who="ann")
    schemas = []
    for path in (old, made.path):
        with sqlite3.connect(path) as connection:
            schemas.append(connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY 1, 2").fetchall())
        connection.close()
    assert schemas[0] == schemas[1]


@pytest.mark.parametrize(
    "statement", ["CREATE TABLE notes (x)", "ALTER TABLE shown ADD COLUMN reason TEXT", "DROP INDEX shown_by_object"]
)
def test_an_old_file_with_other_tables_is_not_brought_up(
    old: Path, release: Any, statement: str
) -> None:
    connection = sqlite3.connect(old)
    connection.execute(statement)
    connection.close()
    with pytest.raises(HuntError, match="no hunt's"):
        open_hunt(old, release)
    assert version_of(old) == 1 and list_hunts(old.parent) == []


def test_the_tables_of_version_2_under_the_number_1_are_refused(
    release: Any, prompts: Callable, tmp_path: Path
) -> None:
    made = new_hunt(tmp_path / "a.hunt", release, positives=prompts(0), who="ann")
    connection = sqlite3.connect(made.path, isolation_level=None)
    connection.execute("PRAGMA user_version = 1")
    connection.close()
    with pytest.raises(HuntError, match="no hunt's"):
        peek_hunt(made.path)


def test_an_old_file_that_may_not_be_written_says_so(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = sqlite3.connect  # root may write any file, so that SQLite is told not to
    monkeypatch.setattr(
        "discovery.hunts.log.file.sqlite3.connect",
        lambda address, **options: genuine(address.replace("mode=rw", "mode=ro"), **options),
    )
    with pytest.raises(HuntError, match="may not be written"):
        peek_hunt(old)


def test_many_open_an_old_file_at_once(old: Path, release: Any) -> None:
    with ThreadPoolExecutor(8) as pool:
        hunts = list(pool.map(lambda who: open_hunt(old, release).label(50, "unsure", who=who), "abcdefgh"))
    assert sorted(hunts) == list(range(25, 33)) and version_of(old) == 2


def test_a_hunt_of_before_opens_replays_and_goes_on(tmp_path, release):
    """A file of version 2 by the program before hunts had one state: seven strategies, three people, an audit, an undo."""
    before = Path(shutil.copy(STORED / "version-2.hunt", tmp_path / "a.hunt"))
    hunt = open_hunt(before, release)
    report = replay_hunt(hunt)
    assert len(report.rounds) == 7
    for played in report.rounds:  # another BLAS or processor may differ in the last digit, which the report states
        assert played.outcome == "same" or played.changed.keys() - {"discovery"}, played.differences
    state = hunt.state()
    assert state.counts == Counts(positive=26, negative=14, unsure=1)
    assert state.people == ("bob", "ann", "cy") and len(state.notes) == 1
    assert state.settings.flagged and state.settings.cone is None and len(state.current_audits) == 1
    for row in hunt.next_round("ann").rows.tolist():
        hunt.label(row, "positive" if row < 40 else "negative", who="ann")
    assert hunt.next_round("ann").number == 9 and hunt.replay(9) == hunt.round() and open_hunt(before, release).replay(8).number == 8
