"""Worker processes: started with what they need, and one that dies is one clear error."""

import os

import pytest

from discovery.errors import LostWorker
from discovery.processes.worker_pool import worker_pool

_given = []


def remember(*given):
    _given.extend(given)


def answer(number):
    import cv2

    if number < 0:
        os._exit(1)
    return number, _given, cv2.getNumThreads(), os.getpid()


def test_workers_know_what_they_were_given_and_use_one_thread():
    with worker_pool(2, remember, "a", 2, doing="answers", remedy="ask less") as pool:
        found = list(pool.map(answer, range(6)))
    assert [one[:3] for one in found] == [(number, ["a", 2], 1) for number in range(6)]
    assert os.getpid() not in {one[3] for one in found}


def test_a_worker_that_dies_is_one_clear_error():
    message = r"A process that answers was stopped from outside.*; ask less\."
    with pytest.raises(LostWorker, match=message), worker_pool(1, remember, doing="answers", remedy="ask less") as pool:
        pool.submit(answer, -1).result()


def test_an_error_in_a_task_comes_out_as_it_is():
    with pytest.raises(TypeError), worker_pool(1, remember, doing="answers", remedy="ask less") as pool:
        pool.submit(answer, "text").result()
