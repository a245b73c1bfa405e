"""What several people agree on, against rules written out plainly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from discovery.errors import HuntError
from discovery.hunts import Hunt, LabelEvent, new_hunt
from discovery.hunts.consensus import agreed, disagreements

PEOPLE, OBJECTS = ("ann", "bob", "cy"), ("a", "b")
VERDICT = st.sampled_from(["positive", "negative", "unsure", "skipped", "cleared"])
CLICKS = st.lists(st.tuples(st.sampled_from(PEOPLE), st.sampled_from(OBJECTS), VERDICT), max_size=12)
RULES = st.sampled_from(["latest", "majority", *(f"arbiter:{who}" for who in PEOPLE), "arbiter:nobody"])


def events(*clicks: tuple[str, str, str]) -> list[LabelEvent]:
    """A log of (who, object, verdict)."""
    return [
        LabelEvent(
            event=number, object_id=name, row=OBJECTS.index(name), verdict=verdict, who=who, when=str(number),  # type: ignore[arg-type]
            negative_class=None, round=None, reason=None, undoes=None,
        )
        for number, (who, name, verdict) in enumerate(clicks, 1)
    ]  # fmt: skip


def plainly(clicks: list[tuple[str, str, str]], name: str, rule: str) -> str | None:
    """One object's verdict, step by step as the rules are written; None when nobody touched it."""
    said = {who: verdict for who, touched, verdict in clicks if touched == name}
    if not said:
        return None
    if rule == "latest":
        return [verdict for _, touched, verdict in clicks if touched == name][-1]
    there = [verdict for verdict in said.values() if verdict != "cleared"]
    voting = [verdict for verdict in there if verdict != "skipped"]
    if not there:
        return "cleared"
    if not voting:
        return "skipped"
    if rule == "majority":
        return next((verdict for verdict in set(voting) if voting.count(verdict) > len(voting) / 2), "unsure")
    if said.get(rule.removeprefix("arbiter:")) in ("positive", "negative", "unsure"):
        return said[rule.removeprefix("arbiter:")]
    return voting[0] if len(set(voting)) == 1 else "unsure"


@given(clicks=CLICKS, rule=RULES)
@settings(max_examples=300, deadline=None)
def test_every_rule_equals_its_words(clicks: list[tuple[str, str, str]], rule: str) -> None:
    verdicts = {state.object_id: state.verdict for state in agreed(events(*clicks), rule)}
    assert verdicts == {
        name: plainly(clicks, name, rule) for name in OBJECTS if plainly(clicks, name, rule) is not None
    }


@given(clicks=CLICKS, rule=RULES)
@settings(max_examples=150, deadline=None)
def test_a_disagreement_is_two_different_opinions(clicks: list[tuple[str, str, str]], rule: str) -> None:
    found = {one.object_id: one for one in disagreements(events(*clicks), rule)}
    for name in OBJECTS:
        said = {who: verdict for who, touched, verdict in clicks if touched == name}
        opinions = Counter(v for v in said.values() if v not in ("cleared", "skipped"))
        assert (name in found) == (len(opinions) > 1)
        if name in found:
            assert found[name].verdicts == {who: v for who, v in said.items() if v != "cleared"}
            assert found[name].agreed == plainly(clicks, name, rule)


@given(clicks=CLICKS, order=st.permutations(range(12)))
@settings(max_examples=100, deadline=None)
def test_a_majority_does_not_depend_on_who_was_first(
    clicks: list[tuple[str, str, str]], order: list[int]
) -> None:
    last = {(who, name): verdict for who, name, verdict in clicks}
    votes = [(who, name, verdict) for (who, name), verdict in last.items()]
    shuffled = [votes[at] for at in order if at < len(votes)]
    one, other = (
        {state.object_id: state.verdict for state in agreed(events(*made), "majority")}
        for made in (votes, shuffled)
    )
    assert one == other


def test_one_person_is_a_majority() -> None:
    clicks = [("ann", "a", "positive"), ("ann", "b", "negative"), ("ann", "a", "unsure")]
    latest, majority = (agreed(events(*clicks), rule) for rule in ("latest", "majority"))
    assert latest == majority and [state.event for state in majority] == [3, 2]


@pytest.mark.parametrize("rule", ["", "Majority", "arbiter", "arbiter:", "arbiter: ann ", "vote"])
def test_an_unknown_rule_is_one_clear_error(rule: str) -> None:
    with pytest.raises(HuntError, match="choose latest, majority or arbiter:NAME"):
        agreed([], rule)


@pytest.fixture
def hunt(tmp_path: Path, release: Any, prompts: Callable) -> Hunt:
    """Ann and Bob differ about row 50, agree about 51; Cy adds a word on 52."""
    made = new_hunt(tmp_path / "a.hunt", release, positives=prompts(0), negatives=prompts(90), who="ann")
    made.label(50, "positive", who="ann")
    made.label(50, "negative", who="bob", negative_class="ring")
    for who in ("ann", "bob"):
        made.label(51, "negative", who=who, negative_class="spiral")
    made.label(51, "negative", who="cy", negative_class="star")
    made.label(52, "positive", who="cy")
    return made


def verdicts(hunt: Hunt) -> dict[int, tuple[str, str | None]]:
    """Verdict and class by row."""
    return {row: (state.verdict, state.negative_class) for row, state in hunt.labels().items()}


def test_a_hunt_follows_its_rule(hunt: Hunt) -> None:
    assert hunt.consensus == "latest"
    assert verdicts(hunt) == {50: ("negative", "ring"), 51: ("negative", "star"), 52: ("positive", None)}
    hunt.set_consensus("majority", "ann")
    assert verdicts(hunt) == {50: ("unsure", None), 51: ("negative", "spiral"), 52: ("positive", None)}
    assert hunt.labels()[50].who == "ann, bob" and hunt.negative_classes() == {"spiral": 1}
    assert len(hunt.training().positives) == 2 and len(hunt.training().negatives) == 2
    (one,) = hunt.disagreements()
    assert (one.row, one.verdicts, one.agreed) == (50, {"ann": "positive", "bob": "negative"}, "unsure")
    hunt.set_consensus("arbiter:ann", "bob")
    assert verdicts(hunt)[50] == ("positive", None)
    hunt.label(50, "positive", who="cy")
    hunt.set_consensus("majority", "ann")
    assert verdicts(hunt)[50] == ("positive", None) and len(hunt.disagreements()) == 1
    undone = hunt.undo("cy")
    assert (undone.row, undone.verdict) == (50, "unsure")
    for rule in ("nobody", "arbiter:a\nb", "arbiter:" + "x" * 101):
        with pytest.raises(HuntError):
            hunt.set_consensus(rule, "ann")
    assert hunt.consensus == "majority"


def test_rounds_remember_their_rule(hunt: Hunt) -> None:
    first = hunt.next_round("ann")
    hunt.set_consensus("majority", "ann")
    second = hunt.next_round("ann")
    assert [played.parts["consensus"] for played in (first, second)] == ["latest", "majority"]
    assert first.digest != second.digest
    for played in (first, second):
        assert hunt.replay(played.number) == played
