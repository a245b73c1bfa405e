"""The pages and calls of a hunt over HTTP, as a browser without JavaScript and a script use them."""

import csv
import html
import io
import json
import re
import time

import numpy as np
import pytest

from discovery.hunts import Hunt
from discovery.hunts.audits.audit import report


def csrf(client) -> str:
    return re.search(r'<meta name="csrf" content="(\w+)">', client.get("/hunts").text)[1]


@pytest.fixture
def post(client, small_hunt):
    """Send a form of the hunt as a browser without JavaScript does; return the page it leads to."""
    token = csrf(client)

    def send(what: str, **form):
        answer = client.post(f"/hunts/{small_hunt.path.stem}/{what}", data={"csrf": token, **form})
        assert answer.status_code == 303, answer.text
        return when_done(client, answer.headers["location"])

    return send


def when_done(client, address: str):
    """Look at a page again and again until no work is under way."""
    deadline = time.monotonic() + 120
    while 'id="work" role="status"' in (page := client.get(address)).text and time.monotonic() < deadline:
        time.sleep(0.05)
    return page


@pytest.fixture
def call(client, small_hunt):
    """Call the API of the hunt; return what it answers."""
    headers = {"X-CSRF-Token": client.get("/api/session").json()["csrf"]}

    def send(what: str = "", *, method: str = "GET", status: int = 200, **data):
        sent = {"json": data, "headers": headers} if method == "POST" else {"params": data}
        answer = client.request(method, f"/api/hunts/{small_hunt.path.stem}{what}", **sent)
        assert answer.status_code == status, answer.text
        return answer.json()

    return send


def rows_of(hunt) -> list[int]:
    return hunt.round().rows.tolist()


def test_form_and_json_are_refused_alike(client, small_hunt):
    row, token = rows_of(small_hunt)[0], csrf(client)
    address = f"/hunts/{small_hunt.path.stem}"
    refused = [
        ("labels", {"row": row, "verdict": "positive", "negative_class": "ring"}, "only a negative label"),
        ("labels", {"row": 10**6, "verdict": "positive"}, "no row"),
        ("undo", {}, "no label"),
        ("notes", {"row": row, "text": " "}, "note"),
    ]
    for what, fields, reason in refused:
        form = client.post(f"{address}/{what}", data={**fields, "csrf": token}, headers={"HX-Request": "true"})
        call = client.post(f"/api{address}/{what}", json=fields, headers={"X-CSRF-Token": token})
        assert (form.status_code, call.status_code) == (409, 409)
        assert call.json()["error"] in html.unescape(form.text) and reason in call.json()["error"]
    assert small_hunt.labels() == {} and small_hunt.notes() == []


@pytest.mark.slow
def test_every_form_works_without_javascript(post, small_hunt, client):
    first, second, *_ = rows_of(small_hunt)
    assert "negative: ring" in post("labels", row=first, verdict="negative", negative_class=" ring ").text
    assert "a tail" in post("notes", row=second, text="a tail").text
    post("labels", row=second, verdict="positive", negative_class=" ")
    assert small_hunt.labels()[second].negative_class is None
    page = post("rules", strategy="alpha", alpha="0.8", consensus="majority", stopper="dry:1")
    assert 'value="alpha" data-meaning' in page.text
    settings = small_hunt.settings()
    assert (settings.strategy, settings.alpha, settings.consensus, settings.stopper) == ("alpha", 0.8, "majority", "dry:1")
    assert "undone by 3" in post("undo", event=1, page=1).text
    assert set(small_hunt.labels()) == {second}
    post("undo")
    assert small_hunt.labels() == {}
    for row in rows_of(small_hunt):
        post("labels", row=row, verdict="positive" if row == first else "negative")
    assert "round 2" in post("rounds", after=1, new_only="1").text
    assert all(row % 2 for row in rows_of(small_hunt))
    assert "round 2" in post("rounds", after=1).text  # a second click does not skip a page


def test_rules_that_make_no_sense_change_nothing(client, small_hunt):
    before = small_hunt.settings()
    for wrong in ({"strategy": "best"}, {"consensus": "arbiter:"}, {"stopper": "dry:0"}, {"strategy": "top", "alpha": "7"}):
        answer = client.post(f"/hunts/{small_hunt.path.stem}/rules", data={"csrf": csrf(client), **wrong})
        assert answer.status_code == 409
    assert small_hunt.settings() == before


def test_the_history_and_the_notes_of_the_api_are_the_hunts(call, small_hunt):
    first, second, *_ = rows_of(small_hunt)
    call("/labels", method="POST", status=201, row=first, verdict="negative", negative_class="star")
    call("/labels", method="POST", status=201, row=second, verdict="positive")
    undone = call("/undo", method="POST", status=201, event=1)
    assert (undone["undid"], undone["row"], undone["verdict"]) == (1, first, "cleared")
    call("/undo", method="POST", status=409, event=1)
    history = call("/history")
    assert [(line["event"], line["undone_by"], line["undoes"]) for line in history] == [(3, None, 1), (2, None, None), (1, 3, None)]
    assert [line["who"] for line in history] == ["vera"] * 3
    call("/notes", method="POST", status=201, row=second, text="compare with DES")
    (note,) = call("/notes")
    assert (note["row"], note["text"]) == (second, "compare with DES")
    call("/notes", method="POST", status=409, row=second, text="  ")


def test_disagreements_and_rules_over_the_api(call, small_hunt):
    row = rows_of(small_hunt)[0]
    small_hunt.label(row, "negative", who="henrietta")
    call("/labels", method="POST", status=201, row=row, verdict="positive")
    (one,) = call("/disagreements")
    assert (one["row"], one["verdicts"], one["agreed"]) == (row, {"henrietta": "negative", "vera": "positive"}, "positive")
    told = call("/settings", method="POST", consensus="majority", strategy="top")
    assert (told["consensus"], told["strategy"]) == ("majority", "top")
    assert call("/disagreements")[0]["agreed"] == "unsure"
    assert call()["counts"]["unsure"] == 1


def test_an_audit_over_the_api_says_what_the_library_says(call, small_hunt, release):
    call("/audit", status=409)
    drawn = call("/audit", method="POST", status=201, labels=4)
    assert drawn["rows"] == list(small_hunt.state().drawn)
    for row in rows_of(small_hunt):
        small_hunt.label(row, "negative", who="vera")
    made = call("/rounds", method="POST", status=201, new_only=False)
    marked = {one["row"]: one["score"] for one in made["candidates"] if one["reason"] == "audit"}
    assert set(marked) <= set(drawn["rows"]) and set(marked.values()) <= {None}
    for one in made["candidates"]:
        assert one["known"] == ("" if one["row"] % 2 else f"known as EVEN {one['row']}, 0.4 arcsec")
        small_hunt.label(one["row"], "negative", who="vera")
    told, expected = call("/audit", completeness=0.5), report(small_hunt, completeness=0.5)
    assert told["progress"]["judged"] == expected.progress.judged == 4
    assert (told["completeness"]["low"], told["advice"]) == (pytest.approx(expected.completeness.low), expected.advice)
    call("/audit", status=409, completeness=1.5)


def test_an_audits_stamp_never_shows_its_score(client, call, small_hunt):
    call("/audit", method="POST", status=201, labels=200)  # most of the release, and so of the present page
    text = client.get(f"/hunts/{small_hunt.path.stem}").text
    drawn = set(small_hunt.state().drawn)
    cards = re.split(r'(?=<li class="card candidate")', text)[1:]
    assert drawn & set(rows_of(small_hunt))
    for card in cards:
        row = int(re.search(r'id="card-(\d+)"', card)[1])
        assert ('class="score"' in card) == (row not in drawn)
        assert ('class="reason audit"' in card) == (row in drawn)


def test_exports_flag_known_objects_and_say_what_they_are_made_of(client, small_hunt, monkeypatch):
    monkeypatch.setattr("web.jobs.progress.QUICK_SECONDS", 60.0)  # the file itself, however slow the machine
    for row in rows_of(small_hunt):
        small_hunt.label(row, "positive", who="vera")
    address = f"/hunts/{small_hunt.path.stem}/export"
    lines = list(csv.DictReader(io.StringIO(client.get(address).text)))
    assert {line["row"]: line["known_as"] for line in lines} == {
        line["row"]: "" if int(line["row"]) % 2 else f"EVEN {line['row']}" for line in lines
    }
    new = list(csv.DictReader(io.StringIO(client.get(address, params={"new_only": "1"}).text)))
    assert [line["row"] for line in new] == [line["row"] for line in lines if int(line["row"]) % 2]
    statement = client.get(address, params={"statement": "1", "format": "fits", "top": "5"})
    told = json.loads(statement.content)
    assert statement.headers["content-disposition"].endswith(".provenance.json")
    assert (told["labels_positive"], told["selection"]["top"]) == (8, 5)
    assert told["encoder_checksum"] == small_hunt.info().encoder_checksum


def test_a_hunt_starts_with_its_strategy_and_consensus(client, server, release):
    rows = np.flatnonzero(release.clean & release.primary)
    form = {"csrf": csrf(client), "release": "demo", "tick": [str(rows[0])], "page_size": "4"}
    started = client.post("/hunts", data=form | {"name": "by-rules", "strategy": "similarity", "consensus": "majority"})
    assert started.status_code == 303
    told = client.get("/api/hunts/by-rules").json()
    assert (told["strategy"], told["consensus"], told["stopper"]) == ("similarity", "majority", "never")
    refused = client.post("/hunts", data=form | {"name": "wrong", "strategy": "best"})
    assert refused.status_code == 409 and "unknown strategy" in refused.text
    assert not (server.config.hunts / "wrong.hunt").exists()


def test_pages_of_the_history_beyond_its_end_are_its_last(client, small_hunt):
    address = f"/hunts/{small_hunt.path.stem}/history"
    assert "Nothing is labelled yet" in client.get(address).text
    small_hunt.label(rows_of(small_hunt)[0], "positive", who="vera")
    for page in ("-3", "0", "1", "99"):
        assert 'id="event-1"' in client.get(address, params={"page": page}).text
    assert client.get(address, params={"page": "x"}).status_code == 422


def test_openapi_describes_what_hunts_answer(client):
    paths = client.get("/schema").json()["paths"]
    for what in ("history", "notes", "disagreements", "audit"):
        answers = paths[f"/api/hunts/{{hunt}}/{what}"]["get"]["responses"]["200"]
        assert answers["content"]["application/json"]["schema"]
    assert {"undo", "notes", "settings", "audit"} <= {path.rpartition("/")[2] for path in paths if "post" in paths[path]}


def test_a_page_that_takes_long_is_begun_with_the_last_label_only(call, small_hunt, monkeypatch):
    made, prepare = [], Hunt.prepare

    def seen_prepare(hunt, *args, **options):
        ready = prepare(hunt, *args, **options)
        made.append(ready.last_event)
        return ready

    def wait_for(number: int) -> None:
        deadline = time.monotonic() + 60
        while len(made) < number and time.monotonic() < deadline:
            time.sleep(0.02)
        assert len(made) == number

    monkeypatch.setattr(Hunt, "prepare", seen_prepare)
    first, *between, last = rows_of(small_hunt)
    monkeypatch.setattr("web.hunts.rounds.next_pages.QUICK_SECONDS", 0.0)  # nothing is so quick once it is known how long it takes
    call("/labels", method="POST", status=201, row=first, verdict="positive")
    wait_for(1)
    time.sleep(0.5)
    for row in between:
        call("/labels", method="POST", status=201, row=row, verdict="negative")
    assert made == [1]
    call("/labels", method="POST", status=201, row=last, verdict="negative")
    wait_for(2)
    assert made == [1, 8]
