"""The background work: the newest request wins, one at a time for a hunt, few in all, and nothing is hidden."""

import threading

import pytest

from web.hunts.rounds.background_pages import MOST_KEPT, BackgroundPages
from web.jobs.queue import JobQueue

SOON = 30.0


@pytest.fixture
def jobs():
    made = JobQueue(3)
    yield made
    made.close()


@pytest.fixture
def ahead(jobs):
    return BackgroundPages(jobs)


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


def test_a_page_is_made_once_and_taken_once(ahead, jobs):
    ahead.request("a", lambda: 1)
    assert jobs.wait_idle(SOON)
    assert ahead.take("a") == 1
    assert ahead.take("a") is None


def test_a_page_under_way_is_waited_for(ahead):
    gate = Gate("page")
    ahead.request("a", gate)
    assert gate.begun.wait(SOON)
    threading.Timer(0.2, gate.open.set).start()
    assert ahead.take("a") == "page"


def test_the_newest_request_wins_and_those_between_are_never_made(ahead, jobs):
    first, made = Gate("old"), []
    ahead.request("a", first)
    assert first.begun.wait(SOON)
    for number in range(5):
        ahead.request("a", lambda number=number: made.append(number) or number)
    first.open.set()
    assert jobs.wait_idle(SOON)
    assert made == [4]
    assert ahead.take("a") == 4


def test_a_page_that_is_too_old_is_not_handed_out(ahead, jobs):
    first = Gate("old")
    ahead.request("a", first)
    assert first.begun.wait(SOON)
    needless = []
    ahead.request("a", lambda: needless.append(1))
    threading.Timer(0.2, first.open.set).start()
    assert ahead.take("a") is None
    assert jobs.wait_idle(SOON)
    assert needless == []


def test_one_hunt_never_has_two_pages_under_way_and_all_hunts_few(ahead, jobs):
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
            ahead.request(hunt, lambda hunt=hunt: make(hunt))
            threading.Event().wait(0.001)
    assert jobs.wait_idle(SOON)
    assert most_of_one == [1]
    assert 1 <= most[0] <= 2  # of three places, one is kept for what somebody waits for
    assert [ahead.take(hunt) for hunt in "abcde"] == list("abcde")


def test_an_error_comes_out_where_the_page_is_asked_for_and_only_once(ahead, jobs):
    ahead.request("a", lambda: 1 / 0)
    assert jobs.wait_idle(SOON)
    with pytest.raises(ZeroDivisionError):
        ahead.take("a")
    assert ahead.take("a") is None


def test_what_follows_a_page_does_not_hold_it_up_and_its_errors_come_out_too(jobs):
    follows = Gate(None)
    ahead = BackgroundPages(jobs, after=lambda page: follows())
    ahead.request("a", lambda: "page")
    assert follows.begun.wait(SOON)
    assert ahead.take("a") == "page"
    follows.open.set()

    failing = BackgroundPages(jobs, after=lambda page: 1 / 0)
    failing.request("a", lambda: "page")
    assert jobs.wait_idle(SOON)
    with pytest.raises(ZeroDivisionError):
        failing.take("a")


def test_what_goes_wrong_after_a_page_was_taken_is_not_said_of_the_next(jobs):
    follows = Gate(None)

    def fail(page):
        follows()
        raise ZeroDivisionError

    ahead = BackgroundPages(jobs, after=fail)
    ahead.request("a", lambda: "page")
    assert follows.begun.wait(SOON)
    assert ahead.take("a") == "page"
    follows.open.set()
    assert jobs.wait_idle(SOON)
    assert ahead.take("a") is None


def test_finished_pages_of_long_forgotten_hunts_are_dropped(ahead, jobs):
    for number in range(MOST_KEPT + 5):
        ahead.request(str(number), lambda number=number: number)
        assert jobs.wait_idle(SOON)
    kept = [number for number in range(MOST_KEPT + 5) if ahead.take(str(number)) is not None]
    assert kept == list(range(5, MOST_KEPT + 5))


def test_closing_waits_for_the_page_under_way_and_drops_the_rest():
    before = set(threading.enumerate())
    jobs = JobQueue(3)
    ahead, gates, later = BackgroundPages(jobs), [Gate(n) for n in range(2)], []
    for number, gate in enumerate(gates):
        ahead.request(str(number), gate)
    assert all(gate.begun.wait(SOON) for gate in gates)
    ahead.request("late", lambda: later.append(1))
    threading.Timer(0.2, lambda: [gate.open.set() for gate in gates]).start()
    ahead.close()
    jobs.close()
    ahead.request("after the end", lambda: later.append(2))
    assert later == []
    assert not [thread for thread in set(threading.enumerate()) - before if thread.name.startswith("job")]
