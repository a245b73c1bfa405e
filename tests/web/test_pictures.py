"""Rendered pictures: bounded in memory and on disk, whole or not there, rendered once."""

import multiprocessing
import os
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.errors import ConfigError
from web.picture_files import PNG_END, PNG_START, PictureFiles
from web.pictures import PictureCache, StampPicture

SOON = 30.0


def picture(row: int) -> StampPicture:
    return StampPicture(release="r", version="v", row=row, view="crop")


def png(size: int) -> bytes:
    return PNG_START + bytes(size - len(PNG_START) - len(PNG_END)) + PNG_END


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
    files.put("ab12", png(500))
    (path,) = tmp_path.rglob("*.png")
    path.write_bytes(spoil)
    assert files.get("ab12") is None
    assert not path.exists()


def test_the_oldest_pictures_go_and_what_a_killed_process_left(tmp_path):
    files = PictureFiles(tmp_path, 100_000)
    for number in range(80):
        files.put(f"{number:04x}", png(1000))
        path = tmp_path / f"{number:04x}"[:2] / f"{number:04x}.png"
        os.utime(path, (number + 1000, number + 1000))
    left = tmp_path / "00" / "0000.png.1.2.part"
    left.write_bytes(b"half")
    os.utime(left, (1, 1))
    assert files.get("0000") is not None  # so it is the youngest now
    for number in range(80, 130):
        files.put(f"{number:04x}", png(1000))
        assert used_bytes(tmp_path) <= 100_000
    assert files.get("0000") is not None
    assert files.get("0001") is None
    assert files.get(f"{129:04x}") is not None
    assert not left.exists()


@given(sizes=st.lists(st.integers(30, 3000), max_size=60))
def test_the_folder_stays_within_its_bytes(tmp_path_factory, sizes):
    folder = tmp_path_factory.mktemp("files")
    files = PictureFiles(folder, 20_000)
    for number, size in enumerate(sizes):
        files.put(f"{number:04x}", png(size))
        assert used_bytes(folder) <= 20_000


def write_many(folder: Path, seed: int) -> None:
    files = PictureFiles(folder, 200_000)
    for number in range(150):
        key = f"{(number * 7 + seed) % 97:04x}"
        data = files.get(key)
        assert data in (None, png(2000))
        files.put(key, png(2000))


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
    (tmp_path / "gone").rmdir()
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
