"""Ranking models against independent oracles: scikit-learn, refits without each label, closed forms."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, DotProduct
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_info, threadpool_limits

from discovery.errors import HuntError
from discovery.hunts.models.blend import BlendModel, GuardedModel, fit_similarity
from discovery.hunts.models.calibration import platt
from discovery.hunts.models.ensemble import EnsembleModel
from discovery.hunts.models.fits import make_task
from discovery.hunts.models.gaussian_process import GaussianProcessModel
from discovery.hunts.models.label_spreading import LabelSpreadingModel
from discovery.hunts.models.logistic import fit_logistic
from discovery.hunts.models.metric import AdaptedModel
from discovery.hunts.models.positive_unlabelled import PositiveUnlabelledModel, beats_all
from discovery.hunts.models.ranking import ScoringModel, TrainingSet, one_blas_thread
from discovery.hunts.models.registry import MeanModel, NearestModel
from discovery.hunts.simulation.simulate import ArrayEmbeddings
from discovery.hunts.strategies import MODELS

DIMENSION = 12


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    """600 objects, the first 60 of them targets."""
    rng = np.random.default_rng(1)
    targets = np.arange(600) < 60
    return unit(rng.normal(size=(600, DIMENSION)) + 1.5 * targets[:, None] * rng.normal(size=DIMENSION))


@pytest.fixture(scope="module")
def training(vectors: np.ndarray) -> TrainingSet:
    return TrainingSet(positives=vectors[:8], negatives=vectors[100:120])


# -- every model


@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_model_scores_all_repeats_itself_and_starts_from_positives_alone(name: str, vectors: np.ndarray, training: TrainingSet) -> None:
    model = MODELS[name]()
    assert model.name == name and model.multiplications(DIMENSION) >= 0
    for labels in (training, TrainingSet(positives=training.positives, negatives=training.negatives[:0])):
        first, again = (model.rank(ArrayEmbeddings(vectors), labels, 3) for _ in range(2))
        assert first.order_scores.shape == (len(vectors),) and first.order_scores.dtype == np.float32
        assert np.isfinite(first.order_scores).all() and first.digest == again.digest
        assert first.model["name"]


@pytest.mark.parametrize("name", sorted(name for name, model in MODELS.items() if model().subset and isinstance(model(), ScoringModel)))
def test_a_subset_model_scores_an_object_the_same_among_fewer(name: str, vectors: np.ndarray, training: TrainingSet) -> None:
    model = MODELS[name]()
    assert isinstance(model, ScoringModel)
    fitted = model.learn(ArrayEmbeddings(vectors), training, 3)
    everything = fitted.rank(ArrayEmbeddings(vectors)).order_scores
    some = fitted.rank(ArrayEmbeddings(vectors[50:120])).order_scores
    np.testing.assert_allclose(some, everything[50:120], atol=2e-5, rtol=1e-4)


# -- logistic regression


@pytest.fixture(scope="module")
def weighted() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    inputs = rng.normal(size=(60, 8))
    return inputs, (inputs[:, 0] + rng.normal(size=60) > 0).astype(float), rng.random(60)


def test_logistic_is_scikit_learns(weighted: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    inputs, targets, weights = weighted
    fitted = fit_logistic(inputs, targets, weights, 2.0)
    oracle = LogisticRegression(C=0.5, tol=1e-10, max_iter=5000).fit(inputs, targets, sample_weight=weights)
    np.testing.assert_allclose(fitted.weights, oracle.coef_[0], atol=1e-6)
    assert fitted.bias == pytest.approx(oracle.intercept_[0], abs=1e-6)


def test_left_out_logits_are_those_of_refits(weighted: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    inputs, targets, weights = weighted
    fitted = fit_logistic(inputs, targets, weights, 2.0)
    exact = []
    for one in range(60):
        rest = np.arange(60) != one
        exact.append(fit_logistic(inputs[rest], targets[rest], weights[rest], 2.0).logits(inputs[one : one + 1])[0])
    moved = np.abs(fitted.logits(inputs) - exact).max()
    assert np.abs(fitted.left_out - exact).max() < 0.2 * moved


@given(ridge=st.floats(1e-4, 1e3), size=st.floats(1e-3, 1e3), seed=st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_logistic_finds_the_bottom(ridge: float, size: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    inputs, targets = size * rng.normal(size=(20, 5)), (rng.random(20) < 0.5).astype(float)
    fitted = fit_logistic(inputs, targets, np.ones(20), ridge)

    def loss(weights: np.ndarray, bias: float) -> float:
        logits = inputs @ weights + bias
        return float((np.logaddexp(0, logits) - targets * logits).sum() + ridge / 2 * weights @ weights)

    found = loss(fitted.weights, fitted.bias)
    for _ in range(20):
        step = 1e-3 * rng.normal(size=6) * max(np.abs(fitted.weights).max(), 1e-3)
        assert loss(fitted.weights + step[:5], fitted.bias + step[5]) > found - 1e-4 * max(1.0, found)


# -- positives, negatives and unlabelled


def test_unlabelled_objects_teach_before_anybody_says_no() -> None:
    """What all objects have in common says nothing, and only the unlabelled tell."""
    rng, truth = np.random.default_rng(8), np.arange(600) < 60
    common = rng.normal(size=DIMENSION)
    vectors = rng.normal(size=(600, 1)) * common + 0.3 * rng.normal(size=(600, DIMENSION))
    vectors = unit(vectors + 0.8 * truth[:, None] * rng.normal(size=DIMENSION))
    alone = TrainingSet(positives=vectors[:8], negatives=vectors[:0])
    areas = []
    for model in (PositiveUnlabelledModel(), MeanModel()):
        ranking = model.rank(ArrayEmbeddings(vectors), alone, seed=0)
        assert not ranking.trained
        areas.append(roc_auc_score(truth[8:], ranking.order_scores[8:]))
    assert areas[0] > areas[1] + 0.005


def test_forgiven_unlabelled_objects_matter_where_the_target_is_common() -> None:
    rng = np.random.default_rng(3)
    targets = np.arange(600) < 420
    vectors = unit(rng.normal(size=(600, DIMENSION)) + 1.2 * targets[:, None] * rng.normal(size=DIMENSION))
    training = TrainingSet(positives=vectors[:30], negatives=vectors[420:435])
    areas = {
        passes: roc_auc_score(
            targets[30:],
            PositiveUnlabelledModel(passes=passes).rank(ArrayEmbeddings(vectors), training, 0).order_scores[30:],
        )
        for passes in (0, 2)
    }
    assert areas[2] > areas[0]


def test_named_negatives_are_told_apart_one_by_one() -> None:
    """Targets lie between two kinds of others: no one plane parts them, two do."""
    rng = np.random.default_rng(4)
    axes = np.eye(DIMENSION)
    places = {"target": axes[0], "ring": axes[0] + 1.2 * axes[1], "spiral": axes[0] - 1.2 * axes[1]}
    kinds = np.array([*["target"] * 200, *["ring"] * 200, *["spiral"] * 200])
    vectors = unit(np.array([places[kind] for kind in kinds]) + 0.25 * rng.normal(size=(600, DIMENSION)))
    negatives = np.r_[200:220, 400:420]
    plain = TrainingSet(positives=vectors[:20], negatives=vectors[negatives])
    named = dataclasses.replace(plain, negative_classes=tuple(kinds[negatives].tolist()))
    truth = kinds[20:] == "target"
    model = PositiveUnlabelledModel(unlabelled_share=0.05)
    areas = [
        roc_auc_score(truth, model.rank(ArrayEmbeddings(vectors), one, 0).order_scores[20:]) for one in (plain, named)
    ]
    assert areas[1] > 0.95 > areas[0]
    ignored = dataclasses.replace(model, classes=False).rank(ArrayEmbeddings(vectors), named, 0)
    assert np.array_equal(ignored.order_scores, model.rank(ArrayEmbeddings(vectors), plain, 0).order_scores)


def test_one_against_all_is_the_multinomial_logit() -> None:
    scores = np.random.default_rng(5).normal(size=(4, 50))  # of a class and of three others
    chance = np.exp(scores[0]) / np.exp(scores).sum(axis=0)
    np.testing.assert_allclose(beats_all(scores[0] - scores[1:]), np.log(chance / (1 - chance)))


def test_classes_must_belong_to_the_negatives(vectors: np.ndarray) -> None:
    with pytest.raises(HuntError, match="2 negative classes for 3 negatives"):
        TrainingSet(positives=vectors[:1], negatives=vectors[:3], negative_classes=("ring", ""))


# -- the Gaussian process


def test_gaussian_process_is_scikit_learns(vectors: np.ndarray, training: TrainingSet) -> None:
    ranking = GaussianProcessModel().rank(ArrayEmbeddings(vectors), training, seed=0)
    task = make_task(ArrayEmbeddings(vectors), training, 0)
    scaled = (vectors - task.centre) / (task.scale * np.sqrt(DIMENSION))
    kernel = RBF(1.0, "fixed") + DotProduct(1e-9, "fixed")
    oracle = GaussianProcessRegressor(kernel, alpha=0.1, optimizer=None)
    oracle.fit(task.inputs / np.sqrt(DIMENSION), np.where(task.targets > 0, 2.0, 0.0))
    mean, spread = oracle.predict(scaled, return_std=True)
    np.testing.assert_allclose(ranking.order_scores, mean - 1, atol=2e-4)
    assert ranking.spread is not None
    np.testing.assert_allclose(ranking.spread, spread, atol=2e-3)


def test_gaussian_process_without_each_label_is_a_refit(vectors: np.ndarray, training: TrainingSet) -> None:
    task = make_task(ArrayEmbeddings(vectors), training, 0)
    fit = GaussianProcessModel().fit(task)
    for one in (0, 7, 8, 27):
        rest = np.arange(len(task.inputs)) != one
        own = dataclasses.replace(task, inputs=task.inputs[rest], positives=8 - (one < 8))
        vector = np.concatenate([training.positives, training.negatives])[one : one + 1]
        assert fit.left_out[one] == pytest.approx(GaussianProcessModel().fit(own).scorer.scores(vector)[0], abs=1e-3)


def test_gaussian_process_keeps_within_its_labels(vectors: np.ndarray) -> None:
    many = TrainingSet(positives=vectors[:10], negatives=vectors[100:400])
    task = make_task(ArrayEmbeddings(vectors), many, 0)
    fit = GaussianProcessModel(most_labels=50).fit(task)
    assert fit.scorer.parameters[0].shape == (50, DIMENSION) and len(fit.left_out) == 310
    targets = task.targets > 0
    assert roc_auc_score(targets, fit.left_out) > 0.9


# -- ensemble, label spreading, metric


def test_ensemble_is_less_sure_where_its_members_differ(vectors: np.ndarray, training: TrainingSet) -> None:
    ranking = EnsembleModel().rank(ArrayEmbeddings(vectors), training, seed=0)
    again = EnsembleModel().rank(ArrayEmbeddings(vectors), training, seed=0)
    other = EnsembleModel().rank(ArrayEmbeddings(vectors), training, seed=1)
    assert ranking.digest == again.digest != other.digest
    assert ranking.spread is not None and (ranking.spread > 0).all()
    seeds = [EnsembleModel().rank(ArrayEmbeddings(vectors), training, seed).order_scores for seed in range(12)]
    assert np.corrcoef(np.std(seeds, axis=0), ranking.spread)[0, 1] > 0.3


def test_label_spreading_is_its_closed_form(vectors: np.ndarray) -> None:
    few = vectors[:120]
    training = TrainingSet(positives=few[:4], negatives=few[100:106])
    model = LabelSpreadingModel(neighbours=5, steps=400)
    ranking = model.rank(ArrayEmbeddings(few), training, seed=0)
    products = few.astype(np.float64) @ few.T
    np.fill_diagonal(products, -np.inf)
    near = np.zeros((120, 120))
    for row, columns in enumerate(np.argsort(-products, axis=1)[:, :5]):
        near[row, columns] = 1
    near = np.maximum(near, near.T)
    scale = 1 / np.sqrt(near.sum(axis=1))
    start = np.zeros(120)
    start[:4], start[100:106] = 1 / 4, -1 / 6
    exact = 0.1 * np.linalg.solve(np.eye(120) - 0.9 * scale[:, None] * near * scale, start)
    np.testing.assert_allclose(ranking.order_scores, exact / np.abs(exact).max(), atol=1e-4)
    assert not model.subset


def test_label_spreading_says_when_a_release_is_too_large(vectors: np.ndarray, training: TrainingSet) -> None:
    class Huge(ArrayEmbeddings):
        @property
        def count(self) -> int:
            return 300_000

    with pytest.raises(HuntError, match="300000 objects are too many"):
        LabelSpreadingModel().rank(Huge(vectors), training, seed=0)


def test_adapted_metric_forgets_a_direction_in_which_positives_vary() -> None:
    rng = np.random.default_rng(6)
    axes, truth = np.eye(DIMENSION), np.arange(600) < 60
    loud = 3.0 * rng.normal(size=600)
    vectors = unit(
        0.5 * rng.normal(size=(600, DIMENSION)) + loud[:, None] * axes[0] + 1.0 * truth[:, None] * axes[1] + 2 * axes[2]
    )
    training = TrainingSet(positives=vectors[:6], negatives=vectors[60:63])
    areas = []
    for model in (AdaptedModel(), GuardedModel(inner=AdaptedModel())):
        areas.append(roc_auc_score(truth[6:], model.rank(ArrayEmbeddings(vectors), training, 0).order_scores[6:]))
    task = make_task(ArrayEmbeddings(vectors), training, 0)
    plain = fit_similarity(task).scorer.scores(vectors)
    assert min(areas) > roc_auc_score(truth[6:], plain[6:]) + 0.05


# -- blends, the guard, neighbours


def test_blend_is_the_weighted_mean_on_one_scale(vectors: np.ndarray, training: TrainingSet) -> None:
    embeddings = ArrayEmbeddings(vectors)
    parts = (PositiveUnlabelledModel(), AdaptedModel())
    blend = BlendModel(parts=parts, weights=(2.0, 1.0)).rank(embeddings, training, seed=3)
    singles = [part.rank(embeddings, training, seed=3).order_scores for part in parts]
    ordinary = np.unique(np.linspace(0, 599, 2048).astype(int))
    expected = sum(weight * one / one[ordinary].std() for weight, one in zip((2 / 3, 1 / 3), singles, strict=True))
    np.testing.assert_allclose(blend.order_scores, expected, rtol=1e-4, atol=1e-4)
    assert [part["name"] for part in blend.model["parts"]] == ["pu", "adapted"]
    many = TrainingSet(positives=vectors[:30], negatives=vectors[100:106])  # a common target
    alone = PositiveUnlabelledModel().rank(embeddings, many, seed=3)
    np.testing.assert_array_equal(BlendModel().rank(embeddings, many, seed=3).order_scores, alone.order_scores)
    with pytest.raises(HuntError, match="as many weights above 0"):
        BlendModel(weights=(1.0,))


def test_guard_falls_back_on_similarity_when_training_misleads(vectors: np.ndarray) -> None:
    class Misled(PositiveUnlabelledModel):
        def fit(self, task):  # type: ignore[no-untyped-def]
            fit = super().fit(task)
            return dataclasses.replace(fit, left_out=-fit.left_out)

    embeddings = ArrayEmbeddings(vectors)
    training = TrainingSet(positives=vectors[:10], negatives=vectors[100:110])
    plain = fit_similarity(make_task(embeddings, training, 0)).scorer.scores(vectors)
    kept = GuardedModel().rank(embeddings, training, seed=0).order_scores
    fallen = GuardedModel(inner=Misled()).rank(embeddings, training, seed=0).order_scores
    np.testing.assert_allclose(kept, PositiveUnlabelledModel().rank(embeddings, training, seed=0).order_scores)
    np.testing.assert_allclose(fallen, plain)


def test_similarity_without_each_label_is_a_refit(vectors: np.ndarray, training: TrainingSet) -> None:
    task = make_task(ArrayEmbeddings(vectors), training, 0)
    left_out = fit_similarity(task).left_out
    for one in (0, 5, 10, 27):
        rest = np.arange(28) != one
        own = dataclasses.replace(task, inputs=task.inputs[rest], positives=8 - (one < 8))
        direction = own.inputs[: own.positives].mean(axis=0) - own.inputs[own.positives :].mean(axis=0)
        assert left_out[one] == pytest.approx(task.inputs[one] @ direction)


def test_nearest_compares_the_nearest_of_each_class(vectors: np.ndarray, training: TrainingSet) -> None:
    ranking = NearestModel().rank(ArrayEmbeddings(vectors), training, seed=0)
    products = vectors @ np.concatenate([training.positives, training.negatives]).T
    np.testing.assert_allclose(ranking.order_scores, products[:, :8].max(axis=1) - products[:, 8:].max(axis=1), atol=1e-6)


# -- chances


def test_chances_are_calibrated_on_labels_like_those_given() -> None:
    rng = np.random.default_rng(7)
    scores = rng.normal(size=4000) * 10
    truth = (rng.random(4000) < 1 / (1 + np.exp(-(0.3 * scores - 1)))).astype(float)
    slope, offset = platt(scores, truth)
    assert (slope, offset) == (pytest.approx(0.3, rel=0.1), pytest.approx(-1, abs=0.15))


def test_few_labels_make_no_certainties_and_a_bad_model_keeps_its_order() -> None:
    slope, offset = platt(np.array([5.0, 6.0, -5.0]), np.array([1.0, 1.0, 0.0]))
    chance = 1 / (1 + np.exp(-(slope * np.array([5.5, -5.0]) + offset)))
    assert 0.6 < chance[0] < 0.85 and 0.2 < chance[1] < 0.5
    slope, offset = platt(np.array([-1.0, 1.0, 1.0]), np.array([1.0, 0.0, 0.0]))
    assert slope > 0


def test_shown_scores_of_a_trained_ranking_are_the_chances(vectors: np.ndarray, training: TrainingSet) -> None:
    ranking = PositiveUnlabelledModel().rank(ArrayEmbeddings(vectors), training, seed=0)
    slope, offset = ranking.calibration
    rows = np.array([0, 5, 300])
    expected = 1 / (1 + np.exp(-(slope * ranking.order_scores[rows].astype(float) + offset)))
    np.testing.assert_allclose(ranking.shown(rows), expected, rtol=1e-5)
    assert slope != 1.0


def test_every_fitted_model_repeats_itself_and_scores_a_subset(vectors: np.ndarray, training: TrainingSet) -> None:
    """A subset's scores follow from its own objects and the labels, up to what counts as ordinary there."""
    for model in (PositiveUnlabelledModel(), GaussianProcessModel(), EnsembleModel(), AdaptedModel(), BlendModel(), GuardedModel()):
        task = make_task(ArrayEmbeddings(vectors), training, 3)
        whole = model.fit(task).scorer.scores(vectors)
        assert np.allclose(model.fit(task).scorer.scores(vectors[50:90]), whole[50:90], atol=1e-5) and model.subset
        first, second = (model.rank(ArrayEmbeddings(vectors), training, 3) for _ in range(2))
        assert first.digest == second.digest and first.model["weights"] == second.model["weights"]


def blas_threads() -> set[int]:
    """Of libraries with one limit for the whole process, such as numpy's; an OpenMP one has a limit for each thread."""
    return {one["num_threads"] for one in threadpool_info() if one.get("threading_layer") == "pthreads"}


def set_blas_threads(count: int) -> None:
    """Set by a thread that ends, so that nobody owns the limit."""
    setter = threading.Thread(target=threadpool_limits, kwargs={"limits": count, "user_api": "blas"})
    setter.start()
    setter.join()


@pytest.fixture
def two_blas_threads() -> Iterator[None]:
    """Let this process multiply on two threads."""
    before = max(blas_threads())
    set_blas_threads(2)
    assert blas_threads() == {2}
    yield
    set_blas_threads(before)


@pytest.mark.usefixtures("two_blas_threads")
def test_any_number_of_threads_may_be_held_to_one_blas_thread_at_once() -> None:
    """The second comes in while the first is inside, and stays behind it; an exception counts out like anything else."""
    first_may_leave, second_may_leave, inside = threading.Event(), threading.Event(), threading.Barrier(3, timeout=10)

    def work(may_leave: threading.Event) -> None:
        with one_blas_thread():
            inside.wait()
            assert may_leave.wait(10)
            raise HuntError("something went wrong")

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.submit(work, first_may_leave), pool.submit(work, second_may_leave)
        inside.wait()
        assert blas_threads() == {1}
        first_may_leave.set()
        with pytest.raises(HuntError):
            first.result(10)
        assert blas_threads() == {1}
        with one_blas_thread():
            assert blas_threads() == {1}
        second_may_leave.set()
        with pytest.raises(HuntError):
            second.result(10)
        assert blas_threads() == {2}
