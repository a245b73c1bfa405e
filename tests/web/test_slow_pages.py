"""Exports and audits that take long: each request for itself, nothing stale, failures shown, nothing restarted without a click."""

import re
import threading
import time
from pathlib import Path

import pytest

from discovery.errors import HuntError
from discovery.hunts import Hunt
from discovery.hunts.audits.audit import draw_audit, report
from web.hunts.exports.pages import Export

pytestmark = pytest.mark.slow

SOON = 30.0


def token(client) -> str:
    return re.search(r'<meta name="csrf" content="(\w+)">', client.get("/hunts").text)[1]


def until_fetched(client, address: str, headers=None):
    """Ask for an export until it is there, or went wrong."""
    deadline = time.monotonic() + SOON
    while (answer := client.get(address, headers=headers)).status_code == 202 and time.monotonic() < deadline:
        time.sleep(0.05)
    return answer


@pytest.fixture
def exports(monkeypatch):
    """Note each export that is made; every one takes longer than a moment."""
    made, export = [], Hunt.export

    def noted(hunt, path, **options):
        made.append(options["top"])
        return export(hunt, path, **options)

    monkeypatch.setattr(Hunt, "export", noted)
    monkeypatch.setattr("web.jobs.progress.QUICK_SECONDS", 0.0)
    return made


def test_two_exports_of_one_hunt_do_not_replace_each_other(client, small_hunt, exports):
    addresses = [f"/hunts/{small_hunt.path.stem}/export?format=csv&top={top}" for top in (2, 4)]
    files, deadline = {}, time.monotonic() + SOON
    while len(files) < 2 and time.monotonic() < deadline:
        for address in addresses:  # in turn, as two pages ask
            answer = client.get(address)
            if answer.status_code == 200:
                files[address] = len(answer.text.splitlines())
        time.sleep(0.05)
    assert list(map(files.get, addresses)) == [4, 6]  # header, example, and those asked for
    assert sorted(exports) == [2, 4]


def test_an_export_holds_what_was_said_before_it_was_asked_for(client, small_hunt, exports):
    address = f"/hunts/{small_hunt.path.stem}/export?format=csv&top=2"
    row, other = small_hunt.round().rows.tolist()[:2]
    assert f",{row}," not in "".join(line for line in until_fetched(client, address).text.splitlines() if "kim" in line)
    small_hunt.label(row, "positive", who="kim")  # past the server, as another process does
    assert "kim" in until_fetched(client, address).text
    small_hunt.note(other, "a tail", "lee")
    small_hunt.label(other, "negative", who="kim")
    assert "a tail" in until_fetched(client, address).text
    assert exports == [2, 2, 2]


def test_who_waits_for_an_export_gets_it_while_others_label(client, small_hunt, exports):
    address = f"/hunts/{small_hunt.path.stem}/export?format=csv&top=1"
    poll = re.search(r'hx-get="([^"]+)"', client.get(address).text)[1].replace("&amp;", "&")
    deadline = time.monotonic() + SOON
    while "HX-Redirect" not in (told := client.get(poll, headers={"HX-Request": "true"})).headers:
        assert time.monotonic() < deadline
    small_hunt.label(small_hunt.round().rows.tolist()[0], "positive", who="kim")
    assert client.get(told.headers["HX-Redirect"]).status_code == 200
    assert exports == [1]


def test_a_failed_export_is_told_and_made_again_only_when_somebody_asks(client, small_hunt, monkeypatch):
    tried = []

    def fail(hunt, path, **options):
        tried.append(1)
        raise HuntError("the disk is full")

    monkeypatch.setattr(Hunt, "export", fail)
    monkeypatch.setattr("web.jobs.progress.QUICK_SECONDS", 0.0)
    address = f"/hunts/{small_hunt.path.stem}/export?format=csv"
    poll = re.search(r'hx-get="([^"]+)"', client.get(address).text)
    told = until_fetched(client, address)
    assert told.status_code == 409 and "The disk is full" in told.text and len(tried) == 1
    small_hunt.label(small_hunt.round().rows.tolist()[0], "positive", who="kim")
    if poll is not None:
        shown = client.get(poll[1].replace("&amp;", "&"), headers={"HX-Request": "true"})
        assert "The disk is full" in shown.text and "hx-get" not in shown.text and len(tried) == 1
    again = re.search(r'<a href="([^"]+)">Try once more', told.text)[1].replace("&amp;", "&")
    client.get(again)
    assert until_fetched(client, address).status_code == 409 and len(tried) == 2


def test_a_finished_export_leaves_no_file_behind(tmp_path):
    (tmp_path / "x.csv").write_text("a")
    made = Export(tmp_path / "x.csv", (1,))
    kept = Path(made.path)
    assert kept.read_text() == "a" and not (tmp_path / "x.csv").exists()
    del made
    assert not kept.parent.exists()


@pytest.mark.slow
def test_too_many_stamps_are_refused_before_anything_is_ranked(small_hunt, tmp_path, monkeypatch):
    monkeypatch.setattr("discovery.hunts.export.MAX_STAMPS", 3)
    monkeypatch.setattr(Hunt, "ranking", lambda hunt: pytest.fail("ranked"))
    with pytest.raises(HuntError, match="4 stamps are too many"):
        small_hunt.export(tmp_path / "x.csv", top=3, stamps=tmp_path / "stamps")  # and the example
    monkeypatch.undo()
    few = small_hunt.export(tmp_path / "y.csv", top=10**6, stamps=tmp_path / "stamps")  # there are not so many
    assert len(few) <= small_hunt.release.count


@pytest.fixture
def audited_hunt(client, small_hunt):
    """A hunt whose audit has four stamps, all judged."""
    for row in draw_audit(small_hunt, 4, who="vera").rows.tolist():
        small_hunt.label(row, "negative", who="vera")
    return small_hunt


@pytest.fixture
def reports(monkeypatch):
    """Count how often reports are made; what is in ``fail`` comes out of the next ones."""
    made = Reports()

    def counted(hunt, completeness):
        made.count += 1
        assert made.open.wait(SOON)
        if made.fail:
            raise HuntError(made.fail)
        return report(hunt, completeness=completeness)

    monkeypatch.setattr(Hunt, "report", counted)
    yield made
    made.open.set()


class Reports:
    """What became of reports."""

    def __init__(self) -> None:
        self.count, self.fail, self.open = 0, "", threading.Event()
        self.open.set()


def settled(client, address: str) -> str:
    """Return a page once no work is shown on it."""
    deadline = time.monotonic() + SOON
    while 'id="work" role="status"' in (page := client.get(address)).text and time.monotonic() < deadline:
        time.sleep(0.05)
    return page.text


def test_the_audit_shows_its_latest_report_while_people_label_and_counts_again_when_asked(client, audited_hunt, reports):
    address = f"/hunts/{audited_hunt.path.stem}/audit"
    assert "Labels since then" not in settled(client, address) and reports.count == 1
    row = next(row for row in audited_hunt.round().rows.tolist() if row not in audited_hunt.labels())
    audited_hunt.label(row, "positive", who="kim")
    page = settled(client, address)
    assert 'aria-label="Report"' in page and "Labels since then are not in it" in page
    assert reports.count == 1
    again = client.post(f"{address}/report", data={"csrf": token(client), "completeness": "90.0"})
    assert again.status_code == 303
    assert "Labels since then" not in settled(client, again.headers["location"]) and reports.count == 2


def test_a_failed_report_is_told_and_made_again_only_when_asked(client, audited_hunt, reports):
    address, reports.fail = f"/hunts/{audited_hunt.path.stem}/audit", "the ranking is lost"
    for _ in range(3):
        assert "The ranking is lost" in settled(client, address)
        brief = client.get(f"{address}/brief", headers={"HX-Request": "true"}).text
        assert "The ranking is lost" in brief and "load" not in brief
    assert reports.count == 1
    reports.fail = ""
    client.post(f"{address}/report", data={"csrf": token(client), "completeness": "90.0"})
    page = settled(client, address)
    assert "The ranking is lost" not in page and 'aria-label="Report"' in page and reports.count == 2


def test_scripts_do_not_wait_for_a_long_audit_without_end(client, audited_hunt, reports, monkeypatch):
    monkeypatch.setattr("web.jobs.progress.PATIENT_SECONDS", 0.1)
    address = f"/api/hunts/{audited_hunt.path.stem}"
    reports.open.clear()
    told = client.get(f"{address}/audit", params={"completeness": 0.4})
    assert told.status_code == 202 and told.json()["state"] == "running"
    assert client.get(f"{address}/work").json()["what"] == "the audit's report"
    csrf = client.get("/api/session").json()["csrf"]
    drawn = client.post(f"{address}/audit", json={"labels": 3}, headers={"X-CSRF-Token": csrf})
    assert drawn.status_code == 202 and drawn.json()["state"] == "waiting"
    reports.open.set()
    deadline = time.monotonic() + SOON
    while client.get(f"{address}/work").json() is not None and time.monotonic() < deadline:
        time.sleep(0.05)
    monkeypatch.undo()
    assert client.get(f"{address}/audit", params={"completeness": 0.4}).json()["progress"]["drawn"] == 7


def test_a_large_release_is_counted_only_on_a_click(client, audited_hunt, reports, monkeypatch):
    address = f"/hunts/{audited_hunt.path.stem}"
    by_itself = re.compile(r'hx-get="[^"]+/audit/brief" hx-trigger="load"')
    assert by_itself.search(client.get(address).text)
    monkeypatch.setattr("web.hunts.audits.brief.is_large", lambda release, dimension: True)
    page = client.get(address).text
    assert not by_itself.search(page) and "/audit/brief?anew=1" in page
    client.get(f"{address}/audit/brief?poll=1")
    assert reports.count == 0
    client.get(f"{address}/audit/brief?anew=1")
    assert reports.count == 1
