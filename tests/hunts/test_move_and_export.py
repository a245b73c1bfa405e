"""Hunts carried to another release, and what leaves a hunt."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
from astropy.table import Table

from discovery.errors import HuntError, QueryError
from discovery.hunts import Counts, Hunt, LabelRequest, move_hunt, new_hunt, open_hunt
from discovery.search.prompts import prompt_from_row

COUNT = 400


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory, release: Any, prompts: Callable) -> Path:
    """Two rounds labelled with the truth, an undone label, an unsure one, and one that no round showed."""
    path = tmp_path_factory.mktemp("played") / "a.hunt"
    made = new_hunt(path, release, positives=prompts(0, 1), negatives=prompts(90), alpha=1.0, include_flagged=True, who="ann")
    for _ in range(2):
        rows = made.next_round("ann").rows.tolist()
        made.label_many(
            [LabelRequest(row=row, verdict="positive" if row < 40 else "negative") for row in rows], who="ann"
        )
    made.undo("ann")
    left = [row for row in range(200, 399) if row not in made.labels()]
    made.label(left[0], "unsure", who="bob", reason="faint")
    made.label(left[1], "negative", who="bob", negative_class="ring")
    return path


@pytest.fixture
def hunt(tmp_path: Path, played: Path, release: Any) -> Hunt:
    """A copy of the played hunt."""
    return open_hunt(shutil.copy(played, tmp_path / "a.hunt"), release)


@pytest.fixture
def shuffled(tmp_path: Path, build_release: Callable, build_vectors: Callable) -> Callable[..., Any]:
    """The same sky by another encoder, rows in reverse."""

    def made(**columns: Any) -> Any:
        order = np.arange(COUNT)[::-1]
        plain = {
            "object_id": [f"obj-{row:04d}" for row in order],
            "ra": 150.0 + order * 0.01,
            "dec": np.linspace(-5, 5, COUNT)[order],
        }
        vectors = build_vectors(dimension=16, seed=8)[order]
        name = f"other{len(list(tmp_path.iterdir()))}"
        return replace(build_release(tmp_path, name, vectors, **(plain | columns)), encoder_checksum="b" * 64)

    return made


def verdicts_by_name(hunt: Hunt) -> dict[str, tuple]:
    """Labels by object id, without what a move may change."""
    return {
        state.object_id: (
            state.verdict,
            state.negative_class,
            state.who,
            state.when,
            state.round,
            state.event,
        )
        for state in hunt.labels().values()
    }


def test_a_move_by_id_carries_everything(hunt: Hunt, shuffled: Callable, tmp_path: Path) -> None:
    other = shuffled()
    before = hunt.path.read_bytes()
    moved, report = move_hunt(hunt.path, other, tmp_path / "b.hunt", "cy")
    assert (
        report.not_found == ()
        and report.examples_left == ()
        and {one.by for one in report.objects} == {"object_id"}
    )
    assert verdicts_by_name(moved) == verdicts_by_name(hunt)
    names = other.catalogue.rows(list(moved.labels()), ["object_id"])["object_id"].to_pylist()
    assert names == [state.object_id for state in moved.labels().values()]
    assert [replace(event, row=None) for event in moved.log()] == [
        replace(event, row=None) for event in hunt.log()
    ]
    assert [played.object_ids for played in moved.rounds()] == [played.object_ids for played in hunt.rounds()]
    assert hunt.path.read_bytes() == before
    third = moved.next_round("cy")
    assert third.number == 3 and third.strategy.startswith("rescorer") and moved.replay(3) == third
    assert not set(third.rows.tolist()) & set(moved.labels())
    with pytest.raises(HuntError, match="another release"):
        moved.replay(1)
    assert moved.info().name == "b" and moved.info().release_name == other.name


def test_a_move_by_position_within_one_arcsec(hunt: Hunt, shuffled: Callable, tmp_path: Path) -> None:
    order = np.arange(COUNT)[::-1]
    shift = np.where(order == 1, 1.5, 0.5) / 3600  # obj-0001, an example, lies too far away
    other = shuffled(object_id=[f"new-{row}" for row in order], dec=np.linspace(-5, 5, COUNT)[order] + shift)
    moved, report = move_hunt(hunt.path, other, tmp_path / "b.hunt", "cy")
    assert [one.object_id for one in report.not_found] == ["obj-0001"] and report.examples_left == (
        "obj-0001",
    )
    assert all(
        one.separation_arcsec == pytest.approx(0.5, abs=1e-3) for one in report.objects if one.row is not None
    )
    assert len(moved.labels()) == len(hunt.labels())
    for state in moved.labels().values():
        assert state.object_id == f"new-{COUNT - 1 - state.row}"
    back, report = move_hunt(moved.path, hunt.release, tmp_path / "back.hunt", "cy")
    assert report.not_found == () and verdicts_by_name(back) == verdicts_by_name(hunt)


def test_what_a_move_does_not_find_stays_in_the_log(hunt: Hunt, shuffled: Callable, tmp_path: Path) -> None:
    order = np.arange(COUNT)[::-1]
    lost = {f"obj-{row:04d}" for row in range(10, 400)}
    names = [f"obj-{row:04d}" if row < 10 else f"far-{row}" for row in order]
    dec = np.where(order < 10, np.linspace(-5, 5, COUNT)[order], 40.0)
    other = shuffled(object_id=names, dec=dec)
    moved, report = move_hunt(hunt.path, other, tmp_path / "b.hunt", "cy")
    assert {one.object_id for one in report.not_found} <= lost and len(moved.log()) == len(hunt.log())
    kept = {state.object_id for state in moved.lost_labels()} | {
        state.object_id for state in moved.labels().values()
    }
    assert kept == {state.object_id for state in hunt.labels().values()}
    assert moved.counts() == hunt.counts()
    table = moved.export(tmp_path / "lost.fits")
    assert set(table["object_id"].to_pylist()) >= kept
    assert (
        Table.read(tmp_path / "lost.fits")["label"].tolist().count("positive") == moved.counts().positive + 2
    )
    again, report = move_hunt(moved.path, hunt.release, tmp_path / "c.hunt", "cy")
    assert report.not_found == () and verdicts_by_name(again) == verdicts_by_name(hunt)


def test_the_same_name_far_away_is_another_object(hunt: Hunt, shuffled: Callable, tmp_path: Path) -> None:
    other = shuffled(ra=(150.0 + np.arange(COUNT)[::-1] * 0.01 + 90.0))
    moved, report = move_hunt(hunt.path, other, tmp_path / "b.hunt", "cy")
    assert len(report.not_found) == len(report.objects) and "another object" in report.not_found[0].note
    name = report.not_found[0].object_id
    row = other.catalogue.find_id(name)
    moved.label(row, "unsure", who="cy")
    assert moved.labels()[row].object_id == name and len(moved.lost_labels()) == hunt.counts().total
    moved.undo("cy")
    with pytest.raises(HuntError, match="example"):
        moved.next_round("cy")


def test_a_hunt_without_usable_examples_can_be_given_new_ones(
    hunt: Hunt, shuffled: Callable, prompts: Callable, tmp_path: Path
) -> None:
    other = shuffled(object_id=[f"x{row}" for row in range(COUNT)], ra=np.full(COUNT, 300.0))
    fresh = replace(prompts(0)[0], row=7, vector=other.vectors[7], encoder_checksum=other.encoder_checksum)
    moved, report = move_hunt(hunt.path, other, tmp_path / "b.hunt", "cy", positives=[fresh])
    assert len(report.examples_left) == 3
    assert 7 not in moved.next_round("cy").rows


def test_an_export_ranks_the_whole_release(hunt: Hunt, release: Any, tmp_path: Path) -> None:
    table = hunt.export(tmp_path / "all.parquet", top=10**6)
    assert table.equals(pyarrow.parquet.read_table(tmp_path / "all.parquet").cast(table.schema))
    lines = table.to_pylist()
    assert sorted(line["row"] for line in lines) == list(range(COUNT - 1))  # the duplicate is left out
    scores = hunt.ranking().order_scores
    by_rank = sorted(lines, key=lambda line: line["rank"])
    assert [line["row"] for line in by_rank] == np.argsort(-scores[: COUNT - 1], kind="stable").tolist()
    labels, rounds = hunt.labels(), hunt.rounds()
    shown = {row: played.number for played in rounds for row in played.rows.tolist()}
    for line in lines:
        state = labels.get(line["row"])
        example = {0: "positive", 1: "positive", 90: "negative"}.get(line["row"])
        assert line["label"] == (state.verdict if state else example)
        assert line["round"] == shown.get(line["row"])
        assert line["seen"] == (line["row"] in shown or state is not None or example is not None)
        assert line["probability"] == pytest.approx(1 / (1 + np.exp(-float(scores[line["row"]]))), rel=1e-5)
        assert line["mag_r"] == 16 + line["row"] % 7
    assert [line["label"] is None for line in lines] == sorted(line["label"] is None for line in lines)


def test_top_and_min_score_choose_the_rest(hunt: Hunt, tmp_path: Path) -> None:
    labelled = hunt.export(tmp_path / "a.csv")
    assert labelled.num_rows == hunt.counts().total + 3
    best = hunt.export(tmp_path / "b.csv", top=7).slice(labelled.num_rows)
    assert best.num_rows == 7 and best["rank"].to_pylist() == sorted(best["rank"].to_pylist())
    likely = hunt.export(tmp_path / "c.csv", min_score=0.2).slice(labelled.num_rows)
    everything = hunt.export(tmp_path / "d.csv", top=COUNT)
    above = [line for line in everything.slice(labelled.num_rows).to_pylist() if line["probability"] >= 0.2]
    assert likely.to_pylist() == above
    for bad in ({"top": -1}, {"min_score": float("nan")}):
        with pytest.raises(HuntError):
            hunt.export(tmp_path / "e.csv", **bad)
    with pytest.raises(QueryError):
        hunt.export(tmp_path / "e.txt")


def test_an_export_keeps_to_the_filter_unless_asked(release: Any, prompts: Callable, tmp_path: Path) -> None:
    hunt = new_hunt(tmp_path / "f.hunt", release, positives=prompts(0), where="mag_r < 17", strategy="alpha", who="ann")
    table = hunt.export(tmp_path / "f.csv", top=COUNT, columns=["mag_r"])
    assert max(table["mag_r"].to_pylist()) < 17 and table["probability"].null_count == table.num_rows
    assert table.column_names[-2:] == ["shown_as", "mag_r"]
    assert hunt.export(tmp_path / "f.csv", top=COUNT, unfiltered=True).num_rows == COUNT - 1


def test_every_format_holds_the_same_objects(hunt: Hunt, tmp_path: Path) -> None:
    table = hunt.export(tmp_path / "x.csv", top=5)
    with (tmp_path / "x.csv").open() as file:
        assert [line["object_id"] for line in csv.DictReader(file)] == table["object_id"].to_pylist()
    for suffix in ("fits", "vot"):
        hunt.export(tmp_path / f"x.{suffix}", top=5)
        read = Table.read(tmp_path / f"x.{suffix}")
        assert [str(name) for name in read["object_id"]] == table["object_id"].to_pylist()
        np.testing.assert_allclose(
            np.asarray(read["probability"]), table["probability"].to_numpy(), rtol=1e-6
        )


def test_cutouts_and_a_contact_sheet_go_along(hunt: Hunt, tmp_path: Path) -> None:
    table = hunt.export(tmp_path / "x.csv", stamps=tmp_path / "stamps")
    pictures = sorted(path.name for path in (tmp_path / "stamps").iterdir())
    assert len(pictures) == table.num_rows + 1 and "contact_sheet.png" in pictures


def test_a_catalogue_column_called_like_ours_is_renamed(
    build_release: Callable, build_vectors: Callable, tmp_path: Path
) -> None:
    named = build_release(tmp_path, "named", build_vectors(), label=["spiral"] * COUNT)
    hunt = new_hunt(tmp_path / "n.hunt", named, positives=[prompt_from_row(named, 0)], who="ann")
    table = hunt.export(tmp_path / "n.csv", top=3)
    assert table["catalogue_label"].to_pylist() == ["spiral"] * 4 and table["label"].to_pylist() == [
        "positive",
        None,
        None,
        None,
    ]
    assert hunt.counts() == Counts()
