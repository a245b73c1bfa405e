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
    monkeypatch.setattr("discovery.release.open_release", lambda path, survey_roots=None: release)
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


@pytest.mark.parametrize(
    "words",
    [
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
