"""Packing and reading training shards: equal to `prepare`, resumable, cheap in memory."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from discovery.cli import main
from discovery.errors import ConfigError, SurveyError
from discovery.readers import open_survey
from discovery.stamps.preprocess import CropConfig, prepare
from discovery.stamps.stamp import Damaged
from discovery.storage.atomic import file_sha256
from training.data.shard_packer import pack
from training.data.shards import SHARDS_FILE, open_shards, read_manifest
from training.data.stamps import is_training, is_validation, load_stamps
from training.data.stream import batches


@pytest.fixture(scope="module")
def packed(survey, tmp_path_factory):
    """The survey of 120 labelled pictures in shards of 50."""
    folder = tmp_path_factory.mktemp("packed") / "shards"
    pack([f"{survey}@kind"], folder, shard_stamps=50)
    return folder


def prepared(path, size=128):
    """Return ids and inputs times 255, read and prepared here."""
    opened = open_survey([path])
    stamps = [stamp for stamp in opened.read(0, len(opened)) if not isinstance(stamp, Damaged)]
    inputs = [prepare(stamp, convention="dr2_rgb", crop=CropConfig(), size=size).inputs[0] for stamp in stamps]
    return [stamp.object_id for stamp in stamps], np.stack(inputs) * 255


def test_shards_hold_what_prepare_gives(survey, packed, tmp_path):
    ids, inputs = prepared(survey)
    stamps = load_stamps(f"{packed}@kind", tmp_path)
    assert list(stamps.object_ids) == ids and stamps.object_ids[7] == ids[7] and stamps.object_ids[40:60] == tuple(ids[40:60])
    assert stamps.pixels.shape == (120, 3, 128, 128) and stamps.pixels.dtype == np.uint8
    np.testing.assert_array_equal(np.asarray(stamps.pixels), np.rint(inputs))
    table = open_survey([survey]).table()
    kinds = dict(zip(table["object_id"].to_pylist(), table["kind"].to_pylist(), strict=True))
    assert [stamps.classes[label] for label in stamps.labels] == [kinds[name] for name in ids]
    assert stamps.trains.tolist() == [is_training(name) for name in ids]
    assert stamps.validates.tolist() == [is_validation(name) for name in ids] and stamps.validates.any()
    assert load_stamps(str(packed), tmp_path).labels is None


def test_float16_and_other_sizes(survey, tmp_path):
    pack([str(survey)], tmp_path / "fine", dtype="float16", size=32, shard_stamps=64)
    stamps = load_stamps(str(tmp_path / "fine"), tmp_path)
    assert stamps.pixels.dtype == np.float16
    _, inputs = prepared(survey, 32)
    np.testing.assert_allclose(stamps.pixels[:], inputs, rtol=2**-11, atol=1e-5)
    feed = batches([stamps], 8, 0, 0)
    batch = next(feed)
    feed.close()
    assert batch["pixels"].dtype == torch.float16 and batch["pixels"].shape == (8, 3, 32, 32)


def test_rows_are_read_by_number_slice_numbers_and_mask(packed, tmp_path):
    pixels = load_stamps(str(packed), tmp_path).pixels
    whole = np.asarray(pixels)
    rng = np.random.default_rng(0)
    for key in (5, -1, slice(45, 55), slice(None, None, -7), slice(3, 3), rng.integers(-120, 120, 300), np.empty(0, int), rng.random(120) < 0.3):
        np.testing.assert_array_equal(pixels[key], whole[key])
    pixels.expect(np.arange(30, 110))
    for wrong in (120, -121, np.array([0, 120]), np.zeros(7, bool)):
        with pytest.raises(IndexError):
            pixels[wrong]


def test_the_stream_from_shards_is_that_from_arrays(packed, tmp_path):
    from dataclasses import replace

    stamps = load_stamps(f"{packed}@kind", tmp_path)
    feeds = [batches([one], 10, 0, 3) for one in (stamps, replace(stamps, pixels=np.asarray(stamps.pixels)))]
    for _ in range(20):
        one, other = (next(feed) for feed in feeds)
        assert all(torch.equal(one[name], other[name]) for name in one)
    for feed in feeds:
        feed.close()


def test_several_workers_make_the_same_shards(survey, packed, tmp_path):
    pack([f"{survey}@kind"], tmp_path / "shards", shard_stamps=50, workers=2)
    assert read_manifest(tmp_path / "shards") == read_manifest(packed)
    assert (tmp_path / "shards" / "stamps.arrow").read_bytes() == (packed / "stamps.arrow").read_bytes()
    for file in read_manifest(packed).files:
        assert file_sha256(tmp_path / "shards" / file.file) == file.sha256 == file_sha256(packed / file.file)


@pytest.mark.slow
def test_a_killed_packing_goes_on(survey, packed, tmp_path):
    out = tmp_path / "shards"
    program = (
        f"import sys, time\nfrom pathlib import Path\nimport {pack.__module__} as packer\nmade = packer._make_shard\n"
        "def slow(out, plan, surveys, number):\n    made(out, plan, surveys, number)\n    time.sleep(60 if number == 1 else 0)\n"
        "packer._make_shard = slow\npacker.pack([sys.argv[1]], Path(sys.argv[2]), shard_stamps=50)\n"
    )
    running = subprocess.Popen([sys.executable, "-c", program, f"{survey}@kind", str(out)], stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not (out / "parts" / "00001.arrow").exists() and running.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    assert not (out / SHARDS_FILE).exists() and not (out / "pixels" / "00002.npy").exists()
    with pytest.raises(ConfigError, match="not packed to the end"):
        load_stamps(str(out), tmp_path)
    kept = (out / "pixels" / "00000.npy").stat().st_mtime_ns
    half = out / "pixels" / "00001.npy"
    half.write_bytes(half.read_bytes()[:1000])
    (out / "pixels" / "00002.npy.part").write_bytes(b"half")
    assert pack([f"{survey}@kind"], out, shard_stamps=50) == read_manifest(packed)
    assert (out / "pixels" / "00000.npy").stat().st_mtime_ns == kept
    assert file_sha256(half) == read_manifest(packed).files[1].sha256


def test_verify_finds_and_mends_a_changed_shard(survey, tmp_path):
    out = tmp_path / "shards"
    before = pack([str(survey)], out, shard_stamps=50)
    path = out / before.files[2].file
    data = bytearray(path.read_bytes())
    data[5000] ^= 1
    path.write_bytes(data)
    pack([str(survey)], out, shard_stamps=50)
    assert file_sha256(path) != before.files[2].sha256
    assert pack([str(survey)], out, shard_stamps=50, verify=True) == before
    assert file_sha256(path) == before.files[2].sha256


def test_damaged_stamps_are_counted_and_listed(shared_data, tmp_path, capsys):
    source = shared_data / "fits_cutouts" / "dr3_dr5"
    assert main(["train", "shards", str(source), str(tmp_path / "shards"), "--json", "--workers", "0", "--shard-stamps", "5"]) == 0
    told = json.loads(capsys.readouterr().out)
    ids, inputs = prepared(source)
    assert told["stamps"] == len(ids) == 9 and told["damaged"] == 3 and told["files"] == 3
    with (tmp_path / "shards" / "damaged.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 3 and any("truncated" in line["reason"] for line in lines)
    np.testing.assert_array_equal(load_stamps(str(tmp_path / "shards"), tmp_path).pixels[:], np.rint(inputs))


def test_several_surveys_keep_their_own_labels(survey, shared_data, tmp_path):
    lenses = shared_data / "lens_candidates"
    pack([f"{survey}@kind", f"{lenses}@expert_grade", str(survey)], tmp_path / "shards", size=16, shard_stamps=100)
    stamps = load_stamps(f"{tmp_path / 'shards'}@kind", tmp_path)
    assert stamps.classes == ("edge_on", "round") and len(stamps.object_ids) == 120 + 204 + 120
    assert set(stamps.labels[:120]) == {0, 1} and (stamps.labels[120:] == -1).all()
    graded = load_stamps(f"{tmp_path / 'shards'}@expert_grade", tmp_path)
    assert (graded.labels[120:324] >= 0).all() and (graded.labels[:120] == -1).all() and (graded.labels[324:] == -1).all()
    with pytest.raises(ConfigError, match="no labels 'colour'; it has kind, expert_grade"):
        load_stamps(f"{tmp_path / 'shards'}@colour", tmp_path)


def test_a_prepared_survey_is_shards_and_the_first_form_still_opens(survey, tmp_path):
    stamps = load_stamps(f"{survey}@kind", tmp_path)
    again = load_stamps(f"{survey}@kind", tmp_path)
    (folder,) = tmp_path.iterdir()
    assert (folder / SHARDS_FILE).exists() and tuple(again.object_ids) == tuple(stamps.object_ids)
    pixels, ids = stamps.pixels[:], list(stamps.object_ids)
    first = tmp_path / "first" / folder.name
    first.mkdir(parents=True)
    np.save(first / "pixels.npy", pixels)
    (first / "stamps.json").write_text(json.dumps(ids))
    opened = load_stamps(f"{survey}@kind", tmp_path / "first")
    assert isinstance(opened.pixels, np.memmap)
    for name in ("labels", "trains", "validates"):
        np.testing.assert_array_equal(getattr(opened, name), getattr(stamps, name))
    np.testing.assert_array_equal(opened.pixels, pixels)
    assert tuple(opened.object_ids) == tuple(ids) and opened.classes == stamps.classes and opened.name == stamps.name


@pytest.mark.slow
def test_reading_a_batch_does_not_take_the_set_into_memory(tmp_path):
    """A sparse file of 1.8 GB stands for a large set; the process that reads from all over it stays small."""
    rows, side, folder = 600_000, 32, tmp_path / "big"
    (folder / "pixels").mkdir(parents=True)
    with (folder / "pixels" / "00000.npy").open("wb") as out:
        np.lib.format.write_array_header_1_0(out, {"descr": "|u1", "fortran_order": False, "shape": (rows, 3, side, side)})
        out.truncate(out.tell() + rows * 3 * side * side)
    plan = {"sources": [{"path": "made", "column": "", "stamps": rows}], "dtype": "uint8", "size": side, "shard_stamps": rows}
    files = [{"file": "pixels/00000.npy", "rows": rows, "sha256": ""}]
    counts = {"stamps": rows, "training": rows, "validating": 0, "damaged": 0}
    (folder / SHARDS_FILE).write_text(json.dumps({"plan": plan, **counts, "classes": {}, "files": files}))
    names, yes = pa.array([f"galaxy {i}" for i in range(rows)]), np.ones(rows, bool)
    table = pa.table({"object_id": names, "trains": yes, "validates": ~yes, "label": np.full(rows, -1, np.int32)})
    with pa.ipc.new_file(str(folder / "stamps.arrow"), table.schema) as writer:
        writer.write_table(table)
    program = (
        "import resource, sys, torch\nfrom pathlib import Path\nfrom training.data.stamps import load_stamps\nfrom training.data.stream import batches\n"
        "def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024\n"
        "before = peak()\nfeed = batches([load_stamps(sys.argv[1], Path('none'))], 256, 0, 100)\n"
        "for _ in range(100): next(feed)\nfeed.close()\nprint(peak() - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(folder)], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 120  # MB; the file is 1,843


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{empty}", "{out}"], "is no survey"),
        (["{survey}"], "at least one survey and, last"),
        (["{survey}", "{out}", "--dtype", "int4"], "there are uint8 and float16"),
        (["{survey}@colour", "{out}"], "no column 'colour'"),
        (["{survey}", "{out}", "--size", "4"], "8 to 1024"),
        (["{survey}", "{survey}"], "no folder of shards and not empty"),
        (["{survey}", "{packed}"], "other surveys or options"),
    ],
)
def test_bad_input_is_one_line(arguments, said, survey, packed, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("no stamps here")
    names = {"empty": tmp_path / "empty", "out": tmp_path / "out", "survey": survey, "packed": packed}
    assert main(["train", "shards", *[one.format(**names) for one in arguments]]) == 1
    error = capsys.readouterr().err.strip()
    assert said in error and "\n" not in error


def test_damaged_folders_are_told_in_one_line(survey, packed, tmp_path):
    import shutil

    for file, said in [("stamps.arrow", "missing or damaged"), ("pixels/00001.npy", "missing or damaged"), (SHARDS_FILE, "not packed to the end")]:
        folder = tmp_path / Path(file).name
        shutil.copytree(packed, folder)
        (folder / file).unlink()
        with pytest.raises(ConfigError, match=said):
            load_stamps(str(folder), tmp_path).pixels[60]
    short = tmp_path / "short"
    shutil.copytree(packed, short)
    os.truncate(short / "pixels" / "00001.npy", 10_000)
    with pytest.raises(ConfigError, match="too short"):
        open_shards(short).pixels[60]
    (short / SHARDS_FILE).write_text('{"colour": 1}')
    with pytest.raises(ConfigError, match="cannot be read"):
        open_shards(short)


def test_a_survey_without_one_good_stamp_is_refused(shared_data, tmp_path):
    import shutil

    source = tmp_path / "bad"
    source.mkdir()
    for file in (shared_data / "fits_cutouts" / "dr3_dr5").glob("*incomplete*"):
        shutil.copy(file, source)
    with pytest.raises(SurveyError):
        pack([str(source)], tmp_path / "shards")
