"""What a round is made of: a ranking model scores the objects, a chooser picks from them what is shown.

Parts are small pure values that a simulated hunt combines by name. A strategy is written ``alpha:0.5``, ``top``, ``linear``
(see `STRATEGIES`), or as MODEL+CHOOSER from `MODELS` and `CHOOSERS`, such as ``linear+alpha:0.9`` or ``mlp+random``.

A part is ``subset`` when it can work on a subset of the objects, because an object's score depends on that object and on
the labels alone; a part that is not needs every object at once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from discovery.errors import HuntError
from discovery.hunts.ranking import Embeddings, Ranking, TrainingSet, background, rank, rank_by
from discovery.hunts.rescorer import RescorerConfig, standardisation
from discovery.hunts.rounds import check_alpha, choose, propose

BACKGROUND = 2048


class RankingModel(Protocol):
    """Scores every object from the labels; the same labels and seed give the same scores."""

    name: ClassVar[str]
    subset: ClassVar[bool]

    def rank(self, embeddings: Embeddings, training: TrainingSet, seed: int) -> Ranking: ...

    def multiplications(self, dimension: int) -> int:
        """Multiplications that one object of this dimension costs, once the model is fitted."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Turn:
    """What a chooser may look at.

    Attributes
    ----------
    ranking : callable
        Gives the `Ranking` of this round; a chooser that does without it saves its time.
    candidates : numpy.ndarray
        (N,) bool: what may be shown, at least one.
    positives, negatives : int
        P and N that the person gave in the latest round.
    """

    ranking: Callable[[], Ranking]
    candidates: np.ndarray
    positives: int
    negatives: int
    page_size: int
    seed: int
    embeddings: Embeddings


@dataclass(frozen=True, kw_only=True, eq=False)
class Page:
    """What is shown: ``rows`` (n,) int64 in order, and in a word how they were chosen."""

    rows: np.ndarray
    did: str


class Chooser(Protocol):
    """Picks at most ``page_size`` candidates."""

    name: ClassVar[str]
    subset: ClassVar[bool]

    def choose(self, turn: Turn) -> Page: ...


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


# -- ranking models


@dataclass(frozen=True, kw_only=True)
class MlpModel:
    """What `Hunt` ranks by: the paper's MLP once both classes have labels, similarity until then."""

    name: ClassVar[str] = "mlp"
    subset: ClassVar[bool] = True
    config: RescorerConfig = dataclasses.field(default_factory=RescorerConfig)

    def rank(self, embeddings: Embeddings, training: TrainingSet, seed: int) -> Ranking:
        """Rank by `discovery.hunts.ranking.rank`."""
        return rank(embeddings, training, seed=seed, config=self.config)

    def multiplications(self, dimension: int) -> int:
        """Of the two layers."""
        return (dimension + 1) * self.config.hidden


@dataclass(frozen=True, kw_only=True)
class SimilarityModel:
    """Mean cosine to the positives minus mean cosine to the negatives; nothing is trained."""

    name: ClassVar[str] = "similarity"
    subset: ClassVar[bool] = True

    def rank(self, embeddings: Embeddings, training: TrainingSet, seed: int) -> Ranking:
        """Rank by `discovery.hunts.ranking.SimilarityScorer`."""
        return rank(embeddings, training, seed=seed, train=False)

    def multiplications(self, dimension: int) -> int:
        """Of one product with the direction."""
        return dimension


@dataclass(frozen=True, kw_only=True)
class LinearModel:
    """Logistic regression on the labels, each class weighing the same; similarity until both classes have labels.

    Attributes
    ----------
    inverse_penalty : float
        C of scikit-learn's `LogisticRegression`, on inputs standardised as the MLP's.
    """

    name: ClassVar[str] = "linear"
    subset: ClassVar[bool] = True
    inverse_penalty: float = 1.0

    def rank(self, embeddings: Embeddings, training: TrainingSet, seed: int) -> Ranking:
        """Rank by the logit."""
        if not training.trainable:
            return rank(embeddings, training, seed=seed, train=False)
        model = {"name": self.name, **dataclasses.asdict(self)}
        return rank_by(embeddings, lambda: self._fit(embeddings, training), trained=True, model=model)

    def multiplications(self, dimension: int) -> int:
        """Of one product with the weights."""
        return dimension

    def _fit(self, embeddings: Embeddings, training: TrainingSet) -> _LinearScorer:
        from sklearn.linear_model import LogisticRegression

        centre, scale = standardisation(background(embeddings, BACKGROUND))
        inputs = (np.concatenate([training.positives, training.negatives]) - centre) / scale  # (n, D)
        targets = np.arange(len(inputs)) < len(training.positives)
        fitted = LogisticRegression(C=self.inverse_penalty, class_weight="balanced", max_iter=2000)
        fitted.fit(inputs.astype(np.float64), targets)
        weights = fitted.coef_[0] / scale
        return _LinearScorer(weights.astype(np.float32), np.float32(fitted.intercept_[0] - centre @ weights))


@dataclass(frozen=True, kw_only=True)
class ChanceModel:
    """Random scores: the baseline that every other must beat."""

    name: ClassVar[str] = "chance"
    subset: ClassVar[bool] = True

    def rank(self, embeddings: Embeddings, training: TrainingSet, seed: int) -> Ranking:
        """Draw scores with the seed, whatever the labels."""
        scores = np.random.default_rng(seed).random(embeddings.count, dtype=np.float32)
        return Ranking(order_scores=scores, trained=False, model={"name": self.name})

    def multiplications(self, dimension: int) -> int:
        """Return 0."""
        return 0


# -- choosers


@dataclass(frozen=True, kw_only=True)
class AlphaChooser:
    """The published rule exactly as `Hunt` plays it, by `discovery.hunts.rounds.propose`."""

    name: ClassVar[str] = "alpha"
    subset: ClassVar[bool] = True
    alpha: float = 0.5

    def choose(self, turn: Turn) -> Page:
        """Show the highest or the lowest scores."""
        proposal = propose(
            turn.ranking(),
            turn.candidates,
            positives=turn.positives,
            negatives=turn.negatives,
            alpha=self.alpha,
            page_size=turn.page_size,
        )
        return Page(rows=proposal.rows, did=proposal.strategy)


@dataclass(frozen=True, kw_only=True)
class HighestChooser:
    """Always the highest scores."""

    name: ClassVar[str] = "highest"
    subset: ClassVar[bool] = True

    def choose(self, turn: Turn) -> Page:
        """Show the highest scores."""
        ranking = turn.ranking()
        rows = choose(ranking.order_scores, turn.candidates, turn.page_size, "highest")
        return Page(rows=rows, did=f"{ranking.model['name']}-highest")


@dataclass(frozen=True, kw_only=True)
class RandomChooser:
    """Any candidates, whatever their scores."""

    name: ClassVar[str] = "random"
    subset: ClassVar[bool] = True

    def choose(self, turn: Turn) -> Page:
        """Draw a page with the seed."""
        left = np.flatnonzero(turn.candidates)
        rng = np.random.default_rng(turn.seed)
        rows = rng.choice(left, min(turn.page_size, len(left)), replace=False)
        return Page(rows=rows.astype(np.int64), did=self.name)


MODELS: dict[str, Callable[[], RankingModel]] = {
    part.name: part for part in (MlpModel, SimilarityModel, LinearModel, ChanceModel)
}
CHOOSERS: dict[str, Callable[[], Chooser]] = {
    part.name: part for part in (AlphaChooser, HighestChooser, RandomChooser)
}
STRATEGIES = {
    "alpha": "mlp+alpha",
    "top": "mlp+highest",
    "similarity": "similarity+highest",
    "linear": "linear+highest",
    "random": "chance+random",
}
"""Names for people, and the parts that they stand for."""


class _LinearScorer:
    """Logits of unit vectors: weights (D,) and a bias."""

    def __init__(self, weights: np.ndarray, bias: np.float32) -> None:
        self._weights, self._bias = weights, bias

    def scores(self, vectors: np.ndarray) -> np.ndarray:
        """Score (n, D) vectors, (n,) float32."""
        return vectors @ self._weights + self._bias


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
