"""Ranking models: score every object of a release from the labels so far.

A model is ``subset`` when it can work on a subset of the objects, because an object's score depends on that object and on
the labels alone; one that is not needs every object at once.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from discovery.hunts.models.fits import Fit, LinearScorer, Task, learn_fitted
from discovery.hunts.models.logistic import fit_logistic
from discovery.hunts.models.ranking import (
    Embeddings,
    LearnedModel,
    Ranking,
    ScoringModel,
    SimilarityScorer,
    TrainingSet,
    learn,
    learned_model,
)
from discovery.hunts.models.rescorer import RescorerConfig


class RankingModel(Protocol):
    """Scores every object from the labels; the same labels and seed give the same scores."""

    name: ClassVar[str]
    subset: ClassVar[bool]

    def rank(self, embeddings: Embeddings, training: TrainingSet, seed: int) -> Ranking:
        """Return a score for every object."""
        ...

    def multiplications(self, dimension: int) -> int:
        """Multiplications that one object of this dimension costs, once the model is fitted."""
        ...


@dataclass(frozen=True, kw_only=True)
class MlpModel(ScoringModel):
    """What `Hunt` ranks by: the paper's MLP once both classes have labels, similarity until then."""

    name: ClassVar[str] = "mlp"
    subset: ClassVar[bool] = True
    config: RescorerConfig = dataclasses.field(default_factory=RescorerConfig)

    def learn(self, embeddings: Embeddings, training: TrainingSet, seed: int) -> LearnedModel:
        """Fit by `discovery.hunts.models.ranking.learn`."""
        return learn(embeddings, training, seed=seed, config=self.config)

    def multiplications(self, dimension: int) -> int:
        """Return those of the two layers."""
        return (dimension + 1) * self.config.hidden


@dataclass(frozen=True, kw_only=True)
class SimilarityModel(ScoringModel):
    """Mean cosine to the positives minus mean cosine to the negatives; nothing is trained."""

    name: ClassVar[str] = "similarity"
    subset: ClassVar[bool] = True

    def learn(self, embeddings: Embeddings, training: TrainingSet, seed: int) -> LearnedModel:
        """Score by `discovery.hunts.models.ranking.SimilarityScorer`."""
        return learn(embeddings, training, seed=seed, train=False)

    def multiplications(self, dimension: int) -> int:
        """Return those of one product with the direction."""
        return dimension


@dataclass(frozen=True, kw_only=True)
class MeanModel(ScoringModel):
    """Mean cosine to the positives; the negatives are not used."""

    name: ClassVar[str] = "mean"
    subset: ClassVar[bool] = True

    def learn(self, embeddings: Embeddings, training: TrainingSet, seed: int) -> LearnedModel:
        """Score by `discovery.hunts.models.ranking.SimilarityScorer` on the positives alone."""
        positives = TrainingSet(positives=training.positives, negatives=training.negatives[:0])
        return learned_model(lambda: SimilarityScorer(positives), trained=False, model={"name": self.name})

    def multiplications(self, dimension: int) -> int:
        """Return those of one product with the direction."""
        return dimension


@dataclass(frozen=True, kw_only=True)
class NearestModel(ScoringModel):
    """Cosine to the nearest positive minus cosine to the nearest negative; nothing is trained."""

    name: ClassVar[str] = "nearest"
    subset: ClassVar[bool] = True

    def learn(self, embeddings: Embeddings, training: TrainingSet, seed: int) -> LearnedModel:
        """Score by the difference; by similarity while there is no positive."""
        if not len(training.positives):
            return learn(embeddings, training, seed=seed, train=False)
        return learned_model(lambda: NearestScorer(training), trained=False, model={"name": self.name})

    def multiplications(self, dimension: int) -> int:
        """Return those of one product with one label; there are as many as labels."""
        return dimension


@dataclass(frozen=True, kw_only=True)
class LinearModel(ScoringModel):
    """Logistic regression on the labels, each class weighing the same; similarity until both classes have labels.

    Attributes
    ----------
    inverse_penalty : float
        1 / ridge, on inputs standardised as the MLP's.
    """

    name: ClassVar[str] = "linear"
    subset: ClassVar[bool] = True
    inverse_penalty: float = 1.0

    def learn(self, embeddings: Embeddings, training: TrainingSet, seed: int) -> LearnedModel:
        """Score by the logit."""
        if not training.trainable:
            return learn(embeddings, training, seed=seed, train=False)
        return learn_fitted(self, embeddings, training, seed)

    def multiplications(self, dimension: int) -> int:
        """Return those of one product with the weights."""
        return dimension

    def fit(self, task: Task) -> Fit:
        """Fit the labels."""
        shares = np.where(task.targets > 0, task.positives, len(task.inputs) - task.positives)
        weights = len(task.inputs) / (2 * shares)
        fitted = fit_logistic(task.inputs, task.targets, weights, 1 / self.inverse_penalty)
        return Fit(
            scorer=LinearScorer.of_inputs(fitted.weights, fitted.bias, task), left_out=fitted.left_out
        )


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


class NearestScorer:
    """Largest cosine to (p, D) positives minus the largest to (n, D) negatives, unit vectors."""

    def __init__(self, training: TrainingSet) -> None:
        self.parameters = [training.positives, training.negatives]

    def scores(self, vectors: np.ndarray) -> np.ndarray:
        """Score (n, D) unit vectors, (n,) float32."""
        positives, negatives = self.parameters
        scores = (vectors @ positives.T).max(axis=1)
        return scores - (vectors @ negatives.T).max(axis=1) if len(negatives) else scores
