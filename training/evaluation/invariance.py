"""Invariance: does a turned or mirrored stamp stay where it was?"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from discovery.encoders.encoder import Encoder
from discovery.errors import ConfigError
from training.data.stamps import Stamps
from training.evaluation.tables import document, spread
from training.spaces import Vectors, spaces


def turned_copies(stored: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return turned and mirrored copies of stored stamps (n, 3, S, S) uint8.

    The arbitrary angle is uniform in 0-360 degrees, one a stamp: bilinear, the corners filled by reflection.
    """
    copies = {f"turned by {90 * times}": np.rot90(stored, times, axes=(2, 3)) for times in (1, 2, 3)}
    copies["mirrored left-right"] = stored[..., ::-1]
    copies["mirrored up-down"] = stored[..., ::-1, :]
    angle = torch.from_numpy(rng.uniform(0, 2 * np.pi, len(stored)).astype(np.float32))
    cosine, sine, none = torch.cos(angle), torch.sin(angle), torch.zeros(len(stored))
    matrix = torch.stack([torch.stack([cosine, -sine, none], 1), torch.stack([sine, cosine, none], 1)], 1)
    pixels = torch.from_numpy(np.ascontiguousarray(stored)).float()
    grid = F.affine_grid(matrix, list(pixels.shape), align_corners=False)
    turned = F.grid_sample(pixels, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    copies["turned by any angle"] = turned.round().numpy().astype(stored.dtype)
    return copies


def invariance(
    encoder: Encoder,
    stamps: Stamps,
    *,
    seeds: int = 3,
    count: int = 300,
    baselines: bool = True,
    vectors: list[Vectors] | None = None,
) -> dict[str, Any]:
    """Return the table of the mean cosine between a held-out stamp and its turned copy, beside that of different stamps.

    Parameters
    ----------
    count
        At most this many stamps a draw.

    Returns
    -------
    dict
        The table; ``kept`` is (same - different) / (1 - different): 1 where a copy stays in its place, 0 where it
        is as far as another stamp.

    Raises
    ------
    ConfigError
        If fewer than two stamps are held out.
    """
    rows = np.flatnonzero(~stamps.trains)
    if min(len(rows), count) < 2:
        raise ConfigError(
            f"{stamps.name} has {len(rows)} held-out stamps, {count} to be taken; invariance needs two."
        )
    vectors = vectors or spaces(encoder, stamps, baselines=baselines)
    same: dict[tuple[str, str], list[float]] = defaultdict(list)
    different: dict[str, list[float]] = defaultdict(list)
    for seed in range(seeds):
        rng = np.random.default_rng([4, seed])
        drawn = np.sort(rng.permutation(rows)[:count])
        copies = turned_copies(stamps.pixels[drawn], rng)
        for one in vectors:
            own = one.at(drawn)
            different[one.name].append(mean_cosine_of_others(own))
            for name, copy in copies.items():
                other = np.concatenate(
                    [one.space.embed(copy[at : at + 64]) for at in range(0, len(copy), 64)]
                )
                same[one.name, name].append(float((own * other).sum(1).mean()))
    lines = []
    for (space, name), found in same.items():
        apart = different[space]
        kept = [(one - other) / (1 - other) for one, other in zip(found, apart, strict=True)]
        lines.append(
            {
                "space": space,
                "copy": name,
                "same_stamp": spread(found),
                "different_stamps": spread(apart),
                "kept": spread(kept),
            }
        )
    counts = {"stamps a draw": min(len(rows), count)}
    notes = ["mean cosine; kept = (same - different) / (1 - different)"]
    return document(
        "invariance",
        survey=stamps.name,
        encoder=encoder,
        counts=counts,
        seeds=seeds,
        lines=lines,
        notes=notes,
    )


def mean_cosine_of_others(vectors: np.ndarray) -> float:
    """Return the mean cosine over all pairs of different rows of unit vectors (n, D)."""
    count = len(vectors)
    whole = vectors.astype(np.float64).sum(0)
    return float((whole @ whole - (vectors.astype(np.float64) ** 2).sum()) / (count * (count - 1)))
