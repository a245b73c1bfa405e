import dataclasses

import numpy as np
import pyarrow as pa
import pytest
from astropy.coordinates import SkyCoord
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from discovery.errors import EncoderMismatch, QueryError
from discovery.search.prompts import prompt_from_row, prompt_from_stamp
from discovery.search.query import Query
from discovery.search.similarity import list_objects, query_vector, search, with_measure

ROWS = st.lists(st.integers(0, 239), min_size=1, max_size=4, unique=True)
fixture_is_read_only = settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])


def prompts(release, rows):
    return [prompt_from_row(release, row) for row in rows]


def brute_force(release, like, unlike, allowed):
    vectors = release.take(np.arange(release.count)).astype(np.float64)
    query = vectors[like].mean(axis=0) - (vectors[unlike].mean(axis=0) if unlike else 0)
    similarity = vectors @ (query / np.linalg.norm(query))
    known = release.catalogue.primary_rows[[*like, *unlike]]
    good = allowed & release.primary
    good[known] = False
    return similarity, good


@fixture_is_read_only
@given(
    like=ROWS,
    unlike=st.lists(st.integers(0, 239), max_size=2, unique=True),
    k=st.integers(1, 300),
    brightest=st.floats(14, 24),
    flagged=st.booleans(),
    radius=st.one_of(st.none(), st.floats(60, 4000)),
)
def test_search_is_brute_force(release, like, unlike, k, brightest, flagged, radius):
    unlike = [row for row in unlike if row not in like]
    cone = None if radius is None else (150.5, 2.0, radius)
    hits = search(
        release,
        like=prompts(release, like),
        unlike=prompts(release, unlike),
        k=k,
        where=f"mag_r < {brightest}",
        cone=cone,
        include_flagged=flagged,
    )
    mags = release.catalogue.rows(np.arange(240), ["mag_r", "ra", "dec"]).to_pydict()
    allowed = np.array([mag is not None and mag < brightest for mag in mags["mag_r"]])
    if not flagged:
        allowed &= release.clean
    if radius is not None:
        sky = SkyCoord(mags["ra"], mags["dec"], unit="deg")
        allowed &= sky.separation(SkyCoord(150.5, 2.0, unit="deg")).arcsec <= radius
    similarity, good = brute_force(release, like, unlike, allowed)
    assert len(hits.rows) == min(k, good.sum())
    assert good[hits.rows].all()
    assert len(set(hits.rows.tolist())) == len(hits.rows)
    assert np.allclose(hits.similarity, np.sort(similarity[good])[::-1][:k], atol=1e-5)
    assert np.allclose(similarity[hits.rows], hits.similarity, atol=1e-5)
    assert hits.table["row"].to_pylist() == hits.rows.tolist()


def test_columns_and_least_similarity(release):
    like = prompts(release, [5])
    hits = search(release, like=like, k=10, columns=["mag_r", "ra"])
    assert hits.table.column_names == ["row", "object_id", "ra", "dec", "similarity", "mag_r"]
    floor = float(hits.similarity[4])
    assert search(release, like=like, k=10, min_similarity=floor).rows.tolist() == hits.rows[:5].tolist()
    assert len(search(release, like=like, k=10, where="false").rows) == 0


def test_neither_prompts_nor_their_duplicates_are_hits(release):
    for row in (30, 31):
        rows = search(release, like=prompts(release, [row]), k=240, include_flagged=True).rows
        assert len(rows) == 237
        assert not np.isin([30, 31], rows).any()
    assert not np.isin([7, 9], search(release, like=prompts(release, [7]), unlike=prompts(release, [9]), k=240, include_flagged=True).rows).any()


def test_a_stamp_from_elsewhere_finds_itself(release):
    hits = search(release, like=[prompt_from_stamp(release, release.stamp(44))], k=1, include_flagged=True)
    assert hits.rows.tolist() == [44]
    assert hits.similarity[0] == pytest.approx(1, abs=1e-3)


def test_a_prompt_of_another_encoder_is_an_error(release):
    other = dataclasses.replace(prompts(release, [1])[0], encoder_checksum="0" * 64)
    with pytest.raises(EncoderMismatch, match="another encoder"):
        search(release, like=[other])
    with pytest.raises(EncoderMismatch):
        search(release, like=prompts(release, [2]), unlike=[other])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "at least 1"),
        ({"k": -3}, "at least 1"),
        ({"like": []}, "at least one example"),
        ({"min_similarity": 1.5}, "cosine"),
        ({"min_similarity": float("nan")}, "cosine"),
        ({"columns": ["nosuch"]}, "nosuch"),
        ({"where": ""}, "empty"),
        ({"cone": (1, 2, -3)}, "radius"),
    ],
)
def test_bad_options_are_one_clear_error(release, options, message):
    with pytest.raises(QueryError, match=message):
        search(release, **{"like": prompts(release, [0]), **options})


def test_examples_that_cancel_are_an_error(release):
    with pytest.raises(QueryError, match="cancel"):
        query_vector(prompts(release, [1, 2]), prompts(release, [2, 1]))


def test_one_prompt_is_its_own_query(release):
    (prompt,) = prompts(release, [3])
    assert np.allclose(query_vector([prompt]), prompt.vector, atol=1e-6)


@pytest.mark.parametrize("most", [10**4, 3])
def test_filters_alone_list_objects_in_order(release, monkeypatch, most):
    monkeypatch.setattr("discovery.search.similarity.MOST_BY_ROW", most)
    query = Query.parse(where="mag_r < 19", cone=(150.5, 2.0, 4000), columns="object_id,mag_r")
    passed = release.catalogue.where("mag_r < 19") & release.catalogue.cone(150.5, 2.0, 4000) & release.primary
    listing = list_objects(release, query)
    assert listing.table.equals(release.catalogue.rows(np.flatnonzero(passed & release.clean), ["object_id", "mag_r"]))
    assert (listing.passed, listing.flagged_left_out) == ((passed & release.clean).sum(), (passed & ~release.clean).sum())


def test_the_surveys_own_column_of_a_measures_name_is_kept_beside_it():
    table = pa.table({"row": [3], "object_id": ["a"], "ra": [1.0], "dec": [2.0], "Similarity": [0.5], "survey_similarity": ["x"]})
    measured = with_measure(table, "similarity", np.array([0.9]))
    assert measured.to_pylist() == [
        {"row": 3, "object_id": "a", "ra": 1.0, "dec": 2.0, "similarity": 0.9, "survey_survey_Similarity": 0.5, "survey_similarity": "x"}
    ]
