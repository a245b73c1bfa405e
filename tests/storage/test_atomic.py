"""Files and folders are put in place whole, or not at all; locks and records of shards."""

import hashlib
import multiprocessing
import threading

import pyarrow as pa
import pytest

from discovery.errors import ConfigError, ReleaseError
from discovery.storage.atomic import (
    clear_unfinished,
    file_sha256,
    made_beside,
    put,
    put_first,
    put_linked,
    put_made,
    replace_folder,
    written,
)
from discovery.storage.locks import LOCK_FILE, only_run
from discovery.storage.shard_records import put_record, read_record


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_a_file_that_fails_half_way_leaves_the_old_one(tmp_path):
    path = tmp_path / "a" / "file"
    put(path, b"old")
    with pytest.raises(ZeroDivisionError), written(path) as file:
        file.write(b"half" * (1 // 0))
    with pytest.raises(ZeroDivisionError), made_beside(path) as beside:
        beside.write_bytes(b"half" + bytes(beside.write_bytes(b"half") // 0))
    assert path.read_bytes() == b"old" and names(tmp_path) == ["a", "a/file"]


def test_the_checksum_of_what_was_written_is_known_without_reading_it_again(tmp_path):
    with written(tmp_path / "file") as file:
        file.write(b"one")
        file.write(memoryview(b"two"))
    assert file.sha256 == file_sha256(tmp_path / "file") == hashlib.sha256(b"onetwo").hexdigest()


def test_threads_that_write_the_same_file_leave_one_of_theirs(tmp_path):
    datas = [bytes([number]) * 100_000 for number in range(4)]
    threads = [threading.Thread(target=put, args=(tmp_path / "file", data)) for data in datas]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "file").read_bytes() in datas and names(tmp_path) == ["file"]


def test_made_folders_replace_older_ones_and_the_first_one_stays(tmp_path):
    def folder(text):
        def make(path):
            path.mkdir()
            (path / text).write_text(text)

        return make

    (tmp_path / "made.part").mkdir()  # left by a killed run
    put_made(tmp_path / "made", folder("one"))
    put_made(tmp_path / "made", folder("two"))
    assert names(tmp_path) == ["made", "made/two"]
    put_first(tmp_path / "made", folder("three"))
    assert names(tmp_path) == ["made", "made/two"]
    (tmp_path / "made" / "left.elsewhere-7.part").write_bytes(b"half")
    clear_unfinished(tmp_path)
    assert names(tmp_path) == ["made", "made/two"]


def test_a_linked_file_is_the_same_file(tmp_path):
    put(tmp_path / "one", b"data")
    put(tmp_path / "b" / "two", b"other")
    put_linked(tmp_path / "b" / "two", tmp_path / "one")
    assert (tmp_path / "b" / "two").samefile(tmp_path / "one")


def test_a_folder_replaces_another_and_what_a_kill_left_goes(tmp_path):
    for name in (".r.building", "r", ".r.replaced"):
        put(tmp_path / name / name, b"")
    replace_folder(tmp_path / ".r.building", tmp_path / "r")
    assert names(tmp_path) == ["r", "r/.r.building"]


def hold(folder, held, over, shared):
    with only_run(folder, shared=shared):
        held.set()
        over.wait(60)


@pytest.fixture
def held(tmp_path):
    """Return a function that lets another process hold the folder until the test is over."""
    context = multiprocessing.get_context("spawn")
    over, children = context.Event(), []

    def held(shared=False):
        begun = context.Event()
        children.append(context.Process(target=hold, args=(tmp_path, begun, over, shared)))
        children[-1].start()
        assert begun.wait(60)
        return over

    yield held
    over.set()
    for child in children:
        child.join()


def test_a_held_folder_is_refused_and_shared_runs_go_together(tmp_path, held):
    held(shared=True)
    with only_run(tmp_path, shared=True):
        pass
    with pytest.raises(ConfigError, match=r"Another 'discovery index' is working in .*choose another --name"), only_run(tmp_path):
        pass


def test_who_waits_goes_on_when_the_other_run_ends(tmp_path, held, caplog):
    over = held()
    threading.Timer(0.3, over.set).start()
    with only_run(tmp_path, program="discovery train shards", waits=True, leaves_lock=False):
        assert "Another 'discovery train shards' is working" in caplog.text
    assert not (tmp_path / LOCK_FILE).exists()


def test_a_record_comes_back_and_a_changed_one_is_an_error(tmp_path):
    table, path = pa.table({"a": [1, 2]}).replace_schema_metadata({"about": "x"}), tmp_path / "parts" / "00000.arrow"
    put_record(path, table)
    assert read_record(path).equals(table, check_metadata=True)
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(ReleaseError, match=r"parts/00000\.arrow does not have its checksum"):
        read_record(path)
    path.write_bytes(data[:-32])  # as older programs wrote training shards
    assert read_record(path).equals(table, check_metadata=True)
    path.unlink()
    with pytest.raises(ReleaseError, match="there is no parts"):
        read_record(path)
