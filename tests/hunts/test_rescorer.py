"""The rescorer: what it learns, that it repeats itself, and that it is the model it says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from threadpoolctl import threadpool_limits

from discovery.errors import HuntError
from discovery.hunts.models.ranking import TrainingSet, rank
from discovery.hunts.models.rescorer import RescorerConfig, _AdamW, _gradients, train_rescorer
from discovery.hunts.simulation.simulate import ArrayEmbeddings


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors (600, 16) of which a noisy tenth lies to one side."""
    rng = np.random.default_rng(2)
    truth = rng.random(600) < 0.1
    vectors = rng.normal(size=(600, 16)) + 2.0 * truth[:, None] * rng.normal(size=16)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), truth


def test_it_ranks_as_well_as_logistic_regression_on_separable_data(
    data: tuple[np.ndarray, np.ndarray],
) -> None:
    vectors, truth = data
    rescorer = train_rescorer(
        vectors[:300][truth[:300]], vectors[:300][~truth[:300]], vectors, 1, RescorerConfig()
    )
    linear = LogisticRegression(class_weight="balanced").fit(vectors[:300], truth[:300])
    ours = average_precision_score(truth[300:], rescorer.scores(vectors[300:]))
    theirs = average_precision_score(truth[300:], linear.decision_function(vectors[300:]))
    assert ours > theirs - 0.03 and ours > 0.8


def test_the_same_labels_give_the_same_bits_on_any_number_of_threads(
    data: tuple[np.ndarray, np.ndarray],
) -> None:
    vectors, truth = data
    training = TrainingSet(positives=vectors[truth], negatives=vectors[~truth])
    digests = []
    for threads in (1, 2, 4):
        with threadpool_limits(threads):
            ranking = rank(ArrayEmbeddings(vectors), training, seed=3, config=RescorerConfig(steps=5))
        digests.append(ranking.digest)
    assert len(set(digests)) == 1
    assert (
        rank(ArrayEmbeddings(vectors), training, seed=4, config=RescorerConfig(steps=5)).digest != digests[0]
    )


def test_gradients_equal_those_of_torch(data: tuple[np.ndarray, np.ndarray]) -> None:
    vectors, truth = data
    rng = np.random.default_rng(3)
    parameters = [rng.normal(size=shape).astype(np.float32) for shape in ((16, 32), (32,), (32,), (1,))]
    weights = rng.random(50).astype(np.float32)
    leaves = [torch.from_numpy(parameter.copy()).requires_grad_() for parameter in parameters]
    hidden = (torch.from_numpy(vectors[:50]) @ leaves[0] + leaves[1]).relu()
    loss = torch.nn.functional.binary_cross_entropy_with_logits(
        hidden @ leaves[2] + leaves[3], torch.from_numpy(truth[:50]).float(), weight=torch.from_numpy(weights)
    )
    expected = torch.autograd.grad(loss, leaves)
    for ours, theirs in zip(
        _gradients(vectors[:50], truth[:50].astype(np.float32), weights, parameters), expected, strict=True
    ):
        np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-6)


def test_classes_weigh_the_same_however_many_labels_they_have(data: tuple[np.ndarray, np.ndarray]) -> None:
    vectors, truth = data
    positives, negatives = vectors[truth][:5], vectors[~truth][:25]
    config = RescorerConfig(steps=20)
    once = train_rescorer(positives, negatives, vectors, 1, config).scores(vectors)
    repeated = train_rescorer(np.repeat(positives, 3, axis=0), negatives, vectors, 1, config).scores(vectors)
    np.testing.assert_allclose(repeated, once, atol=2e-3)


def test_it_has_one_hidden_layer_of_2048(data: tuple[np.ndarray, np.ndarray]) -> None:
    vectors, truth = data
    rescorer = train_rescorer(vectors[truth], vectors[~truth], vectors, 1, RescorerConfig(steps=1))
    assert [tuple(parameter.shape) for parameter in rescorer.parameters] == [
        (16, 2048),
        (2048,),
        (2048,),
        (1,),
    ]


def test_steps_follow_the_formula_of_decoupled_weight_decay() -> None:
    """Loshchilov & Hutter 2019, algorithm 2, in float64."""
    rate, decay = 0.01, 0.1
    value = np.random.default_rng(1).normal(size=(5, 3))
    ours = value.astype(np.float32)
    optimiser = _AdamW([ours], RescorerConfig(learning_rate=rate, weight_decay=decay))
    mean, square = np.zeros_like(value), np.zeros_like(value)
    for step in range(1, 6):
        gradient = np.sin(step * value)
        optimiser.step([gradient.astype(np.float32)])
        mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
        move = mean / (1 - 0.9**step) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
        value = value - rate * decay * value - rate * move
    np.testing.assert_allclose(ours, value, atol=1e-5)


def test_a_dimension_that_never_varies_does_no_harm() -> None:
    vectors = np.zeros((50, 4), np.float32)
    vectors[:, 0] = 1
    vectors[:10, 1] = 0.2
    rescorer = train_rescorer(vectors[:10], vectors[10:], vectors, 0, RescorerConfig(steps=5))
    assert np.isfinite(rescorer.scores(vectors)).all()


@pytest.mark.parametrize(
    "setting", [{"hidden": 10**9}, {"steps": 0}, {"batch": "many"}, {"learning_rate": -1.0}]
)
def test_settings_out_of_bounds_are_refused(setting: dict) -> None:
    with pytest.raises(HuntError):
        RescorerConfig(**setting)
