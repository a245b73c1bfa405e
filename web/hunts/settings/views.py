"""What a hunt's page shows of its settings."""

from __future__ import annotations

from dataclasses import dataclass

from discovery.hunts.state import HuntState
from discovery.hunts.strategies import parse_strategy
from web.hunt_rules import RuleChoice, consensus_rules, stopper_rules, strategy_rules


@dataclass(frozen=True, kw_only=True)
class HuntSettingsView:
    """What a person may change for the rounds to come."""

    alpha: float
    uses_alpha: bool
    strategies: tuple[RuleChoice, ...]
    consensus: tuple[RuleChoice, ...]
    stoppers: tuple[RuleChoice, ...]


def settings_view(state: HuntState) -> HuntSettingsView:
    """Return what may be changed for the rounds to come."""
    info = state.settings
    return HuntSettingsView(
        alpha=info.alpha,
        uses_alpha=parse_strategy(info.strategy, alpha=info.alpha).chooser.name == "alpha",
        strategies=strategy_rules(info.strategy),
        consensus=consensus_rules(info.consensus, state.people),
        stoppers=stopper_rules(info.stopper),
    )
