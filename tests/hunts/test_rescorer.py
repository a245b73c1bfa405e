"""The rescorer: what it learns, that it repeats itself, and that it is the model it says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score

from discovery.errors import HuntError
from discovery.hunts.rescorer import RescorerConfig, _AdamW, train_rescorer


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


def test_the_same_labels_give_the_same_bits_and_global_state_is_left_alone(
    data: tuple[np.ndarray, np.ndarray],
) -> None:
    vectors, truth = data
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    results = []
    for threads in (1, 2, 1):
        torch.set_num_threads(threads)
        rescorer = train_rescorer(vectors[truth], vectors[~truth], vectors, 3, RescorerConfig(steps=5))
        results.append(rescorer.scores(vectors))
    assert all(np.array_equal(results[0], other) for other in results[1:])
    assert torch.equal(before, torch.random.get_rng_state())
    other_seed = train_rescorer(vectors[truth], vectors[~truth], vectors, 4, RescorerConfig(steps=5))
    assert not np.array_equal(results[0], other_seed.scores(vectors))


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
    assert [tuple(parameter.shape) for parameter in rescorer._parameters] == [
        (16, 2048),
        (2048,),
        (2048,),
        (1,),
    ]


def test_steps_follow_the_formula_of_decoupled_weight_decay() -> None:
    """Loshchilov & Hutter 2019, algorithm 2, in float64."""
    rate, decay = 0.01, 0.1
    value = np.random.default_rng(1).normal(size=(5, 3))
    ours = torch.from_numpy(value.astype(np.float32))
    optimiser = _AdamW([ours], RescorerConfig(learning_rate=rate, weight_decay=decay))
    mean, square = np.zeros_like(value), np.zeros_like(value)
    for step in range(1, 6):
        gradient = np.sin(step * value)
        optimiser.step([torch.from_numpy(gradient.astype(np.float32))])
        mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
        move = mean / (1 - 0.9**step) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
        value = value - rate * decay * value - rate * move
    np.testing.assert_allclose(ours.numpy(), value, atol=1e-5)


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
