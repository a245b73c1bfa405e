"""Who said what: history, undo of any label, notes, and that a move carries all of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from discovery.errors import HuntError
from discovery.hunts import Hunt, LabelRequest, move_hunt, new_hunt, open_hunt, peek_hunt
from discovery.search.prompts import prompt_from_row

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["ann", "bob"]),
        st.sampled_from([50, 51]),
        st.sampled_from(["positive", "negative", "unsure", "cleared", "undo"]),
        st.integers(0, 9),
    ),
    max_size=10,
)


@pytest.fixture
def hunt(tmp_path: Path, release: Any, prompts: Callable) -> Hunt:
    """Ann and Bob label, and Bob changes his mind about row 51."""
    made = new_hunt(tmp_path / "a.hunt", release, positives=prompts(0), negatives=prompts(90), who="ann")
    made.label(50, "positive", who="ann", reason="an arc")
    made.label(51, "negative", who="bob", negative_class="ring")
    made.label(51, "unsure", who="bob")
    made.label(52, "positive", who="ann")
    return made


def test_anybody_undoes_any_label(hunt: Hunt, release: Any) -> None:
    undone = hunt.undo("cy", event=1)
    assert (undone.undid, undone.event, undone.object_id, undone.verdict) == (1, 5, "obj-0050", "cleared")
    assert 50 not in hunt.labels() and hunt.counts().positive == 1
    assert hunt.undo("cy", event=2).verdict == "unsure"  # what stands after it stays
    assert hunt.undo("cy", event=3).verdict == "cleared" and list(hunt.labels()) == [52]
    assert [event.who for event in hunt.log()[4:]] == ["cy"] * 3
    with pytest.raises(HuntError, match="no label"):  # an undo is no label of one's own
        hunt.undo("cy")
    assert hunt.undo("ann").undid == 4 and open_hunt(hunt.path, release).labels() == {}


def test_an_undone_label_gives_back_the_one_before_with_its_class(hunt: Hunt) -> None:
    undone = hunt.undo("ann", event=3)
    assert (undone.row, undone.verdict, undone.negative_class) == (51, "negative", "ring")
    assert hunt.negative_classes() == {"ring": 1} and hunt.labels()[51].who == "bob"


@pytest.mark.parametrize(
    ("event", "message"), [(99, "no event 99"), (0, "no event 0"), (1, "already, by event 5"), (5, "an undo itself")]
)
def test_what_cannot_be_undone_is_one_clear_error(hunt: Hunt, event: int, message: str) -> None:
    hunt.undo("bob", event=1)
    with pytest.raises(HuntError, match=message):
        hunt.undo("bob", event=event)
    assert len(hunt.log()) == 5


def test_the_history_tells_what_became_of_each_line(hunt: Hunt) -> None:
    hunt.next_round("ann")
    row = int(hunt.round().rows[0])
    hunt.label(row, "positive", who="bob")
    hunt.undo("cy", event=2)
    lines = hunt.history()
    assert [line.event for line in lines] == [6, 5, 4, 3, 2, 1]
    assert [line.undone_by for line in lines] == [None, None, None, None, 6, None]
    assert [line.is_undo for line in lines] == [True, False, False, False, False, False]
    assert (lines[0].undoes, lines[0].who, lines[0].reason, lines[0].verdict) == (2, "cy", "undo", "unsure")
    assert (lines[1].row, lines[1].round) == (row, 1) and lines[5].reason == "an arc"
    assert lines[4].negative_class == "ring"


@pytest.mark.slow
@given(steps=STEPS)
@settings(max_examples=25, deadline=None)
def test_what_holds_is_the_log_without_what_was_undone(
    release: Any, prompts: Callable, tmp_path_factory: pytest.TempPathFactory, steps: list[tuple]
) -> None:
    made = new_hunt(tmp_path_factory.mktemp("log") / "a.hunt", release, positives=prompts(0), who="ann")
    kept: list[tuple[int, str]] = []  # (row, verdict) of every event; None once undone
    for who, row, verdict, at in steps:
        left = [place for place, one in enumerate(kept) if one is not None]
        if verdict != "undo":
            made.label(row, verdict, who=who)
            kept.append((row, verdict))
        elif left:
            place = left[at % len(left)]
            kept[place] = None
            made.undo(who, event=place + 1)
            kept.append(None)
    expected = {row: verdict for row, verdict in filter(None, kept)}
    assert {row: state.verdict for row, state in made.labels().items()} == {
        row: verdict for row, verdict in expected.items() if verdict != "cleared"
    }
    lines = made.history()
    assert [line.event for line in lines if line.undone_by is None and not line.is_undo][::-1] == [
        place for place, one in enumerate(kept, 1) if one is not None
    ]


def test_notes_stay_with_their_object(hunt: Hunt, release: Any) -> None:
    assert hunt.note(50, "  a second arc?\nlook again ", "ann") == 1
    assert hunt.note(399, "the duplicate of row 0", "bob") == 2  # row 399 is row 0 once more
    assert hunt.note(50, "seen: a spiral arm", "bob") == 3
    again = open_hunt(hunt.path, release)
    assert [note.text for note in again.notes(50)] == ["a second arc?\nlook again", "seen: a spiral arm"]
    assert [(note.row, note.object_id) for note in again.notes(0)] == [(0, "obj-0000")] == [
        (note.row, note.object_id) for note in again.notes(399)
    ]
    assert [note.who for note in again.notes()] == ["ann", "bob", "bob"] and again.notes(77) == []
    assert peek_hunt(hunt.path).notes == 3
    for row, text in ((50, " "), (50, "x" * 5000), (400, "nobody"), (-1, "nobody")):
        with pytest.raises(HuntError):
            hunt.note(row, text, "ann")
    assert len(hunt.notes()) == 3 and hunt.labels().keys() == {50, 51, 52}


def test_a_move_carries_notes_settings_and_reasons(
    hunt: Hunt, build_release: Callable, build_vectors: Callable, tmp_path: Path
) -> None:
    hunt.set_strategy("linear", "ann")
    hunt.set_consensus("arbiter:bob", "ann")
    hunt.note(50, "an arc", "ann")
    hunt.note(380, "never labelled", "bob")
    first = hunt.next_round("ann")
    order = np.arange(400)[::-1]
    names = [f"obj-{row:04d}" for row in order]
    places = {"ra": 150.0 + order * 0.01, "dec": np.linspace(-5, 5, 400)[order]}
    other = build_release(tmp_path, "other", build_vectors(dimension=16, seed=8)[order], object_id=names, **places)
    other = replace(other, encoder_checksum="b" * 64)
    moved, report = move_hunt(hunt.path, other, tmp_path / "b.hunt", "cy")
    assert report.not_found == () and report.audits_left == 0
    assert (moved.strategy, moved.consensus) == ("linear", "arbiter:bob")
    assert [replace(note, row=None) for note in moved.notes()] == [replace(note, row=None) for note in hunt.notes()]
    assert [note.row for note in moved.notes()] == [399 - 50, 399 - 380]
    assert moved.rounds()[0].reasons == first.reasons == ("likely",) * 20
    second = moved.next_round("cy")
    assert second.parts["strategy"] == "linear" and moved.replay(2) == second


@pytest.mark.slow
def test_thousands_of_labels_by_two_people(
    tmp_path: Path, build_release: Callable, build_vectors: Callable
) -> None:
    count = 5100
    names = [f"obj-{row:04d}" for row in range(count)]
    many = build_release(tmp_path, "many", build_vectors(count, 8), object_id=names, truth_class=["x"] * count)
    made = new_hunt(tmp_path / "many.hunt", many, positives=[prompt_from_row(many, 0)], who="ann")
    for who in ("ann", "bob"):
        made.label_many([LabelRequest(row=row, verdict="negative") for row in range(1, 5001)], who=who)
    for event in range(1, 11):
        made.undo("cy", event=event)
    made.label(5000, "positive", who="cy")
    assert (len(made.history()), len(made.labels())) == (10_011, 5000)
    assert [one.row for one in made.disagreements()] == [5000]
