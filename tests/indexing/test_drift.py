"""Drift between releases: figures against independent formulas, and simulated skies seen twice."""

import json
import shutil

import h5py
import numpy as np
import pyarrow as pa
import pytest
import scipy.linalg
import scipy.stats
from sklearn.linear_model import LinearRegression

from discovery.encoders.encoder import load_encoder
from discovery.errors import ConfigError, EncoderMismatch
from discovery.release.release import open_release
from discovery.simulation import SurveyPlan, Visit, write_survey
from discovery.stamps.preprocess import CropConfig
from index.cli import app, index_survey
from index.drift.advice import advice_on
from index.drift.drift import compare_releases
from index.drift.measures import PairMeasures, Shift, found_ranks, halves_shift, measure_pairs, pairs_shift
from index.drift.observing_conditions import change_dependence, condition_columns, conditions_of, dependence

pytestmark = pytest.mark.slow

GALAXIES = 104


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def test_shifts_are_those_of_the_textbook_formulas(rng):
    old, new = rng.normal(size=(400, 6)), rng.normal(size=(200, 6)) * [1, 1, 2, 1, 1, 1] + [0.5, 0, 0, 0, 0, 0]
    shift = halves_shift(old, new, rng)
    first, second = np.cov(old[:200].T), np.cov(new.T)
    spread = np.sqrt(np.var(old[:200], axis=0).sum())
    difference = old[:200].mean(axis=0) - new.mean(axis=0)
    trace = np.trace(first + second - 2 * scipy.linalg.sqrtm(first @ second).real)
    assert shift.mean == pytest.approx(np.linalg.norm(difference) / spread)
    assert shift.covariance == pytest.approx(np.sqrt(trace) / spread, rel=1e-6)
    assert shift.frechet == pytest.approx(np.sqrt(difference @ difference + trace) / spread, rel=1e-6)
    ratio = scipy.linalg.eigh(second, first, eigvals_only=True)
    assert shift.directions[0].variance_ratio == pytest.approx(ratio[np.argmax(np.abs(np.log(ratio)))], rel=1e-6)
    assert shift.mean_chance == shift.covariance_chance == 1 / 40
    assert shift.mean_null < shift.mean and shift.variance_compared == pytest.approx(1)


def test_what_is_alike_has_no_shift_and_identical_pairs_none_at_all(rng):
    chances = []
    for _ in range(30):
        shift = halves_shift(rng.normal(size=(200, 5)), rng.normal(size=(100, 5)), rng)
        chances.append((shift.mean_chance, shift.covariance_chance))
    assert 0.3 < np.mean(chances) < 0.7 and np.mean(np.array(chances) <= 0.05) < 0.2
    old = rng.normal(size=(100, 5))
    same = pairs_shift(old, old, rng)
    assert same.mean == 0 and same.covariance < 1e-6 and same.mean_chance == 1 and same.covariance_chance == 1
    moved = pairs_shift(old, old + 0.02, rng)
    assert moved.mean_chance == 1 / 40


def test_ranks_are_those_of_brute_force(rng):
    old = unit(rng.normal(size=(300, 8)))
    rows = rng.permutation(300)[:60]
    new = unit(old[rows] + 0.3 * rng.normal(size=(60, 8)))
    objects = np.arange(300)
    objects[299] = rows[0]  # a duplicate of the first
    ranks = found_ranks(new, old[rows], rows, np.arange(300), objects, lambda wanted: old[wanted])
    similarity = new @ old.T
    for at, row in enumerate(rows):
        others = np.flatnonzero(objects != row)
        assert ranks[at] == np.sum(similarity[at, others] > similarity[at, row] + 1e-6)
    pairs = measure_pairs(old[rows], new, ranks, 300, rng)
    assert pairs.recall_at_1 == np.mean(ranks == 0) and pairs.recall_at_10 == np.mean(ranks < 10)
    assert pairs.cosine_median == pytest.approx(np.median(np.sum(old[rows] * new, axis=1)), rel=1e-5)
    assert pairs.common_part < 0.1
    assert measure_pairs(old[rows], old[rows] + np.float32(0.1), ranks, 300, rng).common_part == pytest.approx(1)


def test_dependence_is_the_share_that_a_regression_explains(rng):
    values = rng.normal(size=400)
    vectors = rng.normal(size=(400, 10)) + 2 * values[:, None] * np.eye(10)[0]
    fitted = LinearRegression().fit(values[:, None], vectors)
    explained = 1 - np.sum((vectors - fitted.predict(values[:, None])) ** 2) / np.sum((vectors - vectors.mean(axis=0)) ** 2)
    found = dependence(vectors, values, rng)
    assert found.explained == pytest.approx(explained) and found.readable > 0.85
    nothing = dependence(vectors, rng.normal(size=400), rng)
    assert nothing.explained < 0.02 and nothing.readable < 0.2
    assert dependence(vectors, np.full(400, 1.3), rng) is None and dependence(vectors[:9], values[:9], rng) is None


def test_changes_follow_the_condition_that_makes_them(rng):
    old = unit(rng.normal(size=(300, 12)))
    before, after = rng.uniform(1, 2, 300), rng.uniform(1, 2, 300)
    new = unit(old + 0.3 * (after - before)[:, None] * np.eye(12)[1])
    found = change_dependence(old, new, before, after)
    apart = 1 - np.sum(old * new, axis=1)
    assert found.rank_correlation == pytest.approx(scipy.stats.spearmanr(np.abs(after - before), apart).statistic, abs=1e-3)
    assert found.rank_correlation > 0.7 and found.explained > 0.7
    assert change_dependence(old, new, before, before) is None
    assert change_dependence(old, old, before, after).explained == 0


def test_columns_of_psf_and_depth_are_recognised_by_name():
    names = ["psfsize_g", "PSFSIZE_R", "psfdepth", "galdepth_z", "seeing", "psf_fwhm", "maglim_i", "depth", "flux", "psf_type", "depths_of_field"]
    assert condition_columns(names) == ["psfsize_g", "PSFSIZE_R", "psfdepth", "galdepth_z", "seeing", "psf_fwhm", "maglim_i", "depth"]
    table = pa.table({"psfdepth": [[100.0, 0.0], [10.0, 1.0]], "seeing": [1.5, None], "flux": [1.0, 2.0]})
    found = conditions_of(table)
    assert list(found) == ["psfdepth[1]", "psfdepth[2]", "seeing"]
    assert np.array_equal(found["psfdepth[1]"], [2, 1]) and np.array_equal(found["psfdepth[2]"], [np.nan, 0], equal_nan=True)


def shift_of(mean, covariance, chance):
    plain = dict.fromkeys(("frechet", "mean_null", "covariance_null", "ratio_null", "variance_compared"), 0.1)
    return Shift(count=100, mean=mean, covariance=covariance, mean_chance=chance, covariance_chance=chance, directions=(), **plain)


def pairs_of(recall_at_1, recall_at_10):
    plain = dict.fromkeys(("cosine_median", "cosine_low", "cosine_of_others", "common_part"), 0.5)
    return PairMeasures(count=100, recall_at_1=recall_at_1, recall_at_10=recall_at_10, gallery=100, **plain)


@pytest.mark.parametrize(
    ("shift", "same", "pairs", "verdict"),
    [
        (shift_of(9, 9, 0.025), shift_of(9, 9, 0.025), pairs_of(0.95, 0.99), "move"),
        (None, shift_of(9, 9, 0.5), pairs_of(0.8, 0.9), "move"),
        (None, shift_of(0.04, 0.04, 0.025), pairs_of(0.8, 0.9), "move"),
        (None, shift_of(0.04, 0.06, 0.025), pairs_of(0.8, 0.9), "check"),
        (None, shift_of(0.04, 0.04, 0.5), pairs_of(0.3, 0.6), "retrain"),
        (shift_of(0.02, 0.02, 0.5), None, None, "move"),
        (shift_of(0.05, 0.05, 0.025), None, None, "check"),
        (shift_of(0.5, 0.05, 0.025), None, None, "unknown"),
        (None, None, None, "unknown"),
    ],
)
def test_the_advice_follows_its_rule(shift, same, pairs, verdict):
    assert advice_on(shift, same, pairs, [])[0] == verdict


@pytest.fixture(scope="module")
def skies(tmp_path_factory, small_encoder):
    """Releases of one simulated sky: as it is, seen a second time, and with three times the PSF and eight times the noise."""
    folder = tmp_path_factory.mktemp("skies")
    visits = {"first": Visit(), "again": Visit(number=1), "worse": Visit(number=1, psf=3.0, noise=8.0)}
    releases = {}
    for name, visit in visits.items():
        (file,) = write_survey(folder / f"{name}-files", SurveyPlan(galaxies=GALAXIES, seed=9, visit=visit), processes=1, progress=False)
        releases[name] = index_survey([file.rename(folder / f"{name}.h5")], name=name, encoder=small_encoder, out=folder, workers=0)
    return releases


@pytest.fixture(scope="module")
def opened(skies):
    return {name: open_release(folder) for name, folder in skies.items()}


def test_the_same_stamps_again_show_no_drift(opened, skies):
    report, _ = compare_releases(opened["first"], open_release(skies["first"]))
    assert report.pairs.recall_at_1 == 1 and report.pairs.cosine_low > 0.999999
    assert report.same_objects.mean == 0 and report.same_objects.mean_chance == 1
    assert report.verdict == "move"


def test_another_psf_and_depth_show_drift_that_a_second_look_does_not(opened):
    again, _ = compare_releases(opened["first"], opened["again"])
    worse, seen = compare_releases(opened["first"], opened["worse"])
    assert worse.same_objects.mean > 1.5 * again.same_objects.mean
    assert worse.same_objects.mean_chance <= 0.05 and worse.same_objects.mean > worse.same_objects.mean_null
    assert again.all_objects.mean_chance > 0.05 and again.all_objects.mean < worse.all_objects.mean
    assert worse.pairs.cosine_median < again.pairs.cosine_median
    assert worse.pairs.recall_at_10 < again.pairs.recall_at_10
    by_name = {one.name: one for one in worse.conditions}
    assert set(by_name) == {f"{name}[{band}]" for name in ("psfsize", "psfdepth") for band in (1, 2, 3)}
    assert by_name["psfsize[1]"].new.median == pytest.approx(3 * by_name["psfsize[1]"].old.median, rel=0.1)
    assert by_name["psfdepth[2]"].pairs.median_change == pytest.approx(-np.log10(8**2 * 3**2), abs=0.2)
    assert worse.verdict != "move" and len(seen["pairs_new"].vectors) == worse.pairs.count
    assert worse.pairs.gallery == opened["first"].count


def test_a_grown_release_compares_its_sample_with_the_old_embeddings(skies, opened, tmp_path, small_encoder):
    """The second look at the sky, its brighter half known, the others new."""
    first = shutil.copy(skies["first"].parent / "first.h5", tmp_path / "half.h5")
    cut_file(first, GALAXIES // 2)
    old = index_survey([first], name="half", encoder=small_encoder, out=tmp_path, workers=0)
    second = [skies["worse"].parent / "worse.h5"]
    grown = index_survey(second, add=old, name="grown", out=tmp_path, workers=0)
    report = json.loads((grown / "drift.json").read_text())
    assert report["pairs"]["count"] == GALAXIES // 2 and report["verdict"] != "move"
    assert {one["name"] for one in report["conditions"] if one["pairs"]} == {f"{name}[{band}]" for name in ("psfsize", "psfdepth") for band in (1, 2, 3)}
    assert report["all_objects"] is None and "shift of all objects" in report["missing"][0]
    again, _ = compare_releases(open_release(old), open_release(grown))
    assert again.pairs.recall_at_1 == report["pairs"]["recall_at_1"] and again.verdict == report["verdict"]
    worse, _ = compare_releases(open_release(old), opened["worse"])
    assert again.pairs.cosine_median == pytest.approx(worse.pairs.cosine_median, abs=1e-3)
    alone = index_survey(second, add=old, name="alone", out=tmp_path, workers=0, drift_sample=0)
    told = json.loads((alone / "drift.json").read_text())
    assert told["pairs"] is None and "measures of the same objects: 0 are seen in both" in " ".join(told["missing"])


def cut_file(path, count):
    with h5py.File(path, "r+") as file:
        for name in list(file):
            values = file[name][:count]
            del file[name]
            file[name] = values


def test_what_cannot_be_compared_is_said(opened, write_survey, small_encoder, tmp_path):
    elsewhere = open_release(index_survey([write_survey(tmp_path / "a.h5", count=120)], name="a", encoder=small_encoder, out=tmp_path, workers=0))
    report, _ = compare_releases(opened["first"], elsewhere)
    assert report.pairs is None and report.same_objects is None and report.all_objects is not None
    assert any("the same objects" in reason for reason in report.missing)
    assert any("the new embeddings on PSF and depth" in reason for reason in report.missing)
    bare, _ = compare_releases(elsewhere, elsewhere)
    assert bare.conditions == () and any("no catalogue has a column" in reason for reason in bare.missing)
    small_encoder.save(tmp_path / "encoder")
    other = load_encoder(tmp_path / "encoder", crop=CropConfig(mode="fixed", fixed_arcsec=5.0))
    foreign = index_survey([tmp_path / "a.h5"], name="b", encoder=other, out=tmp_path, workers=0)
    with pytest.raises(EncoderMismatch, match="different encoders"):
        compare_releases(opened["first"], open_release(foreign))
    with pytest.raises(ConfigError, match="at least 50"):
        compare_releases(opened["first"], elsewhere, sample=10)


def test_the_verb_prints_text_or_one_document_and_draws(skies, tmp_path, capsys):
    app(["drift", str(skies["first"]), str(skies["worse"]), "--plot", str(tmp_path / "drift.png")], result_action="return_value")
    text = capsys.readouterr().out
    assert text.startswith("worse against first\n") and "recall@1" in text and text.rstrip().splitlines()[-1].startswith(("Most objects", "Only"))
    assert (tmp_path / "drift.png").read_bytes().startswith(b"\x89PNG")
    app(["drift", str(skies["first"]), str(skies["again"]), "--json"], result_action="return_value")
    assert json.loads(capsys.readouterr().out)["old"] == "first"
