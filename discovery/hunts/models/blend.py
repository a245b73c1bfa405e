"""Models made of models: a mean of several, and a guard that falls back on similarity."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from discovery.errors import HuntError
from discovery.hunts.models.fits import Fit, FittedModel, LinearScorer, Task, learn_fitted
from discovery.hunts.models.metric import AdaptedModel
from discovery.hunts.models.positive_unlabelled import PairwiseScorer, PositiveUnlabelledModel
from discovery.hunts.models.ranking import Embeddings, FittedScorer, LearnedModel, ScoringModel, TrainingSet

if TYPE_CHECKING:
    import torch

LEAST_LABELS = 5
"""Of each class, before leave-one-out may decide anything."""


@dataclass(frozen=True, kw_only=True)
class BlendModel(ScoringModel):
    """Weighted mean of models' scores, each over the spread that it has on ordinary objects of the release.

    The logistic regression separates targets from what is labelled and from the bulk; the adapted metric measures how far an object
    lies along what the positives have in common, which a few odd labels move less.

    Attributes
    ----------
    parts : tuple of FittedModel
        What is blended.
    weights : tuple of float
        Of each part; where the target is common (`Task.common`) the first part stands alone.
    """

    name: ClassVar[str] = "blend"
    subset: ClassVar[bool] = True
    parts: tuple[FittedModel, ...] = (PositiveUnlabelledModel(), AdaptedModel())
    weights: tuple[float, ...] = (2.0, 1.0)

    def __post_init__(self) -> None:
        """Refuse weights that do not belong to the parts."""
        if len(self.weights) != len(self.parts) or min(self.weights) <= 0:
            raise HuntError(f"a blend of {len(self.parts)} models takes as many weights above 0, not {self.weights}")

    def learn(self, embeddings: Embeddings, training: TrainingSet, seed: int) -> LearnedModel:
        """Score by the mean."""
        return learn_fitted(self, embeddings, training, seed)

    def multiplications(self, dimension: int) -> int:
        """Return those of all parts."""
        return sum(part.multiplications(dimension) for part in self.parts)

    def fit(self, task: Task) -> Fit:
        """Fit every part."""
        if task.common:
            return self.parts[0].fit(task)
        fits = [part.fit(task) for part in self.parts]
        ordinary = (task.ordinary * task.scale + task.centre).astype(np.float32)
        shares = []
        for one, weight in zip(fits, self.weights, strict=True):
            spread = float(np.std(one.scorer.scores(ordinary), dtype=np.float64))
            shares.append(weight / sum(self.weights) / max(spread, 1e-12))
        left_out = sum(share * one.left_out for one, share in zip(fits, shares, strict=True))
        return Fit(scorer=_blended([one.scorer for one in fits], shares), left_out=np.asarray(left_out))


@dataclass(frozen=True, kw_only=True)
class GuardedModel(ScoringModel):
    """Another model, unless the similarity to the labels alone would have separated the labels better.

    Both are judged by what they predict of each label without it (area under the ROC curve). Feedback is known to hurt at
    times: a few odd or wrong labels can lead a trained model astray where the plain similarity stays right.

    Attributes
    ----------
    inner : FittedModel
        The model that is guarded.
    margin : float
        By how much similarity must be better. The labels were picked by the model, among the negatives mostly those that it
        takes for positives, which is hard on the model and not on similarity; the margin makes up for it.
    """

    name: ClassVar[str] = "guarded"
    subset: ClassVar[bool] = True
    inner: FittedModel = field(default_factory=PositiveUnlabelledModel)
    margin: float = 0.1

    def learn(self, embeddings: Embeddings, training: TrainingSet, seed: int) -> LearnedModel:
        """Score by the model or by similarity."""
        return learn_fitted(self, embeddings, training, seed)

    def multiplications(self, dimension: int) -> int:
        """Return those of the model."""
        return self.inner.multiplications(dimension)

    def fit(self, task: Task) -> Fit:
        """Fit the model and compare it with similarity."""
        inner = self.inner.fit(task)
        negatives = len(task.inputs) - task.positives
        if min(task.positives, negatives) < LEAST_LABELS:
            return inner
        plain, truth = fit_similarity(task), task.targets > 0
        loses = chance_in_order(plain.left_out, truth) - chance_in_order(inner.left_out, truth)
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


def chance_in_order(scores: np.ndarray, truth: np.ndarray) -> float:
    """Return the chance that a positive scores above a negative, ties a half (Mann-Whitney U); nan unless both are there.

    It is the area under the ROC curve, kept in this form since recorded rounds rest on its last digit.
    """
    targets, others = int(truth.sum()), int((~truth).sum())
    if not targets or not others:
        return float("nan")
    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2  # from 1, equal scores share the mean of theirs
    above = ranks[places][truth].sum() - targets * (targets + 1) / 2
    return float(above / (targets * others))


class BlendScorer:
    """The sum of scores times their shares."""

    def __init__(self, scorers: list[FittedScorer], shares: list[float]) -> None:
        self._scorers, self._shares = scorers, np.array(shares, dtype=np.float32)
        self.parameters = [*(array for one in scorers for array in one.parameters), self._shares]
        ways = [one.directions.mean(axis=0) for one in scorers if isinstance(one, LinearScorer | PairwiseScorer)]
        if len(ways) == len(scorers):
            self.directions = (self._shares @ np.stack(ways))[None]

    def scores(self, vectors: np.ndarray) -> np.ndarray:
        """Score (n, D) vectors, (n,) float32."""
        parts = zip(self._scorers, self._shares, strict=True)
        return np.asarray(sum(share * one.scores(vectors) for one, share in parts), dtype=np.float32)


class LinearBlendScorer(BlendScorer):
    """A blend of linear scorers, which is linear itself."""

    def to_torch(self) -> torch.nn.Module:
        """Return the same as a torch module, for an engine that scores every object."""
        from discovery.hunts.models.modules import linear_module

        return linear_module(self.directions[0], float(self._shares @ [one.parameters[1][0] for one in self._scorers]))


def _blended(scorers: list[FittedScorer], shares: list[float]) -> BlendScorer:
    linear = all(isinstance(one, LinearScorer) for one in scorers)
    return LinearBlendScorer(scorers, shares) if linear else BlendScorer(scorers, shares)
