"""A hunt applied to another release of the same encoder."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discovery.cli import main
from discovery.errors import EncoderMismatch, HuntError
from discovery.hunts import Hunt, LabelRequest, move_hunt, new_hunt
from discovery.hunts.audits.audit import draw_audit, report
from discovery.hunts.models.ranking import TrainingSet, round_seed
from discovery.hunts.replay import replay_hunt
from discovery.hunts.strategies import parse_strategy
from discovery.hunts.transfer.apply import apply_hunt

TARGETS = 80
SKY = 1000
FIRST, SECOND = np.arange(0, 600), np.arange(500, 1000)
"""The sky of two data releases; 100 objects are in both, seen a little differently."""


@pytest.fixture(scope="module")
def sky(build_vectors: Callable) -> tuple[np.ndarray, np.ndarray]:
    """Vectors (1000, 24) of all objects, and which of them are targets: 80, spread over both releases."""
    rng = np.random.default_rng(4)
    order = rng.permutation(SKY)
    return build_vectors(count=SKY, targets=TARGETS)[order], order < TARGETS


@pytest.fixture(scope="module")
def releases(
    tmp_path_factory: pytest.TempPathFactory, build_release: Callable, sky: tuple[np.ndarray, np.ndarray]
) -> tuple[Any, Any]:
    """Last year's release and this year's."""
    folder, rng = tmp_path_factory.mktemp("years"), np.random.default_rng(6)
    made = []
    for name, objects in (("dr1", FIRST), ("dr2", SECOND)):
        vectors = sky[0][objects] + rng.normal(0, 0.01, (len(objects), sky[0].shape[1]))
        vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
        names = [f"sky-{at:04d}" for at in objects]
        columns = {"object_id": names, "ra": 10 + objects * 0.01, "dec": objects * 0.005}
        columns["truth"] = ["target" if sky[1][at] else "other" for at in objects]
        made.append(build_release(folder, name, vectors, **columns))
    return made[0], made[1]


@pytest.fixture
def hunt(tmp_path: Path, releases: tuple[Any, Any], sky: tuple[np.ndarray, np.ndarray], prompts: Callable) -> Hunt:
    """Three rounds in last year's release, labelled with the truth, a ring among the negatives."""
    from discovery.search.prompts import prompt_from_row

    first = releases[0]
    targets, others = np.flatnonzero(sky[1][FIRST]), np.flatnonzero(~sky[1][FIRST])
    examples = [prompt_from_row(first, row) for row in targets[:3].tolist()]
    against = [prompt_from_row(first, others[0])]
    made = new_hunt(
        tmp_path / "m.hunt", first, positives=examples, negatives=against, strategy="linear", page_size=20, include_flagged=True, who="ann"
    )
    for _ in range(3):
        requests = [
            LabelRequest(row=row, verdict="positive")
            if sky[1][FIRST[row]]
            else LabelRequest(row=row, verdict="negative", negative_class="ring" if row % 2 else None)
            for row in made.next_round("ann").rows.tolist()
        ]
        made.label_many(requests, who="ann")
    both = [row for row in range(500, 600) if row not in made.labels()]
    made.label_many([LabelRequest(row=row, verdict="negative") for row in both[:5]], who="bob")
    return made


def names_of(release: Any, rows: Any) -> list[str]:
    return release.catalogue.rows(list(rows), ["object_id"])["object_id"].to_pylist()


def test_the_new_release_is_ranked_by_all_that_was_learned(
    hunt: Hunt, releases: tuple[Any, Any], sky: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    first, second = releases
    before = hunt.path.read_bytes()
    applied, carried = apply_hunt(hunt, second, tmp_path / "new.hunt", "cy")
    said = {row: state for row, state in hunt.labels().items() if state.verdict in ("positive", "negative")}
    assert carried.silent == () and carried.found >= 5 and carried.remembered > 20
    assert carried.found + carried.remembered == len(said) and hunt.path.read_bytes() == before
    verdicts = {names_of(first, [one.row])[0]: one.verdict for one in hunt.examples()}
    verdicts |= {state.object_id: state.verdict for state in said.values()}
    at = {name: row for row, name in enumerate(names_of(second, range(second.count)))}
    was = {name: row for row, name in enumerate(names_of(first, range(first.count)))}

    def vectors(verdict: str) -> np.ndarray:
        chosen = [name for name, given in verdicts.items() if given == verdict]
        seen = [second.vectors[at[name]] if name in at else first.vectors[was[name]] for name in chosen]
        return np.array(seen)

    training = applied.training()
    for verdict, taught in (("positive", training.positives), ("negative", training.negatives)):
        expected = vectors(verdict)
        assert len(taught) == len(expected)
        np.testing.assert_allclose(np.sort(taught, axis=0), np.sort(expected, axis=0), atol=1e-7)
    assert training.negative_classes.count("ring") == hunt.training().negative_classes.count("ring") > 0
    seed = round_seed(hunt.info().seed, len(hunt.rounds()) + 1)
    oracle = parse_strategy("linear").rank(second, TrainingSet(positives=vectors("positive"), negatives=vectors("negative")), seed)
    scores = applied.ranking().order_scores
    np.testing.assert_allclose(scores, oracle.order_scores, atol=1e-2 * np.ptp(scores))
    new = np.array([name not in was for name in at])
    best = np.argsort(-np.where(new, scores, -np.inf))[:20]
    assert sky[1][SECOND][best].mean() >= 0.9  # of objects that nobody has ever seen


def test_an_applied_hunt_is_a_hunt(hunt: Hunt, releases: tuple[Any, Any], tmp_path: Path) -> None:
    applied, carried = apply_hunt(hunt, releases[1], tmp_path / "new.hunt", "cy")
    applied.set_strategy("auto", "cy")
    page = applied.next_round("cy")
    assert page.number == 4 and not set(page.rows.tolist()) & set(applied.labels())
    applied.label(int(page.rows[0]), "positive", who="cy")
    table = applied.export(tmp_path / "t.csv", top=10)
    assert table.num_rows >= 10 + carried.found + carried.remembered
    replayed = replay_hunt(applied)
    assert [one.outcome for one in replayed.rounds] == ["another release"] * 3 + ["same"]
    home, moved = move_hunt(applied.path, releases[0], tmp_path / "home.hunt", "cy")
    assert {one.object_id for one in moved.not_found} <= set(page.object_ids)
    np.testing.assert_array_equal(home.training().positives, hunt.training().positives)  # nothing teaches twice


def test_audits_of_either_release_stay_apart(
    hunt: Hunt, releases: tuple[Any, Any], sky: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    def judge(audited: Hunt, objects: np.ndarray) -> int:
        rows = draw_audit(audited, 30, who="ann").rows.tolist()
        verdicts = ["positive" if sky[1][objects[row]] else "negative" for row in rows]
        asked = [LabelRequest(row=row, verdict=said) for row, said in zip(rows, verdicts, strict=True)]  # type: ignore[arg-type]
        audited.label_many(asked, who="ann")
        return len(rows)

    taught = len(hunt.training().negatives) + len(hunt.training().positives)
    judge(hunt, FIRST)
    applied, carried = apply_hunt(hunt, releases[1], tmp_path / "new.hunt", "cy")
    assert carried.moved.audits_left == 1 and carried.silent == ()
    assert len(applied.training().negatives) + len(applied.training().positives) == taught + 30
    with pytest.raises(HuntError, match="no audit"):
        report(applied)
    judge(applied, SECOND)
    found = report(applied)
    assert found.progress.judged == 30 and found.objects == releases[1].count
    assert found.targets.low <= sky[1][SECOND].sum() <= found.targets.high


def test_a_label_taken_back_does_not_teach_any_more(hunt: Hunt, releases: tuple[Any, Any], tmp_path: Path) -> None:
    applied, _ = apply_hunt(hunt, releases[1], tmp_path / "new.hunt", "cy")
    lost = [state for state in applied.lost_labels() if state.verdict == "positive"]
    count = len(applied.training().positives)
    applied.undo("cy", lost[0].event)
    assert len(applied.training().positives) == count - 1


def test_without_the_old_release_only_what_is_found_teaches(
    hunt: Hunt, releases: tuple[Any, Any], tmp_path: Path
) -> None:
    full = apply_hunt(hunt, releases[1], tmp_path / "full.hunt", "cy")[1]
    applied, carried = apply_hunt(hunt.path, releases[1], tmp_path / "new.hunt", "cy")
    assert carried.found == full.found and len(carried.silent) == full.remembered and carried.remembered == 0
    assert len(applied.training().negatives) < len(hunt.training().negatives)
    again = apply_hunt(applied, releases[1], tmp_path / "again.hunt", "cy")[1]
    assert again.silent == carried.silent


def test_what_does_not_fit_is_said_and_leaves_no_file(hunt: Hunt, releases: tuple[Any, Any], tmp_path: Path) -> None:
    second, out = releases[1], tmp_path / "new.hunt"
    with pytest.raises(EncoderMismatch, match="--encoder dr1/encoder"):
        apply_hunt(hunt, replace(second, encoder_checksum="b" * 64), out, "cy")
    with pytest.raises(HuntError, match=r"'colour > 1' cannot be used in dr2.*--where"):
        apply_hunt(hunt, second, out, "cy", where="colour > 1")
    assert not out.exists()
    applied, _ = apply_hunt(hunt, second, out, "cy", where="mag_r < 18")
    assert applied.info().where == "mag_r < 18" and 0 < applied.allowed.sum() < second.count
    with pytest.raises(HuntError, match="already there"):
        apply_hunt(hunt, second, out, "cy")
    assert out.exists()


def test_the_command_writes_a_ranked_table(
    hunt: Hunt,
    releases: tuple[Any, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    by_name = {one.path.name: one for one in releases}
    for one in releases:
        (one.path / "manifest.json").write_text("{}")
    monkeypatch.setattr("discovery.release.release.open_release", lambda path: by_name[path.name])
    (tmp_path / "known.csv").write_text("ra,dec,name\n19.99,4.995,LAST\n")
    words = ["hunt", "apply", str(hunt.path), str(releases[1].path), "--top", "500", "--out", str(tmp_path / "t.parquet")]
    assert main([*words, "--known", str(tmp_path / "known.csv"), "--who", "cy", "--json"]) == 0
    answered = json.loads(capsys.readouterr().out)
    assert answered["taught"]["remembered"] > 20 and answered["taught"]["silent"] == []
    assert answered["hunt"]["path"] == str(tmp_path / "m-dr2.hunt") and answered["ranked"] == releases[1].count

    import pyarrow.parquet

    lines = pyarrow.parquet.read_table(tmp_path / "t.parquet").to_pylist()
    rest = [line for line in lines if line["label"] is None]
    assert [line["rank"] for line in rest] == sorted(line["rank"] for line in rest)
    assert [line["object_id"] for line in rest][:10] == [line["object_id"] for line in answered["best"]]
    assert [line["object_id"] for line in lines if line["known_as"] == "LAST"] == ["sky-0999"]
    assert main(["hunt", "apply", str(hunt.path), str(releases[1].path)]) == 1
    assert "already there" in capsys.readouterr().err
    out = str(tmp_path / "other.hunt")
    assert main(["hunt", "apply", str(hunt.path), str(releases[1].path), out, "--top", "3", "--who", "cy"]) == 0
    text = capsys.readouterr().out
    assert f"next: discovery hunt next {out}" in text and text.count("sky-") == 3
