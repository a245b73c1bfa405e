"""Outliers of a release: what is unusual stands first, filters hold, every ranking can be made again."""

import json

import numpy as np
import pytest
from astropy.table import Table
from sklearn.ensemble import IsolationForest

import discovery.search.outliers
from discovery.cli import main
from discovery.release.release import open_release
from discovery.search.outliers import MOST_FITTED, find_outliers, outlier_scores
from discovery.search.query import Query
from discovery.storage.atomic import file_sha256

pytestmark = pytest.mark.slow


@pytest.fixture
def run(release_folder, capsys):
    """Return a function that runs the verb and returns its status, what it printed and its error."""

    def call(*arguments):
        status = main(["outliers", str(release_folder), *map(str, arguments)])
        said = capsys.readouterr()
        return status, said.out, said.err

    return call


@pytest.fixture
def planted(own_folder):
    """The small release with five embeddings replaced by vectors far from all others, and their rows."""
    rows = np.array([3, 60, 77, 130, 210])
    manifest = json.loads((own_folder / "manifest.json").read_text())
    shards = manifest["spaces"][0]["segments"][0]["shards"]
    rng = np.random.default_rng(0)
    first = 0
    for shard in shards:
        path = own_folder / shard["file"]
        values = np.fromfile(path, "<f2").reshape(shard["rows"], -1)
        for row in rows[(rows >= first) & (rows < first + shard["rows"])]:
            far = rng.normal(0, 1, values.shape[1])
            values[row - first] = far / np.linalg.norm(far)
        values.tofile(path)
        shard["sha256"] = file_sha256(path)
        first += shard["rows"]
    (own_folder / "manifest.json").write_text(json.dumps(manifest))
    return open_release(own_folder), rows


def test_planted_outliers_come_first(planted):
    release, rows = planted
    found = find_outliers(release, k=5, include_flagged=True)
    assert set(found.rows) == set(rows)
    assert list(found.table.column_names) == ["row", "object_id", "ra", "dec", "outlier_score"]
    assert np.all(np.diff(found.score) <= 0)
    assert found.table["row"].to_pylist() == found.rows.tolist()


def test_scores_are_those_of_scikit_learn(release):
    allowed = release.primary
    score = outlier_scores(release, allowed, seed=4)
    rng = np.random.default_rng(4)
    rng.choice(np.flatnonzero(allowed), int(allowed.sum()), replace=False)  # the sample is all of them
    vectors = release.take(np.flatnonzero(allowed))
    forest = IsolationForest(n_estimators=300, max_samples=len(vectors), random_state=int(rng.integers(2**31))).fit(vectors)
    np.testing.assert_allclose(score[allowed], -forest.score_samples(vectors), atol=1e-6)
    assert np.isnan(score[~allowed]).all()
    assert MOST_FITTED >= 10_000


def test_chunks_and_sample_change_nothing_essential(release, monkeypatch):
    whole = outlier_scores(release, release.primary)
    monkeypatch.setattr(discovery.search.outliers, "ROWS_A_CHUNK", 37)
    np.testing.assert_array_equal(outlier_scores(release, release.primary), whole)
    monkeypatch.setattr(discovery.search.outliers, "MOST_FITTED", 120)
    part = outlier_scores(release, release.primary)
    known = release.primary
    assert np.corrcoef(part[known], whole[known])[0, 1] > 0.8


def test_filters_hold_and_duplicates_stay_out(release):
    found = find_outliers(release, Query(like=("nosuch",), k=1000, where="mag_r < 21"))
    expected = np.flatnonzero(release.catalogue.where("mag_r < 21") & release.clean & release.primary)
    assert sorted(found.rows) == expected.tolist()
    assert {31, 200}.isdisjoint(find_outliers(release, k=1000).rows)
    near = find_outliers(release, k=1000, cone=(150.5, 2.0, 3600.0), include_flagged=True)
    assert sorted(near.rows) == np.flatnonzero(release.catalogue.cone(150.5, 2.0, 3600.0) & release.primary).tolist()


def test_the_same_seed_gives_the_same_ranking(release):
    first, again, other = (find_outliers(release, k=30, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.rows, again.rows)
    np.testing.assert_array_equal(first.score, again.score)
    assert first.score.tolist() != other.score.tolist()


def test_verb_prints_one_document_and_writes_tables(run, tmp_path):
    status, out, _ = run("-k", 7, "--columns", "mag_r", "--json", "-o", tmp_path / "odd.fits")
    lines = json.loads(out)["outliers"]
    assert status == 0
    assert list(lines[0]) == ["row", "object_id", "ra", "dec", "outlier_score", "mag_r"]
    assert Table.read(tmp_path / "odd.fits")["row"].tolist() == [line["row"] for line in lines]
    _, out, _ = run("--k", 7, "--columns", "mag_r", "--stamps", tmp_path / "stamps")
    assert len(out.splitlines()) == 8
    assert out.split()[:5] == ["row", "object_id", "ra", "dec", "outlier_score"]
    assert (tmp_path / "stamps" / "contact_sheet.png").exists()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["-k", 0], "at least 1"),
        (["--seed", -1], "seed is -1"),
        (["--where", "mag_r < 0"], "0 objects pass"),
        (["--where", "nothing < 0"], "nothing"),
        (["--columns", "nothing"], "no column"),
        (["-o", "odd.txt"], "end it in"),
        (["--cone", "1,2"], "no cone"),
    ],
)
def test_bad_options_are_one_line(run, options, reason):
    status, out, error = run(*options)
    assert (status, out) == (1, "")
    assert reason in error
    assert error.count("\n") == 1


def test_the_unusual_of_the_demo_stand_out(demo_release):
    """Artefacts, stars and the rare classes are among the first 15 at least twice as often as among all 300."""
    release = open_release(demo_release)
    unusual = ("artefact", "star", "ring", "merger", "lens")
    found = find_outliers(release, k=15, columns=["truth_class"])
    share = np.count_nonzero(release.catalogue.where(f"truth_class in {unusual}")) / release.count
    assert np.mean([name in unusual for name in found.table["truth_class"].to_pylist()]) > 2 * share


def test_a_missing_release_is_one_line(tmp_path, capsys):
    assert main(["outliers", str(tmp_path / "none")]) == 1
    assert capsys.readouterr().err.count("\n") == 1
