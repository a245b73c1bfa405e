"""Logistic regression on labels and on unlabelled objects as weak negatives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from discovery.hunts.models.fits import Fit, LinearScorer, Task, learn_fitted
from discovery.hunts.models.logistic import (
    TOLERANCE,
    Logistic,
    chances,
    fit_by_products,
    fit_logistic,
    left_out_by_products,
)
from discovery.hunts.models.ranking import Embeddings, LearnedModel, ScoringModel, TrainingSet

DUAL_UPTO = 1.5
"""Up to so many inputs a dimension a fit by products is the quicker one."""
ROUGH = 1e-4
LEAST_OF_A_CLASS = 3
"""Labels from which a named negative class is learned as a class of its own."""


@dataclass(frozen=True, kw_only=True)
class PositiveUnlabelledModel(ScoringModel):
    """Ridge logistic regression; what looks positive among the unlabelled objects loses its weight as a negative.

    The labels are few and were picked by a ranking, so they show little of the bulk of a release. Objects picked blindly
    stand for it: most are negatives when the target is rare (as in Fu et al. 2024's rescorer here). Where the target is
    common that is wrong, so after each pass an unlabelled object's weight becomes its chance to be negative by the fit
    (expectation-maximisation for positive and unlabelled data: Elkan & Noto 2008, section 3; self-consistent weights).

    Attributes
    ----------
    inverse_penalty : float
        1 / ridge, on inputs scaled to a mean square of 1 a dimension.
    unlabelled : int
        Weak negatives, drawn with the round's seed.
    unlabelled_share : float
        Share of the negatives' weight that they carry together; all of it while there is no negative.
    passes : int
        Fits after the first, each with new weights of the unlabelled. Where the target is common (`Task.common`) there is
        one more, the weight is the chance squared, and the penalty is twice as large.
    classes : bool
        Learn each negative class that a person named as a class of its own: the positives are separated from each by a fit of
        its own, and an object must beat them all (the multinomial logit of the pairwise fits).
    """

    name: ClassVar[str] = "pu"
    subset: ClassVar[bool] = True
    inverse_penalty: float = 0.1
    unlabelled: int = 512
    unlabelled_share: float = 0.5
    passes: int = 2
    classes: bool = True

    def learn(self, embeddings: Embeddings, training: TrainingSet, seed: int) -> LearnedModel:
        """Score by the logit."""
        return learn_fitted(self, embeddings, training, seed)

    def multiplications(self, dimension: int) -> int:
        """Return those of one product with the weights."""
        return dimension

    def fit(self, task: Task) -> Fit:
        """Fit to labels and weak negatives; the logits of the labels are those without each of them."""
        groups = self._groups(task)
        rest = np.setdiff1d(np.arange(task.positives, len(task.inputs)), np.concatenate([[], *groups]).astype(np.int64))
        fits = [self._against(task, rest), *(self._against(task, group, weak=False) for group in groups)]
        left_out = np.stack([one.logits(task.inputs) for one in fits])  # (k, p + n)
        for logits, one, members in zip(left_out, fits, [rest, *groups], strict=True):
            own = np.concatenate([np.arange(task.positives), members])
            logits[own] = one.left_out[: len(own)]
        scorers = [LinearScorer.of_inputs(one.weights, one.bias, task) for one in fits]
        return Fit(scorer=PairwiseScorer(scorers) if groups else scorers[0], left_out=beats_all(left_out))

    def _groups(self, task: Task) -> list[np.ndarray]:
        """Rows of each named class that has enough labels."""
        if not self.classes or not task.negative_classes:
            return []
        given = np.array(task.negative_classes)
        groups = [task.positives + np.flatnonzero(given == name) for name in sorted(set(given.tolist()) - {""})]
        return [group for group in groups if len(group) >= LEAST_OF_A_CLASS]

    def _against(self, task: Task, negatives: np.ndarray, *, weak: bool = True) -> Logistic:
        """Tell the positives from some negatives and, if ``weak``, from unlabelled objects."""
        rng = np.random.default_rng(task.seed)
        count = min(self.unlabelled, len(task.ordinary)) if weak else 0
        drawn = task.ordinary[np.sort(rng.permutation(len(task.ordinary))[:count])]
        labels = np.concatenate([np.arange(task.positives), negatives])
        inputs = np.concatenate([task.inputs[labels], drawn])
        targets = (np.arange(len(inputs)) < task.positives).astype(np.float64)
        share = 0.0 if not weak else self.unlabelled_share if len(negatives) else 1.0
        common = weak and task.common
        ridge = (2 if common else 1) / self.inverse_penalty
        power = 2 if common else 1

        def weights(kept: np.ndarray) -> np.ndarray:
            shares = [
                np.full(task.positives, 1 / task.positives),
                np.full(len(negatives), (1 - share) / max(len(negatives), 1)),
                share * kept / max(count, 1),
            ]
            return np.concatenate(shares) * (len(labels) / 2)

        kept = np.ones(count)
        passes = self.passes + 1 + common if weak else 1
        if task.large and len(inputs) <= DUAL_UPTO * inputs.shape[1]:
            return _fit_in_passes(inputs, targets, weights, ridge, count, passes, power)
        for _ in range(passes):
            fitted = fit_logistic(inputs, targets, weights(kept), ridge)
            kept = (1 - chances(fitted.logits(drawn))) ** power
        return fitted


def _fit_in_passes(
    inputs: np.ndarray,
    targets: np.ndarray,
    weights: Callable[[np.ndarray], np.ndarray],
    ridge: float,
    unlabelled: int,
    passes: int,
    power: int,
) -> Logistic:
    """The passes by the inputs' products, each from where the one before ended; only the last to the full tolerance."""
    products, given = inputs @ inputs.T, weights(np.ones(unlabelled))
    fitted = fit_by_products(products, targets, given, ridge, None, ROUGH if passes > 1 else TOLERANCE)
    for left in range(passes - 2, -1, -1):
        given = weights((1 - chances(fitted.logits[len(inputs) - unlabelled :])) ** power)
        fitted = fit_by_products(products, targets, given, ridge, fitted, ROUGH if left else TOLERANCE)
    return Logistic(
        weights=inputs.T @ fitted.coefficients,
        bias=fitted.bias,
        left_out=left_out_by_products(products, fitted, targets, given, ridge),
    )


class PairwiseScorer:
    """The logit of the positive class among several, from its logits against each."""

    def __init__(self, scorers: list[LinearScorer]) -> None:
        self._scorers = scorers
        self.parameters = [array for one in scorers for array in one.parameters]
        self.directions = np.concatenate([one.directions for one in scorers])

    def scores(self, vectors: np.ndarray) -> np.ndarray:
        """Score (n, D) vectors, (n,) float32."""
        return beats_all(np.stack([one.scores(vectors) for one in self._scorers])).astype(np.float32)


def beats_all(logits: np.ndarray) -> np.ndarray:
    """Return the logit (n,) of one class against all others together from its logits (k, n) against each.

    With odds o_k against each class the chance is 1 / (1 + sum 1/o_k), the multinomial logit.
    """
    return -np.logaddexp.reduce(-logits, axis=0)
