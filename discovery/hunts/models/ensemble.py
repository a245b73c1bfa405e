"""A small ensemble whose members see other draws of the labels; how far they differ is the spread."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from discovery.hunts.models.fits import Fit, LinearScorer, Task, learn_fitted
from discovery.hunts.models.logistic import chances
from discovery.hunts.models.positive_unlabelled import PositiveUnlabelledModel
from discovery.hunts.models.ranking import Embeddings, LearnedModel, ScoringModel, TrainingSet

WIDENINGS = np.array([0.5, 1.0, 2.0, 4.0, 8.0])


@dataclass(frozen=True, kw_only=True)
class EnsembleModel(ScoringModel):
    """The mean of logistic regressions on bootstrap draws of the labels (Breiman 1996), with a calibrated spread.

    A member's spread understates what is not known. The labels that a member did not draw show by how much: the spread is
    widened by the factor under which they are likeliest, with the chance of a logit of mean m and spread s as
    logistic(m / sqrt(1 + pi s^2 / 8)) (MacKay 1992).

    Attributes
    ----------
    members : int
        How many.
    unlabelled : int
        Weak negatives of each member; see `PositiveUnlabelledModel`.
    """

    name: ClassVar[str] = "ensemble"
    subset: ClassVar[bool] = True
    members: int = 8
    unlabelled: int = 256

    def learn(self, embeddings: Embeddings, training: TrainingSet, seed: int) -> LearnedModel:
        """Score by the mean logit; the ranking has a spread."""
        return learn_fitted(self, embeddings, training, seed)

    def multiplications(self, dimension: int) -> int:
        """Return those of one product with each member's weights."""
        return self.members * dimension

    def fit(self, task: Task) -> Fit:
        """Fit the members and widen their spread."""
        rng = np.random.default_rng(task.seed)
        count, scorers, absent, logits = len(task.inputs), [], [], []
        vectors = (task.inputs * task.scale + task.centre).astype(np.float32)
        for member in range(self.members):
            drawn = np.concatenate(
                [
                    np.sort(rng.integers(0, task.positives, task.positives)),
                    np.sort(rng.integers(task.positives, count, count - task.positives))
                    if count > task.positives
                    else np.empty(0, dtype=np.int64),
                ]
            )
            own = dataclasses.replace(
                task, inputs=task.inputs[drawn], negative_classes=(), seed=int(rng.integers(2**31)) + member
            )
            scorers.append(PositiveUnlabelledModel(unlabelled=self.unlabelled).fit(own).scorer)
            absent.append(~np.isin(np.arange(count), drawn))
            logits.append(scorers[-1].scores(vectors))
        outside, given = np.stack(absent), np.stack(logits)  # (members, labels)
        mean, spread, known = _moments(given, outside)
        widening = _widening(mean[known], spread[known], task.targets[known])
        left_out = np.where(known, mean, given.mean(axis=0))
        members = [scorer for scorer in scorers if isinstance(scorer, LinearScorer)]
        return Fit(scorer=EnsembleScorer(members, widening), left_out=left_out)


class EnsembleScorer:
    """Mean and widened spread of linear members."""

    def __init__(self, members: list[LinearScorer], widening: float) -> None:
        self._weights = np.stack([one.parameters[0] for one in members])  # (m, D)
        self._biases = np.concatenate([one.parameters[1] for one in members])
        self._widening = np.float32(widening)
        self.parameters = [self._weights, self._biases, np.array([widening], dtype=np.float32)]
        self.directions = self._weights.mean(axis=0)[None]

    def scores(self, vectors: np.ndarray) -> np.ndarray:
        """Mean logits of (n, D) vectors, (n,) float32."""
        return self._logits(vectors).mean(axis=1)

    def spreads(self, vectors: np.ndarray) -> np.ndarray:
        """Widened standard deviations of the logits, (n,) float32."""
        return self._widening * self._logits(vectors).std(axis=1, ddof=1)

    def _logits(self, vectors: np.ndarray) -> np.ndarray:
        return vectors @ self._weights.T + self._biases


def _moments(logits: np.ndarray, outside: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and spread of each label's logits over the members that did not draw it, and whether two or more did not."""
    counts = outside.sum(axis=0)
    known = counts >= 2
    shared = np.maximum(counts, 1)
    mean = np.where(outside, logits, 0).sum(axis=0) / shared
    squares = np.where(outside, (logits - mean) ** 2, 0).sum(axis=0)
    return mean, np.sqrt(squares / np.maximum(counts - 1, 1)), known


def _widening(mean: np.ndarray, spread: np.ndarray, truth: np.ndarray) -> float:
    """Return the factor on the spread under which the truth is likeliest; 1 where there are no labels to show it."""
    if not len(mean):
        return 1.0
    losses = []
    for factor in WIDENINGS:
        chance = chances(mean / np.sqrt(1 + np.pi / 8 * (factor * spread) ** 2))
        chance = np.clip(chance, 1e-9, 1 - 1e-9)
        losses.append(-np.mean(truth * np.log(chance) + (1 - truth) * np.log(1 - chance)))
    return float(WIDENINGS[int(np.argmin(losses))])
