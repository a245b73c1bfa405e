"""What a round is made of: a ranking model scores the objects, a chooser picks from them what is shown.

Parts are small pure values that a hunt, real or simulated, combines by name. A strategy is written ``auto``, ``alpha:0.5``,
``top`` (see `STRATEGIES`), or as MODEL+CHOOSER from `MODELS` and `CHOOSERS`, such as ``linear+alpha:0.9`` or ``mlp+random``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from discovery.errors import HuntError
from discovery.hunts.choosers import AlphaChooser, Chooser, HighestChooser, Page, RandomChooser, Turn
from discovery.hunts.models import ChanceModel, LinearModel, MlpModel, RankingModel, SimilarityModel
from discovery.hunts.ranking import Embeddings, Ranking, TrainingSet
from discovery.hunts.rescorer import RescorerConfig
from discovery.hunts.rounds import check_alpha

__all__ = ["CHOOSERS", "MODELS", "STRATEGIES", "HuntStrategy", "Page", "Turn", "parse_strategy"]


@dataclass(frozen=True, kw_only=True)
class HuntStrategy:
    """A ranking model and a chooser under the name that a person typed."""

    name: str
    model: RankingModel
    chooser: Chooser

    @property
    def subset(self) -> bool:
        """Whether both parts can work on a subset of the objects."""
        return self.model.subset and self.chooser.subset

    def rank(self, embeddings: Embeddings, training: TrainingSet, seed: int) -> Ranking:
        """Score every object by the model.

        Raises
        ------
        HuntError
            There is neither a positive nor a negative to start from.
        """
        return self.model.rank(embeddings, training, seed)

    def play(self, turn: Turn) -> Page:
        """Rank, as far as the chooser needs it, and choose what is shown; the page holds the ranking."""
        made: list[Ranking] = []

        @cache
        def ranker() -> Ranking:
            made.append(self.rank(turn.embeddings, turn.training, turn.seed))
            return made[0]

        page = self.chooser.choose(turn, ranker)
        return dataclasses.replace(page, ranking=made[0] if made else None)

    def describe(self, dimension: int) -> dict[str, Any]:
        """Return names, settings and cost of the parts, for the record."""
        return {
            "model": _settings(self.model),
            "chooser": _settings(self.chooser),
            "subset": self.subset,
            "multiplications_an_object": self.model.multiplications(dimension),
        }


def parse_strategy(text: str, *, alpha: float = 0.5, config: RescorerConfig | None = None) -> HuntStrategy:
    """Return the strategy that a text names.

    Parameters
    ----------
    text : str
        A name of `STRATEGIES` or MODEL+CHOOSER; the alpha rule takes its alpha behind a colon.
    alpha : float
        Of an alpha rule without its own.
    config : RescorerConfig, optional
        Of the MLP.

    Raises
    ------
    HuntError
        No such strategy or part, or a number that is none, is not in its range or stands where none belongs.
    """
    name, _, value = text.strip().partition(":")
    model, plus, chooser = STRATEGIES.get(name, name).partition("+")
    if not plus or model not in MODELS or chooser not in CHOOSERS:
        raise HuntError(
            f"unknown strategy {text!r}; choose from {', '.join(STRATEGIES)}, or MODEL+CHOOSER with a model of"
            f" {', '.join(MODELS)} and a chooser of {', '.join(CHOOSERS)}"
        )
    if ":" in text and chooser != "alpha":
        raise HuntError(f"strategy {text!r}: {name} takes no number; leave out ':{value}'")
    ranker: RankingModel = MlpModel(config=config or RescorerConfig()) if model == "mlp" else MODELS[model]()
    picker: Chooser = AlphaChooser(alpha=_number(text, value, alpha)) if chooser == "alpha" else CHOOSERS[chooser]()
    shown = f"{name}:{picker.alpha:g}" if isinstance(picker, AlphaChooser) else name
    return HuntStrategy(name=shown, model=ranker, chooser=picker)


MODELS: dict[str, Callable[[], RankingModel]] = {
    part.name: part for part in (MlpModel, SimilarityModel, LinearModel, ChanceModel)
}
CHOOSERS: dict[str, Callable[[], Chooser]] = {
    part.name: part for part in (AlphaChooser, HighestChooser, RandomChooser)
}
STRATEGIES = {
    "auto": "linear+highest",
    "alpha": "mlp+alpha",
    "top": "mlp+highest",
    "similarity": "similarity+highest",
    "linear": "linear+highest",
    "random": "chance+random",
}
"""Names for people, and the parts that they stand for."""


def _number(text: str, value: str, default: float) -> float:
    if ":" not in text:
        number = default
    else:
        try:
            number = float(value)
        except ValueError:
            raise HuntError(f"strategy {text!r}: {value!r} is no number; write it like alpha:0.5") from None
    check_alpha(number)
    return number


def _settings(part: Any) -> dict[str, Any]:
    return {"name": part.name, **dataclasses.asdict(part)}
