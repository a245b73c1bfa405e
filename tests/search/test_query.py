"""Queries: what they refuse, and that their JSON gives them back."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.errors import QueryError
from discovery.search.query import Query, includes_flagged
from discovery.search.query_options import FilterOptions, SearchOptions
from discovery.sky.places import checked_cone, parse_cone

TEXTS = st.lists(st.text("abcxyz019,.:-_/ é'", max_size=12).map(str.strip).filter(bool), max_size=3, unique=True).map(tuple)
CONES = st.builds(checked_cone, st.floats(0, 359.99), st.floats(-90, 90), st.floats(1e-3, 648_000))
QUERIES = st.builds(
    Query,
    like=TEXTS,
    unlike=TEXTS,
    where=st.none() | st.text(max_size=30),
    cone=st.none() | CONES,
    include_flagged=st.booleans(),
    k=st.none() | st.integers(1, 10**6),
    min_similarity=st.none() | st.floats(-1, 1),
    columns=st.none() | TEXTS.filter(bool),
    engine=st.sampled_from(["index", "exact", "ray"]),
)


@given(query=QUERIES)
def test_a_query_comes_back_from_its_json(query):
    assert Query.from_json(query.to_json()) == query
    assert Query.from_values(json.loads(query.to_json())) == query


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("like: x", "this is none"),
        ('{"likes": ["x"]}', "`likes`"),
        ('{"version": 2}', "version 2.*upgrade"),
        ('{"k": "many"}', r"\$\.k"),
        ('{"k": 0}', "at least 1"),
        ('{"min_similarity": 2}', "cosine"),
        ('{"engine": "magic"}', "engine"),
        ('{"cone": "1,2"}', "no cone"),
        ('{"columns": []}', "no column"),
        ("[1]", "not valid"),
    ],
)
def test_what_no_query_says_is_one_clear_error(document, message):
    with pytest.raises(QueryError, match=message) as problem:
        Query.from_json(document)
    assert "\n" not in str(problem.value)


@pytest.mark.parametrize(
    ("text", "cone"),
    [
        ("150.1,2.2,60", (150.1, 2.2, 60)),
        ("150.1, -2.2, 0.5deg", (150.1, -2.2, 1800)),
        ("150.1,2.2,2arcmin", (150.1, 2.2, 120)),
        ("150.1,2.2,2'", (150.1, 2.2, 120)),
        ("150.1,2.2,30 arcsec", (150.1, 2.2, 30)),
        ('150.1,2.2,30"', (150.1, 2.2, 30)),
        ("150.1 2.2 30", (150.1, 2.2, 30)),
        ("10:00:24,+02:12:00,3'", (150.1, 2.2, 180)),
        ("10h00m24s +02d12m00s 3arcmin", (150.1, 2.2, 180)),
    ],
)
def test_one_way_to_write_cones(text, cone):
    assert parse_cone(text) == pytest.approx(cone)
    assert parse_cone(str(parse_cone(text))) == parse_cone(text)


@pytest.mark.parametrize(
    "text", ["", "1,2", "1 2", "1,2,x", "1,2,", "a,b,3", "1,2,3,4", ",,", "1,2,3parsec", "1,2,nan", "1,2,-3", "1,2,0", "1,95,3", "here"]
)
def test_what_is_no_cone_is_an_error(text):
    with pytest.raises(QueryError, match=r"cone|position"):
        parse_cone(text)


def test_flagged_objects_are_left_out_and_the_former_names_of_the_option_count():
    assert not includes_flagged()
    assert includes_flagged(True) and includes_flagged(flagged=True) and includes_flagged(clean=False)
    assert not includes_flagged(flagged=False) and not includes_flagged(clean=True)
    with pytest.raises(QueryError, match="both"):
        includes_flagged(True, clean=True)


def test_options_count_in_place_of_what_a_saved_query_says(tmp_path):
    saved = Query(like=("a", "b"), where="mag_r < 19", k=7, include_flagged=True, engine="exact")
    path = tmp_path / "saved.json"
    path.write_text(saved.to_json())
    assert SearchOptions(query=path).to_query() == saved
    changed = SearchOptions(query=path, like=["c"], flagged=False, min_similarity=0.5, engine="index").to_query()
    assert changed == Query(like=("c",), where="mag_r < 19", k=7, min_similarity=0.5)
    assert FilterOptions(query=path, cone="1,2,1'").to_query().cone == (1, 2, 60)
    with pytest.raises(QueryError, match=r"nosuch\.json"):
        FilterOptions(query=tmp_path / "nosuch.json").to_query()
    path.write_text('{"likes": 1}')
    with pytest.raises(QueryError, match=r"saved\.json.*likes"):
        FilterOptions(query=path).to_query()
