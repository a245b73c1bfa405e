"""Releases and hunts of the commit before the reorganisation open, replay equal and go on (make_data.py says how they were made).

``data/expected.json`` and ``expected_next.json`` hold commands with the documents that they answered then. An answer may have gained
entries since; what was in it must be there with the same value. Sentences for people are left out of the comparison.
"""

# ruff: noqa: I001 -- names that moved are no files any more
from __future__ import annotations

import hashlib
import json
import math
import shutil
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discovery import open_release
from discovery.cli import main
from discovery.hunts import LabelRequest, list_hunts, open_hunt
from discovery.hunts.audit import report
from discovery.hunts.replay import replay_hunt
from discovery.prompts import prompt_from_stamp, resolve_prompt
from discovery.search import search

pytestmark = pytest.mark.slow

DATA = Path(__file__).parent / "data"
EXPECTED = json.loads((DATA / "expected.json").read_text("utf-8"))
PLAYED_ON = json.loads((DATA / "expected_next.json").read_text("utf-8"))["answers"]
HUNTS = ("mergers", "rings", "pool", "early", "carried")

SENTENCES = ("differences", "missing")
REPORT_SENTENCES = ("why", "advice")
"""Of an audit's or a drift's report; of a round ``why`` is kept in the file and must stay."""
OF_THE_MACHINE = ("versions", "digest", "weights", "changed")
"""What the last digits of a score decide."""
OF_THE_MOMENT = ("when", "last_label")


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The old files, to be read; releases are not to be changed."""
    folder = tmp_path_factory.mktemp("old-files")
    with tarfile.open(DATA / "old_files.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder / "old"


@pytest.fixture
def old(unpacked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the old files, in which commands run."""
    shutil.copytree(unpacked, tmp_path / "old")
    monkeypatch.chdir(tmp_path / "old")
    Path("exports").mkdir()
    return tmp_path / "old"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, Any]]:
    """Return a function that runs a command and gives its status and document."""

    def run(*command: str) -> tuple[int, Any]:
        capsys.readouterr()
        status = main(command)
        printed = capsys.readouterr().out
        return status, json.loads(printed) if printed else None

    return run


@pytest.fixture
def alike(run: Callable[..., tuple[int, Any]], old: Path) -> bool:
    """Whether this is the kind of machine, with the libraries, that the files were made on: last digits are then the same."""
    now = run("hunt", "replay", "hunts/rings.hunt", "--json")[1]["versions"]
    return all(now.get(name) == value for name, value in EXPECTED["versions"].items() if name != "discovery")


def differences(then: Any, now: Any, skipped: tuple[str, ...], place: str = "") -> Iterator[str]:
    """Yield what of an old answer is missing or another in the new one."""
    if isinstance(then, dict):
        if not isinstance(now, dict):
            yield f"{place}: was an object, is {now!r}"
            return
        for name, value in then.items():
            if name in skipped:
                continue
            if name not in now:
                yield f"{place}.{name}: gone"
            else:
                yield from differences(value, now[name], skipped, f"{place}.{name}")
    elif isinstance(then, list):
        if not isinstance(now, list) or len(then) != len(now):
            yield f"{place}: was {then!r}, is {now!r}"
            return
        for number, (before, after) in enumerate(zip(then, now, strict=True)):
            yield from differences(before, after, skipped, f"{place}[{number}]")
    elif isinstance(then, float) and isinstance(now, int | float):
        if not math.isclose(then, now, rel_tol=1e-4, abs_tol=1e-6) and not (math.isnan(then) and math.isnan(now)):
            yield f"{place}: was {then}, is {now}"
    elif then != now:
        yield f"{place}: was {then!r}, is {now!r}"


def skipped_of(command: list[str], *more: str) -> tuple[str, ...]:
    """Return the names that are left out of a comparison."""
    sentences = REPORT_SENTENCES if command[1] in ("audit", "drift") else ()
    return (*SENTENCES, *sentences, *more)


def contents(folder: Path) -> dict[str, str]:
    """Return the checksum of each file below a folder."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_commands_answer_as_they_did(run, old, alike):
    before = contents(Path("releases"))
    skipped = () if alike else (*OF_THE_MACHINE, "outcome", "confirmed")
    wrong = []
    for one in EXPECTED["answers"]:
        status, answer = run(*one["command"])
        if status != one["status"] and (alike or one["command"][1] != "replay"):
            wrong.append(f"{' '.join(one['command'])}: status was {one['status']}, is {status}")
        wrong += [f"{' '.join(one['command'])}: {what}" for what in differences(one["answer"], answer, skipped_of(one["command"], *skipped))]
    assert wrong == []
    assert contents(Path("releases")) == before


@pytest.mark.parametrize("name", HUNTS)
def test_a_hunt_goes_on_as_it_would_have(run, old, alike, name):
    mine = [one for one in PLAYED_ON if one["command"][2] in (f"hunts/{name}.hunt", f"hunts/{name}-on.hunt")]
    assert len(mine) == 9
    wrong = []
    for one in mine:
        status, answer = run(*one["command"])
        if status != one["status"] and alike:
            wrong.append(f"{' '.join(one['command'])}: status was {one['status']}, is {status}")
        elif alike:
            skipped = skipped_of(one["command"], *OF_THE_MOMENT)
            wrong += [f"{' '.join(one['command'])}: {what}" for what in differences(one["answer"], answer, skipped)]
        elif one["answer"] is not None and status == 0:  # other last digits may show other candidates
            wrong += [f"{' '.join(one['command'])}: {gone} is gone" for gone in one["answer"].keys() - answer.keys()]
    assert wrong == []


@pytest.mark.parametrize("name", HUNTS)
def test_every_round_of_an_old_hunt_shows_the_same_candidates_again(old, name):
    release = open_release("releases/dr10" if name == "carried" else "releases/dr9")
    hunt = open_hunt(Path(f"hunts/{name}.hunt"), release)
    elsewhere = 3 if name == "carried" else 0
    again = [hunt.replay(played.number) for played in hunt.rounds()[elsewhere:]]
    assert len(again) >= 1
    assert [played.object_ids for played in again] == [played.object_ids for played in hunt.rounds()[elsewhere:]]
    outcomes = [one.outcome for one in replay_hunt(hunt).rounds]
    assert outcomes[:elsewhere] == ["another release"] * elsewhere


def test_an_old_hunt_goes_on_from_python(old):
    release = open_release("releases/dr9")
    hunt = open_hunt("hunts/mergers.hunt", release)
    before = hunt.counts()
    page = hunt.next_round("dan", page_size=4)
    assert page.number == 5 and len(page.rows) == 4
    hunt.label(int(page.rows[0]), "positive", who="dan")
    hunt.label_many([LabelRequest(row=int(row), verdict="negative") for row in page.rows[1:]], who="dan")
    assert hunt.undo("dan") is not None
    assert hunt.counts().total == before.total + 3
    table = hunt.export("candidates.csv", top=3)
    assert table.num_rows >= before.total + 3 and Path("candidates.provenance.json").is_file()
    assert report(hunt).progress.drawn == 10
    assert {info.name for info in list_hunts("hunts")} == set(HUNTS)


@pytest.mark.parametrize("name", ["dr9", "dr10"])
def test_an_old_release_is_what_it_was(old, name):
    release, facts = open_release(f"releases/{name}"), EXPECTED["facts"][name]
    release.verify()
    for attribute in ("name", "count", "dimension", "encoder_checksum"):
        assert getattr(release, attribute) == facts[attribute], attribute
    assert (int(release.primary.sum()), int(release.clean.sum())) == (facts["primary"], facts["clean"])
    assert set(release.catalogue.select("row = 0").column_names) >= set(facts["columns"])
    rows = np.array([0, 50, release.count - 1])
    assert np.allclose(release.take(rows), facts["embeddings"], atol=1e-6)
    for row, stamp in zip(rows.tolist(), facts["stamps"], strict=True):
        found = release.stamp(row)
        assert found.object_id == stamp["object_id"]
        assert found.pixels.sum(dtype=float) == pytest.approx(stamp["sum"], rel=1e-6)
        own = prompt_from_stamp(release, found)  # by the encoder that the release keeps
        assert float(own.vector @ release.take(np.array([row]))[0]) == pytest.approx(1, abs=2e-3)
    prompts = [resolve_prompt(release, "3"), resolve_prompt(release, "150.34581,2.34089")]
    hits = search(release, like=prompts, k=8, flagged=True)
    assert hits.table["object_id"].to_pylist() == facts["nearest_flagged_too"]["object_ids"]
    assert np.allclose(hits.similarity, facts["nearest_flagged_too"]["similarity"], atol=1e-5)


def test_a_manifest_of_version_1_is_read(run, old, alike):
    shutil.copy(DATA / "manifest-1.json", "releases/dr9/manifest.json")
    open_release("releases/dr9").verify()
    given = [one for one in EXPECTED["answers"] if "releases/dr9" in one["command"] or "hunts/pool.hunt" in one["command"]]
    assert len(given) > 12
    for one in given:
        if one["command"][1] not in ("replay", "drift") or alike:
            status, answer = run(*one["command"])
            assert status == one["status"]
            assert list(differences(one["answer"], answer, skipped_of(one["command"]))) == []
    assert open_release("releases/dr9").stamp(50).object_id == EXPECTED["facts"]["dr9"]["stamps"][1]["object_id"]


@pytest.mark.parametrize("version", [1, 2])
def test_an_old_release_grows_as_it_did(run, old, version):
    if version == 1:
        shutil.copy(DATA / "manifest-1.json", "releases/dr9/manifest.json")
    before = contents(Path("releases/dr9"))
    status, _ = run("index", "survey/dr10.h5", "--name", "again", "--add", "releases/dr9", "--workers", "0", "--json")
    assert status == 0
    grown, then = open_release("releases/again"), open_release("releases/dr10")
    assert grown.count == then.count == EXPECTED["facts"]["dr10"]["count"]
    rows = np.arange(grown.count)
    assert np.allclose(grown.take(rows), then.take(rows), atol=2e-3)
    columns = ["row", "ra", "dec", "mag_r", "flag_star", "flag_masked", "flag_artefact", "primary_row", "truth_class"]
    assert grown.catalogue.select(None, columns=columns).equals(then.catalogue.select(None, columns=columns))
    renamed = [name.replace("@dr10", "@again") for name in then.catalogue.select(None, columns=["object_id"])["object_id"].to_pylist()]
    assert grown.catalogue.select(None, columns=["object_id"])["object_id"].to_pylist() == renamed
    assert contents(Path("releases/dr9")) == before


def test_the_search_structure_of_an_old_release_is_built_anew(run, old):
    status, _ = run("index", "build", "releases/dr10", "--kind", "Flat", "--json")
    assert status == 0
    release = open_release("releases/dr10")
    release.verify()
    assert int(release.nearest(release.take(np.array([120]))[0], 1)[0][0]) == 120


def test_damaged_shards_of_an_old_release_are_made_again(run, old):
    shard = Path("releases/dr10/embeddings/image-00001.f16")
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-16] + bytes(16))
    status, _ = run("index", "repair", "releases/dr10", "--json")
    assert status == 0
    assert np.allclose(np.frombuffer(shard.read_bytes(), "<f2"), np.frombuffer(whole, "<f2"), atol=2e-3)
    open_release("releases/dr10").verify()


def test_the_app_shows_old_releases_and_hunts(old):
    from litestar.testing import TestClient

    from web.app import create_app
    from web.settings import WebConfig

    config = WebConfig(
        releases=(Path("releases"),), hunts=Path("hunts"), survey_roots=(Path(),), who="ann", stamp_cache=Path("cache"), ahead=False, port=80
    )
    with TestClient(create_app(config), base_url="http://127.0.0.1") as client:
        for address in ("/", "/releases/dr9/search?like=3", "/releases/dr10/objects/120", "/hunts", *(f"/hunts/{name}" for name in HUNTS)):
            answer = client.get(address)
            assert answer.status_code == 200, (address, answer.text[:300])
            assert answer.headers["content-type"].startswith("text/html")
