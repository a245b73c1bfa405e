"""Long work: a few pieces at once, one at a time for a hunt, in order, and nothing is hidden."""

import re
import threading
import time

import pytest

from discovery.errors import HuntError
from discovery.hunts import Hunt
from web.jobs import progress
from web.jobs.progress import patient_result, quick_result, under_way
from web.jobs.queue import MOST_KEPT, JobQueue

SOON = 30.0


@pytest.fixture
def jobs():
    made = JobQueue(2)
    yield made
    made.close()


class Piece:
    """Work that waits until it is let through."""

    def __init__(self, result=None) -> None:
        self.result = result
        self.begun, self.open = threading.Event(), threading.Event()

    def __call__(self):
        self.begun.set()
        assert self.open.wait(SOON)
        return self.result


def test_the_outcome_is_what_was_returned_or_raised(jobs):
    assert jobs.submit("a", "one", lambda: 7).outcome(SOON) == 7
    with pytest.raises(ZeroDivisionError):
        jobs.submit("a", "two", lambda: 1 / 0).outcome(SOON)
    assert under_way(jobs, "a").state == "failed"
    jobs.forget("a")
    assert under_way(jobs, "a") is None


def test_one_piece_at_a_time_for_a_hunt_a_few_in_all_the_others_in_order(jobs):
    pieces = {name: Piece(name) for name in ("a1", "a2", "b1", "c1")}
    submitted = {name: jobs.submit(name[0], name, piece) for name, piece in pieces.items()}
    assert pieces["a1"].begun.wait(SOON) and pieces["b1"].begun.wait(SOON)
    assert [jobs.jobs_before(job) for job in submitted.values()] == [0, 2, 0, 3]
    assert not pieces["a2"].begun.wait(0.05) and not pieces["c1"].begun.is_set()
    pieces["b1"].open.set()
    assert pieces["c1"].begun.wait(SOON)  # a2 came first, but its hunt is at work
    assert not pieces["a2"].begun.is_set() and submitted["a2"].state == "waiting"
    pieces["a1"].open.set()
    assert pieces["a2"].begun.wait(SOON)
    for piece in pieces.values():
        piece.open.set()
    assert [job.outcome(SOON) for job in submitted.values()] == list(pieces)
    assert jobs.wait_idle(SOON)


def test_two_who_ask_the_same_wait_for_one_piece(jobs):
    piece, needless = Piece(1), []
    first = jobs.submit("a", "round 2", piece)
    second = jobs.submit("a", "round 2", lambda: needless.append(1))
    assert first is second
    piece.open.set()
    assert first.outcome(SOON) == 1
    assert jobs.submit("a", "round 2", lambda: 2).outcome(SOON) == 2
    assert needless == []


def test_what_nobody_waits_for_leaves_a_place_free(jobs):
    behind = [Piece() for _ in range(3)]
    for number, piece in enumerate(behind):
        jobs.submit_background(str(number), piece)
    assert behind[0].begun.wait(SOON)
    assert not behind[1].begun.wait(0.05)
    assert jobs.submit("someone", "now", lambda: 1).outcome(SOON) == 1
    for piece in behind:
        piece.open.set()
    assert jobs.wait_idle(SOON)
    assert all(piece.begun.is_set() for piece in behind)


def test_with_one_place_everything_is_done_all_the_same():
    jobs, done = JobQueue(1), []
    jobs.submit_background("a", lambda: done.append(1))
    assert jobs.submit("a", "one", lambda: 2).outcome(SOON) == 2
    assert jobs.wait_idle(SOON)
    jobs.close()
    assert done == [1]


def test_progress_tells_the_place_the_time_and_what_went_wrong(jobs):
    first, second = Piece(), Piece()
    submitted = [jobs.submit(name, f"round of {name}", piece) for name, piece in (("a", first), ("b", second))]
    third = jobs.submit("c", "round 9", lambda: (_ for _ in ()).throw(HuntError("'/secret/place/x.hunt' is gone")))
    assert (under_way(jobs, "c").state, under_way(jobs, "c").before) == ("waiting", 2)
    assert quick_result(third, 0.01) == (False, None)
    assert first.begun.wait(SOON)
    assert under_way(jobs, "a").state == "running" and under_way(jobs, "a").seconds >= 0
    first.open.set()
    second.open.set()
    with pytest.raises(HuntError):
        third.outcome(SOON)
    assert [job.outcome(SOON) for job in submitted] == [None, None]
    assert under_way(jobs, "a") is None
    assert under_way(jobs, "c").problem == "'x.hunt' is gone"


def test_closing_waits_for_what_runs_and_fails_what_waits():
    jobs, running = JobQueue(1), Piece("kept")
    one, other = jobs.submit("a", "one", running), jobs.submit("b", "other", lambda: 1)
    assert running.begun.wait(SOON)
    threading.Timer(0.1, running.open.set).start()
    jobs.close()
    assert one.outcome(0) == "kept"
    for late in (other, jobs.submit("c", "late", lambda: 1)):
        with pytest.raises(HuntError, match="closing"):
            late.outcome(0)


def test_old_work_is_forgotten(jobs):
    for number in range(MOST_KEPT + 10):
        jobs.submit(str(number), "one", lambda: 1).outcome(SOON)
    assert jobs.latest("0") is None and jobs.latest(str(MOST_KEPT + 9)) is not None


def test_results_that_nobody_fetches_are_dropped_after_a_time_and_failures_are_told(jobs, monkeypatch):
    jobs.submit("a/export/1", "one", lambda: 1).outcome(SOON)
    with pytest.raises(ZeroDivisionError):
        jobs.submit("a/export/2", "two", lambda: 1 / 0).outcome(SOON)
    jobs.submit("ab", "three", lambda: 1).outcome(SOON)
    assert jobs.keys("a/export") == ["a/export/1", "a/export/2"] and jobs.keys("a/ex") == []
    monkeypatch.setattr("web.jobs.queue.KEPT_SECONDS", 0.0)
    jobs.submit("b", "four", lambda: 1).outcome(SOON)
    assert jobs.latest("a/export/1") is None
    assert jobs.latest("a/export/2").state == "failed"


def test_what_still_runs_is_told_before_what_went_wrong(jobs):
    piece = Piece()
    with pytest.raises(ZeroDivisionError):
        jobs.submit("a", "one", lambda: 1 / 0).outcome(SOON)
    job = jobs.submit("a/audit", "two", piece)
    assert under_way(jobs, "a", "a/audit").what == "two"
    piece.open.set()
    job.outcome(SOON)
    assert under_way(jobs, "a", "a/audit").state == "failed"


def test_only_a_few_wait_long(jobs, monkeypatch):
    monkeypatch.setattr("web.jobs.progress.MOST_PATIENT", 1)
    monkeypatch.setattr("web.jobs.progress._patient", threading.BoundedSemaphore(1))
    piece, outcomes = Piece("made"), []
    job = jobs.submit("a", "one", piece)
    patient = threading.Thread(target=lambda: outcomes.append(patient_result(job)))
    patient.start()
    deadline = time.monotonic() + SOON
    while progress._patient._value and time.monotonic() < deadline:
        time.sleep(0.01)
    assert patient_result(job) == (False, None)
    piece.open.set()
    patient.join(SOON)
    assert outcomes == [(True, "made")]
    assert patient_result(job) == (True, "made")


@pytest.fixture
def slow_round(monkeypatch):
    """Let rounds wait until they are let through; each is a real one."""
    gate, next_round = Piece(), Hunt.next_round

    def slow(hunt, *args, **options):
        gate()
        return next_round(hunt, *args, **options)

    monkeypatch.setattr(Hunt, "next_round", slow)
    yield gate
    gate.open.set()


def token(client) -> str:
    return re.search(r'<meta name="csrf" content="(\w+)">', client.get("/hunts").text)[1]


def test_a_round_that_takes_long_is_made_outside_the_request(client, small_hunt, slow_round):
    address, csrf = f"/hunts/{small_hunt.path.stem}", token(client)
    started = time.monotonic()
    answer = client.post(f"{address}/rounds", data={"csrf": csrf, "after": "1"})
    assert answer.status_code == 303 and time.monotonic() - started < 20
    page = client.get(answer.headers["location"]).text
    assert "Round 2 is being made" in page and "disabled" in page and "round 1" in page
    row = int(small_hunt.round().rows[0])
    said = client.post(f"{address}/labels", data={"csrf": csrf, "row": row, "verdict": "positive"})
    assert said.status_code == 303 and small_hunt.labels()[row].verdict == "positive"
    assert client.get(f"/api{address}/work").json()["state"] == "running"
    assert 'hx-get="/hunts/' in client.get(f"{address}/work", headers={"HX-Request": "true"}).text
    assert client.get(f"/api{address}/rounds/latest").json()["number"] == 1
    slow_round.open.set()
    deadline = time.monotonic() + SOON
    while client.get(f"/api{address}/work").json() is not None and time.monotonic() < deadline:
        time.sleep(0.05)
    over = client.get(f"{address}/work", headers={"HX-Request": "true", "HX-Current-URL": f"http://x{address}"})
    assert over.headers["hx-retarget"] == "#hunt" and ">round 2<" in over.text
    assert len(small_hunt.rounds()) == 2
    assert client.get(f"/api{address}/rounds/latest").json()["number"] == 2


def test_what_went_wrong_with_long_work_stands_in_the_page_until_something_changes(client, small_hunt, slow_round):
    address, csrf = f"/hunts/{small_hunt.path.stem}", token(client)
    small_hunt.label(1, "unsure", who="vera")  # the only example: nothing is left to rank by
    client.post(f"{address}/rounds", data={"csrf": csrf, "after": "1"})
    slow_round.open.set()
    deadline = time.monotonic() + SOON
    while "being made" in (page := client.get(address).text) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert "Round 2 could not be made" in page and "no example to start from" in page
    client.post(f"{address}/labels", data={"csrf": csrf, "row": 1, "verdict": "positive"})
    assert "could not be made" not in client.get(address).text


def test_a_long_export_is_fetched_once_it_is_there(client, small_hunt, monkeypatch):
    gate, export = Piece(), Hunt.export

    def slow(hunt, *args, **options):
        gate()
        return export(hunt, *args, **options)

    monkeypatch.setattr(Hunt, "export", slow)
    address = f"/hunts/{small_hunt.path.stem}/export?format=csv&top=3"
    first = client.get(address)
    assert first.status_code == 202 and "The export is being made" in first.text
    assert "HX-Redirect" not in client.get(address, headers={"HX-Request": "true"}).headers
    gate.open.set()
    deadline = time.monotonic() + SOON
    while "HX-Redirect" not in (told := client.get(address, headers={"HX-Request": "true"})).headers:
        assert time.monotonic() < deadline
    assert told.headers["HX-Redirect"].startswith(address)
    file = client.get(told.headers["HX-Redirect"])
    assert file.headers["content-disposition"].endswith(".csv") and len(file.text.splitlines()) == 5  # header, example and three


def test_a_long_draw_and_its_report_show_their_progress(client, small_hunt, monkeypatch):
    monkeypatch.setattr("web.jobs.progress.QUICK_SECONDS", 0.0)
    address = f"/hunts/{small_hunt.path.stem}/audit"
    started = client.post(address, data={"csrf": token(client), "labels": "4"})
    assert started.status_code == 303
    deadline = time.monotonic() + SOON
    while "0 of 4 drawn stamps judged" not in (page := client.get(address).text) and time.monotonic() < deadline:
        assert 'id="work"' in page or "being counted" in page or "drawn" in page
        time.sleep(0.05)
    assert "0 of 4 drawn stamps judged" in page
    assert client.get(f"{address}/work", headers={"HX-Request": "true"}).headers["HX-Refresh"] == "true"


def test_a_person_goes_on_labelling_until_the_next_page_comes_by_itself(page, server, small_hunt, slow_round):
    from playwright.sync_api import expect

    page.goto(f"{server.address}/hunts/{small_hunt.path.stem}")
    expect(page.locator("[data-candidate]:focus")).to_have_count(1)
    page.keyboard.press("p")
    expect(page.locator(".saving")).to_have_count(0)
    page.keyboard.press("Enter")
    expect(page.locator("#work")).to_contain_text("Round 2 is being made")
    expect(page.locator("[data-next-round]")).to_be_disabled()
    page.keyboard.press("n")
    expect(page.locator(".saving")).to_have_count(0)
    assert len(small_hunt.labels()) == 2
    slow_round.open.set()
    expect(page.locator(".page-head .tag")).to_have_text("round 2")
    expect(page.locator("#work")).to_have_count(0)
    expect(page.locator("[data-candidate]:focus")).to_have_count(1)
