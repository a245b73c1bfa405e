"""The background work: the newest wish wins, one at a time for a hunt, few in all, and nothing is hidden."""

import threading

import pytest

from web.hunts.ahead import MOST_KEPT, Ahead
from web.jobs.jobs import Work

SOON = 30.0


@pytest.fixture
def work():
    made = Work(3)
    yield made
    made.close()


@pytest.fixture
def ahead(work):
    return Ahead(work)


class Gate:
    """A page whose making waits until it is let through."""

    def __init__(self, page) -> None:
        self.page = page
        self.begun, self.open = threading.Event(), threading.Event()

    def __call__(self):
        self.begun.set()
        assert self.open.wait(SOON)
        return self.page


def test_nothing_was_asked_for(ahead):
    assert ahead.take("a") is None


def test_a_page_is_made_once_and_taken_once(ahead, work):
    ahead.ask("a", lambda: 1)
    assert work.idle(SOON)
    assert ahead.take("a") == 1
    assert ahead.take("a") is None


def test_a_page_under_way_is_waited_for(ahead):
    gate = Gate("page")
    ahead.ask("a", gate)
    assert gate.begun.wait(SOON)
    threading.Timer(0.2, gate.open.set).start()
    assert ahead.take("a") == "page"


def test_the_newest_wish_wins_and_those_between_are_never_made(ahead, work):
    first, made = Gate("old"), []
    ahead.ask("a", first)
    assert first.begun.wait(SOON)
    for number in range(5):
        ahead.ask("a", lambda number=number: made.append(number) or number)
    first.open.set()
    assert work.idle(SOON)
    assert made == [4]
    assert ahead.take("a") == 4


def test_a_page_that_is_too_old_is_not_handed_out(ahead, work):
    first = Gate("old")
    ahead.ask("a", first)
    assert first.begun.wait(SOON)
    needless = []
    ahead.ask("a", lambda: needless.append(1))
    threading.Timer(0.2, first.open.set).start()
    assert ahead.take("a") is None
    assert work.idle(SOON)
    assert needless == []


def test_one_hunt_never_has_two_pages_under_way_and_all_hunts_few(ahead, work):
    lock, running, most, most_of_one = threading.Lock(), [], [0], [0]

    def make(hunt):
        with lock:
            running.append(hunt)
            most[0] = max(most[0], len(running))
            most_of_one[0] = max(most_of_one[0], running.count(hunt))
        threading.Event().wait(0.005)
        with lock:
            running.remove(hunt)
        return hunt

    for _ in range(20):
        for hunt in "abcde":
            ahead.ask(hunt, lambda hunt=hunt: make(hunt))
            threading.Event().wait(0.001)
    assert work.idle(SOON)
    assert most_of_one == [1]
    assert 1 <= most[0] <= 2  # of three places, one is kept for what somebody waits for
    assert [ahead.take(hunt) for hunt in "abcde"] == list("abcde")


def test_an_error_comes_out_where_the_page_is_asked_for_and_only_once(ahead, work):
    ahead.ask("a", lambda: 1 / 0)
    assert work.idle(SOON)
    with pytest.raises(ZeroDivisionError):
        ahead.take("a")
    assert ahead.take("a") is None


def test_what_follows_a_page_does_not_hold_it_up_and_its_errors_come_out_too(work):
    follows = Gate(None)
    ahead = Ahead(work, after=lambda page: follows())
    ahead.ask("a", lambda: "page")
    assert follows.begun.wait(SOON)
    assert ahead.take("a") == "page"
    follows.open.set()

    failing = Ahead(work, after=lambda page: 1 / 0)
    failing.ask("a", lambda: "page")
    assert work.idle(SOON)
    with pytest.raises(ZeroDivisionError):
        failing.take("a")


def test_what_goes_wrong_after_a_page_was_taken_is_not_said_of_the_next(work):
    follows = Gate(None)

    def fail(page):
        follows()
        raise ZeroDivisionError

    ahead = Ahead(work, after=fail)
    ahead.ask("a", lambda: "page")
    assert follows.begun.wait(SOON)
    assert ahead.take("a") == "page"
    follows.open.set()
    assert work.idle(SOON)
    assert ahead.take("a") is None


def test_finished_pages_of_long_forgotten_hunts_are_dropped(ahead, work):
    for number in range(MOST_KEPT + 5):
        ahead.ask(str(number), lambda number=number: number)
        assert work.idle(SOON)
    kept = [number for number in range(MOST_KEPT + 5) if ahead.take(str(number)) is not None]
    assert kept == list(range(5, MOST_KEPT + 5))


def test_closing_waits_for_the_page_under_way_and_drops_the_rest():
    before = set(threading.enumerate())
    work = Work(3)
    ahead, gates, later = Ahead(work), [Gate(n) for n in range(2)], []
    for number, gate in enumerate(gates):
        ahead.ask(str(number), gate)
    assert all(gate.begun.wait(SOON) for gate in gates)
    ahead.ask("late", lambda: later.append(1))
    threading.Timer(0.2, lambda: [gate.open.set() for gate in gates]).start()
    ahead.close()
    work.close()
    ahead.ask("after the end", lambda: later.append(2))
    assert later == []
    assert not [thread for thread in set(threading.enumerate()) - before if thread.name.startswith("work")]
