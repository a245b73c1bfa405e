"""Shards and parts that were half written, or changed on disk since, are found and made again, to the same bytes."""

import json
import shutil

import pytest

from index.run.engine import embed_share, index_survey
from index.run.settings import RunSettings, Share


@pytest.mark.parametrize(
    ("file", "spoil"),
    [
        ("embeddings/image-00001.f16", lambda data: data[:-7]),
        ("embeddings/image-00001.f16", lambda data: b""),
        ("embeddings/image-00000.f16", lambda data: flipped(data, 40)),
        ("parts/00001.arrow", lambda data: data[: len(data) // 2]),
        ("parts/00001.arrow", lambda data: b""),
        ("parts/00002.arrow", lambda data: flipped(data, len(data) // 2)),
        ("parts/00002.arrow", lambda data: flipped(data, len(data) - 1)),
    ],
)
def test_half_written_and_damaged_files_are_found_and_made_again(
    finished, tmp_path, small_encoder, same_release, file, spoil, caplog
):
    survey, folder, building = finished
    shutil.copytree(building, tmp_path / ".r.building")
    before = (tmp_path / ".r.building" / file).read_bytes()
    (tmp_path / ".r.building" / file).write_bytes(spoil(before))
    (tmp_path / ".r.building" / "embeddings" / "image-00003.f16.elsewhere-77.part").write_bytes(b"left by a killed run")
    again = index_survey([survey], name="r", encoder=small_encoder, out=tmp_path, workers=0, shard_positions=32)
    assert "is damaged" in caplog.text
    same_release(folder, again)
    assert json.loads((again / "manifest.json").read_text())["measured"]["embedded_in_last_run"] in (31, 32)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, write_survey, small_encoder):
    """A survey, its release, and the folder that it was built in with all shards made."""
    folder = tmp_path_factory.mktemp("finished")
    survey = write_survey(folder / "s.h5", count=100, damaged=(3,))
    options = {"name": "r", "out": folder, "workers": 0, "shard_positions": 32}
    embed_share([survey], Share(number=0, of=1), RunSettings(**options), small_encoder)
    building = shutil.copytree(folder / ".r.building", folder / "building")
    return survey, index_survey([survey], encoder=small_encoder, **options), building


def flipped(data, place):
    return data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :]
