import hashlib
import shutil

import h5py
import msgspec
import numpy as np
import pytest

import discovery
from discovery.encoder import load_encoder
from discovery.errors import EncoderMismatch, QueryError, ReleaseError
from discovery.preprocess import CropConfig
from discovery.readers import open_survey
from discovery.release import open_release


def spoil_manifest(folder, **changes):
    manifest = msgspec.json.decode((folder / "manifest.json").read_bytes())
    (folder / "manifest.json").write_bytes(msgspec.json.encode(manifest | changes))


def test_what_a_release_says_of_itself(release, release_folder):
    assert discovery.open_release is open_release
    assert (release.name, release.count, release.path) == ("small", 240, release_folder)
    assert "240 rows" in repr(release)
    assert release.encoder().checksum == release.encoder_checksum
    assert release.dimension == release.encoder().dimension
    assert release.primary.sum() == 238
    release.verify()


def test_take_and_chunks_give_the_same_unit_vectors(release):
    everything = np.concatenate([chunk for _, chunk in release.chunks(37)])
    starts = [start for start, _ in release.chunks(37)]
    assert starts == list(range(0, 240, 37))
    assert np.allclose(np.linalg.norm(everything, axis=1), 1, atol=1e-6)
    rows = np.array([239, 0, 99, 100, 101, 5, 5])
    assert np.array_equal(release.take(rows), everything[rows])
    assert release.take(np.array([], int)).shape == (0, release.dimension)
    with pytest.raises(QueryError, match=r"outside 0\.\.239"):
        release.take(np.array([240]))


def test_a_stamp_is_read_again_from_the_survey(release, release_folder):
    survey = open_survey([release_folder.parents[1] / "survey" / "a.h5"])
    stamp, again = survey.read(105, 106)[0], release.stamp(105)
    assert again.object_id == stamp.object_id
    assert np.array_equal(again.pixels, stamp.pixels)
    assert np.allclose(release.encoder().embed([again]), release.take(np.array([105])), atol=2e-3)


def test_a_release_moved_with_its_survey_still_reads_stamps(own_folder, release, release_folder):
    hidden = release_folder.parents[1] / "survey"
    hidden.rename(hidden.with_name("elsewhere"))
    try:
        assert np.array_equal(open_release(own_folder).stamp(3).pixels, release_pixels(hidden, 3))
        alone = own_folder.parents[2] / "alone"
        shutil.copytree(own_folder, alone)
        with pytest.raises(ReleaseError, match=r"a\.h5.*missing"):
            open_release(alone).stamp(3)
    finally:
        hidden.with_name("elsewhere").rename(hidden)
    assert np.array_equal(open_release(alone).stamp(3).pixels, release.stamp(3).pixels)


def release_pixels(hidden, position):
    return open_survey([hidden.with_name("elsewhere") / "a.h5"]).read(position, position + 1)[0].pixels


def test_a_changed_survey_is_an_error(own_folder, release_folder):
    with h5py.File(own_folder.parents[1] / "survey" / "a.h5", "r+") as file:
        file["more"] = np.zeros(10)
    hidden = release_folder.parents[1] / "survey"
    hidden.rename(hidden.with_name("elsewhere"))
    try:
        with pytest.raises(ReleaseError, match="changed"):
            open_release(own_folder).stamp(3)
    finally:
        hidden.with_name("elsewhere").rename(hidden)


def test_survey_files_outside_the_allowed_folders_are_refused(own_folder, tmp_path):
    assert open_release(own_folder, survey_roots=[tmp_path]).stamp(0).pixels.shape == (3, 40, 40)
    with pytest.raises(ReleaseError, match="outside"):
        open_release(own_folder, survey_roots=[tmp_path / "other"]).stamp(0)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "manifest.json").unlink(), "no release"),
        (lambda folder: (folder / "manifest.json").write_text("{"), "damaged"),
        (lambda folder: (folder / "manifest.json").write_bytes(b"\xff\xfe"), "damaged"),
        (lambda folder: spoil_manifest(folder, version=2), "version 2"),
        (lambda folder: spoil_manifest(folder, surprise=1), "damaged"),
        (lambda folder: spoil_manifest(folder, rows=239), "add up"),
        (lambda folder: spoil_manifest(folder, spaces=[]), "no embeddings"),
        (lambda folder: (folder / "embeddings/image-00001.f16").unlink(), "missing"),
        (lambda folder: (folder / "embeddings/image-00001.f16").write_bytes(b"x"), "damaged"),
        (lambda folder: flip(folder / "embeddings/image-00002.f16"), "checksum"),
        (lambda folder: (folder / "catalogue.duckdb").write_bytes(b"x" * 5000), "cannot be read"),
        (lambda folder: (folder / "catalogue.duckdb").unlink(), "cannot be read"),
    ],
)
def test_a_damaged_release_is_one_clear_error(own_folder, spoil, message):
    spoil(own_folder)
    with pytest.raises(ReleaseError, match=message):
        open_release(own_folder)


def test_a_damaged_index_is_one_clear_error(own_folder):
    (own_folder / "index.faiss").write_bytes(b"IxFI")
    with pytest.raises(ReleaseError, match=r"index\.faiss"):
        open_release(own_folder).nearest(np.ones(open_release(own_folder).dimension), 3)


def test_embeddings_of_another_length_than_one_are_an_error(own_folder):
    path = own_folder / "embeddings" / "image-00000.f16"
    data = (np.fromfile(path, "<f2") * 2).astype("<f2")
    data.tofile(path)
    manifest = msgspec.json.decode((own_folder / "manifest.json").read_bytes())
    manifest["spaces"][0]["shards"][0]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (own_folder / "manifest.json").write_bytes(msgspec.json.encode(manifest))
    with pytest.raises(ReleaseError, match="unit length"):
        open_release(own_folder)


def test_another_encoder_in_the_folder_is_noticed(own_folder):
    other = load_encoder(own_folder / "encoder", crop=CropConfig(mode="fixed", fixed_arcsec=5.0))
    other.save(own_folder / "encoder")
    with pytest.raises(EncoderMismatch, match="not the one"):
        open_release(own_folder).encoder()


def flip(path):
    data = bytearray(path.read_bytes())
    data[40] ^= 1
    path.write_bytes(data)
