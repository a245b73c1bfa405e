"""A Gaussian process on the labels: the mean is how likely, the spread how sure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from discovery.hunts.models.fits import Fit, Task, learn_fitted
from discovery.hunts.models.ranking import Embeddings, LearnedModel, ScoringModel, TrainingSet


@dataclass(frozen=True, kw_only=True)
class GaussianProcessModel(ScoringModel):
    """Regression on +1 and -1 with the prior mean -1: what lies far from all labels is taken for a negative.

    As Astronomaly: Protege hunts (Lochner & Bassett 2021; Andersson et al. 2025), with a kernel for embeddings. Mean,
    variance and leave-one-out are Rasmussen & Williams 2006, equations 2.25, 2.26 and 5.12.

    Attributes
    ----------
    length : float
        Of the squared exponential kernel, in units of the release's own root mean square spread.
    linear : float
        Weight of a linear kernel added to it.
    noise : float
        Variance of a label.
    prior : float
        Mean far from all labels.
    most_labels : int
        Labels used; of more, all positives up to half and a seeded draw of the rest.
    """

    name: ClassVar[str] = "gp"
    subset: ClassVar[bool] = True
    length: float = 1.0
    linear: float = 1.0
    noise: float = 0.1
    prior: float = -1.0
    most_labels: int = 512

    def learn(self, embeddings: Embeddings, training: TrainingSet, seed: int) -> LearnedModel:
        """Score by the mean; the ranking has a spread."""
        return learn_fitted(self, embeddings, training, seed)

    def multiplications(self, dimension: int) -> int:
        """Return those of the kernel between one object and as many labels as are used at most, and the spread's solve."""
        return self.most_labels * (dimension + self.most_labels)

    def fit(self, task: Task) -> Fit:
        """Solve for the labels."""
        used = self._used(task)
        inputs = task.inputs[used] / np.sqrt(task.inputs.shape[1])  # a mean square length of 1
        kernel = self.kernel(inputs, inputs)
        kernel[np.diag_indices_from(kernel)] += self.noise
        precision = np.linalg.inv(kernel)
        above = np.where(task.targets[used] > 0, 1.0, -1.0) - self.prior
        weights = precision @ above
        scorer = GaussianProcessScorer(self, task, inputs, weights, precision)
        left_out = scorer.scores_of_inputs(task.inputs / np.sqrt(task.inputs.shape[1]))
        left_out[used] = self.prior + above - weights / np.diag(precision)
        return Fit(scorer=scorer, left_out=left_out)

    def kernel(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Covariance (n, m) of inputs (n, D) and (m, D)."""
        products = one @ other.T
        apart = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1)[None] - 2 * products
        return np.exp(apart / (-2 * self.length**2)) + self.linear * products

    def _used(self, task: Task) -> np.ndarray:
        count = len(task.inputs)
        if count <= self.most_labels:
            return np.arange(count)
        rng = np.random.default_rng(task.seed)
        positives = rng.permutation(task.positives)[: max(self.most_labels // 2, self.most_labels - (count - task.positives))]
        negatives = task.positives + rng.permutation(count - task.positives)[: self.most_labels - len(positives)]
        return np.sort(np.concatenate([positives, negatives]))


class GaussianProcessScorer:
    """Mean and spread of the process at vectors as the release holds them."""

    def __init__(
        self, model: GaussianProcessModel, task: Task, inputs: np.ndarray, weights: np.ndarray, precision: np.ndarray
    ) -> None:
        self._model = model
        self._centre = task.centre
        self._scale = np.float32(task.scale * np.sqrt(inputs.shape[1]))
        self._inputs, self._weights = inputs.astype(np.float32), weights.astype(np.float32)
        self._precision = precision.astype(np.float32)
        self.parameters = [self._inputs, self._weights]

    def scores(self, vectors: np.ndarray) -> np.ndarray:
        """Mean at (n, D) vectors, (n,) float32."""
        return self.scores_of_inputs((vectors - self._centre) / self._scale)

    def spreads(self, vectors: np.ndarray) -> np.ndarray:
        """Standard deviation at (n, D) vectors, (n,) float32, without the noise of a label."""
        inputs = (vectors - self._centre) / self._scale
        kernel = self._model.kernel(inputs, self._inputs)
        own = 1.0 + self._model.linear * (inputs**2).sum(axis=1)
        variance = own - np.einsum("nk,nk->n", kernel @ self._precision, kernel)
        return np.sqrt(np.maximum(variance, 1e-9)).astype(np.float32)

    def scores_of_inputs(self, inputs: np.ndarray) -> np.ndarray:
        """Mean at inputs (n, D), (n,)."""
        return self._model.prior + self._model.kernel(inputs, self._inputs) @ self._weights
