"""The state of a hunt, read as far as its file has grown, is the state read whole, whoever writes to the file."""

import threading
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from discovery.errors import HuntError
from discovery.hunts import new_hunt, open_hunt
from discovery.hunts.consensus import agreed
from discovery.hunts.state import HuntState, StateReader, read_state
from discovery.search.prompts import prompt_from_row

SETTINGS = settings(deadline=None, max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
PEOPLE = ("ann", "bob")
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["label", "undo", "rule", "round"]),
        st.sampled_from(PEOPLE),
        st.integers(0, 9),
        st.sampled_from(["positive", "negative", "unsure", "skipped", "cleared"]),
        st.sampled_from([None, "ring", "star"]),
    ),
    max_size=14,
)


def check(reader: StateReader) -> HuntState:
    """Compare the state that grew with the one derived from the whole file; it is the same object until more is added."""
    state, whole = reader.read(), read_state(reader._store)
    for name in ("mark", "settings", "log", "rounds", "audits", "notes", "labels", "counts", "disagreements", "people"):
        assert getattr(state, name) == getattr(whole, name), name
    assert list(state.negative_classes.items()) == list(whole.negative_classes.items())
    assert [line.tolist() for line in state.curve] == [line.tolist() for line in whole.curve]
    assert list(state.drawn.items()) == list(whole.drawn.items()) and state.waiting == whole.waiting
    assert state.verdicts_after(state.mark.last_event, state.settings.consensus) == state.all_verdicts
    assert reader.read() is state
    return state


@pytest.fixture
def make_hunt(release, tmp_path_factory):
    def make():
        path = tmp_path_factory.mktemp("hunts") / "a.hunt"
        return new_hunt(path, release, positives=[prompt_from_row(release, 1)], page_size=4, strategy="similarity", who="ann")

    return make


@SETTINGS
@given(steps=STEPS)
def test_a_state_follows_every_change_and_is_what_it_was_before(make_hunt, steps):
    hunt = make_hunt()
    reader, other, moments = StateReader(hunt.store), open_hunt(hunt.path, hunt.release), []
    for what, who, number, verdict, kind in steps:
        row = int(np.flatnonzero(hunt.release.primary)[10 + number])
        if what == "label":
            other.label(row, verdict, who=who, negative_class=kind if verdict == "negative" else None)
        elif what == "undo":
            with suppress(HuntError):  # nothing of that person is left to undo
                other.undo(who)
        elif what == "rule":
            other.change(who, consensus=("latest", "majority", "arbiter:ann")[number % 3])
        else:
            other.next_round(who)
        if number == 0:
            other.note(row, f"{what} by {who}", who)
        moments.append(check(reader))
    rule = moments[-1].settings.consensus if moments else "latest"
    for moment in moments:
        assert agreed(moment.active, rule) == moments[-1].verdicts_after(moment.mark.last_event, rule)


def test_a_state_sees_audits(make_hunt):
    hunt = make_hunt()
    reader = StateReader(hunt.store)
    check(reader)
    hunt.draw_audit(5, who="ann")
    check(reader)
    hunt.label(reader.read().waiting[0], "negative", who="bob")
    assert len(check(reader).waiting) == 4


def test_many_threads_may_look_and_label_at_once(make_hunt):
    hunt = make_hunt()
    reader, rows, failed = StateReader(hunt.store), np.flatnonzero(hunt.release.primary)[10:50].tolist(), []

    def work(part: list[int]) -> None:
        try:
            for row in part:
                hunt.label(row, "positive", who="ann")
                state = reader.read()
                assert state.labels[row].verdict == "positive"
                assert state.curve[0][-1] == len(state.labels)
                hunt.curve()
        except Exception as problem:
            failed.append(problem)

    threads = [threading.Thread(target=work, args=(rows[start::4],)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    check(reader)
