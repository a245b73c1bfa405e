"""Models made of models: a mean of several, and a guard that falls back on similarity."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from discovery.hunts.measures import area_under_roc
from discovery.hunts.rankers.fitting import Fit, FittedModel, LinearScorer, Task, rank_fitted
from discovery.hunts.rankers.gaussian_process import GaussianProcessModel
from discovery.hunts.rankers.positive_unlabelled import PositiveUnlabelledModel
from discovery.hunts.ranking import Embeddings, Ranking, Scorer, TrainingSet

LEAST_LABELS = 5
"""Of each class, before leave-one-out may decide anything."""


@dataclass(frozen=True, kw_only=True)
class BlendModel:
    """Mean of models' scores, each put on the scale that it has on ordinary objects of the release.

    A linear model generalises from few labels, a Gaussian process bends where they demand it.
    """

    name: ClassVar[str] = "blend"
    subset: ClassVar[bool] = True
    parts: tuple[FittedModel, ...] = (PositiveUnlabelledModel(), GaussianProcessModel())

    def rank(self, embeddings: Embeddings, training: TrainingSet, seed: int) -> Ranking:
        """Rank by the mean."""
        return rank_fitted(self, embeddings, training, seed)

    def multiplications(self, dimension: int) -> int:
        """Of all parts."""
        return sum(part.multiplications(dimension) for part in self.parts)

    def fit(self, task: Task) -> Fit:
        """Fit every part."""
        fits = [part.fit(task) for part in self.parts]
        ordinary = (task.ordinary * task.scale + task.centre).astype(np.float32)
        known = [one.scorer.scores(ordinary) for one in fits]
        scales = [max(float(np.std(one, dtype=np.float64)), 1e-12) for one in known]
        left_out = [one.left_out / scale for one, scale in zip(fits, scales, strict=True)]
        return Fit(scorer=BlendScorer([one.scorer for one in fits], scales), left_out=np.mean(left_out, axis=0))


@dataclass(frozen=True, kw_only=True)
class GuardedModel:
    """Another model, unless the similarity to the labels alone would have told the labels apart better.

    Both are judged by what they say of each label without it (area under the ROC curve). Feedback is known to hurt at
    times: a few odd or wrong labels can lead a trained model astray where the plain similarity stays right.

    Attributes
    ----------
    margin : float
        By how much similarity must be better. The labels were picked by the model, among the negatives mostly those that it
        takes for positives, which is hard on the model and not on similarity; the margin makes up for it.
    """

    name: ClassVar[str] = "guarded"
    subset: ClassVar[bool] = True
    inner: FittedModel = field(default_factory=PositiveUnlabelledModel)
    margin: float = 0.1

    def rank(self, embeddings: Embeddings, training: TrainingSet, seed: int) -> Ranking:
        """Rank by the model or by similarity."""
        return rank_fitted(self, embeddings, training, seed)

    def multiplications(self, dimension: int) -> int:
        """Of the model."""
        return self.inner.multiplications(dimension)

    def fit(self, task: Task) -> Fit:
        """Fit the model and compare it with similarity."""
        inner = self.inner.fit(task)
        negatives = len(task.inputs) - task.positives
        if min(task.positives, negatives) < LEAST_LABELS:
            return inner
        plain, truth = fit_similarity(task), task.targets > 0
        loses = area_under_roc(plain.left_out, truth) - area_under_roc(inner.left_out, truth)
        return plain if loses > self.margin else inner


def fit_similarity(task: Task) -> Fit:
    """Return the mean product with the positives minus that with the negatives, and the same without each label."""
    classes = (task.inputs[: task.positives], task.inputs[task.positives :])
    means = [one.mean(axis=0) if len(one) else np.zeros(task.inputs.shape[1]) for one in classes]
    left_out = []
    for sign, own, one in zip((1, -1), means, classes, strict=True):
        count = len(one)
        shifted = (count * own - one) / max(count - 1, 1)  # (count, D): the class's mean without each
        other = means[1] if sign > 0 else means[0]
        left_out.append(np.einsum("nd,nd->n", one, sign * (shifted - other)))
    direction = means[0] - means[1]
    return Fit(scorer=LinearScorer.of_inputs(direction, 0.0, task), left_out=np.concatenate(left_out))


class BlendScorer:
    """The mean of scores, each over its scale."""

    def __init__(self, scorers: list[Scorer], scales: list[float]) -> None:
        self._scorers, self._scales = scorers, scales
        self.parameters = [array for one in scorers for array in one.parameters]
        self.parameters.append(np.array(scales, dtype=np.float32))

    def scores(self, vectors: np.ndarray) -> np.ndarray:
        """Score (n, D) vectors, (n,) float32."""
        parts = zip(self._scorers, self._scales, strict=True)
        total = sum(one.scores(vectors) / np.float32(scale) for one, scale in parts)
        return np.asarray(total / np.float32(len(self._scorers)), dtype=np.float32)
