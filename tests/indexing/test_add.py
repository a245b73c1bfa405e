"""A release that grows: what is new is embedded and appended, what is known stays as it was."""

import json
import shlex
import shutil

import h5py
import numpy as np
import pytest

from discovery.cli import main
from discovery.encoders.encoder import load_encoder
from discovery.errors import ConfigError, EncoderMismatch, ReleaseError, SurveyError
from discovery.hunts import move_hunt, new_hunt
from discovery.readers import open_survey
from discovery.release.manifest_file import read_manifest
from discovery.release.release import open_release
from discovery.search.prompts import prompt_from_row
from discovery.stamps.preprocess import CropConfig
from index.cli import app, index_survey
from index.drift.sample import read_sample
from index.embed.finished_shards import record_path
from index.embed.selected_positions import SelectedSurvey
from index.run.engine import embed_share
from index.run.merge import merge_shares
from index.run.settings import RunSettings, Share
from index.structure.rebuild import rebuild

pytestmark = pytest.mark.slow

SECOND = 1 / 3600


def change(path, **columns):
    """Replace or add datasets of a survey file; None removes one."""
    with h5py.File(path, "r+") as file:
        for name, values in columns.items():
            if name in file:
                del file[name]
            if values is not None:
                file[name] = values
    return path


def column(path, name):
    with h5py.File(path) as file:
        return file[name][:]


def names(path):
    with h5py.File(path) as file:
        return list(file)


@pytest.fixture(scope="module")
def made(tmp_path_factory, write_survey, small_encoder):
    """A folder with an older file of 80 objects and its release, and a newer file of 70, of which 20 have ids and 10 positions of older ones."""
    folder = tmp_path_factory.mktemp("made")
    old = write_survey(folder / "dr9" / "a.h5", count=80, damaged=(7,))
    new = write_survey(folder / "dr10" / "b.h5", count=70, seed=1, damaged=(3, 40, 69))
    inds = np.arange(1000, 1070)
    ra, dec = column(new, "ra"), column(new, "dec")
    inds[:20] = np.arange(10, 30)
    ra[:20], dec[:20] = column(old, "ra")[10:30], column(old, "dec")[10:30] + 0.3 * SECOND
    ra[20:30], dec[20:30] = column(old, "ra")[50:60], column(old, "dec")[50:60] - 0.8 * SECOND
    inds[30] = 60  # the id of another object, far away
    change(new, inds=inds, ra=ra, dec=dec, ebv=None, seeing=np.linspace(1, 2, 70).astype(np.float32))
    index_survey([old], name="dr9", encoder=small_encoder, out=folder / "releases", workers=0, shard_positions=32)
    return folder


@pytest.fixture
def surveys(made, tmp_path):
    """The older and the newer file, to spoil."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path / "dr9" / "a.h5", tmp_path / "dr10" / "b.h5"


@pytest.fixture
def older(surveys, tmp_path):
    return tmp_path / "releases" / "dr9"


@pytest.fixture
def grow(tmp_path, surveys, older):
    def made(**changes):
        options = {"add": older, "name": "dr10", "out": tmp_path / "releases", "workers": 0, "shard_positions": 16}
        return index_survey([surveys[1]], **{**options, **changes})

    return made


def test_only_what_is_new_is_embedded_and_appended(grow, older, surveys, small_encoder):
    folder = grow()
    old, new = open_release(older), open_release(folder)
    fresh = [position for position in range(30, 70) if position not in (40, 69)]
    assert (old.count, new.count) == (79, 79 + len(fresh))
    new.verify()
    assert np.array_equal(new.take(np.arange(79)), old.take(np.arange(79)))
    alone = small_encoder.embed([open_survey([surveys[1]]).read(position, position + 1)[0] for position in fresh])
    assert np.allclose(new.take(np.arange(79, new.count)), alone, atol=2e-3)
    lines = new.catalogue.rows(np.arange(new.count), ["row", "object_id", "survey_position", "ra"]).to_pydict()
    before = old.catalogue.rows(np.arange(79), ["object_id", "survey_position", "ra"]).to_pydict()
    assert all(lines[name][:79] == before[name] for name in before)
    assert lines["row"] == list(range(new.count))
    assert lines["survey_position"][79:] == fresh
    assert lines["object_id"][79:82] == ["60@dr10", "1031", "1032"]
    assert np.allclose(lines["ra"][79:], column(surveys[1], "ra")[fresh])
    report = json.loads((folder / "report.json").read_text())
    assert report["grown_from"] == {
        "release": "dr9", "rows": 79, "added": len(fresh), "positions": 70,
        "known_by_object_id": 20, "known_by_position": 10, "renamed": 1,
    }  # fmt: skip
    assert (report["rows"], report["damaged_count"]) == (new.count, 2)


def test_every_row_reads_its_stamp_from_the_survey_it_came_from(grow, surveys):
    release = open_release(grow())
    manifest = release.manifest
    assert [segment.first_row for segment in manifest.segments] == [0, 79]
    assert (manifest.grown_from.name, manifest.grown_from.rows) == ("dr9", 79)
    for row, (path, position) in {0: (surveys[0], 0), 78: (surveys[0], 79), 79: (surveys[1], 30), 100: (surveys[1], 52)}.items():
        (stamp,) = open_survey([path]).read(position, position + 1)
        assert np.array_equal(release.stamp(row).pixels, stamp.pixels)
    assert release.stamp(79).object_id == "60@dr10"


def test_columns_that_only_one_has_are_null(grow):
    table = open_release(grow()).catalogue.rows([0, 79], ["ebv", "seeing", "z_spec"]).to_pydict()
    assert table["ebv"][1] is None and table["ebv"][0] is not None
    assert table["seeing"][0] is None and table["seeing"][1] >= 1
    assert None not in table["z_spec"]


def test_a_column_in_other_case_or_of_a_wider_type_is_the_same(grow, surveys):
    values = np.arange(70, dtype=np.float64)
    change(surveys[1], z_spec=None, Z_SPEC=values, maskbits=np.arange(70, dtype=np.int64))
    table = open_release(grow()).catalogue.rows([0, 79], ["z_spec", "maskbits"]).to_pydict()
    assert table["z_spec"][1] == 30.0 and table["maskbits"][1] == 30


def test_a_column_of_another_kind_is_one_clear_error(grow, surveys):
    change(surveys[1], z_spec=np.full(70, b"far"))
    with pytest.raises(SurveyError, match=r"z_spec \(float in the older release, \w+ in the new files\)"):
        grow()


def test_the_index_and_duplicates_cover_all_rows(grow, surveys):
    ra, dec = column(surveys[1], "ra"), column(surveys[1], "dec")
    ra[36], dec[36] = ra[35], dec[35] + 0.4 * SECOND
    change(surveys[1], ra=ra, dec=dec)
    release = open_release(grow())
    row = 79 + 5
    assert release.catalogue.primary_rows[row + 1] == row
    assert np.array_equal(np.flatnonzero(~release.primary), [row + 1])
    for query in (3, row):
        vector = release.take(np.array([query]))[0]
        everything = np.concatenate([chunk for _, chunk in release.chunks()]) @ vector
        rows, _ = release.nearest(vector, 10)
        assert rows[0] == query and set(rows) == set(np.argsort(-everything, kind="stable")[:10])


@pytest.mark.parametrize(("kind", "how"), [("IVF4,SQ8", "grown"), ("Flat", "new")])
def test_the_structure_grows_where_it_can(grow, older, kind, how):
    rebuild(older, kind=kind)
    release = open_release(grow())
    assert release.manifest.measured["structure"] == how
    assert release.manifest.image.index.kind == kind
    everything = np.concatenate([chunk for _, chunk in release.chunks()])
    hits = [len(np.intersect1d(release.nearest(vector, 10)[0], np.argsort(-everything @ vector)[:10])) for vector in everything]
    assert np.mean(hits) >= 9.4
    assert {int(release.nearest(vector, 1)[0][0]) for vector in everything[79:]} >= set(range(79, 110))


def test_a_hunt_moved_to_the_grown_release_keeps_its_labels_and_plays_on(grow, older, tmp_path):
    old = open_release(older)
    hunt = new_hunt(tmp_path / "a.hunt", old, positives=[prompt_from_row(old, 5)], who="ann")
    for row in hunt.next_round("ann", page_size=12).rows.tolist():
        hunt.label(row, "positive" if row % 2 else "negative", who="ann")
    new = open_release(grow())
    moved, report = move_hunt(tmp_path / "a.hunt", new, tmp_path / "b.hunt", "ann")
    assert report.counts == {"object_id": 13, "position": 0, "not found": 0} and report.labels_left == 0
    assert {one.row for one in report.objects} <= set(range(79)) and not report.examples_left
    assert {row: state.verdict for row, state in moved.labels().items()} == {row: state.verdict for row, state in hunt.labels().items()}
    shown = [row for _ in range(8) for row in moved.next_round("bob", page_size=12).rows.tolist()]
    assert not set(shown) & set(hunt.labels()) and max(shown) >= 79


def test_growing_twice(grow, tmp_path, write_survey, surveys):
    folder = grow()
    third = change(write_survey(tmp_path / "dr11" / "c.h5", count=30, seed=2), inds=np.arange(1060, 1090), dec=np.linspace(20, 21, 30))
    release = open_release(index_survey([third], add=folder, name="dr11", out=tmp_path / "releases", workers=0))
    assert [segment.first_row for segment in release.manifest.segments] == [0, 79, 117]
    assert release.count == 117 + 30 and release.manifest.grown_from.name == "dr10"
    for row, (path, position) in {5: (surveys[0], 5), 79: (surveys[1], 30), 120: (third, 3)}.items():
        assert np.array_equal(release.stamp(row).pixels, open_survey([path]).read(position, position + 1)[0].pixels)


def test_a_second_run_finds_it_there_and_the_older_release_stays(grow, older):
    before = {path: path.stat().st_mtime_ns for path in older.rglob("*") if path.is_file()}
    folder = grow()
    written = (folder / "manifest.json").stat().st_mtime_ns
    assert grow() == folder and (folder / "manifest.json").stat().st_mtime_ns == written
    assert {path: path.stat().st_mtime_ns for path in older.rglob("*") if path.is_file()} == before
    assert [path.name for path in folder.parent.iterdir() if path.name.startswith(".")] == []
    shutil.rmtree(older)
    open_release(folder).verify()


def test_the_verb_says_what_was_known_and_how_far_it_drifted(older, surveys, tmp_path, capsys):
    words = [str(surveys[1]), "--name", "dr10", "--out", str(tmp_path / "releases"), "--workers", "0", "--add", str(older)]
    app([*words, "--drift-sample", "60"], result_action="return_value")
    text = capsys.readouterr().out
    assert "grown from dr9: 79 rows kept, 38 added; of 70 objects 20 were known by object_id and 10 by position" in text
    assert "\ndrift: " in text


def test_bad_requests_are_one_clear_error(grow, surveys, older, tmp_path, small_encoder):
    known = shutil.copy(surveys[0], tmp_path / "known.h5")
    change(known, **{name: column(known, name)[:7] for name in names(known)})
    with pytest.raises(ConfigError, match=r"holds all 7 objects.*nothing is new"):
        index_survey([known], add=older, name="dr10", out=tmp_path / "releases", workers=0)
    with pytest.raises(ConfigError, match="choose another --name"):
        grow(name="dr9")
    with pytest.raises(ReleaseError, match="no release"):
        grow(add=tmp_path)
    with pytest.raises(ConfigError, match="drift sample"):
        grow(drift_sample=-1)
    small_encoder.save(tmp_path / "encoder")
    with pytest.raises(EncoderMismatch, match="leave --encoder and --crop out"):
        grow(encoder=load_encoder(tmp_path / "encoder", crop=CropConfig(mode="fixed", fixed_arcsec=5.0)))
    grow()
    change(surveys[1], more=np.zeros(70))
    with pytest.raises(ConfigError, match="other inputs"):
        grow()
    assert read_manifest(grow(rebuild=True)).name == "dr10"


def test_what_cannot_be_added_leaves_nothing_in_the_way(grow, surveys, tmp_path):
    good, styles = column(surveys[1], "inds"), open_survey([surveys[1]]).options["ids"]  # ids as they stand there
    bad = good.copy()
    bad[50] = bad[51]
    change(surveys[1], inds=bad)
    with pytest.raises(SurveyError, match="ids must be unique"):
        grow(options={"ids": styles})
    assert sorted(path.name for path in (tmp_path / "releases").iterdir()) == ["dr9"]
    change(surveys[1], inds=good)
    assert open_release(grow()).count == 117


def test_a_name_that_is_made_up_must_be_free(grow, write_survey, tmp_path):
    """Object 60 of the newer files became 60@dr10; yet another object 60 cannot."""
    third = change(write_survey(tmp_path / "dr11" / "c.h5", count=30, seed=2), inds=np.arange(60, 90), dec=np.linspace(20, 21, 30))
    options = {"add": grow(), "workers": 0, "drift_sample": 0}
    with pytest.raises(SurveyError, match=r"60@dr10 is in release dr10 already: choose another --name"):
        index_survey([third], name="dr10", out=tmp_path / "other", **options)
    assert not list((tmp_path / "other").glob("*")) and not list((tmp_path / "other").glob(".*"))
    names = open_release(index_survey([third], name="dr11", out=tmp_path / "other", **options)).catalogue.rows([117], ["object_id"])
    assert names["object_id"].to_pylist() == ["60@dr11"]


def test_another_drift_sample_on_a_resume_is_drawn_anew(grow, surveys, tmp_path, monkeypatch):
    from index.run import release as building

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(building, "_manifest", stop)  # called when all but the manifest is there
        with pytest.raises(KeyboardInterrupt):
            grow(drift_sample=20)
    sample = tmp_path / "releases" / ".dr10.building" / "drift-sample.safetensors"
    assert len(read_sample(sample).rows) == 19  # one stamp is damaged
    assert len(read_sample(grow(drift_sample=12) / "drift-sample.safetensors").rows) == 11


def test_jobs_with_add_and_a_merge_make_the_same_grown_release(grow, older, surveys, tmp_path, same_release):
    whole = grow(out=tmp_path / "whole", drift_sample=20)
    settings = RunSettings(older=older, name="dr10", out=tmp_path / "jobs", workers=0, shard_positions=16)
    found = [embed_share([surveys[1]], Share(number=number, of=2), settings) for number in range(2)]
    assert [shards for shards, _ in found] == [2, 1] and sum(embedded for _, embedded in found) == 38
    record_path(tmp_path / "jobs" / ".dr10.building", 1).unlink()
    with pytest.raises(ReleaseError, match=r"1 of 3 shards.*Shard 1 is missing") as problem:
        merge_shares("dr10", tmp_path / "jobs")
    words = shlex.split(str(problem.value).split("Make it with: ")[1])
    assert words[words.index("--add") + 1] == str(older)
    assert main([*words[1 : words.index("--shard") + 2], "--workers", "0"]) == 0
    same_release(whole, merge_shares("dr10", tmp_path / "jobs", drift_sample=20))


def test_a_selection_of_a_survey_is_a_survey(surveys):
    whole = open_survey([surveys[0]])
    positions = np.array([0, 1, 2, 9, 50, 51, 79])
    chosen = SelectedSurvey(whole, positions)
    assert len(chosen) == 7
    assert chosen.table(1, 6).to_pylist() == whole.table().take([1, 2, 9, 50, 51]).to_pylist()
    assert chosen.table(3, 3).column_names == whole.table(0, 0).column_names
    for stamp, position in zip(chosen.read(2, 7), positions[2:], strict=True):
        assert np.array_equal(stamp.pixels, whole.read(int(position), int(position) + 1)[0].pixels)
