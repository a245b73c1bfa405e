"""Batches for the training loop, read ahead by a thread: the accelerator should not wait for data."""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from discovery.errors import ConfigError
from training.data.order import Order
from training.data.stamps import Stamps

AHEAD = 4
"""Batches that wait, read, for the loop."""
BLOCK = 1024


def batches(
    parts: Sequence[Stamps], batch: int, seed: int, first_step: int, rank: int = 0, world: int = 1
) -> Iterator[dict[str, Tensor]]:
    """Give this process's share of endless batches of training stamps, from any step on.

    The stamps of all parts are one stream in the order of `training.data.order`; the batch of a step is the same
    whatever step the stream began at and however many processes share it.

    Parameters
    ----------
    parts
        Surveys, whose ``trains`` marks the stamps that are learned.
    batch
        Stamps a step over all processes.
    rank, world
        This process takes the rank-th of ``world`` equal runs of consecutive rows of each batch.

    Yields
    ------
    dict
        ``pixels`` (b, 3, S, S) uint8 (float16 where a part is so stored), colours times 255; ``part``, ``label``
        (-1 where there is none) and ``position`` in the whole batch, (b,) int64; ``step``, () int64; ``answers``
        (b, C) float32 where parts have any. In pinned memory once CUDA is in use.

    Raises
    ------
    ConfigError
        If there are fewer stamps than a batch, processes cannot share it equally, or parts differ in size.
    """
    stamps = _Together(parts)
    if stamps.count < batch:
        raise ConfigError(f"There are {stamps.count} training stamps, fewer than a batch of {batch}; give more, or a smaller batch.")
    if batch % world:
        raise ConfigError(f"A batch of {batch} cannot be shared equally by {world} processes; give a multiple of {world}.")
    return _ahead(lambda: _read(stamps, Order(count=stamps.count, seed=seed), batch, first_step, rank, world))


def _read(stamps: _Together, order: Order, batch: int, step: int, rank: int, world: int) -> Iterator[dict[str, Tensor]]:
    share = batch // world
    own = slice(rank * share, (rank + 1) * share)
    coming = _Coming(stamps, order, batch, own, step * batch)
    while True:
        coming.keep_pace(step * batch)
        first = step * batch + own.start
        made = stamps.read(order.take(first, first + share))
        made["position"] = torch.arange(own.start, own.stop)
        made["step"] = torch.tensor(step)
        yield made
        step += 1


class _Coming:
    """Lets the operating system read this process's stamps of the next window while this one is used up.

    They are announced in the order of the disk, a few at each step, so that reading is sequential and steady.
    """

    def __init__(self, stamps: _Together, order: Order, batch: int, own: slice, position: int) -> None:
        self.stamps, self.order, self.batch, self.own = stamps, order, batch, own
        self._begin(position)

    def keep_pace(self, position: int) -> None:
        """Announce what the batch at a position needs, and as much of the window behind it as is used up of its own."""
        while self.start < position + self.batch:
            self._announce(len(self.numbers))
            self._begin(self.stop)
        start, stop = self.order.window_at(position)
        self._announce(-(-len(self.numbers) * min(position + self.batch - start, stop - start) // (stop - start)))

    def _begin(self, position: int) -> None:
        self.start, self.stop = self.order.window_at(position)
        place = np.arange(self.start, self.stop) % self.batch
        mine = (place >= self.own.start) & (place < self.own.stop)
        self.numbers, self.announced = np.sort(self.order.take(self.start, self.stop)[mine]), 0

    def _announce(self, due: int) -> None:
        self.stamps.expect(self.numbers[self.announced : due])
        self.announced = max(due, self.announced)


class _Together:
    """The training stamps of several surveys as one numbered set."""

    def __init__(self, parts: Sequence[Stamps]) -> None:
        sides = {stamps.name: stamps.pixels.shape[-1] for stamps in parts}
        if len(set(sides.values())) > 1:
            found = ", ".join(f"{name} {side}" for name, side in sides.items())
            raise ConfigError(f"The stamps differ in pixels a side ({found}); pack them with the same --size.")
        self.parts = tuple(parts)
        self.chosen = [_Chosen(stamps.trains) for stamps in parts]
        self.first = np.cumsum([0, *(chosen.count for chosen in self.chosen)])
        self.count = int(self.first[-1])

    def read(self, numbers: np.ndarray) -> dict[str, Tensor]:
        """Return pixels, part and label of some stamps."""
        part = np.searchsorted(self.first, numbers, side="right") - 1
        label = np.full(len(numbers), -1)
        shape = (len(numbers), *self.parts[0].pixels.shape[1:])
        pixels = np.empty(shape, np.result_type(*(stamps.pixels.dtype for stamps in self.parts)))
        widths = {stamps.answers.shape[1] for stamps in self.parts if stamps.answers is not None}
        answers = np.full((len(numbers), max(widths, default=0)), np.nan, np.float32)
        for which in np.unique(part):
            stamps, places = self.parts[which], np.flatnonzero(part == which)
            places = places[np.argsort(numbers[places])]  # in the order of the disk
            rows = self.chosen[which].rows(numbers[places] - self.first[which])
            pixels[places] = stamps.pixels[rows]
            if stamps.labels is not None:
                label[places] = stamps.labels[rows]
            if stamps.answers is not None:
                answers[places] = stamps.answers[rows]
        made = {"pixels": pixels, "part": part, "label": label} | ({"answers": answers} if widths else {})
        return {name: torch.from_numpy(values) for name, values in made.items()}

    def expect(self, numbers: np.ndarray) -> None:
        """Let the operating system read stamps (n,) ascending that will be wanted, where they can be announced."""
        bounds = np.searchsorted(numbers, self.first)
        for which, (start, stop) in enumerate(itertools.pairwise(bounds)):
            announce: Callable[[np.ndarray], None] | None = getattr(self.parts[which].pixels, "expect", None)
            if announce is not None and start < stop:
                announce(self.chosen[which].rows(numbers[start:stop] - self.first[which]))


class _Chosen:
    """The rows at which a mask is true, by their number, without a list of them all."""

    def __init__(self, mask: np.ndarray) -> None:
        self.mask = np.asarray(mask, bool)
        starts = np.arange(0, len(self.mask), BLOCK)
        sums = np.add.reduceat(self.mask, starts, dtype=np.int64) if len(starts) else starts
        self.first = np.concatenate([[0], np.cumsum(sums)])
        self.count = int(self.first[-1])

    def rows(self, numbers: np.ndarray) -> np.ndarray:
        """Return the rows (n,) int64 of the numbered true entries."""
        block = np.searchsorted(self.first, numbers, side="right") - 1
        rows = np.empty(len(numbers), np.int64)
        for which in np.unique(block):
            own, start = block == which, which * BLOCK
            rows[own] = start + np.flatnonzero(self.mask[start : start + BLOCK])[numbers[own] - self.first[which]]
        return rows


def _ahead(made: Callable[[], Iterator[dict[str, Tensor]]]) -> Iterator[dict[str, Tensor]]:
    """Give what an iterator makes, which runs ahead in a thread; its errors are raised here, closing ends it."""
    waiting: queue.Queue[dict[str, Tensor] | BaseException] = queue.Queue(AHEAD)
    stop = threading.Event()
    device = torch.cuda.current_device() if torch.cuda.is_initialized() else None
    thread = threading.Thread(target=_fill, args=(made, waiting, stop, device), name="read ahead", daemon=True)
    thread.start()
    try:
        while True:
            given = waiting.get()
            if isinstance(given, BaseException):
                raise given
            yield given
    finally:
        stop.set()
        while thread.is_alive():
            try:  # makes room for a batch that the thread wants to hand over
                waiting.get(timeout=0.01)
            except queue.Empty:
                thread.join(0.01)


def _fill(made: Callable[[], Iterator[dict[str, Tensor]]], waiting: queue.Queue, stop: threading.Event, device: int | None) -> None:
    try:
        if device is not None:
            torch.cuda.set_device(device)  # a thread begins on device 0
        for batch in made():
            if device is not None:
                batch = {name: value.pin_memory() for name, value in batch.items()}
            waiting.put(batch)
            if stop.is_set():
                return
    except BaseException as problem:
        waiting.put(problem)
