import json
import shutil

import duckdb
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from discovery.encoders.encoder import load_encoder
from discovery.errors import ConfigError, SurveyError
from discovery.readers import open_survey
from discovery.release.manifest import MANIFEST_FILE
from discovery.release.manifest_file import read_manifest
from discovery.release.release import open_release
from discovery.stamps.preprocess import CropConfig
from index.cli import index, index_survey
from index.embed.shards import embed_survey, finished_shards
from index.options import IndexOptions
from index.plan import make_plan


@pytest.fixture
def survey(tmp_path, write_survey):
    return write_survey(tmp_path / "survey" / "a.h5", count=60, damaged=(0, 17, 59))


@pytest.fixture
def make(tmp_path, survey, small_encoder):
    def run(**changes):
        options = {"name": "r", "encoder": small_encoder, "out": tmp_path / "out", "workers": 0, "shard_positions": 16}
        return index_survey([survey], **{**options, **changes})

    return run


def test_a_release_holds_the_good_stamps_in_order(make, survey, small_encoder):
    release = open_release(make())
    good = [position for position in range(60) if position not in (0, 17, 59)]
    assert release.count == 57
    lines = release.catalogue.rows(np.arange(57), ["row", "survey_position", "object_id"]).to_pydict()
    assert lines["row"] == list(range(57))
    assert lines["survey_position"] == good
    opened = open_survey([survey])
    assert lines["object_id"] == [opened.table()["object_id"][position].as_py() for position in good]
    stamps = [opened.read(position, position + 1)[0] for position in good]
    assert np.allclose(release.take(np.arange(57)), small_encoder.embed(stamps), atol=2e-3)
    report = json.loads((release.path / "report.json").read_text())
    assert [stamp["object_id"] for stamp in report["damaged"]] == [opened.table()["object_id"][p].as_py() for p in (0, 17, 59)]
    assert all(stamp["source"] and stamp["reason"] for stamp in report["damaged"])
    assert sorted(path.name for path in release.path.iterdir()) == [
        "catalogue.duckdb",
        "embeddings",
        "encoder",
        "index.faiss",
        "manifest.json",
        "report.json",
    ]
    measured = release.manifest.measured
    assert measured["recall_at_10"] == 1
    assert measured["milliseconds_a_query"] > 0


@pytest.mark.slow
def test_worker_processes_change_nothing(make):
    here, there = make(name="here"), make(name="there", workers=2)
    for path in sorted((here / "embeddings").iterdir()):
        assert path.read_bytes() == (there / "embeddings" / path.name).read_bytes()


def test_a_second_run_finds_it_there(make):
    before = (make() / MANIFEST_FILE).stat().st_mtime_ns
    assert (make() / MANIFEST_FILE).stat().st_mtime_ns == before


def test_other_inputs_are_an_error_until_told_to_rebuild(make, tmp_path, write_survey, small_encoder):
    folder = make()
    write_survey(tmp_path / "survey" / "a.h5", count=61, seed=1)
    with pytest.raises(ConfigError, match="--rebuild"):
        make()
    assert read_manifest(make(rebuild=True)).rows == 61
    small_encoder.save(tmp_path / "encoder")
    other = load_encoder(tmp_path / "encoder", crop=CropConfig(mode="fixed", fixed_arcsec=6.0))
    with pytest.raises(ConfigError, match="encoder"):
        make(encoder=other)
    assert open_release(make(encoder=other, rebuild=True)).encoder_checksum == other.checksum
    assert [path.name for path in folder.parent.iterdir()] == ["r"]


def test_a_half_built_release_of_other_inputs_is_an_error(make, tmp_path, survey, small_encoder):
    building = tmp_path / "out" / ".r.building"
    opened = open_survey([survey])
    plan = make_plan(opened, [survey], name="r", encoder=small_encoder, memory_bytes=2**30, shard_positions=16)
    building.mkdir(parents=True)
    (building / "plan.json").write_bytes(json.dumps(plan_dict(plan)).encode())
    with pytest.raises(ConfigError, match=r"--memory.*--rebuild"):
        make(memory_gib=2)
    assert open_release(make(memory_gib=1)).count == 57


@settings(deadline=None, max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lost=st.sets(st.integers(0, 3), min_size=1), truncated=st.booleans())
def test_shards_made_in_any_order_give_the_same_release(tmp_path_factory, survey, small_encoder, lost, truncated):
    building = tmp_path_factory.mktemp("building")
    opened = open_survey([survey])
    plan = make_plan(opened, [survey], name="r", encoder=small_encoder, memory_bytes=2**30, shard_positions=16)
    assert embed_survey(building, plan, opened, small_encoder, 0) == 57
    first = finished_shards(building, plan)
    for number in lost:
        file = building / first[number].shard.file
        file.write_bytes(file.read_bytes()[:-2]) if truncated else file.unlink()
    assert embed_survey(building, plan, opened, small_encoder, 0) == sum(first[number].shard.rows for number in lost)
    again = finished_shards(building, plan)
    assert [part.shard for part in again] == [part.shard for part in first]
    assert all(one.measures.equals(other.measures) for one, other in zip(first, again, strict=True))
    shutil.rmtree(building)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "../x"}, "no name"),
        ({"name": ""}, "no name"),
        ({"memory_gib": 0}, "memory"),
        ({"workers": -1}, "workers"),
    ],
)
def test_bad_options_are_one_clear_error(make, changes, message):
    with pytest.raises(ConfigError, match=message):
        make(**changes)


def test_a_folder_that_is_no_release_is_left_alone(make, tmp_path):
    (tmp_path / "out" / "r").mkdir(parents=True)
    (tmp_path / "out" / "r" / "thesis.tex").write_text("mine")
    with pytest.raises(ConfigError, match="no release"):
        make(rebuild=True)
    assert (tmp_path / "out" / "r" / "thesis.tex").exists()


def test_a_survey_without_a_usable_stamp_is_an_error(tmp_path, write_survey, small_encoder):
    path = write_survey(tmp_path / "bad.h5", count=3, damaged=(0, 1, 2))
    with pytest.raises(SurveyError, match="No stamp"):
        index_survey([path], name="bad", encoder=small_encoder, out=tmp_path, workers=0)


def test_one_stamp_is_enough(tmp_path, write_survey, small_encoder):
    path = write_survey(tmp_path / "one.h5", count=1)
    folder = index_survey([path], name="one", encoder=small_encoder, out=tmp_path, workers=0)
    assert open_release(folder).count == 1


def test_the_verb_prints_the_folder_last_or_one_document(tmp_path, survey, small_encoder, capsys):
    small_encoder.save(tmp_path / "encoder")
    options = {"name": "r", "out": tmp_path / "out", "encoder": str(tmp_path / "encoder"), "workers": 0}
    index(survey, options=IndexOptions(**options))
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "out" / "r")
    index(survey, options=IndexOptions(**options, json=True))
    document = json.loads(capsys.readouterr().out)
    assert document["release"] == str(tmp_path / "out" / "r")
    assert document["rows"] == 57
    assert document["damaged"] == 3
    with pytest.raises(ConfigError, match="--crop-arcsec"):
        IndexOptions(**options, crop_arcsec=3.0)


def test_the_catalogue_keeps_every_column_that_came(make, survey):
    with duckdb.connect(str(make() / "catalogue.duckdb"), read_only=True) as connection:
        names = {name for name, *_ in connection.execute("DESCRIBE objects").fetchall()}
    assert set(open_survey([survey]).table(0, 0).column_names) <= names


def plan_dict(plan):
    return {field: getattr(plan, field) for field in plan.__struct_fields__}
