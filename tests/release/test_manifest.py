"""Manifests of every version: what version 3 says, and versions 1 and 2 read as segments."""

import json

import numpy as np
import pytest

from discovery.errors import ReleaseError
from discovery.release.manifest import MANIFEST_VERSION
from discovery.release.manifest_file import read_manifest, write_manifest
from discovery.release.release import open_release


def survey(name, **more):
    return {
        "paths": [f"/data/{name}.h5"], "relative_paths": [f"../{name}.h5"], "table": None, "relative_table": None, "options": {},
        "format": "stamps-hdf5", "recognised": name, "fingerprint": name, **more,
    }  # fmt: skip


def shard(number, start, stop, rows):
    return {"file": f"embeddings/image-{number:05d}.f16", "start": start, "stop": stop, "rows": rows, "sha256": "0" * 64}


def manifest_2(shards, **more):
    space = {
        "name": "image", "dimension": 4, "encoder": {"name": "small", "checksum": "1" * 64, "folder": "encoder"}, "shards": shards,
        "index": {"kind": "Flat", "probes": None, "candidates": None, "file": "index.faiss"},
    }  # fmt: skip
    return {
        "version": 2, "name": "dr10", "rows": sum(one["rows"] for one in shards), "plan": "p2", "survey": survey("a"), "spaces": [space],
        "measured": {"finished": "2026-01-01T00:00:00Z", "precision": "float32", "git_commit": "c0ffee"}, **more,
    }  # fmt: skip


@pytest.fixture
def read(tmp_path):
    def read(document):
        (tmp_path / "manifest.json").write_text(json.dumps(document))
        return read_manifest(tmp_path)

    return read


def test_version_1_is_one_segment(read):
    manifest = read(manifest_2([shard(0, 0, 10, 9), shard(1, 10, 12, 2)]) | {"version": 1})
    (segment,) = manifest.segments
    assert (manifest.version, segment.name, segment.first_row, segment.rows, segment.plan) == (MANIFEST_VERSION, "dr10", 0, 11, "p2")
    assert (segment.made, segment.commit, segment.positions) == ("2026-01-01T00:00:00Z", "c0ffee", None)
    assert [one.file for one in manifest.image.shards] == ["embeddings/image-00000.f16", "embeddings/image-00001.f16"]
    assert manifest.image.segments[0].precision == "float32" and manifest.image.mask is None
    assert manifest.survey_of(10).recognised == "a" and manifest.survey_of(0).bands is None


def test_version_2_is_a_segment_for_each_survey(read):
    """Also where shards at the border hold no row."""
    shards = [shard(0, 0, 10, 9), shard(1, 10, 12, 0), shard(2, 3, 5, 0), shard(3, 6, 9, 3), shard(4, 0, 4, 4)]
    added = [survey("b", first_row=9), survey("c", first_row=12, suffix="@dr10")]
    grown = {"name": "dr9", "plan": "p1", "rows": 12, "path": "/data/dr9", "relative_path": "../dr9"}
    measured = {"precision": "float32", "precisions": ["float32", "bfloat16", None]}
    manifest = read(manifest_2(shards, added=added, grown_from=grown, measured=measured))
    assert [(one.name, one.first_row, one.rows, one.suffix) for one in manifest.segments] == [
        (None, 0, 9, ""), ("dr9", 9, 3, ""), ("dr10", 12, 4, "@dr10"),
    ]  # fmt: skip
    files = [[int(one.file[-9:-4]) for one in segment.shards] for segment in manifest.image.segments]
    assert files == [[0, 1], [2, 3], [4]]
    assert [segment.precision for segment in manifest.image.segments] == ["float32", "bfloat16", None]
    assert [manifest.segment_number(row) for row in (0, 8, 9, 11, 12, 15)] == [0, 0, 1, 1, 2, 2]
    assert manifest.grown_from.rows == 12


def test_an_old_manifest_written_again_is_version_3_and_stays_the_same(read, tmp_path):
    manifest = read(manifest_2([shard(0, 0, 10, 9)]))
    write_manifest(tmp_path, manifest)
    assert json.loads((tmp_path / "manifest.json").read_text())["version"] == 3
    assert read_manifest(tmp_path) == manifest


def test_a_release_says_what_made_each_segment(release):
    (segment,), (embedded,) = release.manifest.segments, release.manifest.image.segments
    assert (segment.name, segment.first_row, segment.rows) == ("small", 0, release.count)
    assert segment.positions >= segment.rows and segment.plan == release.manifest.plan and segment.made.endswith("Z")
    assert (embedded.precision, embedded.device) == (release.encoder().precision, release.encoder().device.type)
    assert embedded.runtime.startswith("torch ")


def test_a_release_with_a_manifest_of_version_2_is_the_same_release(own_folder, release):
    path = own_folder / "manifest.json"
    document = json.loads(path.read_text())
    (segment,), (space,) = document.pop("segments"), document["spaces"]
    space["shards"] = space.pop("segments")[0]["shards"]
    del space["mask"]
    document |= {"version": 2, "survey": {name: value for name, value in segment["survey"].items() if name not in ("bands", "unit", "stretch")}}
    path.write_text(json.dumps(document))
    old = open_release(own_folder)
    assert old.count == release.count and old.manifest.image.shards == release.manifest.image.shards
    assert np.array_equal(old.stamp(3).pixels, release.stamp(3).pixels)
    vector = release.take(np.array([5]))[0]
    assert np.array_equal(old.nearest(vector, 9)[0], release.nearest(vector, 9)[0])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda document: document | {"surprise": 1}, "damaged"),
        (lambda document: document | {"version": 0}, "version 0"),
        (lambda document: document | {"version": 4}, "version 4.*update discovery"),
        (lambda document: {name: value for name, value in document.items() if name != "survey"}, "damaged"),
    ],
)
def test_what_is_no_manifest_is_one_clear_error(read, spoil, message):
    with pytest.raises(ReleaseError, match=message):
        read(spoil(manifest_2([shard(0, 0, 10, 9)])))


def test_spaces_with_other_segments_than_the_release_are_damage(own_folder):
    document = json.loads((own_folder / "manifest.json").read_text())
    document["spaces"][0]["segments"] *= 2
    (own_folder / "manifest.json").write_text(json.dumps(document))
    with pytest.raises(ReleaseError, match="space image has 2 segments, the release 1"):
        open_release(own_folder)
