"""Damaged shards of finished releases are found and made again, byte by byte."""

import json
import logging
import os
import shutil

import h5py
import numpy as np
import pytest

from discovery.encoders.encoder import load_encoder
from discovery.errors import ReleaseError
from discovery.release.manifest_file import read_manifest
from discovery.release.release import open_release
from index.cli import app, index_survey
from index.run.repair import repair_release

pytestmark = pytest.mark.slow


@pytest.fixture
def release(tmp_path, write_survey, small_encoder):
    survey = write_survey(tmp_path / "a.h5", count=150, damaged=(3, 40, 41, 149))
    return index_survey([survey], name="r", encoder=small_encoder, out=tmp_path, workers=0, shard_positions=40)


def test_damaged_shards_are_made_again_with_the_same_bytes(release, capsys):
    files = sorted((release / "embeddings").iterdir())
    before = [file.read_bytes() for file in files]
    manifest = (release / "manifest.json").read_bytes()
    files[0].unlink()
    files[1].write_bytes(before[1][:-7])
    files[3].write_bytes(before[3][:9] + b"?" + before[3][10:])
    with pytest.raises(ReleaseError, match=rf"2 shards are damaged.*discovery index repair {release}"):
        open_release(release)
    app(["repair", str(release), "--json"], result_action="return_value")
    assert json.loads(capsys.readouterr().out)["repaired"] == [f"embeddings/{files[at].name}" for at in (0, 1, 3)]
    assert [file.read_bytes() for file in files] == before
    assert (release / "manifest.json").read_bytes() == manifest
    open_release(release).verify()
    app(["repair", str(release)], result_action="return_value")
    assert capsys.readouterr().out == "0 shards made again\n"


def test_other_bytes_get_their_checksum(release):
    """As on another kind of machine: what the manifest expects cannot be made here."""
    path = release / "manifest.json"
    wrong = json.loads(path.read_text())
    wrong["spaces"][0]["segments"][0]["shards"][2]["sha256"] = "0" * 64
    path.write_text(json.dumps(wrong))
    vectors = np.fromfile(release / "embeddings/image-00002.f16", "<f2")
    assert repair_release(release) == ["embeddings/image-00002.f16"]
    assert np.array_equal(np.fromfile(release / "embeddings/image-00002.f16", "<f2"), vectors)
    assert read_manifest(release).image.shards[2].sha256 != "0" * 64
    open_release(release).verify()


def test_without_the_survey_nothing_can_be_made_again(release):
    (release / "embeddings/image-00002.f16").unlink()
    shutil.move(release.parent / "a.h5", release.parent / "elsewhere.h5")
    with pytest.raises(ReleaseError, match=r"a\.h5.*missing"):
        repair_release(release)


@pytest.fixture
def grown(release, tmp_path, write_survey, small_encoder):
    """Of 300 newer objects every other one is known, by id and position; in the first batch of new ones some are damaged."""
    newer = write_survey(tmp_path / "b.h5", count=300, seed=1, damaged=(8, 9, 21, 23, 200, 281))
    with h5py.File(release.parent / "a.h5") as before, h5py.File(newer, "r+") as after:
        after["inds"][:] = np.where(np.arange(300) % 2, 1000 + np.arange(300), np.arange(300) // 2)
        for name in ("ra", "dec"):
            values = after[name][:]
            values[::2] = before[name][:]
            after[name][:] = values
    return index_survey([newer], add=release, name="grown", out=tmp_path, workers=0, shard_positions=100, drift_sample=0)


def test_shards_of_a_grown_release_are_made_again_with_the_same_bytes(grown, release, caplog):
    manifest = read_manifest(grown)
    assert [(shard.start, shard.stop, shard.rows) for shard in manifest.image.shards[4:]] == [(1, 194, 97), (195, 300, 53)]
    files = [grown / shard.file for shard in manifest.image.shards]
    before = [file.read_bytes() for file in files]
    for number in (0, 4, 5):
        with files[number].open("r+b") as file:  # in place: an older shard is the older release's too
            file.write(b"????")
    with caplog.at_level(logging.WARNING):
        assert repair_release(grown) == [manifest.image.shards[number].file for number in (0, 4, 5)]
    assert [file.read_bytes() for file in files] == before
    assert read_manifest(grown) == manifest
    assert [record.getMessage().count("index repair") for record in caplog.records] == [1]
    assert f"'discovery index repair {release}'" in caplog.text
    assert repair_release(release) == ["embeddings/image-00000.f16"]
    open_release(release).verify()


def test_only_new_stamps_of_an_added_survey_are_read(grown, monkeypatch):
    from index.run import repair

    read = []
    before = repair.read_batch
    monkeypatch.setattr(repair, "read_batch", lambda *given: read.append(before(*given)) or read[-1])
    (grown / "embeddings/image-00004.f16").unlink()
    repair_release(grown)
    assert [len(batch.positions) + len(batch.damaged) for batch in read] == [64, 36]


def test_embeddings_are_made_again_in_the_precision_they_were_made_in(tmp_path, write_survey, small_encoder):
    """Of the older survey float32, of the newer one bfloat16."""
    old = index_survey([write_survey(tmp_path / "a.h5", count=40)], name="old", encoder=small_encoder, out=tmp_path, workers=0)
    newer = write_survey(tmp_path / "b.h5", count=40, seed=1)
    with h5py.File(newer, "r+") as file:
        file["inds"][:] += 1000
    low = load_encoder(old / "encoder")
    low.precision = "bfloat16"
    grown = index_survey([newer], add=old, name="grown", out=tmp_path, encoder=low, workers=0)
    manifest = read_manifest(grown)
    assert [segment.precision for segment in manifest.image.segments] == ["float32", "bfloat16"]
    files = [grown / shard.file for shard in manifest.image.shards]
    before = [file.read_bytes() for file in files]
    for file in files:
        os.remove(file)
    assert len(repair_release(grown)) == 2
    assert [file.read_bytes() for file in files] == before
    assert read_manifest(grown) == manifest
