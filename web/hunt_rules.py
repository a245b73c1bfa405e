"""Strategies, consensus rules and stoppers of a hunt for people: a name, and what it does in a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from discovery.hunts.log.validation import ARBITER, LATEST, MAJORITY
from discovery.hunts.stoppers import NEVER, Dry, Hypergeometric, parse_stopper
from discovery.hunts.strategies import STRATEGIES, parse_strategy
from web.layout.text_format import plural

REASON_MEANINGS = {
    "likely": "ranked highest",
    "uncertain": "the ranking cannot tell, so the answer teaches most",
    "diverse": "ranked high, and unlike the others on the page",
    "random": "drawn at random, so that no kind stays unseen",
    "unlikely": "ranked lowest: shows what is not meant",
    "audit": "drawn by the audit: judge it as it looks; it has no score and teaches nothing",
}
STRATEGY_MEANINGS = {
    "auto": "Chooses ranking and page by what was measured to find most; for anyone who has no reason for another.",
    "alpha": "The published rule: highest scores while P/N of the latest round is at most alpha, else the lowest.",
    "top": "Always the highest scores of the paper's network.",
    "linear": "Always the highest scores of a logistic regression.",
    "similarity": "Always the most similar to the positives; nothing is trained.",
    "random": "Any object by chance: a baseline, not a way to find things.",
}
USUAL_STOPPERS = (NEVER, "dry:3", "dry:5", "hypergeometric:0.8", "hypergeometric:0.9", "hypergeometric:0.95")
CONSENSUS_MEANINGS = {
    LATEST: "The verdict given last counts, whoever gave it.",
    MAJORITY: "The verdict of more than half of those who voted counts; without one the object is unsure.",
}


@dataclass(frozen=True, kw_only=True)
class RuleChoice:
    """A strategy or a consensus rule to choose, and what it does in a sentence."""

    name: str
    meaning: str
    chosen: bool


def strategy_rules(chosen: str = "auto") -> tuple[RuleChoice, ...]:
    """Return the named strategies, and the chosen one where it has no name."""
    names = [*STRATEGIES, *([] if chosen in STRATEGIES else [chosen])]
    return tuple(RuleChoice(name=name, meaning=strategy_meaning(name), chosen=name == chosen) for name in names)


def strategy_meaning(name: str) -> str:
    """Return what a strategy does."""
    if name in STRATEGY_MEANINGS:
        return STRATEGY_MEANINGS[name]
    parts = parse_strategy(name)
    return f"Ranks by {parts.model.name} and shows by {parts.chooser.name}."


def consensus_rules(chosen: str = LATEST, people: Sequence[str] = ()) -> tuple[RuleChoice, ...]:
    """Return the consensus rules; each of ``people`` may be the arbiter."""
    names = [*CONSENSUS_MEANINGS, *(ARBITER + who for who in people)]
    if chosen not in names:
        names.append(chosen)
    return tuple(RuleChoice(name=name, meaning=consensus_meaning(name), chosen=name == chosen) for name in names)


def consensus_meaning(name: str) -> str:
    """Return what a consensus rule does."""
    if name.startswith(ARBITER):
        return f"The verdict of {name[len(ARBITER) :]} counts; where they gave none, what all others agree on."
    return CONSENSUS_MEANINGS[name]


def stopper_rules(chosen: str = NEVER) -> tuple[RuleChoice, ...]:
    """Return the usual stoppers, and the chosen one."""
    names = dict.fromkeys([*USUAL_STOPPERS, chosen])
    return tuple(RuleChoice(name=name, meaning=stopper_meaning(name), chosen=name == chosen) for name in names)


def stopper_meaning(name: str) -> str:
    """Return when a stopper advises to stop."""
    stopper = parse_stopper(name)
    if isinstance(stopper, Dry):
        return f"After {plural(stopper.pages, 'page')} in a row without a positive."
    if isinstance(stopper, Hypergeometric):
        return f"When the latest labels make it unlikely that less than {stopper.recall:.0%} are found; an audit measures it better."
    return "No advice beside the audit's."
