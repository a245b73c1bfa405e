"""The pages over HTTP, and that they show what the library answers."""

import csv
import io
import re

import numpy as np
import pyarrow.parquet
import pytest
from astropy.io import fits
from astropy.io.votable import parse_single_table
from PIL import Image

from discovery.search.prompts import prompt_from_row
from discovery.search.similarity import search


def csrf(client) -> str:
    return re.search(r'<meta name="csrf" content="(\w+)">', client.get("/hunts").text)[1]


def shown(text: str) -> list[int]:
    """Return the rows in the grid of a page, in order."""
    return [int(row) for row in re.findall(r'name="tick" value="(\d+)"', text)]


def line_of(release, row: int) -> dict:
    return release.catalogue.rows([row]).to_pylist()[0]


def test_the_first_page_tells_counts_encoder_and_recall(client, release):
    text = client.get("/").text
    assert f"{int(release.primary.sum()):,}" in text
    assert release.encoder_checksum[:10] in text
    assert f"{release.manifest.measured['recall_at_10']:.3f}" in text


@pytest.mark.parametrize("how", ["id", "degrees", "sexagesimal"])
def test_search_by_id_and_position_shows_what_the_library_finds(client, release, how):
    from discovery.sky.places import sexagesimal

    line = line_of(release, 7)
    like = {
        "id": line["object_id"],
        "degrees": f"{line['ra']:.6f}, {line['dec']:.6f}",
        "sexagesimal": sexagesimal(line["ra"], line["dec"]).replace(" ", ", "),
    }[how]
    text = client.get("/releases/demo/search", params={"like": like, "k": "9"}).text
    expected = search(release, like=[prompt_from_row(release, 7)], k=9, flagged=False)
    assert shown(text) == expected.rows.tolist()
    assert f"{expected.similarity[0]:.3f}" in text


def test_stars_and_flagged_objects_come_only_when_asked_for(client, release):
    out = shown(client.get("/releases/demo/search", params={"where": "true", "k": "1000"}).text)
    everything = shown(client.get("/releases/demo/search", params={"where": "true", "k": "1000", "flagged": "1"}).text)
    assert out == np.flatnonzero(release.clean & release.primary).tolist()
    assert everything == np.flatnonzero(release.primary).tolist()
    assert len(out) < len(everything)


def test_filter_and_cone_together(client, release):
    line = line_of(release, 3)
    asked = {"where": "mag_r < 17", "cone": f"{line['ra']}, {line['dec']}, 300", "flagged": "1"}
    mask = release.catalogue.where("mag_r < 17") & release.catalogue.cone(line["ra"], line["dec"], 300) & release.primary
    assert shown(client.get("/releases/demo/search", params=asked).text) == np.flatnonzero(mask)[:48].tolist()


def test_truth_stays_hidden_unless_asked_for(client, release):
    hidden = {"where": "true", "columns": ["mag_r", "truth_class"]}
    assert "truth_class" not in client.get("/releases/demo/search", params=hidden).text
    assert "truth_class" in client.get("/releases/demo/search", params=hidden | {"truth": "1"}).text
    assert "truth_class" not in client.get("/releases/demo/hits", params=hidden).text
    assert "truth_class" not in client.get("/releases/demo/objects/1").text
    assert line_of(release, 1)["truth_class"] in client.get("/releases/demo/objects/1?truth=1").text


@pytest.mark.parametrize("kind", ["csv", "fits", "vot", "parquet"])
def test_hits_are_saved_in_every_format(client, release, kind):
    like = line_of(release, 2)["object_id"]
    answer = client.get("/releases/demo/hits", params={"like": like, "k": "5", "format": kind, "columns": "mag_r"})
    expected = search(release, like=[prompt_from_row(release, 2)], k=5, flagged=False)
    assert answer.headers["content-disposition"].endswith(f"demo-hits.{kind}")
    file = io.BytesIO(answer.content)
    if kind == "csv":
        rows = [int(line["row"]) for line in csv.DictReader(io.StringIO(answer.text))]
    elif kind == "fits":
        with fits.open(file) as hdus:
            rows = hdus[1].data["row"].tolist()
    elif kind == "vot":
        rows = parse_single_table(file).to_table()["row"].tolist()
    else:
        rows = pyarrow.parquet.read_table(file)["row"].to_pylist()
    assert rows == expected.rows.tolist()


def test_a_stamp_is_a_picture_that_browsers_may_keep(client):
    address = re.search(r'src="(/releases/demo/stamps/[^"]+)"', client.get("/releases/demo/search?where=true").text)[1]
    address = address.replace("&amp;", "&")
    first = client.get(address)
    assert Image.open(io.BytesIO(first.content)).size == (192, 192)
    assert "immutable" in first.headers["cache-control"]
    again = client.get(address, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert "immutable" not in client.get(address.split("?")[0]).headers["cache-control"]


def test_views_bands_and_stretches_differ(client):
    addresses = [
        f"/releases/demo/stamps/4/{view}?size=640&band={band}&stretch={stretch}"
        for view in ("crop", "context")
        for band in ("rgb", "g", "z")
        for stretch in ("default", "deep")
    ]
    assert len({client.get(address).content for address in addresses}) == len(addresses)


def test_the_page_of_an_object(client, release):
    line, text = line_of(release, 5), client.get("/releases/demo/objects/5").text
    assert line["object_id"] in text and f"{line['ra']:.6f}" in text
    assert "legacysurvey.org/viewer?" in text and "simbad" in text and "ned.ipac" in text
    assert 'class="frame"' in text and ">N</text>" in text and "Field 39.8″" in text
    assert 'class="frame"' not in client.get("/releases/demo/objects/5?view=crop").text


def test_an_uploaded_stamp_finds_itself(client, release):
    from discovery.stamps.render import to_rgb_picture

    row = int(np.flatnonzero(release.clean & release.primary)[0])
    file = io.BytesIO()
    Image.fromarray(to_rgb_picture(release.stamp(row))).save(file, "PNG")
    answer = client.post(
        "/releases/demo/uploads", data={"csrf": csrf(client)}, files={"file": ("mine.png", file.getvalue())}
    )
    assert answer.status_code == 303
    found = client.get(answer.headers["location"])
    assert shown(found.text)[0] == row
    picture = re.search(r'src="(/releases/demo/uploads/[^"]+)"', found.text)[1]
    assert client.get(picture).headers["content-type"] == "image/png"


def test_an_uploaded_table_of_positions_is_a_set_of_prompts(client, release):
    lines = [line_of(release, row) for row in (3, 8, 21)]
    table = "ra,dec\n" + "".join(f"{line['ra']},{line['dec']}\n" for line in lines)
    answer = client.post("/releases/demo/uploads", data={"csrf": csrf(client)}, files={"file": ("known.csv", table)})
    found = client.get(answer.headers["location"])
    prompts = [prompt_from_row(release, row) for row in (3, 8, 21)]
    assert shown(found.text) == search(release, like=prompts, k=48, flagged=False).rows.tolist()


def test_search_results_lead_to_files_and_to_more(client):
    text = client.get("/releases/demo/search", params={"where": "true", "k": "10"}).text
    more = re.search(r'href="([^"]+)">More hits', text)[1].replace("&amp;", "&")
    assert len(shown(client.get(more).text)) == 20


def test_openapi_describes_the_calls(client):
    schema = client.get("/schema").json()
    assert schema["openapi"].startswith("3.")
    assert {"/api/releases", "/api/releases/{name}/search", "/api/hunts/{hunt}/labels"} <= set(schema["paths"])


def test_a_hunt_without_script_and_over_the_api(client, release, server, monkeypatch):
    monkeypatch.setattr("web.jobs.progress.QUICK_SECONDS", 60.0)  # the export itself, however slow the machine
    rows = np.flatnonzero(release.clean & release.primary)
    form = {"csrf": csrf(client), "release": "demo", "name": "by-hand", "tick": [str(rows[0]), str(rows[1])], "page_size": "6"}
    started = client.post("/hunts", data=form)
    assert (started.status_code, started.headers["location"]) == (303, "/hunts/by-hand")
    text = client.get("/hunts/by-hand").text
    candidates = [int(row) for row in re.findall(r'id="card-(\d+)"', text)]
    assert len(candidates) == 6 and not {rows[0], rows[1]} & set(candidates)
    labelled = client.post(
        "/hunts/by-hand/labels", data={"csrf": csrf(client), "row": str(candidates[0]), "verdict": "positive"}
    )
    assert labelled.headers["location"] == f"/hunts/by-hand#card-{candidates[0]}"
    token = client.get("/api/session").json()["csrf"]
    receipt = client.post(
        "/api/hunts/by-hand/labels",
        json={"row": candidates[1], "verdict": "negative", "negative_class": "star"},
        headers={"X-CSRF-Token": token},
    )
    assert receipt.status_code == 201 and receipt.json()["who"] == "vera"
    assert client.get("/api/hunts/by-hand").json()["counts"] == {"positive": 1, "negative": 1, "unsure": 0, "skipped": 0}
    assert client.post("/hunts", data=form | {"csrf": csrf(client)}).status_code == 409
    exported = list(csv.DictReader(io.StringIO(client.get("/hunts/by-hand/export").text)))
    given = {int(line["row"]): (line["label"], line["who"]) for line in exported if line["who"]}
    assert given == {candidates[0]: ("positive", "vera"), candidates[1]: ("negative", "vera")}
    assert "truth_class" not in exported[0]
