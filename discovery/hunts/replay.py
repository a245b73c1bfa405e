"""Play every round of a hunt again from its log, and compare: the proof that a selection can be repeated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from discovery.errors import HuntError
from discovery.hunts.rounds.play import play, play_published, present_versions
from discovery.hunts.rounds.recorded_parts import recorded_input, recorded_parts
from discovery.hunts.rounds.source_changes import with_changes, without_changes

if TYPE_CHECKING:
    from discovery.hunts.bound_hunt import BoundHunt
    from discovery.hunts.log.records import Round

Outcome = Literal["same", "differs", "another release", "cannot be played"]


@dataclass(frozen=True, kw_only=True)
class ReplayedRound:
    """What came out of one round.

    Attributes
    ----------
    outcome : str
        ``another release``: the round was played before the hunt was carried over, and is not played again.
    model : dict
        What ranked, as recorded; with the checksum of the fitted weights where something was fitted.
    digest : str
        SHA-256 over the scores of every object, as recorded.
    differences : tuple of str
        What differs, or why the round cannot be played.
    notes : tuple of str
        What the candidates were found by and is another now, such as an index that was rebuilt; they may be others for that alone.
    changed : dict
        Of what the last digits may depend on, that which was another when the round was made: (then, now) by name.
    """

    number: int
    release: str
    candidates: int
    outcome: Outcome
    model: dict[str, Any]
    digest: str
    differences: tuple[str, ...]
    notes: tuple[str, ...]
    changed: dict[str, tuple[str, str]]


@dataclass(frozen=True, kw_only=True)
class ReplayReport:
    """What came out of all rounds; ``versions`` are those of now."""

    hunt: str
    release: str
    rounds: tuple[ReplayedRound, ...]
    versions: dict[str, str]

    def number(self, outcome: Outcome) -> int:
        """Return how many rounds came out so."""
        return sum(played.outcome == outcome for played in self.rounds)

    @property
    def confirmed(self) -> bool:
        """Whether every round of this release came out as recorded."""
        return all(played.outcome in ("same", "another release") for played in self.rounds)


def replayed_round(hunt: BoundHunt, number: int) -> Round:
    """Return a round computed again from the log as it stood; it equals the recorded one on the same kind of machine.

    A candidate pool comes from the release's index, or from an engine. Where that is another one than the round's, the pool may be
    another too, and the parts of the returned round state it (``changed`` of the source, see `discovery.hunts.rounds.source_changes`).

    Raises
    ------
    HuntError
        There is no such round, or it was played on another release before a move.
    """
    state = hunt.state()
    if not 1 <= number <= len(state.rounds):
        raise HuntError(f"there is no round {number}; the hunt has {len(state.rounds)}")
    recorded = state.rounds[number - 1]
    if recorded.release_id != state.release.id:
        raise HuntError(f"round {number} was played on another release, before the hunt was moved")
    parts = recorded_parts(recorded, hunt.release.count)
    given = recorded_input(
        recorded,
        parts,
        states=state.verdicts_after(recorded.last_event, parts.consensus),
        before=state.rounds[: number - 1],
        audit_rows=state.drawn_rows(parts.audits),
        count=hunt.release.count,
    )
    if parts.strategy is None:
        return play_published(hunt.context, given, who=recorded.who, when=recorded.when)
    played = play(hunt.context, given, who=recorded.who, when=recorded.when, versions=parts.versions)
    return with_changes(recorded, played)


def replay_hunt(hunt: BoundHunt) -> ReplayReport:
    """Play every round again, as the log stood then, and compare candidates, scores and model with the record."""
    return ReplayReport(
        hunt=hunt.path.name,
        release=hunt.release.name,
        rounds=tuple(replay_rounds(hunt)),
        versions=present_versions(),
    )


def replay_rounds(hunt: BoundHunt) -> Iterator[ReplayedRound]:
    """Yield the rounds of `replay_hunt` one by one."""
    state = hunt.state()
    releases = {release.id: release.name for release in state.origin.releases}
    for recorded in state.rounds:
        here = recorded.release_id == state.release.id
        outcome, differences, notes = _compared(hunt, recorded) if here else _elsewhere()
        then, now = recorded.parts.get("versions", {}), present_versions()
        yield ReplayedRound(
            number=recorded.number,
            release=releases.get(recorded.release_id, "unknown"),
            candidates=len(recorded.rows),
            outcome=outcome,
            model=recorded.parts.get("ranker", {}),
            digest=recorded.digest,
            differences=differences,
            notes=notes,
            changed={
                name: (then.get(name, "not recorded"), now.get(name, "none"))
                for name in dict.fromkeys([*then, *now])
                if then.get(name) != now.get(name)
            },
        )


Compared = tuple[Outcome, tuple[str, ...], tuple[str, ...]]
"""Outcome, differences and notes of a round."""


def _elsewhere() -> Compared:
    return "another release", ("played before the hunt was carried to this release; replay it in its own file",), ()


def _compared(hunt: BoundHunt, recorded: Round) -> Compared:
    try:
        played, notes = without_changes(replayed_round(hunt, recorded.number))
    except HuntError as problem:
        return "cannot be played", (str(problem),), ()
    differences = tuple(_differences(recorded, played))
    return ("differs" if differences else "same"), differences, notes


def _differences(recorded: Round, played: Round) -> Iterator[str]:
    if recorded.object_ids != played.object_ids:
        gone = [name for name in recorded.object_ids if name not in played.object_ids]
        what = f"{len(gone)} of {len(recorded.object_ids)} are others" if gone else "in another order"
        yield f"candidates: {what}" + (f" (first {gone[0]})" if gone else "")
    if recorded.digest != played.digest:
        yield f"scores: digest {recorded.digest[:12]} is now {played.digest[:12]}{_furthest(recorded, played)}"
    elif recorded.object_ids == played.object_ids and not np.array_equal(
        recorded.scores, played.scores, equal_nan=True
    ):
        yield "scores: those recorded for the page are not the ranking's"
    for name in sorted(recorded.parts.keys() | played.parts.keys()):
        then, now = recorded.parts.get(name), played.parts.get(name)
        if then != now:
            yield f"{'model' if name == 'ranker' else name}: {_changed(then, now)}"
    for name in ("strategy", "reasons", "positives", "negatives", "why"):
        if getattr(recorded, name) != getattr(played, name):
            yield f"{name}: {getattr(recorded, name)} is now {getattr(played, name)}"


def _furthest(recorded: Round, played: Round) -> str:
    """How far the scores of the objects that stand on both pages lie apart."""
    then = dict(zip(recorded.object_ids, recorded.scores.tolist(), strict=True))
    now = dict(zip(played.object_ids, played.scores.tolist(), strict=True))
    apart = [abs(then[name] - now[name]) for name in then.keys() & now.keys()]
    apart = [value for value in apart if np.isfinite(value)]
    return f", up to {max(apart):.2g} apart on the page" if apart else ""


def _changed(then: Any, now: Any) -> str:
    if not isinstance(then, dict) or not isinstance(now, dict):
        return f"{then} is now {now}"
    names = [name for name in dict.fromkeys([*then, *now]) if then.get(name) != now.get(name)]
    return ", ".join(f"{name} {then.get(name)} is now {now.get(name)}" for name in names)
