"""The same objects seen twice: their old embeddings are rows of a release, their new ones are kept here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from discovery.encoders.encoder import Encoder
from discovery.errors import ReleaseError
from discovery.release.shards import STORED_DTYPE, unit
from discovery.stamps.stamp import Damaged, Stamp, Survey
from discovery.storage.atomic import put
from index.drift.observing_conditions import conditions_of

READ_AT_ONCE = 64
CONDITION = "condition:"


@dataclass(frozen=True, kw_only=True, eq=False)
class NewStamps:
    """New stamps of objects that an older release holds.

    Attributes
    ----------
    rows : numpy.ndarray
        (m,) int64 rows of the older release.
    vectors : numpy.ndarray
        (m, D) float32, the new stamps' embeddings, of unit length.
    conditions : dict
        PSF and depth of the new stamps by name, each (m,) float64, NaN where unknown.
    """

    rows: np.ndarray
    vectors: np.ndarray
    conditions: dict[str, np.ndarray]


def embed_sample(survey: Survey, positions: np.ndarray, rows: np.ndarray, encoder: Encoder) -> NewStamps:
    """Return the embeddings of the stamps at (m,) ascending positions of a survey; damaged ones are left out."""
    vectors, kept = [np.empty((0, encoder.dimension), np.float32)], []
    for start in range(0, len(positions), READ_AT_ONCE):
        places = range(start, min(start + READ_AT_ONCE, len(positions)))
        stamps = [survey.read(int(positions[at]), int(positions[at]) + 1)[0] for at in places]
        good: list[tuple[int, Stamp]] = [
            (at, stamp) for at, stamp in zip(places, stamps, strict=True) if not isinstance(stamp, Damaged)
        ]
        if good:
            vectors.append(encoder.embed([stamp for _, stamp in good]))
            kept += [at for at, _ in good]
    conditions = [conditions_of(survey.table(int(position), int(position) + 1)) for position in positions[kept]]
    names = conditions[0] if conditions else {}
    return NewStamps(
        rows=rows[kept],
        vectors=unit(np.concatenate(vectors)),
        conditions={name: np.array([float(one[name][0]) for one in conditions]) for name in names},
    )


def write_sample(path: Path, sample: NewStamps) -> None:
    """Write a sample: safetensors, embeddings as float16."""
    from safetensors.numpy import save

    tensors = {"rows": sample.rows, "vectors": sample.vectors.astype(STORED_DTYPE)}
    tensors |= {CONDITION + name: values for name, values in sample.conditions.items()}
    put(path, save({name: np.ascontiguousarray(values) for name, values in tensors.items()}))


def read_sample(path: Path) -> NewStamps:
    """Return a sample that was written.

    Raises
    ------
    ReleaseError
        If the file is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        tensors = load(path.read_bytes())
        conditions = {name.removeprefix(CONDITION): values for name, values in tensors.items() if name.startswith(CONDITION)}
        return NewStamps(rows=tensors["rows"], vectors=unit(tensors["vectors"]), conditions=conditions)
    except (OSError, SafetensorError, KeyError) as problem:
        raise ReleaseError(f"{path.name} cannot be read: it is missing or damaged. Grow the release again with --rebuild.") from problem
