"""Hunts as a person plays them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from discovery.errors import EncoderMismatch, HuntError, QueryError
from discovery.hunts import Counts, Hunt, LabelRequest, new_hunt, open_hunt, peek_hunt
from discovery.search.query import Query
from discovery.sky.places import Cone

NAMES = count()


@pytest.fixture
def start(tmp_path: Path, release: Any, prompts: Callable) -> Callable[..., Hunt]:
    """Start a hunt from rows."""

    def started(
        positives: tuple[int, ...] = (0, 1, 2), negatives: tuple[int, ...] = (), **options: Any
    ) -> Hunt:
        path = tmp_path / f"{next(NAMES)}.hunt"
        options = {"who": "ann", **options}
        return new_hunt(
            path, release, positives=prompts(*positives), negatives=prompts(*negatives), **options
        )

    return started


def answer(hunt: Hunt, who: str = "ann") -> None:
    """Label the latest round with the truth: rows below 40 are targets."""
    rows = hunt.round().rows.tolist()
    hunt.label_many(
        [LabelRequest(row=row, verdict="positive" if row < 40 else "negative") for row in rows], who=who
    )


def test_a_hunt_finds_the_targets_and_every_round_replays(start: Callable, release: Any) -> None:
    hunt = start(alpha=0.9)
    strategies = []
    for _ in range(5):
        strategies.append(hunt.next_round("ann").strategy)
        answer(hunt)
    assert strategies[0] == "similarity" and "rescorer-highest" in strategies
    assert hunt.counts().positive == 37
    given_labels, found = hunt.curve()
    assert given_labels.tolist() == list(range(101)) and found[-1] == 37 and found[0] == 0
    again = open_hunt(hunt.path, release)
    for played in again.rounds():
        assert again.replay(played.number) == played
    assert peek_hunt(hunt.path).counts == Counts(positive=37, negative=63)


def test_three_negatives_start_the_rescorer_at_once(start: Callable) -> None:
    hunt = start(negatives=(100, 200, 300), alpha=0.5)
    played = hunt.next_round("ann")
    assert played.strategy == "rescorer-highest" and played.parts["ranker"]["hidden"] == 2048
    assert (played.positives, played.negatives, played.ratio) == (0, 0, None)


def test_only_the_latest_round_decides_and_unsure_does_not_count(start: Callable) -> None:
    hunt = start(negatives=(100, 200), page_size=4, alpha=0.5)
    first = hunt.next_round("ann").rows.tolist()
    for row, verdict in zip(first, ("positive", "negative", "unsure", "skipped"), strict=True):
        hunt.label(row, verdict, who="ann")
    hunt.label(350, "negative", who="ann")  # shown by no round
    second = hunt.next_round("ann")
    assert (second.positives, second.negatives, second.strategy) == (1, 1, "rescorer-lowest")
    hunt.label(int(second.rows[0]), "negative", who="ann")
    hunt.label(first[1], "positive", who="ann")  # a change in an old round
    third = hunt.next_round("ann")
    assert (third.positives, third.negatives, third.strategy) == (0, 1, "rescorer-highest")
    assert hunt.counts() == Counts(positive=2, negative=2, unsure=1, skipped=1)


def test_pages_hold_unlabelled_primary_objects_that_the_filter_allows(start: Callable, release: Any) -> None:
    hunt = start(where="mag_r < 18", flagged=False, page_size=400)
    rows = hunt.next_round("ann").rows
    expected = np.flatnonzero(
        (np.arange(400) % 7 < 2) & (np.arange(400) % 50 != 49) & (np.arange(400) != 399)
    )
    assert sorted(rows.tolist()) == [row for row in expected.tolist() if row not in (0, 1, 2)]


def test_a_hunt_keeps_the_query_that_it_was_started_from(start: Callable, release: Any, tmp_path: Path) -> None:
    from discovery.hunts import move_hunt
    from discovery.hunts.replay import replay_hunt

    name, place = release.catalogue.rows([0, 1], ["object_id", "ra", "dec"]).to_pylist()
    query = Query(like=(name["object_id"],), where="mag_r < 24", cone=Cone(place["ra"], place["dec"], 3600.0), k=3)
    inside = release.catalogue.cone(*query.cone) & release.catalogue.where("mag_r < 24") & release.clean
    hunt = new_hunt(tmp_path / "q.hunt", release, query=query, page_size=5, who="ann")
    assert Query.from_values(hunt.info().query) == query
    assert [example.row for example in hunt.examples()] == [0]
    for _ in range(2):
        rows = hunt.next_round("ann").rows
        assert inside[rows].all()
        hunt.label(int(rows[0]), "negative", who="ann")
    assert [one.parts["candidates"]["cone"] for one in hunt.rounds()] == [str(query.cone)] * 2
    assert replay_hunt(hunt).confirmed
    moved, _ = move_hunt(hunt.path, release, tmp_path / "m.hunt", "ann")
    assert moved.settings().cone == str(query.cone) and np.array_equal(moved.allowed, hunt.allowed)
    assert Query.from_values(moved.info().query) == query


def test_a_small_release_is_exhausted_without_an_error(start: Callable) -> None:
    hunt = start(page_size=400, include_flagged=True)
    assert len(hunt.next_round("ann").rows) == 396
    answer(hunt)
    last = hunt.next_round("ann")
    assert last.exhausted and len(last.rows) == 0 and "label" in last.why
    assert [played.number for played in hunt.rounds()] == [1] and hunt.round().number == 1


def test_labels_change_and_undo_takes_back_ones_own_latest(start: Callable) -> None:
    hunt = start()
    hunt.label(50, "positive", who="ann")
    hunt.label(50, "negative", who="ann", negative_class="ring")
    hunt.label(51, "positive", who="bob", reason="sure")
    assert hunt.labels()[50].negative_class == "ring"
    undone = hunt.undo("ann")
    assert (undone.undid, undone.row, undone.verdict) == (2, 50, "positive")
    assert hunt.labels()[50].verdict == "positive" and hunt.labels()[50].event == 1
    assert hunt.undo("ann").verdict == "cleared" and 50 not in hunt.labels()
    with pytest.raises(HuntError, match="no label"):
        hunt.undo("ann")
    hunt.label(51, "cleared", who="ann")
    assert hunt.labels() == {}
    assert hunt.undo("ann").verdict == "positive"
    assert hunt.labels()[51].who == "bob" and hunt.labels()[51].reason == "sure"
    assert [event.event for event in hunt.log()] == list(range(1, 8))
    assert [event.undoes for event in hunt.log()] == [None, None, None, 2, 1, None, 6]


def test_a_duplicate_is_labelled_by_its_primary_row(start: Callable) -> None:
    hunt = start(positives=(5,))
    hunt.label(399, "positive", who="ann")
    assert list(hunt.labels()) == [0]
    assert 399 not in hunt.next_round("ann").rows


def test_an_example_can_be_overruled_by_a_label(start: Callable) -> None:
    hunt = start(positives=(0, 200), negatives=(300,))
    hunt.label(200, "negative", who="ann")
    overruled = hunt.next_round("ann")
    straight = start(positives=(0,), negatives=(300, 200))
    assert np.array_equal(overruled.rows, straight.next_round("ann").rows)
    assert overruled.digest == straight.round().digest


def test_without_any_class_left_the_next_round_says_what_to_do(start: Callable) -> None:
    hunt = start(positives=(0,))
    hunt.label(0, "cleared", who="ann")
    with pytest.raises(HuntError, match="example"):
        hunt.next_round("ann")


def test_with_negatives_only_the_round_turns_away_from_them(start: Callable, release: Any) -> None:
    hunt = start(positives=(100,), page_size=400)
    hunt.label(100, "negative", who="ann")
    scores = release.vectors @ -release.vectors[100]
    assert hunt.next_round("ann").rows[0] == int(np.argmax(scores))


def test_alpha_changes_are_logged_and_hold_from_the_next_round(start: Callable) -> None:
    hunt = start(negatives=(100,), alpha=0.5)
    hunt.next_round("ann")
    hunt.set_alpha(1.0, "bob")
    assert hunt.alpha == 1.0 and hunt.next_round("ann").alpha == 1.0 and hunt.rounds()[0].alpha == 0.5
    with pytest.raises(HuntError):
        hunt.set_alpha(2.0, "bob")


@pytest.mark.slow
@given(
    order=st.permutations(range(20)),
    verdicts=st.lists(st.sampled_from(["positive", "negative", "unsure"]), min_size=20, max_size=20),
)
@settings(max_examples=8, deadline=None)
def test_labels_in_any_order_give_the_same_round(
    release: Any,
    prompts: Callable,
    tmp_path_factory: pytest.TempPathFactory,
    order: list[int],
    verdicts: list[str],
) -> None:
    rounds = []
    for places in (list(range(20)), order):
        folder = tmp_path_factory.mktemp("order")
        hunt = new_hunt(folder / "x.hunt", release, positives=prompts(3, 4), negatives=prompts(90), who="ann")
        rows = hunt.next_round("ann").rows
        hunt.label_many([LabelRequest(row=int(rows[at]), verdict=verdicts[at]) for at in places], who="ann")
        rounds.append(hunt.next_round("ann"))
    one, other = rounds
    assert np.array_equal(one.rows, other.rows) and np.array_equal(one.scores, other.scores)
    assert (one.digest, one.strategy, one.why) == (other.digest, other.strategy, other.why)


def test_similarity_ranking_equals_brute_force(start: Callable, release: Any) -> None:
    hunt = start(positives=(3, 4, 5), strategy="similarity")
    played = hunt.next_round("ann")
    cosines = release.vectors.astype(np.float64) @ release.vectors[[3, 4, 5]].astype(np.float64).T
    scores = cosines.mean(axis=1)
    scores[[3, 4, 5, 399]] = -2
    assert played.rows.tolist() == np.argsort(-scores)[:20].tolist()
    np.testing.assert_allclose(played.scores, np.sort(scores)[::-1][:20], atol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"alpha": 1.5},
        {"page_size": 0},
        {"page_size": 10**6},
        {"seed": -1},
        {"who": " "},
        {"who": "a\nb"},
        {"positives": ()},
    ],
)
def test_a_hunt_with_a_bad_setting_is_not_started(start: Callable, options: dict, tmp_path: Path) -> None:
    with pytest.raises(HuntError):
        start(**options)
    assert list(tmp_path.iterdir()) == []


def test_contradicting_examples_and_filters_that_fail_start_no_hunt(start: Callable, tmp_path: Path) -> None:
    with pytest.raises(HuntError, match="both"):
        start(positives=(0,), negatives=(399,))  # a duplicate of row 0
    with pytest.raises(QueryError):
        start(where="nonsense <")
    assert list(tmp_path.iterdir()) == []


def test_labels_that_make_no_sense_are_refused_together(start: Callable) -> None:
    hunt = start()
    good = LabelRequest(row=50, verdict="positive")
    for bad in (
        LabelRequest(row=400, verdict="positive"),
        LabelRequest(row=-1, verdict="positive"),
        LabelRequest(row=5, verdict="perhaps"),  # type: ignore[arg-type]
        LabelRequest(row=5, verdict="positive", negative_class="ring"),
        LabelRequest(row=5, verdict="positive", reason="x" * 2000),
    ):
        with pytest.raises(HuntError):
            hunt.label_many([good, bad], who="ann")
    assert hunt.log() == []
    with pytest.raises(HuntError):
        hunt.replay(1)


def test_another_release_or_encoder_is_refused(start: Callable, release: Any) -> None:
    hunt = start()
    with pytest.raises(EncoderMismatch, match="move"):
        open_hunt(hunt.path, replace(release, encoder_checksum="b" * 64))
    with pytest.raises(HuntError, match="move"):
        open_hunt(hunt.path, replace(release, vectors=release.vectors[:300]))


def test_a_prompt_of_another_encoder_is_refused(release: Any, prompts: Callable, tmp_path: Path) -> None:
    foreign = replace(prompts(3)[0], encoder_checksum="b" * 64)
    with pytest.raises(EncoderMismatch):
        new_hunt(tmp_path / "x.hunt", release, positives=[foreign], who="ann")


def test_a_stamp_from_elsewhere_can_be_an_example(release: Any, prompts: Callable, tmp_path: Path) -> None:
    elsewhere = replace(prompts(3)[0], row=None, label="mine.fits")
    hunt = new_hunt(tmp_path / "x.hunt", release, positives=[elsewhere], who="ann")
    assert hunt.next_round("ann").rows[0] == 3
    assert [example.label for example in hunt.examples()] == ["mine.fits"]
