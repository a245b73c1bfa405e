"""Ranking models: score every object of a release from the labels so far.

A model is ``subset`` when it can work on a subset of the objects, because an object's score depends on that object and on
the labels alone; one that is not needs every object at once.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from discovery.hunts.ranking import Embeddings, Ranking, TrainingSet, background, rank, rank_by
from discovery.hunts.rescorer import RescorerConfig, standardisation

BACKGROUND = 2048


class RankingModel(Protocol):
    """Scores every object from the labels; the same labels and seed give the same scores."""

    name: ClassVar[str]
    subset: ClassVar[bool]

    def rank(self, embeddings: Embeddings, training: TrainingSet, seed: int) -> Ranking: ...

    def multiplications(self, dimension: int) -> int:
        """Multiplications that one object of this dimension costs, once the model is fitted."""
        ...


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


class _LinearScorer:
    """Logits of unit vectors: weights (D,) and a bias."""

    def __init__(self, weights: np.ndarray, bias: np.float32) -> None:
        self._weights, self._bias = weights, bias
        self.parameters = [weights, np.atleast_1d(bias)]

    def scores(self, vectors: np.ndarray) -> np.ndarray:
        """Score (n, D) vectors, (n,) float32."""
        return vectors @ self._weights + self._bias


