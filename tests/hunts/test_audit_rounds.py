"""Audit stamps in rounds: shown for their turn, and otherwise no part of the hunt."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discovery.errors import HuntError
from discovery.hunts import Hunt, LabelRequest, move_hunt, new_hunt, open_hunt
from discovery.hunts.log.audits import add_audit
from discovery.hunts.log.release_check import object_rows
from discovery.hunts.log.store import now
from discovery.search.prompts import prompt_from_row

PAGE = 10


@pytest.fixture
def start(tmp_path: Path, release: Any, prompts: Callable) -> Callable[..., Hunt]:
    """Start a hunt from three positives and a negative."""

    def started(name: str = "a", **options: Any) -> Hunt:
        examples = {"positives": prompts(0, 1, 2), "negatives": prompts(90)}
        options = {"who": "ann", "page_size": PAGE, "strategy": "linear", **options}
        return new_hunt(tmp_path / f"{name}.hunt", release, **examples, **options)

    return started


def draw(hunt: Hunt, rows: Sequence[int]) -> None:
    """Record an audit of these rows, in this order."""
    objects = [{**line, "stratum": 0, "score": 0.5} for line in object_rows(hunt.release, rows)]
    design = {"strata": [{"size": 100}]}
    seen = {"seen": hunt.state().mark, "seed": 1, "digest": "0" * 64, "design": design}
    add_audit(hunt.store, objects=objects, who="ann", when=now(), **seen)


def answer(hunt: Hunt) -> None:
    """Label the latest round with the truth: rows below 40 are targets."""
    rows = hunt.round().rows.tolist()
    hunt.label_many([LabelRequest(row=row, verdict="positive" if row < 40 else "negative") for row in rows], who="ann")


def drawn_in(played: Any) -> list[int]:
    """The audit's rows of a round, in the order shown."""
    return [row for row, reason in zip(played.rows.tolist(), played.reasons, strict=True) if reason == "audit"]


def test_audit_stamps_come_in_order_within_half_a_page(start: Callable, release: Any) -> None:
    hunt = start()
    rows = [20, 300, 5, 250, 33, 310, 320]
    draw(hunt, rows)
    hunt.label(300, "negative", who="bob")  # labelled by somebody before its turn
    first = hunt.next_round("ann")
    assert drawn_in(first) == [20, 5, 250, 33, 310] and len(first.rows) == PAGE
    assert first.reasons.count("likely") == 5 and "5 stamps of the audit" in first.why
    places = [at for at, reason in enumerate(first.reasons) if reason == "audit"]
    assert np.isnan(first.scores[places]).all() and np.isfinite(np.delete(first.scores, places)).all()
    answer(hunt)
    second = hunt.next_round("ann")
    assert drawn_in(second) == [320] and second.reasons.count("likely") == 9
    answer(hunt)
    assert hunt.state().waiting == [] and set(hunt.next_round("ann").reasons) == {"likely"}
    assert places != list(range(5, 10))  # mixed in, not put at the end
    again = open_hunt(hunt.path, release)
    assert [again.replay(number) for number in (1, 2, 3)] == again.rounds()
    assert np.array_equal(again.rounds()[0].scores, first.scores, equal_nan=True)
    with again.store.reading() as connection:
        assert connection.execute("SELECT DISTINCT score FROM shown WHERE reason = 'audit'").fetchall()[0][0] == 0.0


def test_what_an_audit_drew_never_teaches_and_is_no_candidate(start: Callable, release: Any) -> None:
    hunt, plain = start("a"), start("b")
    best = plain.prepare().round.rows.tolist()
    draw(hunt, best[:3])
    for row in best[:3]:
        hunt.label(row, "positive", who="ann")
    played = hunt.next_round("ann")
    assert played.rows.tolist() == plain.prepare(13).round.rows.tolist()[3:13]
    assert played.digest == plain.prepare().round.digest == hunt.ranking().digest
    assert len(hunt.training().positives) == 3 and hunt.counts().positive == 3
    plain.label(best[0], "positive", who="ann")
    assert plain.prepare().round.digest != played.digest  # any other label would have taught


def test_the_alpha_rule_does_not_count_the_audit(start: Callable) -> None:
    hunt = start(strategy="alpha", alpha=0.5)
    draw(hunt, [20, 21, 22, 300, 301])
    first = hunt.next_round("ann")
    assert len(drawn_in(first)) == 5
    for row, reason in zip(first.rows.tolist(), first.reasons, strict=True):
        hunt.label(row, "positive" if reason == "audit" else "negative", who="ann")
    second = hunt.next_round("ann")
    assert (second.positives, second.negatives) == (0, 5) and "no positives" in second.why


def test_a_stamp_that_was_shown_before_it_was_drawn_is_the_audits_too(start: Callable) -> None:
    hunt = start(strategy="alpha", alpha=0.5)
    shown = hunt.next_round("ann").rows.tolist()
    draw(hunt, shown[:2])
    for row in shown[:2]:
        hunt.label(row, "positive", who="ann")
    hunt.label(shown[2], "negative", who="ann")
    second = hunt.next_round("ann")
    assert (second.positives, second.negatives) == (0, 1) and len(hunt.training().positives) == 3


def test_a_cleared_or_undone_audit_label_waits_again(start: Callable) -> None:
    hunt = start()
    draw(hunt, [20, 300])
    hunt.label(20, "positive", who="ann")
    hunt.label(300, "negative", who="ann")
    assert drawn_in(hunt.prepare().round) == []
    hunt.undo("bob", event=1)
    hunt.label(300, "cleared", who="bob")
    assert drawn_in(hunt.next_round("ann")) == [20, 300]


def test_a_page_of_one_and_a_hunt_with_nothing_left_still_show_the_audit(start: Callable) -> None:
    hunt = start(page_size=1)
    draw(hunt, [300])
    only = hunt.next_round("ann")
    assert (only.rows.tolist(), only.reasons, only.strategy) == ([300], ("audit",), "audit")
    small = start("b", where="row < 12", page_size=6)
    draw(small, [3, 4, 5, 6, 7, 8])
    for row in (9, 10):
        small.label(row, "negative", who="ann")
    played = small.next_round("ann")
    assert drawn_in(played) == [3, 4, 5, 6, 7] and 11 in played.rows
    answer(small)
    last = small.next_round("ann")
    assert last.rows.tolist() == [8] and small.replay(2) == last
    answer(small)
    assert small.next_round("ann").exhausted


def test_an_audit_drawn_meanwhile_makes_a_prepared_page_old(start: Callable) -> None:
    hunt = start()
    ahead = hunt.prepare()
    draw(hunt, ahead.round.rows[:3].tolist())
    played = hunt.next_round("ann", prepared=ahead)
    assert sorted(drawn_in(played)) == sorted(ahead.round.rows[:3].tolist()) and played.parts["audits"] == 1
    assert not hunt.store.add_round(ahead.round, [])  # not even behind the hunt's back


def test_rounds_before_an_audit_replay_without_it(start: Callable) -> None:
    hunt = start()
    first = hunt.next_round("ann")
    draw(hunt, first.rows[:4].tolist())
    second = hunt.next_round("ann")
    assert hunt.replay(1) == first and hunt.replay(2) == second and drawn_in(second) == first.rows[:4].tolist()


def test_a_move_leaves_audits_behind_as_a_record(
    start: Callable, release: Any, tmp_path: Path
) -> None:
    hunt = start()
    draw(hunt, [20, 300, 301])
    hunt.label(20, "positive", who="ann")
    moved, report = move_hunt(hunt.path, release, tmp_path / "b.hunt", "cy")
    assert report.audits_left == 1 and moved.state().waiting == [] and moved.state().drawn == {}
    assert len(moved.training().positives) == 4  # its label teaches there
    assert [event.verdict for event in moved.log()] == ["positive"]
    tables = moved.store.tables()
    assert [line["object_id"] for line in tables["audit_objects"]] == ["obj-0020", "obj-0300", "obj-0301"]
    assert json.loads(tables["audits"][0]["design"])["strata"] == [{"size": 100}]
    draw(moved, [310])
    assert drawn_in(moved.next_round("cy")) == [310] and moved.replay(1).parts["audits"] == 2


def test_an_audit_of_objects_that_the_file_does_not_name_is_refused(start: Callable, release: Any) -> None:
    hunt = start()
    draw(hunt, [20])
    with hunt.store.writing() as connection:
        connection.execute("UPDATE audit_objects SET row = 123456")
    with pytest.raises(HuntError, match="contradicts"):
        open_hunt(hunt.path, release)


def test_an_example_that_is_drawn_stays_an_example(start: Callable, release: Any) -> None:
    hunt = new_hunt(start().path.with_name("c.hunt"), release, positives=[prompt_from_row(release, 0)], who="ann")
    draw(hunt, [0])
    assert len(hunt.training().positives) == 1
