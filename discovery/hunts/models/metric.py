"""A metric adapted to the hunt: directions that separate the labels count more in the similarity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from discovery.hunts.models.fits import Fit, LinearScorer, Task, learn_fitted
from discovery.hunts.models.ranking import Embeddings, LearnedModel, ScoringModel, TrainingSet


@dataclass(frozen=True, kw_only=True)
class AdaptedModel(ScoringModel):
    """Similarity to the labels' means in a learned metric; cheap enough for every round.

    ``relevant`` shrinks the directions in which the positives themselves vary (relevant component analysis, Bar-Hillel et al.
    2005): the metric is the inverse of their scatter about the mean, pulled towards the release's own covariance and that
    towards a sphere, so that five positives do no harm. The rank of what is learned is at most the number of positives.

    Attributes
    ----------
    known : float
        How many labels' weight the release's covariance has against the positives' own scatter.
    sphere : float
        Weight of the sphere against the release's covariance.
    """

    name: ClassVar[str] = "adapted"
    subset: ClassVar[bool] = True
    known: float = 50.0
    sphere: float = 1.0

    def learn(self, embeddings: Embeddings, training: TrainingSet, seed: int) -> LearnedModel:
        """Score by the product with the adapted direction."""
        return learn_fitted(self, embeddings, training, seed)

    def multiplications(self, dimension: int) -> int:
        """Return those of one product with the direction."""
        return dimension

    def fit(self, task: Task) -> Fit:
        """Learn the metric and the direction from the negatives' (or the release's) mean to the positives'."""
        positives, negatives = task.inputs[: task.positives], task.inputs[task.positives :]
        mean = positives.mean(axis=0)
        other = negatives.mean(axis=0) if len(negatives) else task.ordinary.mean(axis=0)
        covariance = task.usual.covariance
        size = np.trace(covariance) / len(covariance)
        prior = covariance + self.sphere * size * np.eye(len(covariance))
        scatter = (positives - mean).T @ (positives - mean)
        metric = np.linalg.inv((scatter + self.known * prior) / (len(positives) + self.known))
        direction = metric @ (mean - other)
        # Without label i its class's mean moves by (mean - x) / (n - 1); the metric hardly does and is kept.
        left_out = []
        for sign, own, one in ((1, mean, positives), (-1, other, negatives)):
            moved = direction + sign * ((own - one) / max(len(one) - 1, 1)) @ metric
            left_out.append(np.einsum("nd,nd->n", one, moved))
        return Fit(scorer=LinearScorer.of_inputs(direction, 0.0, task), left_out=np.concatenate(left_out))
