"""What people choose for a hunt and may change later: strategy, alpha, consensus and stopper."""

from __future__ import annotations

from typing import Any

from discovery.errors import HuntError
from discovery.hunts.alpha_rule import check_alpha
from discovery.hunts.log.validation import arbiter_of, checked_person
from discovery.hunts.stoppers import Quantile, parse_stopper
from discovery.hunts.strategies import parse_strategy

ALPHA = 0.5


def checked_choices(
    *,
    strategy: str | None = None,
    alpha: float | None = None,
    consensus: str | None = None,
    stopper: str | None = None,
) -> dict[str, Any]:
    """Return the choices that are given, without surrounding blanks.

    Raises
    ------
    HuntError
        There is no such strategy, rule or stopper, an arbiter has no proper name, or alpha is out of range.
    """
    choices: dict[str, Any] = {}
    if strategy is not None:
        choices["strategy"] = parse_strategy(strategy) and strategy.strip()
    if alpha is not None:
        check_alpha(alpha)
        choices["alpha"] = alpha
    if consensus is not None:
        arbiter = arbiter_of(consensus)
        choices["consensus"] = consensus if arbiter is None else f"arbiter:{checked_person(arbiter)}"
    if stopper is not None:
        choices["stopper"] = checked_stopper(stopper)
    return choices


def chosen_strategy(strategy: str | None, alpha: float | None) -> str:
    """Return the name of the strategy: when none is named ``alpha`` with an alpha, else ``auto``.

    Raises
    ------
    HuntError
        There is no such strategy, or it does not go by the alpha that is given.
    """
    name = ("auto" if alpha is None else "alpha") if strategy is None else strategy.strip()
    chooser = parse_strategy(name, alpha=ALPHA if alpha is None else alpha).chooser
    if alpha is not None and getattr(chooser, "alpha", None) != alpha:
        raise HuntError(f"strategy {name} does not go by an alpha of {alpha:g}; use the strategy alpha:{alpha:g}")
    return name


def checked_stopper(text: str) -> str:
    """Return the name of a stopper that a hunt can have.

    Raises
    ------
    HuntError
        No such stopper, or one that needs a control sample beside the hunt.
    """
    if isinstance(parse_stopper(text), Quantile):
        raise HuntError(f"stopper {text}: a hunt holds no control sample; draw an audit, or use hypergeometric:R")
    return text.strip()
