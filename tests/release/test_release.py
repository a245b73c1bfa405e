import hashlib
import importlib
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import faiss
import h5py
import msgspec
import numpy as np
import pytest

import discovery
from discovery.encoders.encoder import load_encoder
from discovery.errors import EncoderMismatch, QueryError, ReleaseError
from discovery.readers import open_survey
from discovery.release.manifest import Shard
from discovery.release.release import open_release
from discovery.release.shards import EmbeddingShards
from discovery.stamps.preprocess import CropConfig


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


def test_stored_chunks_are_the_bytes_on_disk(release, release_folder):
    chunks = list(release.stored_chunks(64))
    assert [start for start, _ in chunks] == [0, 64, 100, 164, 200]
    stored = np.concatenate([chunk for _, chunk in chunks])
    files = sorted((release_folder / "embeddings").iterdir())
    assert stored.dtype == "<f2" and stored.tobytes() == b"".join(file.read_bytes() for file in files)
    assert not chunks[0][1].flags.writeable and not chunks[0][1].flags.owndata


@pytest.fixture
def many_shards(tmp_path):
    """700 shards of 0 to 4 rows, and the rows themselves as float32."""
    rng = np.random.default_rng(1)
    shards, blocks = [], []
    for number, rows in enumerate(rng.integers(0, 5, 700).tolist()):
        vectors = rng.normal(size=(rows, 6))
        blocks.append((vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype("<f2"))
        data = blocks[-1].tobytes()
        (tmp_path / f"{number}.f16").write_bytes(data)
        sha256 = hashlib.sha256(data).hexdigest()
        shards.append(Shard(file=f"{number}.f16", start=0, stop=rows, rows=rows, sha256=sha256))
    return shards, np.concatenate(blocks).astype(np.float32)


def test_many_shards_are_read_without_holding_files_open(tmp_path, many_shards):
    shards, vectors = many_shards
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    before = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 0
    opened = EmbeddingShards(tmp_path, shards, 6)
    opened.check_unit()
    rows = np.random.default_rng(2).integers(0, opened.count, 3000)
    assert np.allclose(opened.take(rows), vectors[rows], atol=1e-6)
    assert np.allclose(np.concatenate([chunk for _, chunk in opened.chunks(101)]), vectors, atol=1e-6)
    if before:
        assert len(list(Path("/proc/self/fd").iterdir())) <= before + 2


def test_verify_names_each_damaged_shard_and_the_command(tmp_path, many_shards, own_folder):
    shards, _ = many_shards
    filled = [shard.file for shard in shards if shard.rows]
    opened = EmbeddingShards(tmp_path, shards, 6)
    opened.check_sums(threads=3)
    for file in filled[3:11]:
        (tmp_path / file).write_bytes((tmp_path / file).read_bytes()[::-1])
    (tmp_path / filled[3]).unlink()
    (tmp_path / filled[4]).write_bytes(b"")
    with pytest.raises(ReleaseError, match=rf"8 shards are damaged: {filled[3]} is missing; {filled[4]} holds 0 bytes.*, and 3 more"):
        opened.check_sums(threads=3)
    opened = open_release(own_folder)
    flip(own_folder / "embeddings/image-00002.f16")
    with pytest.raises(ReleaseError, match=r"1 shard is damaged: \S*image-00002.*discovery index repair \S*small"):
        opened.verify()


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
        (lambda folder: spoil_manifest(folder, version=4), "version 4"),
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
    manifest["spaces"][0]["segments"][0]["shards"][0]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
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


@pytest.mark.parametrize(("made_by", "asked"), [("discovery.release.release.read_index", "index_facts"), ("discovery.release.neighbours.exact.ExactEngine", "engine")])
def test_threads_that_come_at_once_share_one_index_and_one_engine(release_folder, monkeypatch, made_by, asked):
    opened = open_release(release_folder)
    module, name = made_by.rsplit(".", 1)
    real, made, another = getattr(importlib.import_module(module), name), [], threading.Event()

    def slow(*given):
        made.append(given)
        if len(made) > 1:
            another.set()
        another.wait(0.3)
        return real(*given)

    monkeypatch.setattr(made_by, slow)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: getattr(opened, asked), range(4)))
    assert len(made) == 1 and all(one is results[0] for one in results)


def test_what_the_index_is_for_records(release, release_folder):
    record, facts = release.manifest.image.index, release.index_facts
    assert facts["index"] == {
        "kind": record.kind,
        "probes": record.probes,
        "candidates": record.candidates,
        "file": record.file,
        "bytes": (release_folder / record.file).stat().st_size,
    }
    assert facts["faiss"] == faiss.__version__
    assert release.engine.facts["device"].startswith("cpu" if release.engine.device.type == "cpu" else "cuda ")
