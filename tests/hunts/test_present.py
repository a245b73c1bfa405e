"""What the pages follow is what the hunt says, whoever writes to its file."""

import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from discovery.hunts import new_hunt, open_hunt
from discovery.hunts.audits.audit import draw_audit
from discovery.hunts.audits.log import audited, waiting
from discovery.hunts.present import Watch
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


def check(hunt, watch) -> None:
    present = watch.look()
    assert present.labels == hunt.labels()
    assert present.counts == hunt.counts()
    assert present.negative_classes == hunt.negative_classes()
    assert list(present.log) == hunt.log()
    assert [line.tolist() for line in present.curve] == [line.tolist() for line in hunt.curve()]
    assert present.disagreements == hunt.disagreements()
    assert present.settings == hunt.settings()
    assert present.round == hunt.round()
    assert list(present.audited) == list(audited(hunt.store)) and present.waiting == waiting(hunt.store)
    assert watch.look() is present


@pytest.fixture
def make_hunt(release, tmp_path_factory):
    def make():
        path = tmp_path_factory.mktemp("hunts") / "a.hunt"
        return new_hunt(path, release, positives=[prompt_from_row(release, 1)], page_size=4, strategy="similarity", who="ann")

    return make


@SETTINGS
@given(steps=STEPS)
def test_a_watch_follows_every_change(make_hunt, steps):
    hunt = make_hunt()
    watch, other = Watch(hunt.store), open_hunt(hunt.path, hunt.release)
    for what, who, number, verdict, kind in steps:
        row = int(np.flatnonzero(hunt.release.primary)[10 + number])
        if what == "label":
            other.label(row, verdict, who=who, negative_class=kind if verdict == "negative" else None)
        elif what == "undo":
            other.undo(who)
        elif what == "rule":
            other.change(who, consensus=("latest", "majority", "arbiter:ann")[number % 3])
        else:
            other.next_round(who)
        check(hunt, watch)


def test_a_watch_sees_audits(make_hunt):
    hunt = make_hunt()
    watch = Watch(hunt.store)
    check(hunt, watch)
    draw_audit(hunt, 5, who="ann")
    check(hunt, watch)
    hunt.label(watch.look().waiting[0], "negative", who="bob")
    check(hunt, watch)
    assert len(watch.look().waiting) == 4


def test_many_threads_may_look_and_label_at_once(make_hunt):
    hunt = make_hunt()
    watch, rows, failed = Watch(hunt.store), np.flatnonzero(hunt.release.primary)[10:50].tolist(), []

    def work(part: list[int]) -> None:
        try:
            for row in part:
                hunt.label(row, "positive", who="ann")
                present = watch.look()
                assert present.labels[row].verdict == "positive"
                assert present.curve[0][-1] == len(present.labels)
                hunt.curve()
        except Exception as problem:
            failed.append(problem)

    threads = [threading.Thread(target=work, args=(rows[start::4],)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    check(hunt, watch)
