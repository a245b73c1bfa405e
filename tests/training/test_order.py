"""The order of stamps and the batches made from it: each once an epoch, from any step, over any processes."""

import itertools
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from discovery.errors import ConfigError
from training.data.order import Order
from training.data.stamps import Stamps
from training.data.stream import _read, _Together, batches

orders = st.builds(
    lambda count, seed, chunk, several: Order(count=count, seed=seed, chunk=chunk, window=chunk * several),
    st.integers(1, 300), st.integers(0, 2**32), st.integers(1, 20), st.integers(1, 8),
)  # fmt: skip


def made(name, count, seed, labelled=True):
    """Stamps whose first pixels are their row, so that a batch can be traced back."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (count, 3, 8, 8), dtype=np.uint8)
    pixels[:, 0, 0, 0], pixels[:, 0, 0, 1] = np.arange(count) // 256, np.arange(count) % 256
    return Stamps(
        name=name, pixels=pixels, object_ids=tuple(f"{name}{i}" for i in range(count)),
        labels=rng.integers(-1, 4, count) if labelled else None, classes=("a", "b", "c", "d") if labelled else (),
        trains=rng.random(count) < 0.7, validates=np.zeros(count, bool),
    )  # fmt: skip


@pytest.fixture(scope="module")
def parts():
    return [made("one", 500, 1), made("two", 77, 2, labelled=False), made("three", 90, 3)]


def rows(batch):
    """Return (part, row) of each stamp of a batch."""
    number = batch["pixels"][:, 0, 0, 0].long() * 256 + batch["pixels"][:, 0, 0, 1]
    return list(zip(batch["part"].tolist(), number.tolist(), strict=True))


@settings(max_examples=40)
@given(orders, st.integers(0, 3))
def test_an_epoch_holds_each_stamp_once(order, epoch):
    taken = order.take(epoch * order.count, (epoch + 1) * order.count)
    np.testing.assert_array_equal(np.sort(taken), np.arange(order.count))


@settings(max_examples=40)
@given(orders, st.integers(0, 700), st.integers(0, 400), st.integers(0, 400))
def test_any_part_of_the_stream_is_the_same_wherever_it_begins(order, start, first, second):
    whole = order.take(start, start + first + second)
    assert len(whole) == first + second
    np.testing.assert_array_equal(order.take(start + first, start + first + second), whole[first:])


@settings(max_examples=40)
@given(orders, st.integers(0, 700))
def test_a_window_is_its_chunks(order, position):
    start, stop = order.window_at(position)
    assert start <= position < stop and stop - start <= order.window
    chunks = order.chunks(start)
    assert len(chunks) <= order.window // order.chunk
    expected = sorted(stamp for chunk in chunks for stamp in range(*chunk))
    assert sorted(order.take(start, stop).tolist()) == expected
    assert order.window_at(stop)[0] == stop


def test_seeds_and_epochs_differ_and_a_small_set_is_shuffled_whole():
    order = Order(count=5000, seed=0)
    first, second = order.take(0, 5000), order.take(5000, 10_000)
    other = Order(count=5000, seed=1).take(0, 5000)
    assert not np.array_equal(first, second) and not np.array_equal(first, other)
    for taken in (first, second, other):
        assert abs(np.corrcoef(taken, np.arange(5000))[0, 1]) < 0.08  # 5.6 sigma of a fair shuffle
        assert np.abs(np.diff(taken)).mean() == pytest.approx(5000 / 3, rel=0.1)


def test_a_set_of_76_million_starts_anywhere_and_reads_whole_chunks():
    order = Order(count=76_000_000, seed=3)
    start, stop = order.window_at(10**9 + 12_345)
    taken = order.take(start, stop)
    assert len(np.unique(taken)) == stop - start == 65_536
    assert len(np.unique(taken // order.chunk)) == 256
    assert np.ptp(taken) > 7e7


@pytest.mark.parametrize("wrong", [{"count": 0}, {"chunk": 0}, {"window": 100}, {"window": 1}])
def test_impossible_orders_are_refused(wrong):
    with pytest.raises(ConfigError, match="multiple of a chunk"):
        Order(**{"count": 10, "seed": 0, **wrong})


@settings(max_examples=20)
@given(st.integers(1, 8), st.integers(1, 8), st.integers(0, 40), st.integers(0, 9))
def test_batches_are_shared_and_resumed_exactly(parts, share, world, first, seed):
    batch = share * world
    feed = batches(parts, batch, seed, first)
    whole = [next(feed) for _ in range(3)]
    feed.close()
    feeds = [batches(parts, batch, seed, first + 1, rank, world) for rank in range(world)]
    for expected in whole[1:]:
        shared = [next(one) for one in feeds]
        assert {int(one["step"]) for one in shared} == {int(expected["step"])}
        for name in ("pixels", "part", "label", "position"):
            assert torch.equal(torch.cat([one[name] for one in shared]), expected[name])
    for one in feeds:
        one.close()


def test_each_training_stamp_comes_once_an_epoch_with_its_label(parts):
    count, batch = sum(int(s.trains.sum()) for s in parts), 16
    allowed = {(i, row) for i, s in enumerate(parts) for row in np.flatnonzero(s.trains).tolist()}
    steps = -(-2 * count // batch)
    seen = []
    for given_batch in itertools.islice(batches(parts, batch, 0, 0), steps):
        assert given_batch["pixels"].dtype == torch.uint8 and given_batch["pixels"].shape == (batch, 3, 8, 8)
        for (part, row), pixels, label in zip(rows(given_batch), given_batch["pixels"], given_batch["label"].tolist(), strict=True):
            seen.append((part, row))
            np.testing.assert_array_equal(pixels, parts[part].pixels[row])
            assert label == (-1 if parts[part].labels is None else parts[part].labels[row])
    first, second = seen[:count], seen[count : 2 * count]
    assert set(first) == set(second) == allowed and len(first) == len(allowed) and first != second


@settings(max_examples=20)
@given(st.integers(1, 3), st.integers(1, 6), st.integers(0, 60))
def test_a_process_announces_just_what_it_will_read(world, share, first):
    """In ascending order within a window, and before it is read."""
    rng = np.random.default_rng(0)
    trains = rng.random(200) < 0.5

    class Announced:
        shape, dtype = (200, 3, 2, 2), np.dtype(np.uint8)

        def __init__(self):
            self.known, self.last = set(), []

        def expect(self, rows):
            assert (np.diff(rows) > 0).all() and trains[rows].all()
            self.known |= set(rows.tolist())
            self.last += rows.tolist()

        def __getitem__(self, rows):
            assert set(rows.tolist()) <= self.known
            return np.zeros((len(rows), *self.shape[1:]), np.uint8)

    pixels = Announced()
    one = replace(made("one", 200, 0), pixels=pixels, trains=trains, labels=None)
    order = Order(count=int(trains.sum()), seed=1, chunk=4, window=16)
    feed = _read(_Together([one]), order, world * share, first, world - 1, world)
    for _ in range(40):
        next(feed)
    assert len(pixels.last) <= 40 * share + 3 * 16  # no more than the windows it is in, and the one behind


def test_the_reading_thread_ends_and_its_errors_come_through(parts):
    feed = batches(parts, 16, 0, 0)
    next(feed)
    assert any(thread.name == "read ahead" for thread in threading.enumerate())
    feed.close()
    assert not any(thread.name == "read ahead" for thread in threading.enumerate())

    class Broken(np.ndarray):
        def __getitem__(self, key):
            raise OSError("the disk is gone")

    broken = replace(parts[0], pixels=parts[0].pixels.view(Broken))
    with pytest.raises(OSError, match="the disk is gone"):
        next(batches([broken], 16, 0, 0))
    assert not any(thread.name == "read ahead" for thread in threading.enumerate())


def test_float16_and_uint8_parts_mix_on_one_scale(parts):
    fine = replace(parts[2], pixels=(parts[2].pixels + np.float16(0.25)).astype(np.float16))
    feed = batches([parts[0], fine], 32, 0, 0)
    batch = next(feed)
    feed.close()
    assert batch["pixels"].dtype == torch.float16
    rest = batch["pixels"][batch["part"] == 1] % 1
    assert len(rest) and (rest == 0.25).all() and (batch["pixels"][batch["part"] == 0] % 1 == 0).all()


def test_impossible_batches_are_refused_in_one_line(parts):
    other = replace(parts[1], pixels=np.zeros((77, 3, 16, 16), np.uint8))
    for arguments, said in [
        (([parts[1]], 128, 0, 0), "fewer than a batch of 128"),
        ((parts, 9, 0, 0, 0, 2), "shared equally by 2"),
        (([parts[0], other], 9, 0, 0), "one 8, two 16"),
    ]:
        with pytest.raises(ConfigError, match=said) as problem:
            batches(*arguments)
        assert "\n" not in str(problem.value)
