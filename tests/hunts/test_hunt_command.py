"""``discovery hunt``: the verbs on a release folder, as a person types them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from discovery.cli import main


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, release: Any, capsys: pytest.CaptureFixture, tmp_path: Path
) -> Callable[..., Any]:
    """Run a verb of hunt on the small release; returns its JSON document, or its text without --json."""
    (release.path / "manifest.json").write_text("{}")
    monkeypatch.setattr("discovery.release.release.open_release", lambda path, survey_roots=None: release)
    monkeypatch.chdir(tmp_path)

    def called(*words: str, status: int = 0) -> Any:
        assert main(["hunt", *words]) == status
        out, err = capsys.readouterr()
        if status:
            assert out == "" and err.startswith("discovery: error: ") and err.count("\n") == 1
            return err
        return json.loads(out) if "--json" in words else out

    return called


def test_a_hunt_from_start_to_export(run: Callable, release: Any, tmp_path: Path) -> None:
    made = run(
        "new",
        "m.hunt",
        str(release.path),
        "--like",
        "obj-0000",
        "--like",
        "150.01,-4.9749",
        "--unlike",
        "obj-0100",
        "--alpha",
        "0.9",
        "--page-size",
        "6",
        "--who",
        "ann",
        "--json",
    )
    assert (
        made["hunt"]["examples_positive"] == 2
        and made["hunt"]["alpha"] == 0.9
        and made["hunt"]["name"] == "m"
    )
    page = run("next", "m.hunt", "--who", "ann", "--json")
    names = [line["object_id"] for line in page["candidates"]]
    assert (
        page["round"] == 1
        and len(names) == 6
        and page["strategy"] == "rescorer-highest"
        and not page["exhausted"]
    )
    answered = run("label", "m.hunt", names[0], "positive", names[1], "negative", "--who", "ann", "--json")
    assert len(answered["events"]) == 2 and answered["counts"] == {
        "positive": 1,
        "negative": 1,
        "unsure": 0,
        "skipped": 0,
    }
    run(
        "label",
        "m.hunt",
        "--positive",
        names[2],
        names[3],
        "--negative",
        "obj-0200",
        "--negative-class",
        "ring",
        "--who",
        "ann",
        "--json",
    )
    (tmp_path / "labels.csv").write_text(f"object_id,verdict,reason\n{names[4]},unsure,too faint\n")
    run("label", "m.hunt", "--labels", "labels.csv", "--rest", "negative", "--who", "ann", "--json")
    shown = run("show", "m.hunt", "--log", "--json")
    verdicts = {line["object_id"]: line["verdict"] for line in shown["labels"]}
    assert verdicts == dict(
        zip(names, ["positive", "negative", "positive", "positive", "unsure", "negative"], strict=True)
    ) | {"obj-0200": "negative"}
    assert [line["reason"] for line in shown["labels"] if line["verdict"] == "unsure"] == ["too faint"]
    assert len(shown["log"]) == 7 and shown["curve"]["positives_found"][-1] == 3 and len(shown["rounds"]) == 1
    undone = run("label", "m.hunt", "--undo", "--who", "ann", "--json")["undone"]
    assert undone["object_id"] == names[5] and undone["verdict"] == "cleared"
    assert run("next", "m.hunt", "--alpha", "0", "--json")["strategy"] == "rescorer-lowest"
    told = run("export", "m.hunt", "out.csv", "--top", "5", "--columns", "mag_r, truth_class", "--json")
    assert (
        told["objects"] == 6 + 3 + 5
        and told["labelled"] == 9
        and (tmp_path / "out.csv").read_text().count("\n") == 15
    )
    listed = run("list", "--json")["hunts"]
    assert [line["name"] for line in listed] == ["m"] and listed[0]["rounds"] == 2


def test_people_get_text(run: Callable, release: Any) -> None:
    assert "hunt next" in run("new", "m.hunt", str(release.path), "--like", "obj-0000")
    assert "round 1: most similar" in run("next", "m.hunt", "--contact-sheet", "page.png")
    assert Path("page.png").stat().st_size > 0
    assert "1 positive" in run("label", "m.hunt", "obj-0001", "positive")
    assert "obj-0001" in run("show", "m.hunt", "--log")
    assert "cleared" in run("label", "m.hunt", "--undo")
    assert "labelled objects" in run("export", "m.hunt", "out.vot")
    assert "m.hunt" in run("list") and "no hunts" in run("list", str(release.path))


def test_a_hunt_moves(run: Callable, release: Any) -> None:
    run("new", "m.hunt", str(release.path), "--like", "obj-0000")
    run("label", "m.hunt", "obj-0300", "negative")
    moved = run("move", "m.hunt", str(release.path), "n.hunt", "--json")
    assert moved["not_found"] == [] and moved["hunt"]["counts"]["negative"] == 1
    assert "2 of 2 objects" in run("move", "m.hunt", str(release.path))
    assert Path("m-small.hunt").is_file()


def test_strategies_by_name(run: Callable, release: Any) -> None:
    made = run("new", "m.hunt", str(release.path), "--like", "obj-0000", "--unlike", "obj-0100", "--json")
    assert (made["hunt"]["strategy"], made["hunt"]["consensus"]) == ("auto", "latest")
    made = run("new", "n.hunt", str(release.path), "--like", "obj-0000", "--strategy", "top", "--json")
    assert made["hunt"]["strategy"] == "top"
    page = run("next", "m.hunt", "--strategy", "linear", "--page-size", "3", "--json")
    assert page["parts"]["strategy"] == "linear" and [one["reason"] for one in page["candidates"]] == ["likely"] * 3
    assert run("next", "m.hunt", "--page-size", "3").count("likely") == 3
    assert "alpha:0.3" in run("next", "m.hunt", "--alpha", "0.3", status=1)
    assert run("next", "m.hunt", "--strategy", "alpha", "--alpha", "0.3", "--json")["alpha"] == 0.3
    text = run("show", "m.hunt")
    assert "strategy alpha:0.3, consensus latest" in text and "round 1: " in text


def test_advice_to_stop(run: Callable, release: Any) -> None:
    run("new", "m.hunt", str(release.path), "--like", "obj-0000", "--stopper", "dry:1", "--page-size", "3")
    assert "time to stop" not in run("next", "m.hunt")
    run("label", "m.hunt", "--rest", "negative")
    assert "time to stop: no positive on the last 1 pages" in run("next", "m.hunt")
    assert run("next", "m.hunt", "--stopper", "never", "--json")["advice"] == ""


def test_people_who_disagree(run: Callable, release: Any) -> None:
    run("new", "m.hunt", str(release.path), "--like", "obj-0000", "--consensus", "majority")
    run("label", "m.hunt", "obj-0001", "positive", "obj-0002", "positive", "--who", "ann")
    run("label", "m.hunt", "obj-0001", "negative", "--negative-class", "ring", "--who", "bob")
    found = run("disagreements", "m.hunt", "--json")
    assert found["consensus"] == "majority" and [one["object_id"] for one in found["disagreements"]] == ["obj-0001"]
    assert found["disagreements"][0]["verdicts"] == {"ann": "positive", "bob": "negative"}
    assert "unsure    ann: positive, bob: negative" in run("disagreements", "m.hunt")
    run("next", "m.hunt", "--consensus", "arbiter:bob")
    assert "consensus arbiter:bob" in run("show", "m.hunt") and "(negatives: 1 ring)" in run("show", "m.hunt")
    lines = run("history", "m.hunt", "--json")["history"]
    assert [(line["event"], line["who"], line["verdict"]) for line in lines] == [
        (3, "bob", "negative"),
        (2, "ann", "positive"),
        (1, "ann", "positive"),
    ]
    assert run("label", "m.hunt", "--undo", "--event", "3", "--who", "cy", "--json")["undone"]["verdict"] == "positive"
    text = run("history", "m.hunt", "--last", "2")
    assert "(undo of 3)" in text and "(undone by 4)" in text and text.count("\n") == 2
    assert "nobody disagrees" in run("disagreements", "m.hunt")


def test_the_rest_of_a_page_gets_its_class(run: Callable, release: Any) -> None:
    run("new", "m.hunt", str(release.path), "--like", "obj-0000", "--page-size", "4")
    names = [one["object_id"] for one in run("next", "m.hunt", "--json")["candidates"]]
    run("label", "m.hunt", names[0], "positive", "--rest", "negative", "--negative-class", "spiral")
    assert run("show", "m.hunt", "--json")["hunt"]["negative_classes"] == {"spiral": 3}


def test_labels_that_contradict_themselves_are_refused(run: Callable, release: Any) -> None:
    assert "page size is 0; it must lie between 1 and 1000" in run(
        "new", "m.hunt", str(release.path), "--like", "obj-0000", "--page-size", "0", status=1
    )
    run("new", "m.hunt", str(release.path), "--like", "obj-0000")
    assert "obj-0001 is positive and unsure in one call" in run(
        "label", "m.hunt", "obj-0002", "positive", "obj-0001", "positive", "--unsure", "obj-0001", status=1
    )
    assert "'ring' belongs to no label" in run("label", "m.hunt", "--positive", "obj-0001", "--negative-class", "ring", status=1)
    assert run("history", "m.hunt", "--json")["history"] == []


def test_notes(run: Callable, release: Any) -> None:
    run("new", "m.hunt", str(release.path), "--like", "obj-0000")
    kept = run("note", "m.hunt", "obj-0050", "a second arc", "--who", "ann", "--json")["note"]
    assert (kept["event"], kept["row"], kept["who"]) == (1, 50, "ann")
    assert "obj-0050" in run("note", "m.hunt", "obj-0050", "and a third")
    shown = run("show", "m.hunt", "--json")
    assert [note["text"] for note in shown["notes"]] == ["a second arc", "and a third"] and shown["hunt"]["notes"] == 2
    assert "note on obj-0050 by ann: a second arc" in run("show", "m.hunt")


def test_known_objects_are_flagged_or_left_out(run: Callable, release: Any, tmp_path: Path) -> None:
    (tmp_path / "known.csv").write_text("name,ra,dec\nSDP.81,150.01,-4.974937\n")  # obj-0001
    run("new", "m.hunt", str(release.path), "--like", "obj-0000")
    page = run("next", "m.hunt", "--known", "known.csv", "--page-size", "400", "--json")
    flags = {one["object_id"]: one["known"] for one in page["candidates"]}
    assert flags["obj-0001"] == "known as SDP.81 (known.csv)" and set(flags.values()) == {flags["obj-0001"], ""}
    fresh = run("next", "m.hunt", "--known", "known.csv", "--new-only", "--page-size", "400", "--json")
    assert [one["object_id"] for one in page["candidates"] if not one["known"]] == [
        one["object_id"] for one in fresh["candidates"]
    ]
    assert "known in known.csv" in fresh["parts"]["candidates"]["without"]
    run("label", "m.hunt", "obj-0001", "positive")
    assert "known as SDP.81" in run("show", "m.hunt", "--known", "known.csv")
    shown = run("show", "m.hunt", "--known", "known.csv", "--known-radius", "0.001", "--json")
    assert [line["known"] for line in shown["labels"]] == [""]
    run("export", "m.hunt", "out.csv", "--known", "known.csv")
    assert "SDP.81" in (tmp_path / "out.csv").read_text()


@pytest.mark.parametrize(
    "words",
    [
        ("label", "m.hunt", "obj-0001", "positive", "--event", "1"),
        ("label", "m.hunt", "--undo", "--event", "7"),
        ("new", "other.hunt", "RELEASE", "--like", "obj-0001", "--strategy", "best"),
        ("new", "other.hunt", "RELEASE", "--like", "obj-0001", "--strategy", "top", "--alpha", "0.5"),
        ("new", "other.hunt", "RELEASE", "--like", "obj-0001", "--consensus", "loudest"),
        ("next", "m.hunt", "--strategy", "best"),
        ("next", "m.hunt", "--consensus", "loudest"),
        ("next", "m.hunt", "--stopper", "soon"),
        ("new", "other.hunt", "RELEASE", "--like", "obj-0001", "--stopper", "quantile:0.9"),
        ("next", "m.hunt", "--new-only"),
        ("next", "m.hunt", "--known", "missing.csv"),
        ("note", "m.hunt", "nobody", "a text"),
        ("note", "m.hunt", "obj-0001", " "),
        ("history", "m.hunt", "--last", "0"),
        ("label", "m.hunt", "obj-0001"),
        ("label", "m.hunt"),
        ("label", "m.hunt", "obj-0001", "great"),
        ("label", "m.hunt", "nobody", "positive"),
        ("label", "m.hunt", "--rest", "negative"),
        ("label", "m.hunt", "--undo"),
        ("label", "m.hunt", "--undo", "obj-0001", "positive"),
        ("label", "m.hunt", "--labels", "missing.csv"),
        ("label", "m.hunt", "obj-0001", "positive", "--who", ""),
        ("next", "m.hunt", "--alpha", "3"),
        ("next", "m.hunt", "--page-size", "0"),
        ("next", "missing.hunt"),
        ("export", "m.hunt", "out.txt"),
        ("export", "m.hunt", "out.csv", "--columns", "nothing"),
        ("new", "m.hunt", "RELEASE", "--like", "obj-0001"),
        ("new", "other.hunt", "RELEASE"),
        ("new", "other.hunt", "RELEASE", "--like", "nobody"),
        ("move", "m.hunt", "RELEASE", "m.hunt"),
        ("list", "nowhere"),
    ],
)
def test_a_mistake_is_one_clear_line(run: Callable, release: Any, words: tuple[str, ...]) -> None:
    run("new", "m.hunt", str(release.path), "--like", "obj-0000")
    run(*(str(release.path) if word == "RELEASE" else word for word in words), status=1)


def test_a_release_that_has_gone_is_named(run: Callable, release: Any) -> None:
    run("new", "m.hunt", str(release.path), "--like", "obj-0000")
    (release.path / "manifest.json").unlink()
    assert "--release" in run("next", "m.hunt", status=1)
    assert "round 1" in run("next", "m.hunt", "--release", str(release.path))
