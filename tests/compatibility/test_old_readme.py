"""What README.md, docs/ and docs/slurm/ named before the reorganisation goes on working: data/old_commands.txt is the list of it."""

# ruff: noqa: I001 -- names that moved are no files any more
from __future__ import annotations

import importlib
import inspect
import json
import os
import re
import shlex
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cyclopts import CycloptsError
from litestar.testing import TestClient

from discovery import open_release
from discovery.cli import app, main
from discovery.errors import DiscoveryError
from discovery.release import Release

pytestmark = pytest.mark.slow

DATA = Path(__file__).parent / "data"
ROOT = Path(__file__).resolve().parents[2]


def section(name: str) -> list[str]:
    """Return the lines of a section of the list."""
    text = (DATA / "old_commands.txt").read_text("utf-8")
    found = re.search(rf"^\[{name}\][^\n]*\n(.*?)\n(?:\n|\Z)", text, re.MULTILINE | re.DOTALL)
    assert found is not None, name
    return found[1].splitlines()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in which commands run, without settings of the machine's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in list(os.environ):
        if name.startswith("DISCOVERY_"):
            monkeypatch.delenv(name)
    return tmp_path


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[[str], str]:
    """Return a function that runs a command line as typed and gives what it printed."""

    def run(line: str) -> str:
        capsys.readouterr()
        status = main(shlex.split(line)[1:])
        printed = capsys.readouterr()
        assert status == 0, f"{line}: {printed.err}"
        return printed.out

    return run


@pytest.fixture(scope="module")
def release(demo_release: Path) -> Release:
    """The release of the demo."""
    return open_release(demo_release)


# -- command lines


def test_every_command_line_parses(here):
    wrong = []
    for line in section("commands"):
        program, *words = shlex.split(line)
        assert program == "discovery"
        try:
            app.parse_args(words, exit_on_error=False, print_error=False)
        except CycloptsError as problem:
            wrong.append(f"{line}: {problem}")
        except DiscoveryError:
            pass  # the line was understood: what it names is not there
    assert wrong == []


def test_every_verb_has_its_options():
    missing = []
    for line in section("options"):
        verb, _, options = line.partition(": ")
        words = verb.split()[1:]
        path, _, rest = app.parse_commands(words)
        if list(path) != words or rest:
            missing.append(f"{verb}: no such verb")
        elif options:
            known = {name for argument in command_of(words).assemble_argument_collection() for name in argument.names}
            missing += [f"{verb}: no option {name}" for name in options.split() if name not in known]
    assert missing == []


def command_of(words: list[str]) -> Any:
    """Return the part of the command line behind some words."""
    found = app
    for word in words:
        found = found[word]
    return found


def test_scripts_are_there_and_have_their_options():
    missing = []
    for line in section("scripts"):
        _, script, *words = shlex.split(line)
        path = ROOT / script
        if not path.is_file():
            missing.append(f"{script}: gone")
            continue
        text = path.read_text("utf-8")
        for option in (word for word in words if word.startswith("--")):
            spelled = (option, option[2:].replace("-", "_"))
            missing += [] if any(re.search(rf"{re.escape(name)}\b", text) for name in spelled) else [f"{script}: no {option}"]
    assert missing == []


def test_the_files_for_slurm_start_what_they_name():
    embed, pretrain = ((ROOT / "docs" / name).read_text("utf-8") for name in ("slurm/embed.sbatch", "pretrain.slurm"))
    assert 'discovery index "$survey" --name "$name" --out "$out"' in embed and "--shard" in embed and "${TASKS:-$SLURM_ARRAY_TASK_COUNT}" in embed
    assert "-m discovery.cli train pretrain" in pretrain and "${LOCAL_SHARDS:-}" in pretrain


def test_the_way_from_a_survey_to_a_list_by_the_commands(here, run, demo_release, release):
    ids = release.catalogue.select("row in (2, 5, 9)", columns=["object_id"])["object_id"].to_pylist()
    known = release.catalogue.select("row in (3, 7)", columns=["ra", "dec"]).to_pylist()
    Path("lenses.csv").write_text("name,ra,dec\n" + "".join(f"L{one['ra']},{one['ra']},{one['dec']}\n" for one in known))
    like = " ".join(f"--like {name}" for name in ids)
    run(f"discovery search {demo_release} --like {ids[0]} -k 5 -o hits.csv --stamps hits/")
    found = json.loads(run(f"discovery search {demo_release} {like} --json"))
    assert found["release"] == release.name and set(found["hits"][0]) >= {"row", "object_id", "ra", "dec", "similarity"}
    for ending in ("fits", "vot", "parquet"):
        run(f"discovery search {demo_release} --like-table lenses.csv --where 'mag_r < 25 and ra > 0' -k 3 --engine exact -o hits.{ending}")
    run(f"discovery catalogue {demo_release} --where 'mag_r < 19'")
    run(f"discovery hunt new rings.hunt {demo_release} {like} --page-size 6 --who me")
    page = json.loads(run("discovery hunt next rings.hunt --known lenses.csv --who me --json"))
    shown = [one["object_id"] for one in page["candidates"]]
    run(f"discovery hunt label rings.hunt --positive {shown[0]} --positive {shown[1]} --who me")
    run(f"discovery hunt label rings.hunt --negative {shown[2]} --negative-class spiral --who me")
    assert "spiral" in run("discovery hunt show rings.hunt")
    run("discovery hunt audit rings.hunt --draw 10 --who me")
    run("discovery hunt next rings.hunt --who me")
    run("discovery hunt export rings.hunt candidates.fits --top 5 --stamps candidates/")
    run(f"discovery hunt apply rings.hunt {demo_release} --top 5 --out next-year.fits --who me")
    run(f"discovery hunt move rings.hunt {demo_release} rings-dr11.hunt --who me")
    assert "2 of 2 rounds" in run("discovery hunt replay rings.hunt")
    for path in ("hits.csv", "hits.fits", "hits.vot", "hits.parquet", "candidates.fits", "next-year.fits", "rings-dr11.hunt"):
        assert Path(path).is_file(), path
    assert any(Path("hits").iterdir()) and any(Path("candidates").iterdir())


def test_other_cheap_commands_run(here, run, demo_release):
    run(f"discovery outliers {demo_release} --no-flagged -k 3 --columns truth_class --stamps unusual/")
    run(f"discovery hunt simulate {demo_release} --truth truth_class=merger --strategy similarity linear --rounds 1 --seeds 1 --jobs 1 --out mergers.json --plot mergers.png")
    Path("bench.toml").write_text("\n".join(section("bench")).replace("RELEASE", str(demo_release)))
    run("discovery hunt bench bench.toml --out made --page tables.md --jobs 1")
    assert tomllib.loads(run("discovery train pretrain tiny --show"))
    assert "lvm-tiny" in run("discovery train card default")
    assert all(Path(name).is_file() for name in ("mergers.json", "mergers.png", "made/bench.json", "tables.md"))


def test_strategies_stoppers_and_consensus_rules_are_known(here, run, demo_release, release):
    one = release.catalogue.select("row = 2", columns=["object_id"])["object_id"][0].as_py()
    settings = [f"--strategy {name}" for name in section("strategies")]
    settings += [f"--stopper {name}" for name in section("stoppers")]
    settings += [f"--consensus {name}" for name in section("consensus")]
    for number, setting in enumerate(settings):
        run(f"discovery hunt new {number}.hunt {demo_release} --like {one} {setting} --who me")


# -- Python


def test_names_are_what_they_were():
    wrong = []
    for line in section("python"):
        name, kind = line.split()
        try:
            found = imported(name)
        except (ImportError, AttributeError) as problem:
            wrong.append(f"{name}: {problem}")
            continue
        right = {"function": inspect.isfunction, "class": inspect.isclass, "module": inspect.ismodule, "property": is_attribute}[kind]
        if not right(found):
            wrong.append(f"{name}: is no {kind} any more but {found!r}")
    assert wrong == []


def imported(name: str) -> Any:
    """Import a module, or what a module holds, by its full name."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as problem:
        if problem.name != name and not name.startswith(f"{problem.name}."):
            raise
        parent, _, last = name.rpartition(".")
        if not parent:
            raise
        return getattr(imported(parent), last)


def is_attribute(found: Any) -> bool:
    """Whether something is computed like an attribute."""
    return isinstance(found, property) or hasattr(found, "__get__")


def test_the_snippet_of_the_readme(here, release, demo_release):
    from discovery import open_release
    from discovery.hunts import new_hunt
    from discovery.prompts import resolve_prompt
    from discovery.search import search

    release = open_release(str(demo_release))
    place = release.catalogue.select("row = 2", columns=["object_id", "ra", "dec"]).to_pylist()[0]
    prompts = [resolve_prompt(release, text) for text in (place["object_id"], f"{place['ra']:.5f},{place['dec']:.5f}")]
    hits = search(release, like=prompts, k=20, where="mag_r < 25")
    assert {"row", "object_id", "ra", "dec", "similarity"} <= hits.table.to_pylist()[0].keys()
    assert release.stamp(int(hits.rows[0])).pixels.ndim == 3
    hunt = new_hunt("rings.hunt", release, positives=prompts[:1], page_size=20, who="me")
    page = hunt.next_round("me")
    for row in page.rows:
        hunt.label(int(row), "negative", who="me")
    hunt.export("candidates.csv", top=100)
    assert Path("candidates.csv").read_text().startswith("rank,row,object_id")


def test_the_cells_of_the_notebook(here, release):
    from discovery.encoder import load_encoder
    from discovery.hunts import LabelRequest, new_hunt
    from discovery.hunts.audit import draw_audit, plot_report, report
    from discovery.hunts.audit_log import waiting
    from discovery.hunts.audit_report import text_lines
    from discovery.hunts.replay import replay_hunt
    from discovery.prompts import prompt_from_row
    from discovery.render import contact_sheet
    from discovery.search import search
    from discovery.simulation import SurveyPlan, write_survey
    from index.cli import index_survey

    assert SurveyPlan(galaxies=600, seed=3).counts["merger"] >= 5
    assert list(inspect.signature(write_survey).parameters)[:2] == ["folder", "plan"]
    assert {"name", "encoder", "out"} <= set(inspect.signature(index_survey).parameters)
    assert "source" in inspect.signature(load_encoder).parameters
    mergers = set(release.catalogue.select("truth_class = 'merger'", columns=["row"])["row"].to_pylist())
    examples = [prompt_from_row(release, row) for row in sorted(mergers)[:3]]
    hits = search(release, like=examples, k=4)
    sheet = contact_sheet([release.stamp(row) for row in hits.rows.tolist()], [f"{one:.2f}" for one in hits.similarity])
    assert sheet.startswith(b"\x89PNG")
    hunt = new_hunt(Path("mergers.hunt"), release, positives=examples, page_size=10, who="truth")

    def answer(rows: list[int]) -> list[LabelRequest]:
        return [LabelRequest(row=row, verdict="positive" if row in mergers else "negative") for row in rows]

    page = hunt.next_round("truth")
    hunt.label_many(answer(page.rows.tolist()), who="truth")
    assert page.why and hunt.counts().positive >= 0
    draw_audit(hunt, 12, who="truth")
    while waiting(hunt.store):
        page = hunt.next_round("truth", page_size=30)
        hunt.label_many(answer(page.rows.tolist()), who="truth")
    made = report(hunt)
    assert any("completeness: " in line for line in text_lines(made))
    plot_report(made, "audit.png")
    table = hunt.export(Path("mergers.csv"), top=20, columns=["mag_r"])
    assert table.select(["rank", "object_id", "ra", "dec", "label", "score", "mag_r"]).num_rows > 20
    stated = json.loads(Path("mergers.provenance.json").read_text())
    assert {"release", "encoder_checksum", "labels", "rounds", "strategy", "consensus", "labelled_by"} <= stated.keys()
    assert {played.outcome for played in replay_hunt(hunt).rounds} == {"same"}
    pytest.importorskip("anywidget", reason="the notebook extra is absent")
    assert hunt.widget("you") is not None


# -- pages and JSON


@pytest.fixture
def visitor(here: Path, demo_release: Path, release: Release) -> Iterator[TestClient]:
    """A visitor of an app that serves the demo."""
    from web.app import create_app
    from web.settings import WebConfig

    known = release.catalogue.select("row < 40", columns=["ra", "dec"]).to_pylist()
    Path("known.csv").write_text("name,ra,dec\n" + "".join(f"K,{one['ra']},{one['dec']}\n" for one in known))
    config = WebConfig(
        releases=(demo_release,),
        hunts=Path("hunts"),
        survey_roots=(demo_release.parents[1],),
        who="ann",
        known=(Path("known.csv"),),
        port=80,
        stamp_cache=Path("cache"),
    )
    with TestClient(create_app(config), base_url="http://127.0.0.1") as client:
        yield client


def test_pages_and_calls_answer_as_they_did(visitor, release):
    csrf = visitor.get("/api/session").json()["csrf"]
    names = release.catalogue.select("row in (2, 5, 9)", columns=["object_id"])["object_id"].to_pylist()
    words = {f"ID{number}": name for number, name in enumerate(names)}
    place = release.catalogue.select("row = 2", columns=["ra", "dec"]).to_pylist()[0]
    words |= {"RA": f"{place['ra']:.6f}", "DEC": f"{place['dec']:.6f}"}
    wrong = []
    for line in section("web"):
        request, _, expected = line.partition(" -> ")
        answer = ask(visitor, filled(request, words), csrf)
        found = described(answer)
        if not expected_is(expected, found):
            wrong.append(f"{request}\n   was {expected}\n   is  {' '.join(found)}")
        if answer.url.path == "/api/hunts/old/rounds" and answer.status_code == 201:
            words |= {f"ROW{number}": str(one["row"]) for number, one in enumerate(answer.json()["candidates"])}
        if answer.url.path == "/api/hunts/old/labels" and answer.status_code == 201:
            words["EVENT"] = str(answer.json()["event"])
        if "upload=" in answer.headers.get("location", ""):
            words["UPLOAD"] = answer.headers["location"].partition("upload=")[2]
    assert wrong == []


def filled(text: str, words: dict[str, str]) -> str:
    """Put values where the list has a word in capitals."""
    for word in sorted(words, key=len, reverse=True):
        text = re.sub(rf"\b{word}\b", words[word], text)
    return text


def ask(visitor: TestClient, text: str, csrf: str) -> httpx.Response:
    """Send a request: GET, POST (JSON), FORM, HTMX (a form sent by the page's script), UPLOAD (a table)."""
    method, address, *rest = text.split(" ", 2)
    options: dict[str, Any] = {"follow_redirects": False, "headers": {"accept": "text/html" if not address.startswith("/api") else "*/*"}}
    if method == "GET":
        answer = visitor.get(address, **options)
        while answer.status_code == 202:  # under way: ask again, as the page does
            time.sleep(0.1)
            answer = visitor.get(address, **options)
        return answer
    if method == "POST":
        options["headers"]["X-CSRF-Token"] = csrf
        return visitor.post(address, json=json.loads(rest[0]) if rest else None, **options)
    if method == "UPLOAD":
        name, content = rest[0].split(" ", 1)
        return visitor.post(address, data={"csrf": csrf}, files={"file": (name, content.replace("|", "\n").encode())}, **options)
    if method == "HTMX":
        options["headers"]["HX-Request"] = "true"
    pairs = [pair.partition("=") for pair in (rest[0].split("&") if rest else [])]
    form: dict[str, Any] = {"csrf": csrf}
    for name, _, value in pairs:
        form[name] = value if name not in form else [*([form[name]] if isinstance(form[name], str) else form[name]), value]
    return visitor.post(address, data=form, **options)


def described(answer: httpx.Response) -> list[str]:
    """Say what came back: status, kind of content, where it leads, and the keys of a JSON document."""
    found = [str(answer.status_code), answer.headers.get("content-type", "-").partition(";")[0]]
    if "location" in answer.headers:
        found.append("to:" + re.sub(r"upload=[\w-]+|#event-\d+|#card-\d+", "", answer.headers["location"]))
    if found[1] == "application/json" and answer.content:
        found += keys_of(answer.json())
    return found


def keys_of(document: Any, before: str = "") -> list[str]:
    """List the keys of a document, those of what it holds with a dot."""
    if isinstance(document, list):
        return [f"{before}[]", *(keys_of(document[0], f"{before}[]") if document else [])]
    if not isinstance(document, dict):
        return []
    if before.endswith(("counts", "negative_classes", "verdicts")) and before not in ("counts",):
        return []
    return [key for name, value in document.items() for key in (f"{before}.{name}".lstrip("."), *keys_of(value, f"{before}.{name}".lstrip(".")))]


def expected_is(expected: str, found: list[str]) -> bool:
    """Whether status, content (one of several where it depends on what is ready) and place are as expected, and no key is gone."""
    status, content, *rest = expected.split()
    return status == found[0] and found[1] in content.split("|") and set(rest) <= set(found)


def test_the_schema_names_every_call_and_parameter(visitor):
    document = visitor.get("/schema/openapi.json").json()
    missing = []
    for line in section("schema"):
        method, path, *names = line.split()
        call = document["paths"].get(path, {}).get(method.lower())
        if call is None:
            missing.append(f"{method} {path}")
            continue
        content = call.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
        known = {one["name"] for one in call.get("parameters", [])} | properties(document, content)
        missing += [f"{method} {path}: {name}" for name in names if name not in known]
    assert missing == []


def properties(document: dict[str, Any], schema: dict[str, Any]) -> set[str]:
    """Return the names of a body's fields."""
    if "$ref" in schema:
        return properties(document, document["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    found = set(schema.get("properties", {}))
    for one in (*schema.get("oneOf", []), *schema.get("anyOf", [])):
        found |= properties(document, one)
    return found


# -- serving


NO_PORT = 65536
"""All settings are accepted where this one alone is refused."""


def settings(demo_release: Path, port: int) -> dict[str, Any]:
    """Return the settings of the list with values of this machine."""
    Path("lenses.csv").write_text("name,ra,dec\nK,1,2\n")
    found = tomllib.loads("\n".join(section("serve")))
    return {**found, "releases": [str(demo_release.parent)], "survey_roots": [str(demo_release.parents[1])], "port": port, "known": [str(Path("lenses.csv").resolve())]}


def as_toml(values: dict[str, Any]) -> str:
    return "[serve]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())


def test_settings_are_accepted_from_the_file(here, demo_release, capsys):
    values = settings(demo_release, NO_PORT)
    Path("discovery.toml").write_text(as_toml(values))
    assert main(["serve"]) == 1
    assert str(NO_PORT) in capsys.readouterr().err
    Path("other.toml").write_text(as_toml({**values, "prot": 1}))
    assert main(["serve", "--config", "other.toml"]) == 1
    wrong = capsys.readouterr().err
    assert "prot" in wrong and str(NO_PORT) not in wrong


def test_settings_are_accepted_from_the_environment(here, demo_release, capsys, monkeypatch):
    values = settings(demo_release, NO_PORT)
    assert set(values) == {line.partition(" = ")[0] for line in section("serve")}
    for name, value in values.items():
        text = os.pathsep.join(value) if isinstance(value, list) else str(value).lower() if isinstance(value, bool) else str(value)
        monkeypatch.setenv(f"DISCOVERY_{name.upper()}", text)
    assert main(["serve"]) == 1
    assert str(NO_PORT) in capsys.readouterr().err
    for name, value in values.items():  # each is read: what cannot be is refused
        if isinstance(value, int | float):
            with monkeypatch.context() as changed:
                changed.setenv(f"DISCOVERY_{name.upper()}", "many")
                assert main(["serve"]) == 1
                assert str(NO_PORT) not in capsys.readouterr().err, name


def test_a_server_goes_by_file_and_environment(here, demo_release):
    """The real program: the token and the name from the environment, the rest from the file, over the defaults."""
    values = settings(demo_release, 0)
    del values["token"], values["who"], values["host"]
    Path("discovery.toml").write_text(as_toml(values))
    environment = {**os.environ, "DISCOVERY_TOKEN": "secret", "DISCOVERY_WHO": "vera", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "discovery.cli", "serve"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            address = re.search(r"http://\S+", server.stdout.readline())
            assert address is not None, server.stderr.read() if server.stderr else ""
            ready = {"authorization": "Bearer secret"}
            with httpx.Client(base_url=address[0], timeout=60) as client:
                assert reached(client).status_code == 401
                assert client.get("/api/session", headers=ready).json()["who"] == "vera"
                assert client.get("/api/session", headers={**ready, "X-Discovery-Who": "bob"}).json()["who"] == "bob"
                assert client.get("/api/releases", headers=ready).json()[0]["name"] == demo_release.name
                assert client.get("/api/session", headers={**ready, "host": "survey.example.org"}).status_code == 200
                assert client.get("/api/session", headers={**ready, "host": "elsewhere.example.org"}).status_code == 400
                assert client.get(f"/releases/{demo_release.name}/stamps/3/crop", headers=ready).headers["content-type"] == "image/png"
                assert client.get("/api/releases", headers={**ready, "accept": "text/html"}).status_code == 200
                page = client.get("/", headers={"accept": "text/html"})
                assert (page.status_code, page.headers["location"]) == (303, "/login?next=%2F")
        finally:
            server.terminate()
            server.communicate(timeout=60)
    assert any(Path("cache").rglob("*"))


def reached(client: httpx.Client) -> httpx.Response:
    """Ask until the server answers."""
    for _ in range(200):
        try:
            return client.get("/api/session")
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError("the server does not answer")
