"""The notebook's widget: what its messages do to the hunt, and what it sends back."""

from __future__ import annotations

import base64
import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from discovery.errors import HuntError
from discovery.hunts import Hunt, new_hunt
from discovery.hunts.audits.audit import report
from discovery.hunts.audits.report_text import text_lines
from discovery.search.known_files import read_known
from discovery.search.known_objects import find_known

pytest.importorskip("anywidget", reason="the notebook extra is absent")

import comm
from comm.base_comm import BaseComm


class Wire(BaseComm):
    """A channel to a browser that only keeps what is sent."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.sent: list[dict[str, Any]] = []
        super().__init__(*arguments, **options)

    def publish_msg(self, msg_type: str, data: Any = None, **_options: Any) -> None:
        if msg_type == "comm_msg":
            self.sent.append(data)


@pytest.fixture(autouse=True)
def wire(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every widget gets a `Wire`."""
    monkeypatch.setattr(comm, "create_comm", Wire)


@pytest.fixture
def hunt(tmp_path: Path, release: Any, prompts: Callable, monkeypatch: pytest.MonkeyPatch) -> Hunt:
    """A hunt that has not begun."""
    monkeypatch.chdir(tmp_path)
    return new_hunt(
        tmp_path / "m.hunt", release, positives=prompts(0, 1), negatives=prompts(90), page_size=6, who="ann"
    )


class Browser:
    """Asks a widget as widget.js does, and reads its answers."""

    def __init__(self, widget: Any) -> None:
        self.widget, self._calls = widget, iter(range(1, 10**6))

    def ask(self, do: str, **what: Any) -> dict[str, Any]:
        """Return the answer to a message."""
        call = f"view-{next(self._calls)}"
        self.widget._handle_msg({"content": {"data": {"method": "custom", "content": {"call": call, "do": do, **what}}}, "buffers": []})
        (answer,) = (sent["content"] for sent in self.widget.comm.sent if sent.get("content", {}).get("call") == call)
        return answer

    def traits_sent(self) -> Iterator[dict[str, Any]]:
        """Yield the traits that travelled, oldest first."""
        return (sent["state"] for sent in self.widget.comm.sent if sent["method"] == "update")


def test_rounds_labels_and_undo_are_the_hunts(hunt: Hunt) -> None:
    browser = Browser(hunt.widget("vera"))
    widget = browser.widget
    assert widget.page["round"] == 0 and widget.page["cards"] == []
    assert browser.ask("next", after=0)["done"] == ""
    latest = hunt.round()
    assert latest is not None and latest.who == "vera" and latest.number == widget.page["round"] == 1
    assert [card["row"] for card in widget.page["cards"]] == latest.rows.tolist()
    assert [card["reason"] for card in widget.page["cards"]] == list(latest.reasons)
    picture = Image.open(io.BytesIO(base64.b64decode(widget.page["cards"][0]["picture"].split(",")[1])))
    assert picture.size == (144, 144)
    one, two = latest.rows.tolist()[:2]
    browser.ask("label", row=one, verdict="positive", negative_class="")
    browser.ask("label", row=two, verdict="negative", negative_class="ring")
    assert hunt.labels()[two].negative_class == "ring" and hunt.labels()[one].who == "vera"
    assert widget.labels["verdicts"][str(one)]["verdict"] == "positive"
    assert widget.labels["counts"] == {"positive": 1, "negative": 1, "unsure": 0, "skipped": 0}
    assert widget.labels["negative_classes"] == ["ring"]
    first = hunt.log()[0].event
    assert f"event {first} undone" in browser.ask("undo", event=first)["done"]
    assert one not in hunt.labels() and two in hunt.labels()
    assert [line["undone"] for line in widget.labels["history"]] == [False, False, True]
    browser.ask("undo", event=None)
    assert hunt.labels() == {} and "no label" in browser.ask("undo", event=None)["error"]


def test_notes_are_the_hunts(hunt: Hunt) -> None:
    hunt.note(3, "a faint arc", "ann")
    browser = Browser(hunt.widget("vera"))
    assert browser.widget.labels["notes"] == {"3": "a faint arc (ann)"}
    assert browser.ask("note", row=3, text="two arcs")["done"] == ""
    assert [(note.text, note.who) for note in hunt.notes(3)] == [("a faint arc", "ann"), ("two arcs", "vera")]
    assert browser.widget.labels["notes"] == {"3": "a faint arc (ann); two arcs (vera)"}
    assert "note" in browser.ask("note", row=3, text=" ")["error"]


def test_a_label_is_in_the_file_before_the_browser_hears_of_it(hunt: Hunt) -> None:
    browser = Browser(hunt.widget("vera"))
    browser.ask("next", after=0)
    row = browser.widget.page["cards"][0]["row"]
    heard = []
    browser.widget.observe(lambda change: heard.append((str(row) in change["new"]["verdicts"], row in hunt.labels())), "labels")
    browser.ask("label", row=row, verdict="positive", negative_class="")
    assert heard == [(True, True)]
    states = list(browser.traits_sent())
    assert "labels" in states[-1] and "page" not in states[-1]  # pictures travel once a round
    answers = [at for at, sent in enumerate(browser.widget.comm.sent) if "content" in sent]
    updates = [at for at, sent in enumerate(browser.widget.comm.sent) if sent["method"] == "update"]
    assert updates[-1] < answers[-1]


def test_a_round_that_somebody_else_played_is_shown(hunt: Hunt) -> None:
    browser = Browser(hunt.widget("vera"))
    played = hunt.next_round("ann")
    browser.ask("next", after=0)
    assert len(hunt.rounds()) == 1 and browser.widget.page["round"] == 1
    assert [card["row"] for card in browser.widget.page["cards"]] == played.rows.tolist()


def test_errors_are_answers(hunt: Hunt, tmp_path: Path) -> None:
    browser = Browser(hunt.widget("vera"))
    assert "no row 999999" in browser.ask("label", row=999999, verdict="positive", negative_class="")["error"]
    assert "verdict" in browser.ask("label", row=3, verdict="perhaps", negative_class="")["error"]
    assert hunt.log() == []
    assert "give a number" in browser.ask("export", file="x.csv", top="ten", min_score="", stamps=False)["error"]
    assert ".parquet" in browser.ask("export", file="x.doc", top="", min_score="", stamps=False)["error"]
    assert list(tmp_path.glob("x.*")) == []
    with pytest.raises(HuntError, match="new_only"):
        hunt.widget("vera", new_only=True)
    with pytest.raises(HuntError, match="printable"):
        hunt.widget("")


def test_a_missing_extra_is_named(hunt: Hunt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anywidget", None)
    monkeypatch.delitem(sys.modules, "discovery.hunts.notebook.widget", raising=False)
    with pytest.raises(HuntError, match=r"galaxy-discovery\[notebook\]"):
        hunt.widget("vera")


def test_a_fault_of_the_program_is_shown_and_raised(hunt: Hunt, caplog: pytest.LogCaptureFixture) -> None:
    browser = Browser(hunt.widget("vera"))
    assert "fault of the program" in browser.ask("label", row="x", verdict="positive", negative_class="")["error"]
    assert "Exception in callback" in caplog.text


def test_the_export_is_the_hunts(hunt: Hunt, tmp_path: Path) -> None:
    browser = Browser(hunt.widget("vera"))
    browser.ask("next", after=0)
    for card in browser.widget.page["cards"]:
        browser.ask("label", row=card["row"], verdict="positive", negative_class="")
    done = browser.ask("export", file="found.csv", top="4", min_score="", stamps=True)["done"]
    assert done == "found.csv: 13 objects"
    table = hunt.export(tmp_path / "same.csv", top=4)
    assert (tmp_path / "found.csv").read_text() == (tmp_path / "same.csv").read_text() and table.num_rows == 13
    assert len(list((tmp_path / "found").iterdir())) == 14


def test_the_audit_is_the_hunts(hunt: Hunt) -> None:
    browser = Browser(hunt.widget("vera"))
    browser.ask("next", after=0)
    assert browser.widget.labels["audit"] == [] and "no audit" in browser.ask("report")["error"]
    assert "20 stamps drawn" in browser.ask("audit", labels=20)["done"]
    assert browser.widget.labels["audit"] == ["stamps of the audit that wait for a label: 20"]
    while hunt.state().waiting:
        browser.ask("next", after=browser.widget.page["round"])
        drawn = [card for card in browser.widget.page["cards"] if card["reason"] == "audit"]
        assert drawn and {card["score"] for card in drawn} == {""}
        for card in drawn:
            verdict = "positive" if card["row"] < 40 else "negative"
            browser.ask("label", row=card["row"], verdict=verdict, negative_class="")
    assert browser.widget.labels["audit"] == ["stamps of the audit that wait for a label: 0"]
    browser.ask("report")
    assert browser.widget.labels["audit"] == text_lines(report(hunt))
    browser.ask("undo", event=None)
    assert browser.widget.labels["audit"] == ["stamps of the audit that wait for a label: 1"]


def test_known_objects_are_flagged_or_left_out(hunt: Hunt, tmp_path: Path) -> None:
    row = int(hunt.prepare().round.rows[0])
    place = hunt.release.catalogue.rows([row], ["ra", "dec"]).to_pylist()[0]
    (tmp_path / "k.csv").write_text(f"name,ra,dec\nARP 1,{place['ra']},{place['dec']}\n")
    known = find_known(hunt.release, [read_known(tmp_path / "k.csv")])
    browser = Browser(hunt.widget("vera", known=known))
    browser.ask("next", after=0)
    flags = {card["row"]: card["known"] for card in browser.widget.page["cards"]}
    assert flags.pop(row) == "known as ARP 1 (k.csv)" and set(flags.values()) == {""}
    fresh = Browser(hunt.widget("vera", known=known, new_only=True))
    fresh.ask("next", after=1)
    assert row not in [card["row"] for card in fresh.widget.page["cards"]]
    fresh.ask("export", file="new.csv", top="1000", min_score="", stamps=False)
    assert "ARP 1" not in (tmp_path / "new.csv").read_text()
