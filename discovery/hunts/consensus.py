"""What several people agree on: one verdict an object out of everybody's labels. Pure functions.

Three rules. ``latest``: the last label holds, whoever gave it. ``majority``: each person has one vote an object, their
last label on it, and a verdict holds when more than half of those who voted gave it. ``arbiter:NAME``: what NAME gave
holds; where NAME gave none, what all others agree on. Where a rule comes to no decision the object is ``unsure``:
it neither teaches nor counts. To skip an object is to give no vote, and to clear a label takes the vote back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import fields, replace

from discovery.hunts.log.records import Disagreement, LabelEvent, LabelState, Verdict
from discovery.hunts.log.validation import LATEST, arbiter_of

_STATE = tuple(field.name for field in fields(LabelState))


def agreed(events: Sequence[LabelEvent], rule: str) -> list[LabelState]:
    """Return the verdict on every object that somebody labelled.

    Parameters
    ----------
    events : sequence of LabelEvent
        Those that hold (neither undone nor an undo), oldest first.
    rule : str
        ``latest``, ``majority`` or ``arbiter:NAME``.

    Returns
    -------
    list of LabelState
        By object_id; ``cleared`` where nobody's verdict is left. An undecided object names all who voted.

    Raises
    ------
    HuntError
        There is no such rule.
    """
    arbiter = arbiter_of(rule)
    if rule == LATEST:
        last = {event.object_id: event for event in events}
        return [_state([last[name]]) for name in sorted(last)]
    votes = votes_by_object(events)
    return [_decided(list(votes[name].values()), arbiter) for name in sorted(votes)]


def votes_by_object(events: Iterable[LabelEvent]) -> dict[str, dict[str, LabelEvent]]:
    """Return the last event of each person on each object: by object_id, then by who; ``cleared`` ones too."""
    votes: dict[str, dict[str, LabelEvent]] = {}
    for event in events:
        votes.setdefault(event.object_id, {})[event.who] = event
    return votes


def disagreements(events: Sequence[LabelEvent], rule: str) -> list[Disagreement]:
    """Return the objects that people judge differently, by object_id; to skip is to give no verdict."""
    verdicts = {state.object_id: state for state in agreed(events, rule)}
    found = []
    for name, votes in sorted(votes_by_object(events).items()):
        cast: dict[str, Verdict] = {
            who: event.verdict for who, event in sorted(votes.items()) if event.verdict != "cleared"
        }
        if len(set(cast.values()) - {"skipped"}) > 1:
            state = verdicts[name]
            found.append(Disagreement(object_id=name, row=state.row, verdicts=cast, agreed=state.verdict))
    return found


def _decided(votes: list[LabelEvent], arbiter: str | None) -> LabelState:
    """One object's verdict by majority, or by the arbiter and else by all."""
    cast = [vote for vote in votes if vote.verdict != "cleared"]
    if not cast:
        return _state(votes)
    voting = [vote for vote in cast if vote.verdict != "skipped"] or cast
    ruled = [vote for vote in voting if vote.who == arbiter and vote.verdict != "skipped"]
    if ruled:
        return _state(ruled)
    verdict, number = Counter(vote.verdict for vote in voting).most_common(1)[0]
    needed = len(voting) if arbiter else len(voting) // 2 + 1
    if number >= needed:
        return _state([vote for vote in voting if vote.verdict == verdict])
    return _state(voting, verdict="unsure")


def _state(votes: list[LabelEvent], verdict: Verdict | None = None) -> LabelState:
    """The state that these votes make: their latest, with the class that most of them name."""
    last = max(votes, key=lambda vote: vote.event)
    state = LabelState(**{name: getattr(last, name) for name in _STATE})
    if verdict is not None:
        who = ", ".join(sorted({vote.who for vote in votes}))
        return replace(state, verdict=verdict, negative_class=None, who=who, reason="people disagree")
    if len(votes) == 1:
        return state
    newest = sorted(votes, key=lambda vote: -vote.event)
    classes = Counter(vote.negative_class for vote in newest if vote.negative_class is not None)
    return replace(state, negative_class=classes.most_common(1)[0][0] if classes else None)
