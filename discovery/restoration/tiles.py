"""Images of any size through a network of one size: overlapping tiles, smoothly blended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

TILES_A_BATCH = 32


@dataclass(frozen=True, kw_only=True)
class Window:
    """A square or oblong part of an image, and how much it counts for each of its pixels.

    Attributes
    ----------
    rows, columns : slice
        Where it lies.
    weight : numpy.ndarray
        (h, w) float64; over all windows of a `cover` the weights of a pixel add up to 1.
    """

    rows: slice
    columns: slice
    weight: np.ndarray


def cover(height: int, width: int, size: int, overlap: int) -> list[Window]:
    """Return windows of one size that cover an image (or of the image's, where that is smaller).

    Neighbours share at least ``overlap`` pixels, over which the weight passes from the one to the other linearly.
    """
    down, across = _cover_line(height, size, overlap), _cover_line(width, size, overlap)
    return [
        Window(rows=slice(r, r + len(a)), columns=slice(c, c + len(b)), weight=np.outer(a, b))
        for r, a in down
        for c, b in across
    ]


def apply_tiles(
    network: Callable[[np.ndarray], np.ndarray], planes: np.ndarray, side: int, overlap: int, only: np.ndarray | None = None
) -> np.ndarray:
    """Return a network's answer over a whole image.

    Parameters
    ----------
    network : callable
        (B, C, S, S) float32 to (B, 3, S, S).
    planes : numpy.ndarray
        (C, H, W); sides below S are continued by mirroring.
    side, overlap : int
        S, and the least pixels that neighbouring tiles share.
    only : numpy.ndarray, optional
        (H, W) bool: tiles without one of these pixels are left out, and stay 0.

    Returns
    -------
    numpy.ndarray
        (3, H, W) float64.
    """
    height, width = planes.shape[1:]
    around = [(0, 0), (0, max(0, side - height)), (0, max(0, side - width))]
    padded = np.pad(planes, around, mode="symmetric")
    wanted = None if only is None else np.pad(only, around[1:])
    answer = np.zeros((3, *padded.shape[1:]))
    windows = [
        window
        for window in cover(padded.shape[1], padded.shape[2], side, overlap)
        if wanted is None or wanted[window.rows, window.columns].any()
    ]
    for batch in _batches(windows):
        inputs = np.stack([padded[:, window.rows, window.columns] for window in batch]).astype(np.float32)
        for window, output in zip(batch, network(inputs), strict=True):
            answer[:, window.rows, window.columns] += window.weight * output
    return answer[:, :height, :width]


def _batches(windows: list[Window]) -> Iterator[list[Window]]:
    for start in range(0, len(windows), TILES_A_BATCH):
        yield windows[start : start + TILES_A_BATCH]


def _cover_line(length: int, size: int, overlap: int) -> list[tuple[int, np.ndarray]]:
    """Return the first pixel and the weights of each window along one axis."""
    if length <= size:
        return [(0, np.ones(length))]
    count = -(-(length - overlap) // (size - overlap))
    starts = np.linspace(0, length - size, count).round().astype(int)
    ramp = np.minimum(np.arange(size) + 1.0, np.arange(size, 0, -1.0))
    taper = np.minimum(ramp / (overlap + 1), 1.0)
    total = np.zeros(length)
    for start in starts:
        total[start : start + size] += taper
    return [(int(start), taper / total[start : start + size]) for start in starts]
