"""One query at every door: command line, page, JSON API and Python; and what the page does with it."""

import io
import json
import re

import numpy as np
import pytest
from cyclopts import App
from PIL import Image

from discovery.hunts import open_hunt
from discovery.search.catalogue_command import catalogue
from discovery.search.prompts import prompt_from_row
from discovery.search.query import Query
from discovery.search.search_command import search as search_command
from discovery.search.similarity import list_objects, search
from web.search.form import SearchForm, form_from_address
from web.search.uploads import safe_name

SEARCH = "/releases/demo/search"


def csrf(client) -> str:
    return re.search(r'<meta name="csrf" content="(\w+)">', client.get("/hunts").text)[1]


def shown(text: str) -> list[int]:
    return [int(row) for row in re.findall(r'name="tick" value="(\d+)"', text)]


def row_of(release, row: int) -> dict:
    return release.catalogue.rows([row]).to_pylist()[0]


def png_of(release, row: int) -> bytes:
    from discovery.stamps.render import to_rgb_picture

    file = io.BytesIO()
    Image.fromarray(to_rgb_picture(release.stamp(row))).save(file, "PNG")
    return file.getvalue()


def typed(name: str, release) -> dict:
    """Return a query as people type it."""
    here, there = row_of(release, 3), row_of(release, 8)
    position = f"{there['ra']!r},{there['dec']!r}"
    return {
        "id": {"like": [here["object_id"]], "k": "9"},
        "position and unlike": {"like": [position], "unlike": [here["object_id"]], "k": "5", "min_similarity": "-0.5"},
        "where, cone and flagged": {
            "like": [here["object_id"], position], "where": "mag_r < 19", "cone": f"{position},0.9deg", "include_flagged": True, "k": "30",
        },
        "filters alone": {"where": "mag_r < 18.5", "cone": f"{position} , 90'", "k": "40"},
        "exact": {"like": [here["object_id"]], "engine": "exact", "k": "4", "columns": ["mag_r", "ebv"]},
    }[name]  # fmt: skip


@pytest.mark.parametrize("name", ["id", "position and unlike", "where, cone and flagged", "filters alone", "exact"])
def test_one_query_gives_the_same_rows_at_every_door(client, release, demo_release, tmp_path, capsys, name):
    options = typed(name, release)
    query = Query.parse(**options)
    expected = (search(release, query) if query.like else list_objects(release, query)).table["row"].to_pylist()
    assert expected
    saved = tmp_path / "query.json"
    saved.write_text(query.to_json())
    app = App(result_action="return_value")
    app.command(search_command if query.like else catalogue, name="find")
    arguments = [f"--{option.replace('_', '-')}={value}" for option, given in options.items() if option not in ("include_flagged", "columns")
                 for value in ([given] if isinstance(given, str) else given)]  # fmt: skip
    arguments += ["--include-flagged"] * ("include_flagged" in options)
    for given in (["--query", str(saved)], arguments):
        app(["find", str(demo_release), *given, "--json"])
        document = json.loads(capsys.readouterr().out)
        assert [line["row"] for line in document["hits" if query.like else "rows"]] == expected
    form = {**options, "include_flagged": "1"} if query.include_flagged else options
    assert shown(client.get(SEARCH, params=form).text) == expected
    assert shown(client.get(SEARCH, params={"query": query.to_json()}).text) == expected
    for parameters in (form, {"query": query.to_json()}):
        answer = client.get("/api" + SEARCH, params=parameters).json()
        assert [line["row"] for line in answer["hits"]] == expected
        assert Query.from_values(answer["query"]) == query
    assert client.get("/releases/demo/query", params=form).json() == query.to_values()


def test_how_many_flagged_objects_were_left_out(client, release):
    answer = client.get("/api" + SEARCH, params={"where": "true"}).json()
    flagged = int((release.primary & ~release.clean).sum())
    assert (answer["flagged_left_out"], answer["fitting"]) == (flagged, int((release.primary & release.clean).sum()))
    text = client.get(SEARCH, params={"where": "true", "k": "1000"}).text
    address = re.search(rf'{flagged} flagged objects? left out; <a href="([^"]+)">', text)[1].replace("&amp;", "&")
    assert len(shown(client.get(address).text)) == int(release.primary.sum())
    assert client.get("/api" + SEARCH, params={"where": "true", "flagged": "1"}).json()["flagged_left_out"] == 0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"query": '{"likes": []}'}, "likes"),
        ({"like": "1", "engine": "ray"}, "Ray"),
        ({"where": "true", "cone": "1,2"}, "no cone"),
        ({"where": "true", "k": "1001"}, "1000"),
        ({"where": "true", "k": "many"}, "whole number"),
        ({"like": "/etc/hostname"}, "no object"),
    ],
)
def test_what_the_page_cannot_answer_it_says(client, given, message):
    for address in (SEARCH, "/api" + SEARCH):
        answer = client.get(address, params=given)
        assert answer.status_code == 422 and message in answer.text


def upload(client, name: str, content: bytes | str, search: str = "") -> str:
    sent = {"csrf": csrf(client), "search": search}
    answer = client.post("/releases/demo/uploads", data=sent, files={"file": (name, content)})
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def test_an_upload_keeps_what_was_typed_and_each_file_has_its_own_picture(client, release):
    row = int(np.flatnonzero(release.clean & release.primary)[0])
    filled = SearchForm(like=(row_of(release, 8)["object_id"],), where="mag_r < 20", cone="150,2,180deg", k="7", include_flagged=True)
    table = "ra;dec\n" + "".join(f"{row_of(release, n)['ra']};{row_of(release, n)['dec']}\n" for n in (3, 21))
    first = upload(client, "known.csv", table, filled.query_string())
    second = upload(client, "mine.png", png_of(release, row), first.partition("?")[2])
    form = form_from_address(second.partition("?")[2])
    assert (form.like, form.where, form.cone, form.k, form.include_flagged) == (filled.like, "mag_r < 20", "150,2,180deg", "7", True)
    assert len(form.uploads) == 2
    text = client.get(second).text
    assert "known.csv" in text and "mine.png" in text and "mag_r &lt; 20" in text
    (picture,) = re.findall(r'src="(/releases/demo/uploads/[^"]+)"', text)
    assert form.uploads[1] in picture and client.get(picture).headers["content-type"] == "image/png"
    saved = Query.from_json(client.get("/releases/demo/query?" + form.query_string()).text)
    assert saved.like == (*filled.like, row_of(release, 3)["object_id"], row_of(release, 21)["object_id"], "mine.png")


def test_a_saved_query_can_be_uploaded(client, release):
    query = Query.parse(like=row_of(release, 2)["object_id"], where="mag_r < 21", k=6)
    found = client.get(upload(client, "query.json", query.to_json()))
    assert shown(found.text) == search(release, query).rows.tolist()


def test_more_like_the_ticked_keeps_the_filter(client, release):
    typed = SearchForm(like=(row_of(release, 8)["object_id"],), where="mag_r < 20", cone="150,2,180deg", k="7")
    given = {"ticked": "1", "tick": ["3", "21"], "search": typed.query_string()}
    answer = client.get(SEARCH, params=given, follow_redirects=False)
    form = form_from_address(answer.headers["location"].partition("?")[2])
    assert form.like == (row_of(release, 3)["object_id"], row_of(release, 21)["object_id"])
    assert (form.where, form.cone, form.k) == ("mag_r < 20", "150,2,180deg", "7")


def test_a_hunt_started_from_a_cone_stays_in_it(client, release, server):
    here = row_of(release, int(np.flatnonzero(release.clean & release.primary)[0]))
    cone = f"{here['ra']},{here['dec']},1.2deg"
    search_form = SearchForm(like=(here["object_id"],), where="mag_r < 23", cone=cone)
    form = {"csrf": csrf(client), "release": "demo", "name": "in-a-cone", "query": search_form.query_string()}
    started = client.post("/hunts", data={**form, "with_query": "1", "with_filter": "1", "page_size": "5"})
    assert started.status_code == 303
    hunt = open_hunt(server.config.hunts / "in-a-cone.hunt", release)
    inside = release.catalogue.cone(here["ra"], here["dec"], 4320) & release.catalogue.where("mag_r < 23")
    assert np.array_equal(hunt.allowed, inside & release.clean & release.primary)
    assert inside[hunt.next_round("vera").rows].all()
    assert Query.from_values(hunt.info().query) == search_form.query()
    whole = client.post("/hunts", data={**form, "name": "everywhere", "with_query": "1", "csrf": csrf(client)})
    assert whole.status_code == 303
    assert open_hunt(server.config.hunts / "everywhere.hunt", release).settings().cone is None


def test_python_takes_texts_prompts_or_a_query(release):
    name = row_of(release, 3)["object_id"]
    rows = search(release, Query(like=(name,), k=5)).rows.tolist()
    assert search(release, like=[name], k=5).rows.tolist() == rows
    assert search(release, like=[prompt_from_row(release, 3)], k=5, flagged=False).rows.tolist() == rows


@pytest.mark.parametrize(("given", "kept"), [("a/b\\c.fits", "c.fits"), ("..", "upload"), ("x\0y.csv", "xy.csv"), ("é" * 99 + ".png", "é" * 56 + ".png")])
def test_names_of_uploaded_files(given, kept):
    assert safe_name(given) == kept
