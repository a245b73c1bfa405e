"""Rounds by any strategy: what they show and why, pages computed ahead, replays, named negatives."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from discovery.errors import HuntError
from discovery.hunts import Hunt, LabelRequest, chosen_strategy, new_hunt, open_hunt, strategies
from discovery.hunts.alpha_rule import propose
from discovery.hunts.candidates.turn import Turn
from discovery.hunts.models.ranking import Embeddings, Ranking, TrainingSet, learned_model, rank, round_seed
from discovery.hunts.strategies import STRATEGIES, parse_strategy

WORDS = {"likely", "uncertain", "diverse", "random", "unlikely"}
NEGATIVES = {90: None, 100: "ring", 110: "spiral"}


@pytest.fixture
def start(tmp_path: Path, release: Any, prompts: Callable) -> Callable[..., Hunt]:
    """Start a hunt from three positives and a negative."""

    def started(name: str = "a", **options: Any) -> Hunt:
        examples = {"positives": prompts(0, 1, 2), "negatives": prompts(90)}
        return new_hunt(tmp_path / f"{name}.hunt", release, **examples, **{"who": "ann", "page_size": 10, "include_flagged": True, **options})

    return started


def answer(hunt: Hunt, who: str = "ann") -> None:
    """Label the latest round with the truth: rows below 40 are targets."""
    rows = hunt.round().rows.tolist()
    hunt.label_many(
        [LabelRequest(row=row, verdict="positive" if row < 40 else "negative") for row in rows], who=who
    )


@pytest.mark.parametrize("name", [*STRATEGIES, "alpha:0.25", "linear+alpha", "similarity+random"])
def test_a_round_is_what_its_strategy_plays_and_replays(start: Callable, release: Any, name: str) -> None:
    hunt = start(strategy=name, seed=4)
    hunt.next_round("ann")
    answer(hunt)
    second = hunt.next_round("ann")
    labels = {row: state.verdict for row, state in hunt.labels().items()}
    known = {0: "positive", 1: "positive", 2: "positive", 90: "negative"} | labels
    rows = {kind: sorted(row for row, said in known.items() if said == kind) for kind in ("positive", "negative")}
    candidates = np.arange(400) != 399  # the duplicate
    candidates[list(known)] = False
    page = parse_strategy(name).play(
        Turn(
            embeddings=release,
            training=TrainingSet(**{f"{kind}s": release.vectors[rows[kind]] for kind in rows}),
            candidates=candidates,
            positives=list(labels.values()).count("positive"),
            negatives=list(labels.values()).count("negative"),
            page_size=10,
            seed=round_seed(4, 2),
        )
    )
    assert second.rows.tolist() == page.rows.tolist() and second.reasons == page.reasons
    assert (second.strategy, second.why) == (page.did, page.why) and set(second.reasons) <= WORDS
    assert second.parts["strategy"] == name and second.parts["chooser"]["page_size"] == 10
    assert second.parts["ranker"]["name"] and np.isfinite(second.scores).all()
    if page.ranking is not None:
        assert second.digest == page.ranking.digest == hunt_digest(release, page.ranking)
        assert second.parts["ranker"] == json.loads(json.dumps(page.ranking.model))
    again = open_hunt(hunt.path, release)
    assert [again.replay(number) for number in (1, 2)] == again.rounds()


def hunt_digest(release: Any, ranking: Ranking) -> str:
    """The checksum of scores written as little-endian float32."""
    assert ranking.order_scores.shape == (release.count,)
    return hashlib.sha256(ranking.order_scores.astype("<f4").tobytes()).hexdigest()


def test_the_alpha_strategy_is_the_published_rule(start: Callable, release: Any) -> None:
    hunt = start(strategy="alpha", alpha=0.5, seed=1)
    for number in range(1, 4):
        training, counts = hunt.training(), hunt.counts()
        candidates = hunt.allowed.copy()
        candidates[[0, 1, 2, 90, *hunt.labels()]] = False
        shown = set() if number == 1 else set(hunt.round().rows.tolist())
        said = [state.verdict for row, state in hunt.labels().items() if row in shown]
        expected = propose(
            rank(release, training, seed=round_seed(1, number)),
            candidates,
            positives=said.count("positive"),
            negatives=said.count("negative"),
            alpha=0.5,
            page_size=10,
        )
        played = hunt.next_round("ann")
        assert played.rows.tolist() == expected.rows.tolist() and played.why == expected.why
        assert played.strategy == expected.strategy and np.array_equal(played.scores, expected.scores)
        answer(hunt)
        assert hunt.counts().total == counts.total + 10


def test_a_hunt_plays_auto_unless_told_otherwise(start: Callable) -> None:
    assert start("a").strategy == "auto" and start("b", alpha=0.9).strategy == "alpha"
    hunt = start("c", strategy="linear")
    assert (hunt.strategy, hunt.info().strategy, hunt.info().consensus) == ("linear", "linear", "latest")
    hunt.set_strategy(" similarity ", "bob")
    assert hunt.strategy == "similarity" and hunt.next_round("bob").parts["strategy"] == "similarity"
    hunt.set_strategy("alpha:0.75", "bob")
    assert hunt.next_round("bob").alpha == 0.75
    for wrong in ("best", "alpha:x", "alpha:2", "linear:0.5", "", "x" * 300):
        with pytest.raises(HuntError):
            hunt.set_strategy(wrong, "bob")
    assert hunt.strategy == "alpha:0.75"


@pytest.mark.parametrize(
    ("strategy", "alpha", "name"),
    [
        (None, None, "auto"),
        (None, 0.3, "alpha"),
        ("alpha", 0.3, "alpha"),
        ("linear+alpha", 0.3, "linear+alpha"),
        ("alpha:0.3", 0.3, "alpha:0.3"),
        (" top ", None, "top"),
    ],
)
def test_the_strategy_that_was_asked_for(strategy: str | None, alpha: float | None, name: str) -> None:
    assert chosen_strategy(strategy, alpha) == name


@pytest.mark.parametrize(("strategy", "alpha"), [("linear", 0.5), ("alpha:0.5", 0.3), ("alpha", 7), ("best", None)])
def test_an_alpha_that_would_have_no_effect_is_refused(
    start: Callable, tmp_path: Path, strategy: str, alpha: float | None
) -> None:
    with pytest.raises(HuntError):
        start(strategy=strategy, alpha=alpha)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_names_an_unknown_strategy_can_be_read_but_not_played(start: Callable, release: Any) -> None:
    hunt = start()
    hunt.store.change_settings({"strategy": "from-the-future"}, "zed")
    opened = open_hunt(hunt.path, release)
    assert opened.info().strategy == "from-the-future" and opened.label(50, "positive", who="ann") == 1
    with pytest.raises(HuntError, match="unknown strategy"):
        opened.next_round("ann")
    hunt.store.change_settings({"consensus": "the loudest"}, "zed")
    with pytest.raises(HuntError, match="unknown consensus"):
        open_hunt(hunt.path, release)


# -- pages computed ahead


def test_a_prepared_page_is_the_page_that_comes_next(start: Callable) -> None:
    one, other = start("one", strategy="linear"), start("other", strategy="linear")
    ahead = one.prepare()
    assert one.rounds() == [] and ahead.last_event == 0
    played, plain = one.next_round("ann", prepared=ahead), other.next_round("ann")
    assert played.rows.tolist() == plain.rows.tolist() and played.digest == plain.digest
    assert played == one.rounds()[0] == one.replay(1) and (played.who, played.parts) == ("ann", plain.parts)
    assert played.when > ""


CHANGES: dict[str, Callable[[Hunt], Any]] = {
    "a label": lambda hunt: hunt.label(60, "positive", who="bob"),
    "an undo": lambda hunt: hunt.undo("bob", event=1),
    "a round": lambda hunt: hunt.next_round("bob"),
    "alpha": lambda hunt: hunt.set_alpha(0.9, "bob"),
    "the strategy": lambda hunt: hunt.set_strategy("similarity", "bob"),
    "the consensus": lambda hunt: hunt.set_consensus("majority", "bob"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_prepared_page_is_not_used_after_a_change(start: Callable, change: str) -> None:
    hunts = [start(name, strategy="linear") for name in ("one", "other")]
    for hunt in hunts:
        hunt.label(50, "negative", who="ann")
    ahead = hunts[0].prepare()
    for hunt in hunts:
        CHANGES[change](hunt)
    played, plain = hunts[0].next_round("ann", prepared=ahead), hunts[1].next_round("ann")
    assert played.rows.tolist() == plain.rows.tolist() and played.digest == plain.digest
    assert played.last_event == plain.last_event and hunts[0].replay(played.number) == played


def test_a_prepared_page_is_used_only_while_nothing_has_changed(start: Callable) -> None:
    hunt = start(strategy="linear")
    ahead = hunt.prepare()
    marked = type(ahead)(round=reversed_round(ahead.round), mark=ahead.mark, exclusion=None)  # tells who was asked
    assert not marked.holds(hunt.state().mark, 9, None)
    hunt.note(50, "a note changes no page", "ann")
    played = hunt.next_round("ann", prepared=marked)
    assert played.rows.tolist() == ahead.round.rows[::-1].tolist()
    hunt.label(70, "negative", who="ann")
    marked = hunt.prepare()
    smaller = hunt.next_round("ann", 4, prepared=marked)
    assert len(smaller.rows) == 4


def reversed_round(played: Any) -> Any:
    """A round that nobody would compute: its page back to front."""
    return replace(played, rows=played.rows[::-1], object_ids=played.object_ids[::-1], scores=played.scores[::-1])


def test_threads_prepare_and_play_while_people_label(start: Callable, release: Any) -> None:
    hunt = start(strategy="linear", page_size=6)
    problems: list[BaseException] = []

    def prepare_and_play(who: str) -> None:
        try:
            for _ in range(4):
                hunt.next_round(who, prepared=hunt.prepare())
        except BaseException as problem:
            problems.append(problem)

    def label_all() -> None:
        for row in range(200, 230):
            hunt.label(row, "negative", who="dora")

    threads = [threading.Thread(target=prepare_and_play, args=(who,)) for who in ("ann", "bob", "cy")]
    threads.append(threading.Thread(target=label_all))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == [] and hunt.counts().negative == 30
    again = open_hunt(hunt.path, release)
    rounds = again.rounds()
    assert [played.number for played in rounds] == list(range(1, len(rounds) + 1)) and len(rounds) >= 4
    assert [again.replay(played.number) for played in rounds] == rounds


# -- when to stop


def test_a_stopper_advises_and_the_hunt_goes_on(start: Callable, release: Any) -> None:
    hunt = start(strategy="linear", stopper="dry:2", page_size=12)
    pages, advice = [], []
    for _ in range(8):
        played = hunt.next_round("ann")
        pages.append([row < 40 for row in played.rows.tolist()])
        advice.append(played.advice)
        answer(hunt)
    dry = [len(pages[:number]) >= 2 and not any(map(any, pages[number - 2 : number])) for number in range(8)]
    assert [bool(text) for text in advice] == dry and any(dry) and not all(dry)
    assert advice[dry.index(True)] == "no positive on the last 2 pages"
    assert hunt.info().stopper == hunt.settings().stopper == "dry:2"
    again = open_hunt(hunt.path, release)
    assert [again.replay(played.number) for played in again.rounds()] == again.rounds()
    hunt.change("ann", stopper="never")
    assert hunt.next_round("ann").advice == ""
    for wrong in ("dry", "dry:0", "soon", "quantile:0.9"):
        with pytest.raises(HuntError):
            hunt.change("ann", stopper=wrong)


def test_settings_change_together_or_not_at_all(start: Callable) -> None:
    hunt = start()
    with pytest.raises(HuntError):
        hunt.change("bob", strategy="top", consensus="majority", stopper="soon")
    assert (hunt.strategy, hunt.consensus) == ("auto", "latest")
    hunt.change("bob", strategy="top", consensus="majority", stopper=None)
    assert (hunt.strategy, hunt.consensus, hunt.settings().stopper) == ("top", "majority", "never")


# -- objects that a round leaves out


@dataclass(frozen=True)
class SomeKnown:
    """What a round uses of known objects."""

    mask: np.ndarray
    without: ClassVar[dict[str, Any]] = {"without": "known in x.csv within 2 arcsec", "sha256": ["ab" * 32]}


def test_known_objects_are_left_out_of_one_round_and_its_replay(start: Callable, release: Any) -> None:
    hunt = start(strategy="linear")
    likely = hunt.prepare().round.rows
    known = SomeKnown(mask=np.isin(np.arange(400), likely[:6]))
    ahead = hunt.prepare(without=known)
    first = hunt.next_round("ann", prepared=ahead, without=known)
    assert not set(first.rows.tolist()) & set(likely[:6].tolist()) and first.rows[0] == likely[6]
    candidates = first.parts["candidates"]
    assert candidates["without"] == known.without["without"] and candidates["sha256"] == ["ab" * 32]
    second = hunt.next_round("ann", prepared=hunt.prepare(without=known))
    assert second.rows.tolist() == likely.tolist() and "without" not in second.parts["candidates"]
    again = open_hunt(hunt.path, release)
    assert [again.replay(1), again.replay(2)] == [first, second]


@pytest.mark.parametrize(
    "change",
    [
        ("$.chooser.page_size", "0"),
        ("$.chooser", '"big"'),
        ("$.audits", "-1"),
        ("$.candidates.without_rows", "[400]"),
        ("$.candidates.without_rows", "[-1]"),
        ("$.ranker", "7"),
        ("$.ranker", '{"name": "mlp", "hidden": 1e30}'),
        ("$.ranker", '{"name": "mlp", "other": 1}'),
        ("$.strategy", '"best"'),
        ("$.consensus", '"loudest"'),
    ],
)
def test_a_round_with_parts_that_a_stranger_wrote_is_not_replayed(start: Callable, change: tuple[str, str]) -> None:
    hunt = start(strategy="top")
    hunt.next_round("ann", without=SomeKnown(mask=np.arange(400) == 7))
    with hunt.store.writing() as connection:
        connection.execute("UPDATE rounds SET parts = json_set(parts, ?, json(?))", change)
    with pytest.raises(HuntError):
        hunt.replay(1)


# -- named negatives


@dataclass(frozen=True, kw_only=True)
class FarthestModel:
    """Turns away from the centre of each named kind of negative: a model that learns the kinds as classes."""

    name: ClassVar[str] = "farthest"
    subset: ClassVar[bool] = True

    def rank(self, embeddings: Embeddings, training: TrainingSet, seed: int) -> Ranking:
        """Rank by the highest cosine to the kinds' centres, the lowest first."""
        kinds = np.array(training.negative_classes or [""] * len(training.negatives))
        centres = np.stack([training.negatives[kinds == kind].mean(axis=0) for kind in sorted(set(kinds))])
        model = {"name": self.name, "kinds": len(centres)}
        return learned_model(lambda: _Kinds(centres), trained=False, model=model).rank(embeddings)

    def multiplications(self, dimension: int) -> int:
        """Of one product a kind."""
        return dimension


class _Kinds:
    def __init__(self, centres: np.ndarray) -> None:
        self.parameters = [centres]

    def scores(self, vectors: np.ndarray) -> np.ndarray:
        """Score (n, D) vectors."""
        return -(vectors @ self.parameters[0].T).max(axis=1)


def test_the_kinds_of_negatives_reach_the_model(
    start: Callable, release: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(strategies.MODELS, "farthest", FarthestModel)
    hunt = start(strategy="farthest+highest")
    for row in (110, 100):
        hunt.label(row, "negative", who="ann")
    plain = hunt.next_round("ann")
    assert hunt.training().negative_classes == () and plain.parts["ranker"]["kinds"] == 1
    for row, kind in NEGATIVES.items():
        if kind is not None:
            hunt.label(row, "negative", who="ann", negative_class=f" {kind} ")
    training = hunt.training()
    rows = [int(np.flatnonzero((release.vectors == vector).all(axis=1))[0]) for vector in training.negatives]
    assert dict(zip(rows, training.negative_classes, strict=True)) == {90: "", 100: "ring", 110: "spiral"}
    named = hunt.next_round("ann")
    assert named.parts["ranker"]["kinds"] == 3 and named.digest != plain.digest
    kinds = release.vectors[[90, 100, 110]].astype(np.float64)
    best = np.argsort((release.vectors @ kinds.T).max(axis=1), kind="stable")
    assert named.rows.tolist() == [row for row in best.tolist() if row not in (0, 1, 2, 90, 100, 110, 399)][:10]
    assert hunt.negative_classes() == hunt.info().negative_classes == {"ring": 1, "spiral": 1}
    assert hunt.replay(2) == named
    hunt.label(100, "positive", who="ann")
    assert hunt.negative_classes() == {"spiral": 1}
