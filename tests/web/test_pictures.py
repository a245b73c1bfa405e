"""Rendered pictures: bounded in memory and on disk, whole or not there, rendered once."""

import multiprocessing
import os
import shutil
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.errors import ConfigError
from web.stamps.picture_files import OWN_FOLDER, PNG_END, PNG_START, PictureFiles
from web.stamps.pictures import PictureCache, StampPicture

SOON = 30.0


def picture(row: int) -> StampPicture:
    return StampPicture(release="r", version="v", row=row, view="crop")


def png(size: int) -> bytes:
    return PNG_START + bytes(size - len(PNG_START) - len(PNG_END)) + PNG_END


def key_of(number: int) -> str:
    return f"{number:04x}" + 60 * "0"


def used_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_a_picture_outlives_its_process_and_is_not_rendered_again(tmp_path):
    first = PictureCache(10_000, PictureFiles(tmp_path, 100_000))
    assert first.get(picture(1), lambda: png(500)) == png(500)
    second = PictureCache(10_000, PictureFiles(tmp_path, 100_000))
    assert second.get(picture(1), lambda: pytest.fail("rendered again")) == png(500)


@pytest.mark.parametrize("changed", [{"release": "s"}, {"version": "w"}, {"row": 2}, {"view": "context"}, {"size": 96}, {"bar": True}])
def test_another_picture_has_another_key(changed):
    said = {"release": "r", "version": "v", "row": 1, "view": "crop"}
    assert StampPicture(**said).key != StampPicture(**{**said, **changed}).key


@pytest.mark.parametrize("spoil", [b"", PNG_START, png(500)[:-1], b"\0" * 500])
def test_a_half_written_file_is_no_picture(tmp_path, spoil):
    files = PictureFiles(tmp_path, 100_000)
    files.put(key_of(0xAB12), png(500))
    (path,) = tmp_path.rglob("*.png")
    path.write_bytes(spoil)
    assert files.get(key_of(0xAB12)) is None
    assert not path.exists()


def test_the_oldest_pictures_go_and_what_a_killed_process_left(tmp_path):
    files = PictureFiles(tmp_path, 100_000)
    for number in range(80):
        files.put(key_of(number), png(1000))
        path = tmp_path / OWN_FOLDER / key_of(number)[:2] / f"{key_of(number)}.png"
        os.utime(path, (number + 1000, number + 1000))
    left = tmp_path / OWN_FOLDER / "00" / f"{key_of(0)}.png.1.2.part"
    left.write_bytes(b"half")
    os.utime(left, (1, 1))
    assert files.get(key_of(0)) is not None  # so it is the youngest now
    for number in range(80, 130):
        files.put(key_of(number), png(1000))
        assert used_bytes(tmp_path) <= 100_000
    assert files.get(key_of(0)) is not None
    assert files.get(key_of(1)) is None
    assert files.get(key_of(129)) is not None
    assert not left.exists()


@given(sizes=st.lists(st.integers(30, 3000), max_size=60))
def test_the_folder_stays_within_its_bytes(tmp_path_factory, sizes):
    folder = tmp_path_factory.mktemp("files")
    files = PictureFiles(folder, 20_000)
    for number, size in enumerate(sizes):
        files.put(key_of(number), png(size))
        assert used_bytes(folder) <= 20_000


def test_what_is_not_ours_in_the_folder_stays(tmp_path):
    (tmp_path / OWN_FOLDER / "ab" / f"{key_of(3)}.png").mkdir(parents=True)  # a folder where a picture could be
    foreign = [
        tmp_path / "photos" / "holiday.png",
        tmp_path / "ab" / "mine.txt",
        tmp_path / "ab" / f"{key_of(0xAB01)}.png",
        tmp_path / OWN_FOLDER / "ab" / "notes.txt",
        tmp_path / OWN_FOLDER / "albums" / f"{key_of(2)}.png",
        tmp_path / OWN_FOLDER / "ab" / "half.part",
    ]
    for path in foreign:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(5000))
        os.utime(path, (1, 1))
    files = PictureFiles(tmp_path, 20_000)
    for number in range(200):
        files.put(key_of(number), png(400))
    assert all(path.is_file() for path in foreign)
    assert files.get(key_of(0)) is None and files.get(key_of(199)) is not None


def test_trouble_while_the_oldest_are_dropped_is_no_trouble_of_the_picture(tmp_path, monkeypatch):
    def lost(*_):
        raise PermissionError("gone")

    files = PictureFiles(tmp_path, 20_000)
    monkeypatch.setattr("web.stamps.picture_files.os.scandir", lost)
    for number in range(100):
        files.put(key_of(number), png(400))
    assert files.get(key_of(99)) == png(400)


def write_many(folder: Path, seed: int) -> None:
    files = PictureFiles(folder, 200_000)
    for number in range(150):
        key = key_of((number * 7 + seed) % 97)
        data = files.get(key)
        assert data in (None, png(2000))
        files.put(key, png(2000))


@pytest.mark.slow
def test_processes_share_a_folder(tmp_path):
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=write_many, args=(tmp_path, seed)) for seed in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert 0 < used_bytes(tmp_path) <= 210_000
    assert not list(tmp_path.rglob("*.part"))


def test_a_full_or_vanished_disk_costs_time_and_nothing_else(tmp_path):
    cache = PictureCache(0, PictureFiles(tmp_path / "gone", 100_000))
    shutil.rmtree(tmp_path / "gone")
    assert cache.get(picture(1), lambda: png(100)) == png(100)


def test_a_folder_that_cannot_be_one_is_said_at_the_start(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="stamp_cache"):
        PictureFiles(tmp_path / "file", 1000)


def test_threads_that_want_one_picture_render_it_once(tmp_path):
    cache, rendered, begun, go = PictureCache(10_000), [], threading.Event(), threading.Event()

    def render() -> bytes:
        rendered.append(1)
        begun.set()
        assert go.wait(SOON)
        return b"x"

    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(cache.get(picture(1), render))) for _ in range(6)]
    for thread in threads:
        thread.start()
    assert begun.wait(SOON)
    time.sleep(0.05)
    go.set()
    for thread in threads:
        thread.join(SOON)
    assert (found, rendered) == ([b"x"] * 6, [1])


def test_what_cannot_be_rendered_is_tried_again():
    cache = PictureCache(10_000)
    with pytest.raises(ZeroDivisionError):
        cache.get(picture(1), lambda: 1 / 0)
    assert cache.get(picture(1), lambda: b"x") == b"x"
