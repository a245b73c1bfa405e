"""What fitted ranking models share: inputs on one scale, and fits that can predict each label without it."""

from __future__ import annotations

import dataclasses
import weakref
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from discovery.hunts.models.calibration import platt
from discovery.hunts.models.ranking import (
    Embeddings,
    FittedScorer,
    LearnedModel,
    TrainingSet,
    background,
    is_large,
    learn,
    learned_model,
)
from discovery.hunts.models.rescorer import standardisation

if TYPE_CHECKING:
    import torch

BACKGROUND = 2048
COMMON_ABOVE = 0.7


@dataclass(frozen=True, kw_only=True, eq=False)
class Ordinary:
    """What is ordinary in a release: objects spread evenly over it.

    Attributes
    ----------
    inputs : numpy.ndarray
        (m, D) float64, centred and scaled.
    centre, scale : numpy.ndarray, float
        inputs = (vectors - centre) / scale; one scale for all dimensions keeps angles.
    """

    inputs: np.ndarray
    centre: np.ndarray
    scale: np.float32

    @classmethod
    def of(cls, embeddings: Embeddings) -> Ordinary:
        """Look at `BACKGROUND` objects spread evenly over the release."""
        vectors = background(embeddings, BACKGROUND)
        centre, scale = standardisation(vectors)
        return cls(inputs=((vectors - centre) / scale).astype(np.float64), centre=centre, scale=scale)

    def scaled(self, vectors: np.ndarray) -> np.ndarray:
        """Put vectors (n, D) on the scale."""
        return ((vectors - self.centre) / self.scale).astype(np.float64)

    @cached_property
    def covariance(self) -> np.ndarray:
        """Return the covariance of the inputs, (D, D)."""
        return np.cov(self.inputs, rowvar=False)


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """What a model is fitted to.

    Attributes
    ----------
    inputs : numpy.ndarray
        (p + n, D) float64: the labels, positives first, centred and scaled as the release is.
    positives : int
        p.
    negative_classes : tuple of str
        Of the n negatives, or empty.
    usual : Ordinary
        What is ordinary in the release.
    large : bool
        Of a release so large that a round must save time: fits then take a quicker way to the same minimum.
    """

    inputs: np.ndarray
    positives: int
    negative_classes: tuple[str, ...]
    usual: Ordinary
    seed: int
    large: bool = False

    @property
    def ordinary(self) -> np.ndarray:
        """(m, D) float64: objects spread evenly over the release, on the same scale."""
        return self.usual.inputs

    @property
    def centre(self) -> np.ndarray:
        """(D,) float32 of the release."""
        return self.usual.centre

    @property
    def scale(self) -> np.float32:
        """One scale for all dimensions."""
        return self.usual.scale

    @property
    def common(self) -> bool:
        """Whether the target is no rare thing: some negatives, and more than 70 % of the labels are positive."""
        return COMMON_ABOVE * len(self.inputs) < self.positives < len(self.inputs)

    @property
    def targets(self) -> np.ndarray:
        """(p + n,) float64: 1 for positives, 0 for negatives."""
        return (np.arange(len(self.inputs)) < self.positives).astype(np.float64)


@dataclass(frozen=True, kw_only=True, eq=False)
class Fit:
    """A fitted model.

    Attributes
    ----------
    scorer : FittedScorer
        Scores vectors as the release holds them.
    left_out : numpy.ndarray
        (p + n,): the score of each label by a fit without it.
    """

    scorer: FittedScorer
    left_out: np.ndarray


class FittedModel(Protocol):
    """A ranking model that is fitted to a `Task`; see `learn_fitted`."""

    name: ClassVar[str]
    subset: ClassVar[bool]

    def fit(self, task: Task) -> Fit:
        """Return the model fitted to the labels of a task."""
        ...

    def multiplications(self, dimension: int) -> int:
        """Return the multiplications that one object of this dimension costs, once the model is fitted."""
        ...


class LinearScorer:
    """Weights (D,) and a bias for vectors as the release holds them."""

    def __init__(self, weights: np.ndarray, bias: float) -> None:
        self.parameters = [weights.astype(np.float32), np.array([bias], dtype=np.float32)]
        self.directions = self.parameters[0][None]

    @classmethod
    def of_inputs(cls, weights: np.ndarray, bias: float, task: Task) -> LinearScorer:
        """Make one from weights for the task's inputs."""
        own = weights / task.scale
        return cls(own, float(bias - task.centre.astype(np.float64) @ own))

    def scores(self, vectors: np.ndarray) -> np.ndarray:
        """Score (n, D) vectors, (n,) float32."""
        return vectors @ self.parameters[0] + self.parameters[1]

    def to_torch(self) -> torch.nn.Module:
        """Return the same as a torch module, for an engine that scores every object."""
        from discovery.hunts.models.modules import linear_module

        return linear_module(self.parameters[0], float(self.parameters[1][0]))


def make_task(embeddings: Embeddings, training: TrainingSet, seed: int) -> Task:
    """Put labels and ordinary objects on one scale."""
    labels = np.concatenate([training.positives, training.negatives])
    large = is_large(embeddings, labels.shape[1])
    usual = _kept(embeddings) if large else Ordinary.of(embeddings)
    return Task(
        inputs=usual.scaled(labels),
        positives=len(training.positives),
        negative_classes=training.negative_classes,
        usual=usual,
        seed=seed,
        large=large,
    )


_ordinary: weakref.WeakKeyDictionary[Embeddings, Ordinary] = weakref.WeakKeyDictionary()


def _kept(embeddings: Embeddings) -> Ordinary:
    """What is ordinary in a large release, looked at once while it is open."""
    if embeddings not in _ordinary:
        _ordinary[embeddings] = Ordinary.of(embeddings)
    return _ordinary[embeddings]


def learn_fitted(model: Any, embeddings: Embeddings, training: TrainingSet, seed: int) -> LearnedModel:
    """Fit a `FittedModel` (a dataclass) and calibrate it; the similarity while there is no positive.

    Until there is a negative the ranker counts as untrained: its scores are no chances.

    Raises
    ------
    HuntError
        There is neither a positive nor a negative to start from.
    """
    if not len(training.positives):
        return learn(embeddings, training, seed=seed, train=False)
    fits: list[Fit] = []

    def fit() -> FittedScorer:
        fits.append(model.fit(make_task(embeddings, training, seed)))
        return fits[0].scorer

    learned = learned_model(fit, trained=training.trainable, model=settings_of(model))
    if not training.trainable:
        return learned
    targets = np.repeat([1.0, 0.0], [len(training.positives), len(training.negatives)])
    return dataclasses.replace(learned, calibration=platt(fits[0].left_out, targets))


def settings_of(part: Any) -> dict[str, Any]:
    """Return name and settings of a part (a dataclass with a name), and of the parts that it is made of."""

    def plain(value: Any) -> Any:
        if isinstance(value, tuple):
            return [plain(one) for one in value]
        return settings_of(value) if dataclasses.is_dataclass(value) and hasattr(value, "name") else value

    return {"name": part.name, **{one.name: plain(getattr(part, one.name)) for one in dataclasses.fields(part)}}
