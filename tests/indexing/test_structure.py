"""Plans of search structures, and structures built again for a finished release."""

import hashlib
import json
import logging
import shutil

import numpy as np
import pytest

from discovery.cli import main
from discovery.errors import ConfigError
from discovery.release.manifest import Shard
from discovery.release.manifest_file import read_manifest
from discovery.release.release import open_release
from discovery.release.shards import EmbeddingShards
from index.structure import structure
from index.structure.rebuild import rebuild
from index.structure.structure import build_structure, index_shards
from index.structure.structure_plan import (
    KEPT_LEAST,
    PROCESS_BYTES,
    dimensions_kept,
    plan_kind,
    plan_structure,
)

pytestmark = pytest.mark.slow

GIB = 2**30


def made_shards(folder, vectors):
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype("<f2")
    (folder / "0.f16").write_bytes(vectors.tobytes())
    sha256 = hashlib.sha256(vectors.tobytes()).hexdigest()
    shard = Shard(file="0.f16", start=0, stop=len(vectors), rows=len(vectors), sha256=sha256)
    return EmbeddingShards(folder, [shard], vectors.shape[1])


@pytest.fixture
def shards(tmp_path):
    """20,000 rows of 96 dimensions, nearly all of whose variance lies in eight."""
    rng = np.random.default_rng(1)
    flat = 3 * rng.normal(size=(20_000, 8)) @ rng.normal(size=(8, 96)) + 0.1 * rng.normal(size=(20_000, 96)) + 1
    return made_shards(tmp_path, flat)


def test_the_plan_follows_from_rows_and_memory():
    assert plan_structure(4000, 384, 4 * GIB).kind == "Flat"
    assert plan_structure(1, 1, 4 * GIB).kind == "Flat"
    plan = plan_structure(10_000_000, 768, 4 * GIB, reduced=64)
    assert (plan.kind, plan.cells, plan.code_bytes) == ("PCA64,IVF8192,SQ8", 8192, 64)
    assert 1.9 * GIB < plan.building_bytes < 2.1 * GIB  # measured: 1.9 GiB of anonymous memory of the process that built and tuned it
    assert plan_structure(10**6, 768, GIB + GIB // 20, reduced=64).kind == "PCA64,IVF2048,SQ8"  # measured: 0.99 GiB
    plans = [plan_structure(76_000_000, 768, memory * GIB) for memory in (24, 10, 6, 4)]
    assert [plan.code_bytes for plan in plans] == [128, 64, 32, 16]
    assert plans[0].kind == "PCA128,IVF16384,SQ8"
    assert plans[1].kind == "OPQ64_128,IVF16384,PQ64"
    assert plan_structure(10**9, 768, 400 * GIB).kind.split(",")[1] == "IVF65536_HNSW32"
    for plan, memory in zip(plans, (24, 10, 6, 4), strict=True):
        assert plan.building_bytes <= memory * GIB
        assert plan.building_bytes > 76_000_000 * (plan.code_bytes + 8)
        assert plan.searching_bytes < GIB
    with pytest.raises(ConfigError, match="--memory"):
        plan_structure(76_000_000, 768, GIB)
    with pytest.raises(ConfigError, match="recall"):
        plan_structure(100, 8, GIB, recall=1.5)


def test_a_higher_recall_keeps_more_dimensions():
    kinds = [plan_structure(10**7, 768, 16 * GIB, recall=recall).kind for recall in (0.95, 0.999)]
    assert [kind.split(",")[0] for kind in kinds] == ["PCA128", "PCA256"]
    assert plan_structure(10**7, 64, 16 * GIB).kind == "IVF8192,SQ8"


def test_the_process_itself_counts():
    small = plan_structure(1000, 384, GIB)
    assert small.kind == "Flat" and PROCESS_BYTES < small.building_bytes < 0.6 * GIB
    with pytest.raises(ConfigError, match=r"needs at least 0\.51 GiB"):
        plan_structure(1000, 384, GIB // 4)
    assert plan_structure(1000, 384, int(0.51 * GIB)).kind == "Flat"


@pytest.mark.parametrize("kind", ["", "rubbish", "HNSW32", "PQ8", "L2norm,PCA8,IVF16,SQ8", "IVF16,PQ4x4fs", "IVF16,PQ5"])
def test_kinds_that_cannot_be_used_are_one_clear_error(kind):
    with pytest.raises(ConfigError, match=r"factory string|cannot be used"):
        plan_kind(kind, 1000, 16)


def test_the_spectrum_decides_how_many_dimensions_are_kept(shards, tmp_path):
    assert dimensions_kept(shards) == KEPT_LEAST
    (tmp_path / "other").mkdir()
    isotropic = made_shards(tmp_path / "other", np.random.default_rng(2).normal(size=(5000, 96)))
    assert dimensions_kept(isotropic) == 96


def test_an_index_is_built_to_the_recall_asked_for(shards, tmp_path, monkeypatch):
    monkeypatch.setattr(structure, "QUICK_BYTES", 0)
    monkeypatch.setattr(structure, "ROWS_PER_CHUNK", 3000)
    record, measured = index_shards(shards, tmp_path / "index-7.faiss", memory_bytes=GIB, recall=0.97)
    assert record.kind == "PCA64,IVF256,SQ8"
    assert record.file == "index-7.faiss"
    assert (tmp_path / record.file).stat().st_size < 20_000 * 64 * 1.5
    assert min(measured["recall_at_10"], measured["recall_at_100"]) >= measured["recall_asked"] == 0.97
    assert 1 <= record.probes < 256
    assert 100 < record.candidates <= 3200
    higher, _ = index_shards(shards, tmp_path / "index-8.faiss", memory_bytes=GIB, recall=1.0)
    assert higher.probes > record.probes


def test_a_recall_that_cannot_be_reached_is_said(shards, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        _, measured = index_shards(shards, tmp_path / "index.faiss", memory_bytes=GIB, recall=0.95, kind="PCA2,IVF16,SQ8")
    assert measured["recall_at_100"] < 0.95
    assert str(measured["recall_at_100"]) in caplog.text


def test_the_same_rows_make_the_same_file(shards, tmp_path):
    plan = plan_kind("PCA16,IVF16,SQ8", shards.count, shards.dimension)
    for name in ("a", "b"):
        build_structure(shards, plan, tmp_path / name, progress=False)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.fixture
def own_release(tmp_path, demo_folder):
    """A copy of the demo with its survey: a release to change."""
    shutil.copytree(demo_folder, tmp_path / "demo")
    return tmp_path / "demo" / "releases" / "demo"


def test_a_release_gets_another_structure_beside_its_readers(own_release):
    reader, late = open_release(own_release), open_release(own_release)
    vector = reader.take([3])[0]
    before = reader.nearest(vector, 20)[0]
    was = read_manifest(own_release)
    for number in (2, 3):
        manifest = rebuild(own_release, recall=0.9, kind="PCA16,IVF8,SQ8")
        assert manifest.image.index.file == f"index-{number}.faiss"
        if number == 2:
            assert late.nearest(vector, 20)[0].tolist() == before.tolist()  # opens the old file only now
    assert reader.nearest(vector, 20)[0].tolist() == before.tolist()
    assert sorted(file.name for file in own_release.glob("index*")) == ["index-2.faiss", "index-3.faiss"]
    assert not list(own_release.glob("*.lock"))
    assert manifest == read_manifest(own_release)
    assert manifest.plan == was.plan
    assert manifest.image.shards == was.spaces[0].shards
    found = open_release(own_release).nearest(vector, 20)[0]
    assert len(np.intersect1d(found, before)) >= 16


def test_the_verb_prints_one_document_or_text(own_release, capsys):
    assert main(["index", "build", str(own_release), "--kind", "IVF4,SQ8", "--recall", "0.9", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["index"]["kind"] == "IVF4,SQ8"
    assert document["measured"]["recall_asked"] == 0.9
    assert main(["index", "build", str(own_release)]) == 0
    assert "index Flat in index-3.faiss" in capsys.readouterr().out
    assert main(["index", "build", str(own_release), "--kind", "nonsense"]) == 1
    assert "factory string" in capsys.readouterr().err
    assert main(["index", "build", str(own_release), "--memory", "-1"]) == 1
    assert main(["index", "build", str(own_release.parent)]) == 1
    assert read_manifest(own_release).image.index.kind == "Flat"
