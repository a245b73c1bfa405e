"""All embeddings in low precision in a device's memory, to propose rows from: float16 or 8 bits a number."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

Precision = Literal["float16", "int8"]
HALF_ERROR = 2e-3
"""Bound of the error of a cosine in float16: rounding the unit embedding, the unit query and the sum shifts it by at most 2**-11 each,
1.47e-3 together (numbers below 6e-5, rounded to 3e-8, add less than 1e-5). The sum itself must run in float32, see `float32_sums`."""
SPARE_BYTES = 4 * 2**30
"""Device memory left for the work on a chunk."""
LARGEST_CODE = 127
LEAST_COLUMNS = 8
"""An int8 matrix product on a GPU wants multiples of eight columns."""


def fits(device: torch.device, rows: int, dimension: int, dtype: Precision) -> bool:
    """Return whether embeddings fit a GPU's free memory."""
    free, _ = torch.cuda.mem_get_info(device)
    return rows * (2 * dimension if dtype == "float16" else dimension + 4) + SPARE_BYTES <= free


@dataclass(frozen=True)
class Proposals:
    """Scores in low precision.

    Attributes
    ----------
    error : float or None
        Largest difference to a true score; None where it is not known.
    """

    blocks: HalfBlocks | Int8Blocks
    score: object
    error: float | None

    def pieces(self, allowed: np.ndarray | None) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
        """Yield (n,) rows and (n, q) float32 scores; a row that is not allowed scores minus infinity.

        A score that low precision could not hold says nothing (an overflow, or NaN after one): it is plus infinity here, so that the
        row is proposed.
        """
        seen = 0
        for number, rows in enumerate(self.blocks.rows):
            scores = self.score(number)  # type: ignore[operator]
            scores = torch.where(torch.isfinite(scores), scores, torch.inf)
            if allowed is not None:
                mine = torch.from_numpy(np.ascontiguousarray(allowed[seen : seen + len(rows)])).to(scores.device)
                scores = torch.where(mine[:, None], scores, -torch.inf)
            seen += len(rows)
            yield np.arange(rows.start, rows.stop), scores


class HalfBlocks:
    """(n, D) float16 blocks of unit vectors.

    Parameters
    ----------
    pieces : iterable
        Consecutive rows (n,) and their unit vectors (n, D) float32.
    """

    def __init__(self, pieces: Iterable[tuple[np.ndarray, torch.Tensor]], device: torch.device) -> None:
        float32_sums(device)
        self.rows: list[range] = []
        self._blocks: list[torch.Tensor] = []
        for rows, vectors in pieces:
            self.rows.append(range(int(rows[0]), int(rows[-1]) + 1))
            self._blocks.append(vectors.to(device).half())

    def similarities(self, queries: torch.Tensor) -> Proposals:
        """Return cosines with (q, D) float32 unit vectors."""
        columns = queries.T.half()
        return Proposals(self, lambda number: (self._blocks[number] @ columns).float(), HALF_ERROR)

    def scores(self, module: torch.nn.Module) -> Proposals:
        """Return scores by a module, run in float16 on a GPU."""
        low = _low_precision(module, self._blocks[0].device)
        return Proposals(self, lambda number: low(self._blocks[number])[:, None].float(), None)


class Int8Blocks:
    """(n, D) int8 blocks with one scale a row, ``max|x| / 127``.

    Parameters
    ----------
    pieces : iterable
        Consecutive rows (n,) and their unit vectors (n, D) float32.
    """

    def __init__(self, pieces: Iterable[tuple[np.ndarray, torch.Tensor]], device: torch.device) -> None:
        float32_sums(device)
        self.rows: list[range] = []
        self._codes: list[torch.Tensor] = []
        self._scales: list[torch.Tensor] = []
        self.error = 0.0
        for rows, vectors in pieces:
            vectors = vectors.to(device)
            codes, scales = quantised(vectors)
            self.rows.append(range(int(rows[0]), int(rows[-1]) + 1))
            self._codes.append(codes)
            self._scales.append(scales)
            rest = vectors - codes * scales[:, None]
            self.error = max(self.error, float(torch.linalg.vector_norm(rest, dim=1).max()))

    def similarities(self, queries: torch.Tensor) -> Proposals:
        """Return cosines with (q, D) float32 unit vectors, each taken as two int8 vectors: 16 bits a number."""
        high, scales = quantised(queries)
        low, low_scales = quantised(queries - high * scales[:, None])
        rest = queries - high * scales[:, None] - low * low_scales[:, None]
        columns = torch.cat([high, low]).T  # (D, 2 q)
        weights = torch.cat([scales, low_scales])

        def score(number: int) -> torch.Tensor:
            products = _product(self._codes[number], columns) * weights
            return (products[:, : len(high)] + products[:, len(high) :]) * self._scales[number][:, None]

        return Proposals(self, score, self.error + float(torch.linalg.vector_norm(rest, dim=1).max()) + 1e-6)

    def scores(self, module: torch.nn.Module) -> Proposals:
        """Return scores by a module, run in float16 on a GPU."""
        device = self._codes[0].device
        low, dtype = _low_precision(module, device), torch.float16 if device.type == "cuda" else torch.float32

        def score(number: int) -> torch.Tensor:
            return low(self._codes[number] * self._scales[number][:, None].to(dtype))[:, None].float()

        return Proposals(self, score, None)


def quantised(vectors: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (n, D) float32 vectors as int8 codes (n, D) with scales (n,): ``codes * scales[:, None]`` is nearly the vectors."""
    scales = torch.clamp(vectors.abs().amax(dim=1) / LARGEST_CODE, min=torch.finfo(torch.float32).tiny)
    return torch.round(vectors / scales[:, None]).to(torch.int8), scales


def _product(codes: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """Multiply (n, D) by (D, c) int8, (n, c) float32: in integers on a GPU, where that is the quickest there is."""
    if codes.device.type != "cuda" or codes.shape[1] % LEAST_COLUMNS or len(codes) <= 16:
        return codes.float() @ columns.float()
    count = columns.shape[1]
    padded = torch.nn.functional.pad(columns, (0, -count % LEAST_COLUMNS))
    return torch._int_mm(codes, padded)[:, :count].float()


def float32_sums(device: torch.device) -> None:
    """Have float16 products on a GPU add up in float32, in this process from now on: torch may add them up in float16 otherwise."""
    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False


def _low_precision(module: torch.nn.Module, device: torch.device) -> torch.nn.Module:
    return copy.deepcopy(module).half() if device.type == "cuda" else module
