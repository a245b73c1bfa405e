"""Damaged shards of finished releases are found and made again, byte by byte."""

import json
import shutil

import numpy as np
import pytest

from discovery.errors import ReleaseError
from discovery.manifest import read_manifest
from discovery.release import open_release
from index.cli import app, index_survey
from index.repair import repair_release


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
    wrong["spaces"][0]["shards"][2]["sha256"] = "0" * 64
    path.write_text(json.dumps(wrong))
    vectors = np.fromfile(release / "embeddings/image-00002.f16", "<f2")
    assert repair_release(release) == ["embeddings/image-00002.f16"]
    assert np.array_equal(np.fromfile(release / "embeddings/image-00002.f16", "<f2"), vectors)
    assert read_manifest(release).spaces[0].shards[2].sha256 != "0" * 64
    open_release(release).verify()


def test_without_the_survey_nothing_can_be_made_again(release):
    (release / "embeddings/image-00002.f16").unlink()
    shutil.move(release.parent / "a.h5", release.parent / "elsewhere.h5")
    with pytest.raises(ReleaseError, match=r"a\.h5.*missing"):
        repair_release(release)
