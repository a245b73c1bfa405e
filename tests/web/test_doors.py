"""Who may in, and what is refused: hosts, tokens, forms from elsewhere, names, uploads, filters."""

import io
import re

import httpx
import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.slow

PAGES = ("/", "/hunts", "/releases/demo/search", "/releases/demo/objects/1", "/api/releases", "/schema", "/nothing-here")
GUARDED_PAGES = (*PAGES, "/releases/demo/stamps/1/crop", "/releases/demo/hits?where=true", "/hunts/a/export",
    "/hunts/a/history", "/hunts/a/audit", "/hunts/a/audit/brief", "/hunts/a/disagreements", "/api/hunts/a/history", "/api/hunts/a/audit",
)


def sign_in(client: httpx.Client, token: str, who: str = "jocelyn", **more) -> httpx.Response:
    form = {"csrf": csrf(client, "/login"), "token": token, "who": who} | more
    return client.post("/login", data=form)


def csrf(client: httpx.Client, path: str = "/hunts") -> str:
    return re.search(r'<meta name="csrf" content="(\w+)">', client.get(path).text)[1]


def picture_file(side: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.zeros((side, side, 3), np.uint8)).save(file, "PNG")
    return file.getvalue()


def upload(client: httpx.Client, name: str, content: bytes) -> httpx.Response:
    return client.post("/releases/demo/uploads", data={"csrf": csrf(client)}, files={"file": (name, content)})


@pytest.mark.parametrize("path", [*PAGES, "/static/app.css", "/static/nothing.css"])
def test_every_answer_carries_the_security_headers(client, path):
    answer = client.get(path)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "server" not in answer.headers


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost@evil.example", "a:b", "127.0.0.1:80:80", ""])
@pytest.mark.parametrize("path", ["/", "/nothing-here", "/static/app.css", "/static/nothing.css", "/api/releases"])
def test_other_host_names_are_refused(client, host, path):
    answer = client.get(path, headers={"Host": host})
    assert answer.status_code == 400
    assert "address" in answer.text and "demo" not in answer.text


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:9999", "127.0.0.1:1", "[::1]:8000"])
def test_own_host_names_are_let_in(client, host):
    assert client.get("/hunts", headers={"Host": host}).status_code == 200


def test_a_configured_host_name_is_let_in(guarded):
    with guarded.client() as client:
        assert client.get("/login", headers={"Host": "galaxies.example"}).status_code == 200


@pytest.mark.parametrize("path", GUARDED_PAGES)
def test_with_a_token_everything_asks_for_it(guarded, path):
    with guarded.client() as client:
        assert client.get(path).status_code == 401
        asked = client.get(path, headers={"Accept": "text/html"})
        assert asked.status_code in ((401,) if path.startswith("/api/") else (303,))
        assert client.get(path, headers={"Authorization": "Bearer wrong"}).status_code == 401
        assert client.get(path, headers={"Authorization": f"Bearer {guarded.config.token}"}).status_code in (200, 404)
        assert client.post(path).status_code == 401


def test_signing_in_and_out(guarded):
    with guarded.client() as client:
        refused = sign_in(client, "wrong")
        assert refused.status_code == 401 and "not the token" in refused.text
        answer = sign_in(client, guarded.config.token, next="/hunts")
        assert (answer.status_code, answer.headers["location"]) == (303, "/hunts")
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie and "samesite=strict" in cookie
        page = client.get("/hunts")
        assert page.status_code == 200 and "jocelyn" in page.text
        assert client.get("/api/session").json()["who"] == "jocelyn"
        assert client.post("/logout", data={"csrf": csrf(client)}).status_code == 303
        assert client.get("/hunts").status_code == 401


def test_nobody_signs_in_without_a_name(guarded):
    with guarded.client() as client:
        assert sign_in(client, guarded.config.token, who=" \t").status_code == 401


def test_after_signing_in_nobody_is_sent_to_another_site(guarded):
    with guarded.client() as client:
        assert sign_in(client, guarded.config.token, next="//evil.example").headers["location"] == "/"


def test_a_cookie_of_another_server_is_worth_nothing(guarded, server):
    with server.client() as other, guarded.client() as client:
        other.get("/hunts")
        (cookie,) = other.cookies.values()
        client.cookies.set(f"discovery_{guarded.config.port}", cookie)
        assert client.get("/hunts").status_code == 401


CHANGES = ("/hunts", "/hunts/a/labels", "/hunts/a/rounds", "/hunts/a/undo", "/hunts/a/notes", "/hunts/a/rules", "/hunts/a/audit", "/hunts/a/audit/report", "/releases/demo/uploads", "/logout")


@pytest.mark.parametrize("path", CHANGES)
@pytest.mark.parametrize("token", [None, "", "0" * 64])
def test_changes_without_the_forms_token_are_refused(client, path, token):
    client.get("/hunts")
    form = {"row": "1"} if token is None else {"row": "1", "csrf": token}
    assert client.post(path, data=form).status_code == 403
    assert client.post(path, json={"row": 1}).status_code == 403
    assert client.post(path, data=form, headers={"HX-Request": "true"}).status_code == 403


def test_the_token_of_another_visitor_is_refused(server, client):
    with server.client() as other:
        foreign = csrf(other)
    client.get("/hunts")
    assert client.post("/hunts/a/undo", data={"csrf": foreign}).status_code == 403
    assert client.post("/hunts/a/undo", headers={"X-CSRF-Token": foreign}).status_code == 403


@pytest.mark.parametrize(
    "name", ["..%2F..%2Fetc%2Fpasswd", "../x", "%2Fetc%2Fpasswd", ".hidden", "a%00b", "a%5Cb", "x" * 65, "no-such", "a b"]
)
def test_hunt_names_from_the_address_reach_no_other_file(client, server, name):
    (server.config.hunts.parent / "x.hunt").write_bytes(b"not in the folder of hunts")
    for path in (f"/hunts/{name}", f"/hunts/{name}/export", f"/api/hunts/{name}"):
        assert client.get(path).status_code == 404


def test_a_hunt_that_is_a_link_or_no_hunt_is_not_opened(client, server, tmp_path):
    server.config.hunts.mkdir(exist_ok=True)
    outside, link = tmp_path / "outside.hunt", server.config.hunts / "link.hunt"
    outside.write_bytes(b"x" * 4096)
    link.symlink_to(outside)
    forged = server.config.hunts / "forged.hunt"
    forged.write_bytes(b"x" * 4096)
    try:
        assert client.get("/hunts/link").status_code == 404
        assert client.get("/hunts/forged").status_code == 409
        listed = client.get("/hunts").text
        assert "forged" in listed and "no hunt file" in listed and ">link<" not in listed
    finally:
        link.unlink()
        forged.unlink()


@pytest.mark.parametrize(
    "condition",
    [
        "1=1; DROP TABLE objects",
        "row in (select row from read_csv('/etc/passwd'))",
        "repeat('a', 2000000000) = 'a'",
        "true) OR (true",
        "getenv('HOME') = 'x'",
        "mag_r <",
        "no_such_column > 1",
        "<script>alert(1)</script>",
    ],
)
def test_hostile_filters_get_an_answer_that_says_so(client, condition):
    for path in ("/releases/demo/search", "/releases/demo/hits", "/api/releases/demo/search"):
        answer = client.get(path, params={"where": condition})
        assert answer.status_code == 422
        assert "Traceback" not in answer.text and "root:" not in answer.text and "<script>alert" not in answer.text


@pytest.mark.parametrize(
    "asked",
    [
        {"like": "no-such-object"},
        {"like": "/etc/passwd"},
        {"like": "400, 99"},
        {"unlike": "1, 1", "where": "true"},
        {"where": "true", "k": "0"},
        {"where": "true", "k": "9" * 5000},
        {"where": "true", "cone": "1,2"},
        {"where": "true", "columns": "no_such"},
        {"upload": "not-held"},
    ],
)
def test_searches_that_cannot_be_answered_say_why(client, asked):
    page = client.get("/releases/demo/search", params=asked)
    assert page.status_code == 422 and 'role="alert"' in page.text
    told = client.get("/api/releases/demo/search", params=asked)
    assert told.status_code == 422 and told.json()["error"]


def test_a_file_of_the_server_is_no_prompt(client, demo_release):
    secret = next((demo_release.parents[1] / "survey").iterdir())
    answer = client.get("/releases/demo/search", params={"like": str(secret)})
    assert answer.status_code == 422 and "is no object" in answer.text


def test_an_upload_of_too_many_bytes_is_refused(client):
    answer = upload(client, "big.fits", b"SIMPLE" + bytes(1_500_000))
    assert answer.status_code == 413 and "larger" in answer.text


def test_an_upload_of_too_many_pixels_is_refused(client):
    answer = upload(client, "big.png", picture_file(5000))
    assert answer.status_code == 422 and "big.png" in answer.text


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.png", b""), ("a.png", b"not a picture"), ("a.fits", b"SIMPLE  = "), ("a.csv", b"x\n1\n"), ("a.csv", b"\xff\xfe"), ("a.vot", b"<?xml")],
)
def test_useless_uploads_say_why(client, name, content):
    answer = upload(client, name, content)
    assert answer.status_code == 422
    assert "/tmp" not in answer.text and "Traceback" not in answer.text


@pytest.mark.parametrize("path", ["/nothing", "/releases/none/search", "/releases/demo/objects/99999999", "/releases/demo/objects/x", "/hunts/none"])
def test_what_is_not_there_is_a_page(client, path):
    answer = client.get(path)
    assert answer.status_code == 404
    assert "To the releases" in answer.text and "/work" not in answer.text


@pytest.mark.parametrize("path", ["/releases/demo/stamps/1/other", "/releases/demo/stamps/1/crop?size=77", "/releases/demo/hits?where=true&format=exe"])
def test_values_of_another_kind_are_refused(client, path):
    assert client.get(path).status_code == 422


def test_an_unexpected_failure_tells_nothing(client, server, monkeypatch):
    monkeypatch.setattr("web.hunts.hunt_list.hunt_row", lambda *_: 1 / 0)
    monkeypatch.setattr("web.workspace.workspace.Workspace.hunt_names", lambda _: ("one",))
    answer = client.get("/hunts")
    assert answer.status_code == 500
    assert "ZeroDivision" not in answer.text and "Traceback" not in answer.text and "went wrong" in answer.text


def test_survey_files_outside_the_named_folders_are_not_read(serve_config, web_config, tmp_path):
    from dataclasses import replace

    with serve_config(replace(web_config, survey_roots=(tmp_path,))).client() as client:
        assert client.get("/releases/demo/stamps/0/crop").status_code == 404
        page = client.get("/releases/demo/objects/0")
        assert page.status_code == 200 and "outside the folders" in page.text
